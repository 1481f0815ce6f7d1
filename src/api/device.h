/* SPDX-License-Identifier: MIT
 *
 * What the public device handle stands for: one or several GPUs, and the threads that work for
 * them. vkclip_open_device and its like are here.
 */
#ifndef VKCLIP_API_DEVICE_H
#define VKCLIP_API_DEVICE_H

#include "vulkan/gpu.h"
#include "base/workers.h"

#define DEVICE_GPUS 16 /* at most in one handle */

struct vkclip_device {
    struct gpu *gpus[DEVICE_GPUS];     /* in the order named */
    struct tuner *tuners[DEVICE_GPUS]; /* tuners[i] chooses the kernels of gpus[i] */
    size_t count;
    struct workers *drivers; /* a thread for every GPU but one; NULL for one GPU */
};

#endif
