/* SPDX-License-Identifier: MIT
 *
 * Defines the public device handle: one or several GPUs, selected by number or by name, and the
 * threads that drive them.
 */
#ifndef VKCLIP_ENCODE_DEVICE_H
#define VKCLIP_ENCODE_DEVICE_H

#include "vulkan/gpu.h"
#include "base/settings.h"
#include "base/thread.h"
#include "base/workers.h"

#define DEVICE_GPUS 16 /* the most that one handle can have */
/* A handle's GPUs are opened again at most this often in all, because each lost GPU keeps its
 * threads until the handle is closed, and a device that is lost more often has to be looked at. */
#define DEVICE_LOSSES 16

/* A GPU that was lost. Models may still have memory on it. */
struct device_loss {
    struct gpu *gpu;
    struct tuner *tuner;
    size_t number; /* which of the handle's GPUs it was */
};

/* For how long a GPU of a handle has encoded. */
struct device_use {
    struct mutex lock;
    size_t running;     /* batches */
    double since, busy; /* since when one runs; seconds before that */
};

struct guard;

struct vkclip_device {
    struct gpu *gpus[DEVICE_GPUS];     /* in the order named */
    struct tuner *tuners[DEVICE_GPUS]; /* tuners[i] chooses the kernels of gpus[i]. */
    size_t count;
    const struct vkclip_device_info *infos[DEVICE_GPUS]; /* of the GPUs; they never change */
    struct device_use *uses;                             /* [DEVICE_GPUS] */
    struct guard *guard;                                 /* see api/guard.h */
    struct settings settings;                            /* with which a lost GPU is opened again */
    struct device_loss losses[DEVICE_LOSSES];
    size_t loss_count;
    struct mutex lock;       /* protects the GPUs and losses while several threads drive GPUs */
    struct workers *drivers; /* one thread per GPU except the first; NULL for one GPU */
};

/* Describes the first `capacity` devices of this machine and counts all in *count, which is not
 * NULL. */
int device_list(struct vkclip_device_info *infos, size_t capacity, size_t *count);
/* Opens the GPUs that the parameters name, and their choices of kernels. `params` may be NULL,
 * `device` not. */
int device_open(const struct vkclip_device_params *params, struct vkclip_device **device);
/* Opens a device of the application, see vkclip_vulkan.h. */
int device_open_lent(const struct vkclip_device_params *params,
                     const struct vkclip_vulkan_device *lent, struct vkclip_device **device);
/* Fills in what vkclip would use of a device of the application. */
int device_find_wants(const struct vkclip_vulkan_device *lent, struct vkclip_vulkan_wants *wants);
void device_close(struct vkclip_device **device);
/* Opens a lost GPU of the handle again, unless another model has done so, and gives the GPU that
 * replaces it. The lost one stays until the handle is closed. */
int device_reopen(struct vkclip_device *device, const struct gpu *lost, struct gpu **gpu,
                  struct tuner **tuner);
/* Notes how many batches run on a GPU of the handle from now on. */
void device_note_running(struct vkclip_device *device, size_t number, size_t running);
/* Returns the seconds for which at least one batch ran on it. Any thread may ask. */
double device_busy(const struct vkclip_device *device, size_t number);

#endif
