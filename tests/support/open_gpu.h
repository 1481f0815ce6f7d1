/* SPDX-License-Identifier: MIT
 *
 * Opens a GPU for tests of what lies below the public interface. The environment gives the device
 * and all settings.
 */
#ifndef VKCLIP_TESTS_SUPPORT_OPEN_GPU_H
#define VKCLIP_TESTS_SUPPORT_OPEN_GPU_H

#include "base/settings.h"
#include "runtime/tune.h"
#include "support/testing.h"
#include "vulkan/gpu.h"

/* Opens the GPU, and a tuner too unless `tuner` is NULL. `cache_dir` has the meaning that it has in
 * vkclip_device_params. */
static inline struct gpu *open_gpu_and_tuner(const char *cache_dir, struct tuner **tuner)
{
    const struct vkclip_device_params params = {.size = sizeof(params), .cache_dir = cache_dir};
    struct settings settings;
    struct gpu *gpu = NULL;
    int error = settings_read(&params, &settings);
    if (!error)
        error = gpu_open(&settings, settings.device, &gpu);
    if (!error && tuner)
        error = tune_open(gpu, &settings, tuner);
    settings_free(&settings);
    if (error)
        fail_msg("%s", vkclip_last_error());
    return gpu;
}

struct opened {
    struct gpu *gpu;
    struct tuner *tuner;
};

static inline void close_opened(struct opened *opened)
{
    tune_close(&opened->tuner);
    gpu_close(&opened->gpu);
}

static inline struct gpu *open_gpu(const char *cache_dir)
{
    return open_gpu_and_tuner(cache_dir, NULL);
}

/* Returns a GPU's limits for a test to lower, so that small tensors exceed them as large ones do on
 * other devices. The cast takes away a const that gpu_limits adds: the library itself never changes
 * limits once the GPU is open, but the GPU's memory that holds them is not const. A test that goes
 * on with the same GPU puts the old limits back. */
static inline struct gpu_limits *changeable_limits(struct gpu *gpu)
{
    return (struct gpu_limits *)gpu_limits(gpu);
}

#endif
