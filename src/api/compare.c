/* SPDX-License-Identifier: MIT
 *
 * Implements the public function that compares models.
 */
#include "encode/compare.h"
#include "api/arguments.h"
#include "api/growth.h"
#include "api/guard.h"
#include "base/error.h"
#include "base/progress.h"

int vkclip_compare_models(struct vkclip_device *device, const char *path,
                          const struct vkclip_model_params *params, const char *other,
                          const struct vkclip_model_params *other_params, vkclip_progress_fn *ask,
                          void *user, struct vkclip_comparison *comparison)
{
    struct progress progress;
    struct turn turn;
    struct vkclip_model_params first, second;
    struct vkclip_comparison found = {0};
    if (!path || !other || !comparison)
        return error_fail(VKCLIP_EINVALID,
                          "vkclip_compare_models: two paths and a result expected");
    int error = GROWTH_CHECK(vkclip_comparison, comparison);
    if (!error)
        error = GROWTH_READ(vkclip_model_params, &first, params);
    if (!error)
        error = GROWTH_READ(vkclip_model_params, &second, other_params);
    if (!error)
        error = arguments_check_model(&first);
    if (!error)
        error = arguments_check_model(&second);
    if (error)
        return error;
    progress_begin(&progress, ask, user, 0);
    error = guard_enter_long(&turn, __func__, device ? device->guard : NULL);
    if (!error)
        error = guard_leave(&turn, compare_models(device, path, &first, other, &second, &found));
    error = progress_end(&progress, error);
    GROWTH_WRITE(vkclip_comparison, comparison, &found);
    return error;
}
