/* SPDX-License-Identifier: MIT
 *
 * Implements the public functions that condition diffusion models.
 */
#include "encode/condition.h"
#include "api/arguments.h"
#include "api/growth.h"
#include "api/guard.h"
#include "base/error.h"
#include "base/progress.h"

const char *vkclip_diffusion_family(size_t index)
{
    const struct family *family = family_row(index);
    return family ? family->name : NULL;
}

/* Reads files before it waits for the device, which other calls may use meanwhile. */
static int read_and_place(struct turn *turn, struct vkclip_device *device, const char *const *paths,
                          size_t count, const struct vkclip_conditioner_params *params,
                          struct vkclip_conditioner **conditioner)
{
    int error = conditioner_read(device, paths, count, params, conditioner);
    if (error)
        return error;
    error = guard_enter_announced(turn, device);
    if (!error)
        return guard_open_conditioner(device, conditioner, conditioner_place(params, conditioner));
    conditioner_close(conditioner);
    return error;
}

int vkclip_open_conditioner(struct vkclip_device *device, const char *const *paths, size_t count,
                            const struct vkclip_conditioner_params *params,
                            struct vkclip_conditioner **conditioner)
{
    struct vkclip_conditioner_params full;
    struct progress progress;
    struct turn turn;
    if (!conditioner)
        return error_fail(VKCLIP_EINVALID, "vkclip_open_conditioner: conditioner expected");
    *conditioner = NULL;
    int error = GROWTH_READ(vkclip_conditioner_params, &full, params);
    if (!error && !count)
        error = error_fail(VKCLIP_EINVALID, "vkclip_open_conditioner: at least one path expected");
    if (!error)
        error = arguments_check_strings("paths", paths, NULL, count);
    if (!error)
        error = arguments_check_conditioner(&full);
    if (error)
        return error;
    progress_begin(&progress, full.progress, full.user, 1);
    error = guard_begin_opening(&turn, __func__, device);
    if (!error)
        error = guard_leave(&turn, read_and_place(&turn, device, paths, count, &full, conditioner));
    return progress_end(&progress, error);
}

void vkclip_close_conditioner(struct vkclip_conditioner **conditioner)
{
    struct turn turn;
    if (!conditioner || !*conditioner)
        return;
    struct guard *guard = (*conditioner)->guard;
    if (!guard_begin_close(&turn, __func__, guard, conditioner))
        return;
    conditioner_close(conditioner);
    guard_end_close(&turn, guard);
}

int vkclip_get_conditioner_info(const struct vkclip_conditioner *conditioner,
                                struct vkclip_conditioner_info *info)
{
    if (!conditioner || !info)
        return error_fail(VKCLIP_EINVALID,
                          "vkclip_get_conditioner_info: conditioner and info expected");
    struct vkclip_conditioner_info full = {.family = conditioner->family->name,
                                           .encoders = conditioner->shown,
                                           .encoder_count = conditioner->encoder_count,
                                           .zero_negative = conditioner->zeros,
                                           .no_negative = conditioner->family->negative ==
                                                          FAMILY_NEGATIVE_NONE};
    int error = GROWTH_CHECK(vkclip_conditioner_info, info);
    if (!error)
        error = guard_check(__func__, conditioner->guard);
    if (!error)
        GROWTH_WRITE(vkclip_conditioner_info, info, &full);
    return error;
}

int vkclip_tokenize_condition(const struct vkclip_conditioner *conditioner, size_t encoder,
                              const char *text, const struct vkclip_prompt_params *params,
                              struct vkclip_prompt *prompt)
{
    struct vkclip_prompt_params full;
    struct vkclip_prompt made = {0};
    if (!conditioner || !text || !prompt)
        return error_fail(VKCLIP_EINVALID,
                          "vkclip_tokenize_condition: conditioner, text and prompt expected");
    int error = GROWTH_CHECK(vkclip_prompt, prompt);
    if (!error)
        error = GROWTH_READ(vkclip_prompt_params, &full, params);
    if (!error)
        error = arguments_check_prompt(&full);
    if (!error)
        error = guard_visit(__func__, conditioner->guard);
    if (error)
        return error;
    error = condition_tokenize(conditioner, encoder, text, &full, &made);
    GROWTH_WRITE(vkclip_prompt, prompt, &made);
    return guard_end_visit(conditioner->guard, error);
}

int vkclip_condition(struct vkclip_conditioner *conditioner,
                     const struct vkclip_condition_params *params,
                     struct vkclip_conditioning **conditioning)
{
    struct vkclip_condition_params full;
    struct progress progress;
    struct turn turn;
    if (!conditioner || !params || !conditioning)
        return error_fail(VKCLIP_EINVALID,
                          "vkclip_condition: conditioner, params and conditioning expected");
    int error = GROWTH_READ(vkclip_condition_params, &full, params);
    if (!error)
        error = arguments_check_condition(&full);
    if (error)
        return error;
    progress_begin(&progress, full.progress, full.user, 1);
    error = guard_enter_long(&turn, __func__, conditioner->guard);
    if (!error)
        error = guard_leave(&turn, condition_run(conditioner, &full, conditioning));
    return progress_end(&progress, error);
}

void vkclip_free_conditioning(struct vkclip_conditioning **conditioning)
{
    if (conditioning)
        condition_free(conditioning);
}
