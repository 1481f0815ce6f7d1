/* SPDX-License-Identifier: MIT
 *
 * This is the interface of vulkan/: devices, memory, pipelines and recorded commands as plain
 * structs. It knows nothing of tensors or kernels: it runs SPIR-V over ranges of buffers. Nothing
 * outside of vulkan/ sees a header of Vulkan. A device without Vulkan 1.1 or without a compute
 * queue is refused.
 *
 * Every pipeline has the same layout: GPU_BINDINGS storage buffers in set 0, the same ranges as
 * uniform texel buffers in set 1, and GPU_PUSH_BYTES bytes of push constants.
 */
#ifndef VKCLIP_VULKAN_GPU_H
#define VKCLIP_VULKAN_GPU_H

#include "vkclip.h"

#include "vulkan/spirv.h"

#include <stdio.h>

#define GPU_BINDINGS 4
#define GPU_PUSH_BYTES 128
#define GPU_CONSTANTS 18

/* A device may have these optional capabilities. Each has its name here, and its text in `caps`, in
 * VKCLIP_DISABLE_CAPS and in VKCLIP_ENABLE_CAPS. */
#define CAPS(X)                                                                                 \
    X(F16, "f16")             /* 16-bit values in storage buffers */                            \
    X(TEXEL, "texel")         /* storage ranges readable as texel buffers of four components */ \
    X(SUBGROUP, "subgroup")   /* subgroups of a known width, whose lanes broadcast and add */   \
    X(COOPMAT16, "coopmat16") /* cooperative matrices of fp16, summed in fp32 */                \
    X(F16MATH, "f16math")     /* arithmetic of fp16 */                                          \
    X(DOT, "dot")             /* dot products of four 8-bit integers, faster than in floats */  \
    X(ADDRESS, "address")     /* memory that kernels read by its address */                     \
    X(COPIES, "copies")       /* a queue for copies beside the one for kernels */

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

struct settings;
struct vkclip_vulkan_buffer;
struct vkclip_vulkan_device;
struct vkclip_vulkan_image;
struct vkclip_vulkan_wants;
struct workers;
struct gpu;
struct gpu_buffer;
struct gpu_pipeline;
struct gpu_commands;

/* ---- Devices --------------------------------------------------------------------------------- */

/* Classes of devices for which different kernels are good: see shaders/orders.def. GPU_OTHER has
 * the software drivers too. */
enum gpu_class {
    GPU_OTHER,
    GPU_GCN,
    GPU_RDNA,
    GPU_NVIDIA,
    GPU_INTEL,
    GPU_ADRENO,
    GPU_APPLE,
    GPU_MOBILE,
    GPU_LAVAPIPE /* of Mesa 26 or later; older ones load lane by lane, as no GPU does */
};

struct gpu_limits {
    uint64_t buffer_range;   /* bytes that one binding may span */
    uint64_t allocation;     /* bytes that one buffer may have */
    uint64_t texel_elements; /* elements that one texel binding may span */
    uint32_t alignment;      /* bytes that every binding's offset is a multiple of */
    uint32_t invocations;    /* invocations that one workgroup may have */
    uint32_t shared_bytes;   /* bytes that one workgroup may share */
    uint32_t groups[3];      /* workgroups that one dispatch may have, in x, y and z */
    uint32_t subgroup;       /* lanes of a subgroup in pipelines that need CAP_SUBGROUP */
    uint32_t wave; /* lanes of the narrowest subgroup, which smaller workgroups leave idle */
    /* processors that run workgroups side by side (compute units, streaming multiprocessors,
     * cores); 0 for a CPU, which has few and gains nothing from smaller workgroups */
    uint32_t units;
    bool units_told; /* The driver tells the units; otherwise they are a guess. */
    enum gpu_class class;
    uint32_t matrix[3]; /* M, N, K of CAP_COOPMAT16 */
    /* Nothing watches a CPU, so that submits there are limited by `work` alone. Elsewhere a submit
     * may take `submit_seconds`, and `work` holds for kernels whose speed is not known yet. */
    double work;           /* operations of a matrix product that one submit should not exceed */
    double submit_seconds; /* 0 for a CPU */
    bool separate_memory;  /* two tensors must not lie in the same memory one after the other */
    uint32_t stored_rows;  /* STORED_ROWS of shaders/matmul/tile.glsl */
};

