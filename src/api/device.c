/* SPDX-License-Identifier: MIT
 *
 * Implements the public functions of devices.
 */
#include "api/arguments.h"
#include "api/growth.h"
#include "api/guard.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/progress.h"
#include "encode/device.h"
#include "runtime/selftest_model.h"
#include "runtime/tune.h"

#include <string.h>

int vkclip_list_devices(struct vkclip_device_info *infos, size_t capacity, size_t *count)
{
    if (!count || (!infos && capacity))
        return error_fail(VKCLIP_EINVALID, "vkclip_list_devices: infos and count expected");
    int error = capacity ? GROWTH_CHECK(vkclip_device_info, infos) : VKCLIP_OK;
    if (error)
        return error;
    struct vkclip_device_info *found = memory_calloc(capacity + 1, sizeof(*found));
    if (!found)
        return error_fail(VKCLIP_EMEMORY, "out of memory for %zu devices", capacity);
    error = device_list(found, capacity, count);
    for (size_t i = 0; !error && i < *count && i < capacity; i++)
        GROWTH_WRITE_ENTRY(vkclip_device_info, infos, i, &found[i]);
    memory_free(found);
    return error;
}

int vkclip_open_device(const struct vkclip_device_params *params, struct vkclip_device **device)
{
    struct vkclip_device_params full;
    if (!device)
        return error_fail(VKCLIP_EINVALID, "vkclip_open_device: device expected");
    *device = NULL;
    int error = GROWTH_READ(vkclip_device_params, &full, params);
    if (!error)
        error = arguments_check_device(&full);
    if (error)
        return error;
    struct progress progress;
    progress_begin(&progress, full.progress, full.user, 1);
    return progress_end(&progress, guard_open_device(device, device_open(&full, device)));
}

/* Describes one of the handle's GPUs. */
static struct vkclip_device_info describe(const struct vkclip_device *device, size_t number)
{
    struct vkclip_device_info info = *device->infos[number];
    info.busy = device_busy(device, number);
    return info;
}

int vkclip_get_device_info(const struct vkclip_device *device, struct vkclip_device_info *info)
{
    if (!device || !info)
        return error_fail(VKCLIP_EINVALID, "vkclip_get_device_info: device and info expected");
    int error = GROWTH_CHECK(vkclip_device_info, info);
    if (!error)
        error = guard_check(__func__, device->guard);
    if (error)
        return error;
    const struct vkclip_device_info own = describe(device, 0);
    GROWTH_WRITE(vkclip_device_info, info, &own);
    return VKCLIP_OK;
}

int vkclip_get_device_infos(const struct vkclip_device *device, struct vkclip_device_info *infos,
                            size_t capacity, size_t *count)
{
    if (!device || !count || (!infos && capacity))
        return error_fail(VKCLIP_EINVALID,
                          "vkclip_get_device_infos: device, infos and count expected");
    int error = capacity ? GROWTH_CHECK(vkclip_device_info, infos) : VKCLIP_OK;
    if (!error)
        error = guard_check(__func__, device->guard);
    *count = device->count;
    for (size_t i = 0; !error && i < device->count && i < capacity; i++) {
        const struct vkclip_device_info own = describe(device, i);
        GROWTH_WRITE_ENTRY(vkclip_device_info, infos, i, &own);
    }
    return error;
}

int vkclip_list_tuning(struct vkclip_device *device, vkclip_tuning_fn *tuning, void *user)
{
    struct turn turn;
    if (!device || !tuning)
        return error_fail(VKCLIP_EINVALID, "vkclip_list_tuning: device and tuning expected");
    int error = guard_enter(&turn, __func__, device->guard);
    if (error)
        return error;
    for (size_t i = 0; i < device->count && !error; i++)
        error = tune_list(device->tuners[i], tuning, user);
    return guard_leave(&turn, error);
}

/* Hands checks on, and counts those that are not right. */
struct counted_checks {
    vkclip_check_fn *entry;
    void *user;
    size_t wrong, all;
};

static int count_check(void *user, const struct vkclip_check *check)
{
    struct counted_checks *counted = user;
    counted->all++;
    counted->wrong += !check->right;
    return counted->entry(counted->user, check);
}

int vkclip_check_device(struct vkclip_device *device, const char *op, vkclip_check_fn *check,
                        void *user, size_t *wrong)
{
    struct counted_checks counted = {check, user, 0, 0};
    const bool model = !op || !strcmp(op, "MODEL");
    struct turn turn;
    if (!device || !check || !wrong)
        return error_fail(VKCLIP_EINVALID, "vkclip_check_device: device, check and wrong expected");
    int error = guard_enter_long(&turn, __func__, device->guard);
    if (error)
        return error;
    turn_allow_pauses(true);
    for (size_t i = 0; i < device->count && !error; i++) {
        struct tuner *tuner = device->tuners[i];
        error = selftest_all(tune_selftest(tuner), op, count_check, &counted);
        if (!error && model)
            error = selftest_all_models(device->gpus[i], tuner, count_check, &counted);
    }
    guard_leave(&turn, error);
    *wrong = counted.wrong;
    if (!error && !counted.all)
        error = error_fail(VKCLIP_EINVALID, "%s: expected the name of an op, such as MATMUL", op);
    return error;
}

void vkclip_close_device(struct vkclip_device **device)
{
    struct turn turn;
    if (!device || !*device)
        return;
    struct guard *guard = (*device)->guard;
    if (!guard_begin_close(&turn, __func__, guard, device))
        return;
    *device = NULL;
    guard_end_close(&turn, guard); /* The device goes with the last handle on it. */
}
