/* SPDX-License-Identifier: MIT
 *
 * What the public model handle is.
 */
#ifndef VKCLIP_VKCLIP_MODEL_H
#define VKCLIP_VKCLIP_MODEL_H

#include "device.h"
#include "lane.h"
#include "tokenizer.h"

struct vkclip_model {
    struct vkclip_device *device; /* NULL: opened without */
    struct lane_model of;
    struct lane *lanes[DEVICE_GPUS]; /* one for each of the device's GPUs */
    size_t lane_count;
    struct tokenizer *tokenizer;
    struct texts *texts; /* of vkclip_encode.c: kept for the next call */
    struct vkclip_model_info info;
};

#endif