/* Keeps Vulkan open until gpu_loader_close, so that calls between them, which open and close it
 * too, need not load all drivers each time. */
int gpu_loader_open(void);
void gpu_loader_close(void);
/* Lists the devices of this machine in Vulkan's order, as vkclip_list_devices does. */
int gpu_list(const struct settings *settings, struct vkclip_device_info *infos, size_t capacity,
             size_t *count);
/* Finds the numbers of the devices that `all` means: one for each GPU, or for each CPU where there
 * is no GPU. Writes at most `capacity` of them. Fails with ENODEVICE if there is none. */
int gpu_list_all(const struct settings *settings, uint32_t *numbers, size_t capacity,
                 size_t *count);
/* Tells whether a device's name contains `part`. The comparison ignores case. */
bool gpu_name_has(const char *name, const char *part);
/* Tells whether a device of this machine has a name that contains `text`. */
bool gpu_is_name(const struct settings *settings, const char *text);
/* Opens the device whose number is `device` or whose name contains it; exactly one device must
 * match. With `device` NULL the best device is opened. `settings->device` is not read, because it
 * may name several devices. The GPU copies what it needs from the settings. */
int gpu_open(const struct settings *settings, const char *device, struct gpu **gpu);
/* Opens a device of the application, which it does not destroy. `lent` is read during the call
 * only. */
int gpu_open_lent(const struct settings *settings, const struct vkclip_vulkan_device *lent,
                  struct gpu **gpu);
/* Tells whether the device is the application's. Such a device cannot be opened again. */
bool gpu_is_lent(const struct gpu *gpu);
/* Fills in what gpu_open_lent would use of a device if the application enabled it. */
int gpu_find_wants(const struct settings *settings, const struct vkclip_vulkan_device *lent,
                   struct vkclip_vulkan_wants *wants);
/* Opens the device of a lost GPU again, with what was learnt of its kernels. The lost GPU must be
 * closed too, after everything that was made with it is destroyed. */
int gpu_open_again(const struct settings *settings, struct gpu *lost, struct gpu **gpu);
/* Tells whether the device is lost. Everything that runs on it fails with ELOST. */
bool gpu_is_lost(const struct gpu *gpu);
/* Closes the GPU, and writes the pipeline cache to disk if a pipeline was added to it. All buffers
 * and commands of the GPU must be destroyed before. */
void gpu_close(struct gpu **gpu);
const struct vkclip_device_info *gpu_info(const struct gpu *gpu);
const struct gpu_limits *gpu_limits(const struct gpu *gpu);
uint32_t gpu_caps(const struct gpu *gpu);
/* Writes the names of capabilities, separated by spaces. */
void gpu_describe_caps(uint32_t caps, char *text, size_t size);
/* Returns the threads for the host's work, which also build pipelines; NULL: there is only the one
 * that calls. */
struct workers *gpu_workers(const struct gpu *gpu);
/* Returns the path of a cache file for this device with this driver as a new string, or NULL where
 * there is no cache. */
char *gpu_cache_path(const struct gpu *gpu, const char *kind);

/* ---- Memory ---------------------------------------------------------------------------------- */

enum gpu_memory {
    GPU_DEVICE,  /* fast for the device; where it is full, the failure is not logged */
    GPU_ANY,     /* like GPU_DEVICE, or where it is full any memory, which is said once */
    GPU_INPUT,   /* written by the host and read by kernels */
    GPU_UPLOAD,  /* written by the host, then copied to the device */
    GPU_DOWNLOAD /* copied from the device, then read by the host */
};

/* Creates a buffer. Fails with EDEVICEMEMORY where no suitable memory is left. */
int gpu_buffer_create(struct gpu *gpu, enum gpu_memory memory, uint64_t size,
                      struct gpu_buffer **buffer);
void gpu_buffer_destroy(struct gpu *gpu, struct gpu_buffer **buffer);
/* Returns the buffer's address for the host, or NULL where the host does not see it, which is
 * possible for GPU_DEVICE and GPU_ANY. The memory is coherent, so it needs no flush. It may be slow
 * to read, except that of GPU_DOWNLOAD. */
