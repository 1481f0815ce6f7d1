/* SPDX-License-Identifier: MIT
 *
 * All of Vulkan behind plain structs: devices, memory, pipelines and their cache, recorded
 * commands. Knows nothing of tensors or kernels: it runs SPIR-V over ranges of buffers.
 *
 * Every pipeline has the same layout: GPU_BINDINGS storage buffers in set 0, the same ranges as
 * uniform texel buffers in set 1, GPU_PUSH_BYTES bytes of push constants.
 */
#ifndef VKCLIP_VULKAN_GPU_H
#define VKCLIP_VULKAN_GPU_H

#include "vkclip.h"

#define GPU_BINDINGS 4
#define GPU_PUSH_BYTES 128
#define GPU_CONSTANTS 16

/* What a device may have beyond the required: name, text in `caps`, in VKCLIP_DISABLE_CAPS and in
 * VKCLIP_ENABLE_CAPS. */
#define CAPS(X)                                                                                 \
    X(F16, "f16")             /* 16-bit values in storage buffers */                            \
    X(TEXEL, "texel")         /* storage ranges readable as texel buffers of four components */ \
    X(SUBGROUP, "subgroup")   /* subgroups of a known width, whose lanes broadcast and add */   \
    X(COOPMAT16, "coopmat16") /* cooperative matrices of fp16, summed in fp32 */                \
    X(COOPMAT32, "coopmat32") /* of fp32 */                                                     \
    X(F16MATH, "f16math")     /* arithmetic of fp16 */                                          \
    X(DOT, "dot")             /* dot products of four 8-bit integers, faster than of floats */

enum cap_index {
#define X(name, text) CAP_INDEX_##name,
    CAPS(X)
#undef X
        CAP_COUNT
};
enum cap {
#define X(name, text) CAP_##name = 1 << CAP_INDEX_##name,
    CAPS(X)
#undef X
};

#define CAPS_COOPMAT (CAP_COOPMAT16 | CAP_COOPMAT32)

struct gpu;
struct settings;
struct workers;
struct gpu_buffer;
struct gpu_pipeline;
struct gpu_commands;

struct gpu_limits {
    uint64_t buffer_range;   /* bytes that one binding may span */
    uint64_t allocation;     /* bytes of one buffer */
    uint64_t texel_elements; /* elements that one texel binding may span */
    uint32_t alignment;      /* bytes, of every binding's offset */
    uint32_t invocations;    /* of a workgroup */
    uint32_t shared_bytes;   /* of a workgroup */
    uint32_t groups[3];      /* of a dispatch */
    uint32_t subgroup;       /* lanes of a subgroup where CAP_SUBGROUP is needed */
    uint32_t matrices[2][3]; /* M, N, K of CAP_COOPMAT32 and of CAP_COOPMAT16 */
    double work;             /* operations that one submit should not exceed */
};

int gpu_list(const struct settings *settings, struct vkclip_device_info *infos, size_t capacity,
             size_t *count);
/* Whether `part` is in a device's name; case does not count. */
bool gpu_name_has(const char *name, const char *part);
/* Opens the device with a number or a name that `device` is or is part of, which must match one
 * device only; the best one where it is NULL. `settings->device` is not read, because it may name
 * several devices. What the GPU needs of the settings is copied. */
int gpu_open(const struct settings *settings, const char *device, struct gpu **gpu);
void gpu_close(struct gpu **gpu);
const struct vkclip_device_info *gpu_info(const struct gpu *gpu);
const struct gpu_limits *gpu_limits(const struct gpu *gpu);
uint32_t gpu_caps(const struct gpu *gpu);
/* Threads for the host's work. */
struct workers *gpu_workers(const struct gpu *gpu);
/* Path of a cache file for this device with this driver; NULL where there is no cache. */
char *gpu_cache_path(const struct gpu *gpu, const char *kind);

enum gpu_memory {
    GPU_DEVICE,  /* the device's own */
    GPU_UPLOAD,  /* written by the host */
    GPU_DOWNLOAD /* read by the host */
};

int gpu_buffer_create(struct gpu *gpu, enum gpu_memory memory, uint64_t size,
                      struct gpu_buffer **buffer);
void gpu_buffer_destroy(struct gpu *gpu, struct gpu_buffer **buffer);
/* Address for the host; NULL for GPU_DEVICE. Coherent: no flush is needed. */
void *gpu_buffer_map(const struct gpu_buffer *buffer);

struct gpu_range {
    struct gpu_buffer *buffer;
    uint64_t offset, size; /* bytes */
};

enum gpu_texel { GPU_TEXEL_NONE, GPU_TEXEL_RGBA32F, GPU_TEXEL_RGBA16F, GPU_TEXEL_R32UI };

struct gpu_dispatch {
    struct gpu_pipeline *pipeline;
    struct gpu_range ranges[GPU_BINDINGS]; /* all filled: a shader's every binding must be valid */
    enum gpu_texel texel[GPU_BINDINGS];
    uint32_t push[GPU_PUSH_BYTES / 4], push_bytes;
    uint32_t groups[3];
    double work; /* operations */
};

/* A pipeline for SPIR-V of `bytes` bytes, which needs `caps`, with specialization constants 0 ..
 * count - 1. Owned by the gpu, as `name` and `code` must stay; the same code and constants give the
 * same pipeline. Fails with EDEVICE where the driver cannot build it; the log was told once. */
int gpu_pipeline_get(struct gpu *gpu, const char *name, const uint32_t *code, size_t bytes,
                     uint32_t caps, const uint32_t *constants, uint32_t count,
                     struct gpu_pipeline **pipeline);
/* The same without building it: gpu_pipelines_build builds all of these, on several threads. */
int gpu_pipeline_announce(struct gpu *gpu, const char *name, const uint32_t *code, size_t bytes,
                          uint32_t caps, const uint32_t *constants, uint32_t count,
                          struct gpu_pipeline **pipeline);
int gpu_pipelines_build(struct gpu *gpu);

/* Commands are recorded once and run any number of times. Each waits for the one before it. */
int gpu_commands_create(struct gpu *gpu, struct gpu_commands **commands);
void gpu_commands_destroy(struct gpu_commands **commands);
/* Before anything is recorded: every run then times its dispatches. EUNSUPPORTED on a device that
 * has no timestamps. */
int gpu_commands_time(struct gpu_commands *commands);
int gpu_commands_dispatch(struct gpu_commands *commands, const struct gpu_dispatch *dispatch);
int gpu_commands_copy(struct gpu_commands *commands, struct gpu_range from, struct gpu_range to);
/* Ends the recording. */
int gpu_commands_end(struct gpu_commands *commands);
/* Submits, in parts of at most gpu_limits()->work operations, behind what was submitted before. */
int gpu_commands_submit(struct gpu_commands *commands);
/* Until they are done, if they are under way. */
int gpu_commands_wait(struct gpu_commands *commands);
/* Both. */
int gpu_commands_run(struct gpu_commands *commands);
/* Dispatches recorded so far, and the device's seconds for each in the last run. */
size_t gpu_commands_dispatches(const struct gpu_commands *commands);
int gpu_commands_read_times(struct gpu_commands *commands, double *seconds);

/* One copy, at once. */
int gpu_copy(struct gpu *gpu, struct gpu_range from, struct gpu_range to);

#endif
