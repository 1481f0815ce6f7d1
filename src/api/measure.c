/* SPDX-License-Identifier: MIT
 *
 * Implements the public functions that measure.
 */
#include "encode/measure.h"
#include "base/error.h"
#include "runtime/peak.h"

int vkclip_measure_peaks(struct vkclip_device *device, struct vkclip_peaks *peaks)
{
    if (!device || !peaks)
        return error_fail(VKCLIP_EINVALID, "vkclip_measure_peaks: device and peaks expected");
    return peak_measure(device->gpus[0], peaks);
}

int vkclip_profile(struct vkclip_model *model, enum vkclip_tower tower, uint32_t batch,
                   vkclip_node_fn *node, void *user, struct vkclip_cost *cost)
{
    if (!model || !batch || !cost)
        return error_fail(VKCLIP_EINVALID, "vkclip_profile: model, batch and cost expected");
    return measure_tower(model, tower == VKCLIP_TOWER_TEXT ? TOWER_TEXT : TOWER_IMAGE, batch, node,
                         user, cost);
}