void *gpu_buffer_map(const struct gpu_buffer *buffer);
/* Returns the bytes of the device's memory that this process can still take, or all of its bytes
 * where the driver does not tell what is in use. */
uint64_t gpu_memory_left(const struct gpu *gpu);
/* Tells whether the memory is fast for the device. Kernels should not read other memory often. */
bool gpu_buffer_is_local(const struct gpu_buffer *buffer);

struct gpu_range {
    struct gpu_buffer *buffer;
    uint64_t offset, size; /* bytes */
};

/* Returns the address by which kernels that need CAP_ADDRESS read the range. It is valid on a GPU
 * with that capability alone. */
uint64_t gpu_range_address(const struct gpu_range *range);

/* ---- Pictures of the application ------------------------------------------------------------- */

/* A picture on the application's device. */
struct gpu_picture {
    uint32_t width, height; /* pixels */
    uint32_t stride;        /* bytes from one pixel to the next, 3 or 4 */
    bool swapped;           /* the bytes are blue, green, red */
    const struct vkclip_vulkan_image *image;
    const struct vkclip_vulkan_buffer *buffer; /* where there is no image */
};
/* Describes number `index` of the images, or of the buffers if `images` is NULL. Refuses formats
 * that are no 8-bit colours, layouts without content, and families that the GPU does not have. */
int gpu_picture_read(const struct gpu *gpu, const struct vkclip_vulkan_image *images,
                     const struct vkclip_vulkan_buffer *buffers, size_t index,
                     struct gpu_picture *picture);

/* A part of a picture, in pixels. */
struct gpu_window {
    uint32_t x, y, width, height;
};
/* Returns the bytes of a row of so many pixels, which are whole words. */
uint64_t gpu_picture_pitch(const struct gpu_picture *picture, uint32_t width);

/* ---- Pipelines ------------------------------------------------------------------------------- */

/* Finds or builds the pipeline for a module of SPIR-V, which needs `caps`, with specialization
 * constants 0 .. count - 1. The GPU owns the pipeline; `name` and what `code` points to must
 * stay valid as long as the GPU. The same code and constants give the same pipeline. Fails with
 * EDEVICE where the driver cannot build it, which is logged once per pipeline. */
int gpu_pipeline_get(struct gpu *gpu, const char *name, const struct spirv *code, uint32_t caps,
                     const uint32_t *constants, uint32_t count, struct gpu_pipeline **pipeline);
/* Finds or adds a pipeline without building it, so that gpu_pipelines_build can build many on
 * several threads. */
int gpu_pipeline_announce(struct gpu *gpu, const char *name, const struct spirv *code,
                          uint32_t caps, const uint32_t *constants, uint32_t count,
                          struct gpu_pipeline **pipeline);
/* Builds all announced pipelines. One that the driver cannot build is no failure here:
 * gpu_pipeline_get fails for it. */
int gpu_pipelines_build(struct gpu *gpu);

/* Returns the pipeline that was announced last, or NULL if there is none. */
struct gpu_pipeline *gpu_pipeline_newest(const struct gpu *gpu);
/* Builds one announced pipeline on the calling thread, so that a forked process can, which has no
 * other threads. Fails with EDEVICE if the driver cannot build it. */
int gpu_pipeline_build(struct gpu *gpu, struct gpu_pipeline *pipeline);
/* Returns the specialization constants of a pipeline. */
const uint32_t *gpu_pipeline_constants(const struct gpu_pipeline *pipeline, uint32_t *count);
/* Holds one of the numbers by which a driver describes a pipeline, under the driver's own name. */
struct gpu_statistic {
    char name[64];
    double value;
};
/* Reads the driver's statistics of a pipeline, up to `capacity` of them. There are none unless the
 * device was opened with settings.pipeline_statistics and has
 * VK_KHR_pipeline_executable_properties. */
int gpu_pipeline_statistics(const struct gpu *gpu, const struct gpu_pipeline *pipeline,
                            struct gpu_statistic *statistics, size_t capacity, size_t *count);
/* Writes the forms that the driver gave the pipeline while it compiled it, under the same
 * conditions. The last one is the assembly where the driver gives any. */
int gpu_pipeline_write_forms(const struct gpu *gpu, const struct gpu_pipeline *pipeline,
                             FILE *file);

