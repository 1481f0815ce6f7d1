/* SPDX-License-Identifier: MIT
 *
 * This header has what only the files of vulkan/ share: the structs behind the handles of gpu.h,
 * what a probe finds, and the functions that these files call in each other.
 */
#ifndef VKCLIP_VULKAN_INTERNAL_H
#define VKCLIP_VULKAN_INTERNAL_H

#include <volk.h>

#include "vulkan/gpu.h"

struct gpu {
    VkInstance instance;
    VkPhysicalDevice physical;
    VkDevice device;
    VkQueue queue;
    uint32_t family;          /* the queue's family */
    uint32_t timestamp_bits;  /* valid bits of a timestamp; 0 where the queue has no timestamps */
    double timestamp_seconds; /* duration of one step of a timestamp */
    VkCommandPool pool;
    VkDescriptorSetLayout set_layouts[2]; /* storage buffers, texel buffers */
    VkPipelineLayout layout;
    VkPipelineCache cache;
    VkPhysicalDeviceMemoryProperties memory;
    struct gpu_pipeline *pipelines;
    struct workers *workers;
    bool cache_changed; /* a pipeline was added since the cache was read */
    char *cache_path;   /* NULL where the pipeline cache is not kept on disk */
    uint32_t caps;
    struct gpu_limits limits;
    struct vkclip_device_info info;
    char *cache_folder;     /* NULL where nothing is kept on disk */
    char *disabled_kernels; /* see struct settings */
    bool statistics;        /* pipelines are built with statistics */
};

struct gpu_buffer {
    VkBuffer buffer;
    VkDeviceMemory memory;
    void *map;
};

struct gpu_pipeline {
    VkPipeline pipeline; /* NULL until it is built, and if building failed */
    VkResult result;     /* what building it gave; VK_NOT_READY until then */
    const char *name;
    const uint32_t *code; /* its address is the identity of the shader */
    size_t bytes;
    uint32_t caps; /* capabilities that the shader needs */
    uint32_t constants[GPU_CONSTANTS], count;
    struct gpu_pipeline *next;
};

/* ---- error.c --------------------------------------------------------------------------------- */

/* Returns VKCLIP_OK for VK_SUCCESS, else the error that the result means, with a message that names
 * the call. */
int vulkan_check(VkResult result, const char *call);

/* ---- probe.c --------------------------------------------------------------------------------- */

/* This struct says what a device can do beyond Vulkan 1.1. `core` heads a chain of pointers through
 * the other features, which vkCreateDevice receives, so the struct must not be copied. */
struct features {
    VkPhysicalDeviceFeatures2 core;
    VkPhysicalDevice16BitStorageFeatures storage16;
    VkPhysicalDeviceShaderFloat16Int8Features float16;
    VkPhysicalDeviceVulkanMemoryModelFeatures memory_model;
    VkPhysicalDeviceSubgroupSizeControlFeaturesEXT subgroup;
    VkPhysicalDeviceShaderIntegerDotProductFeaturesKHR dot;
#ifdef VK_KHR_cooperative_matrix
    VkPhysicalDeviceCooperativeMatrixFeaturesKHR coopmat;
#endif
    uint32_t matrices[2][3];   /* M, N, K of the cooperative matrices of fp32 and of fp16 */
    const char *extensions[8]; /* extensions to enable */
    uint32_t extension_count;
    uint32_t subgroup_width; /* lanes in the variants that need CAP_SUBGROUP */
    uint32_t caps;
};

bool probe_has_extension(const VkExtensionProperties *extensions, uint32_t count, const char *name);
/* Finds the features of a device, which must have Vulkan 1.1. */
int probe_features(const struct settings *settings, VkPhysicalDevice physical, struct features *f);
/* Returns the first queue family that supports compute, or UINT32_MAX if there is none. */
uint32_t probe_compute_family(VkPhysicalDevice physical);
/* Describes any device. For an unusable device, info->why says the reason. */
void probe_info(const struct settings *settings, VkPhysicalDevice physical, uint32_t index,
                struct vkclip_device_info *info);
/* Fills the GPU's limits and its timestamps; `physical`, `family` and `info` must be set. */
void probe_limits(struct gpu *gpu, const struct features *f);

/* ---- class.c --------------------------------------------------------------------------------- */

/* Fills in `class` and `wave`. */
void class_find(VkPhysicalDevice physical, struct gpu_limits *limits);

/* ---- statistics.c ---------------------------------------------------------------------------- */

/* Adds to the features of a device to be opened the extension by which drivers describe pipelines.
 * `feature` must live as long as `f`. Leaves `f` as it is if the device lacks the extension. */
int statistics_enable(struct gpu *gpu, struct features *f,
                      VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR *feature);

/* ---- pipeline.c ------------------------------------------------------------------------------ */

/* Creates the common layout and reads the pipeline cache. */
int pipelines_open(struct gpu *gpu);
/* Writes the pipeline cache and destroys all pipelines. Accepts a GPU whose opening failed. */
void pipelines_close(struct gpu *gpu);

#endif
