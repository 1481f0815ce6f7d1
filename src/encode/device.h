/* SPDX-License-Identifier: MIT
 *
 * Defines the public device handle: one or several GPUs, selected by number or by name, and the
 * threads that drive them.
 */
#ifndef VKCLIP_ENCODE_DEVICE_H
#define VKCLIP_ENCODE_DEVICE_H

#include "vulkan/gpu.h"
#include "base/workers.h"

#define DEVICE_GPUS 16 /* the most that one handle can have */

struct vkclip_device {
    struct gpu *gpus[DEVICE_GPUS];     /* in the order named */
    struct tuner *tuners[DEVICE_GPUS]; /* tuners[i] chooses the kernels of gpus[i]. */
    size_t count;
    struct workers *drivers; /* one thread per GPU except the first; NULL for one GPU */
};

/* Describes the first `capacity` devices of this machine and counts all in *count, which is not
 * NULL. */
int device_list(struct vkclip_device_info *infos, size_t capacity, size_t *count);
/* Opens the GPUs that the parameters name, and their choices of kernels. `params` may be NULL,
 * `device` not. */
int device_open(const struct vkclip_device_params *params, struct vkclip_device **device);
void device_close(struct vkclip_device **device);

#endif