/* ---- Commands -------------------------------------------------------------------------------- */

enum gpu_texel {
    GPU_TEXEL_NONE,
    GPU_TEXEL_RGBA32F,
    GPU_TEXEL_RGBA16F,
    GPU_TEXEL_R32UI,
    GPU_TEXEL_RGBA32UI
};

struct gpu_dispatch {
    struct gpu_pipeline *pipeline;
    const char *row; /* name of the kernel's row, as gpu_submit_work takes it */
    struct gpu_range ranges[GPU_BINDINGS]; /* all filled, because every binding must be valid */
    bool only_read[GPU_BINDINGS];          /* The kernel does not write the range. */
    enum gpu_texel texel[GPU_BINDINGS];
    uint32_t push[GPU_PUSH_BYTES / 4], push_bytes;
    uint32_t groups[3];
    double work; /* operations */
    /* operations of a matrix product that take as long as one of these; at least 1 */
    double weight;
};

/* Returns the operations of a kernel's row that one submit may take. They follow from its measured
 * speed on this device. Until its first run ended they follow from a low estimate and `weight`. */
double gpu_submit_work(const struct gpu *gpu, const char *row, double weight);
/* Tells whether a row is left out, because the device or its driver failed when it first ran. */
bool gpu_row_is_left_out(const struct gpu *gpu, const char *row);

/* Creates an empty list of commands, which are recorded once and run any number of times. A command
 * waits for all previous ones if one of its ranges overlaps one of theirs since the last command
 * that waited, and at least one of the two ranges is written. */
int gpu_commands_create(struct gpu *gpu, struct gpu_commands **commands);
/* Creates an empty list of commands that will have copies alone. Where the device has CAP_COPIES
 * they run beside other commands, and not after everything that was submitted before. */
int gpu_commands_create_copies(struct gpu *gpu, struct gpu_commands **copies);
/* Makes every run of `commands` wait for a run of `copies`, which must be submitted before it, once
 * for each run. The copies must be destroyed after the commands, or run no more. */
int gpu_commands_follow(struct gpu_commands *commands, struct gpu_commands *copies);
/* Waits for a run that has been submitted, then destroys the commands. */
void gpu_commands_destroy(struct gpu_commands **commands);
/* Makes every run time its dispatches. It must be called before anything is recorded. Fails with
 * EUNSUPPORTED on a device that has no timestamps. */
int gpu_commands_time(struct gpu_commands *commands);
int gpu_commands_dispatch(struct gpu_commands *commands, const struct gpu_dispatch *dispatch);
/* Copies `source.size` bytes. */
int gpu_commands_copy(struct gpu_commands *commands, struct gpu_range source,
                      struct gpu_range target);
/* Records the copy of a part of a picture to rows of gpu_picture_pitch bytes. The commands must not
 * have taken another picture. */
int gpu_commands_take_picture(struct gpu_commands *commands, const struct gpu_picture *picture,
                              const struct gpu_window *window, struct gpu_range target);
/* Ends the recording, after which the commands can only be run. */
int gpu_commands_end(struct gpu_commands *commands);
/* Starts a run after everything that was submitted before, in several submits, each of which takes
 * no longer than gpu_submit_work allows. */
int gpu_commands_submit(struct gpu_commands *commands);
/* Waits until the submitted run is done, and returns at once if there is none. A device that shows
 * no progress for the time in settings.timeout counts as lost. Fails with ELOST and the names of
 * the kernels that were running if the device is lost. */
int gpu_commands_wait(struct gpu_commands *commands);
/* Submits the commands and waits until their run is done. */
int gpu_commands_run(struct gpu_commands *commands);
/* Returns the number of dispatches recorded so far. */
size_t gpu_commands_dispatches(const struct gpu_commands *commands);
/* Returns how many of the commands recorded so far wait for previous ones. */
size_t gpu_commands_barriers(const struct gpu_commands *commands);
/* Reads the seconds that the device took for each dispatch in the last run. */
int gpu_commands_read_times(struct gpu_commands *commands, double *seconds);

/* Copies `source.size` bytes and waits until the copy is complete. */
int gpu_copy(struct gpu *gpu, struct gpu_range source, struct gpu_range target);

#endif
