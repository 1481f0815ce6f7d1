/* SPDX-License-Identifier: MIT
 *
 * Implements the public functions that measure.
 */
#include "encode/measure.h"
#include "api/arguments.h"
#include "api/growth.h"
#include "api/guard.h"
#include "base/error.h"
#include "base/progress.h"
#include "runtime/peak.h"

int vkclip_measure_peaks(struct vkclip_device *device, vkclip_progress_fn *ask, void *user,
                         struct vkclip_peaks *peaks)
{
    struct progress progress;
    struct turn turn;
    struct vkclip_peaks full = {0};
    if (!device || !peaks)
        return error_fail(VKCLIP_EINVALID, "vkclip_measure_peaks: device and peaks expected");
    int error = GROWTH_CHECK(vkclip_peaks, peaks);
    if (error)
        return error;
    progress_begin(&progress, ask, user, 0);
    error = guard_enter_long(&turn, __func__, device->guard);
    if (!error)
        error = guard_leave(&turn, peak_measure(device->gpus[0], &full));
    error = progress_end(&progress, error);
    GROWTH_WRITE(vkclip_peaks, peaks, &full);
    return error;
}

int vkclip_profile(struct vkclip_model *model, enum vkclip_tower tower, uint32_t batch,
                   vkclip_node_fn *node, void *user, struct vkclip_cost *cost)
{
    struct vkclip_cost full = {0};
    struct turn turn;
    if (!model || !batch || !cost)
        return error_fail(VKCLIP_EINVALID, "vkclip_profile: model, batch and cost expected");
    int error = GROWTH_CHECK(vkclip_cost, cost);
    if (!error)
        error = ARGUMENTS_CHECK_ENUM(tower, tower, VKCLIP_TOWER_TEXT);
    if (!error)
        error = guard_enter_long(&turn, __func__, model->guard);
    if (error)
        return error;
    error = measure_tower(model, tower == VKCLIP_TOWER_TEXT ? TOWER_TEXT : TOWER_IMAGE, batch, node,
                          user, &full);
    GROWTH_WRITE(vkclip_cost, cost, &full);
    return guard_leave(&turn, error);
}
