/* SPDX-License-Identifier: MIT
 *
 * Public functions that measure: the device's peaks, and where a tower's time goes.
 */
#include "lane.h"
#include "peak.h"
#include "vkclip_model.h"

#include <stdlib.h>

int vkclip_measure_peaks(struct vkclip_device *device, struct vkclip_peaks *peaks)
{
    if (!device || !peaks)
        return util_fail(VKCLIP_EINVALID, "vkclip_measure_peaks: device and peaks expected");
    return peak_measure(device->gpus[0], peaks);
}
