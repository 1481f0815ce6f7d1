/* SPDX-License-Identifier: MIT
 *
 * All of Vulkan: the only file that sees its headers. Any device of Vulkan 1.1 or later with a
 * compute queue will do; everything beyond is probed and becomes a CAP_ bit or a limit.
 */
#define VOLK_IMPLEMENTATION
#include <volk.h>

#include "vulkan/gpu.h"
#include "base/array.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/settings.h"
#include "base/string.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cache.h"
#include "base/workers.h"

struct gpu_buffer {
    VkBuffer buffer;
    VkDeviceMemory memory;
    void *map;
};

struct gpu_pipeline {
    VkPipeline pipeline; /* NULL: not built yet, or failed */
    VkResult result;     /* of building it; VK_NOT_READY before */
    const char *name;
    const uint32_t *code; /* identity of the shader: its array */
    size_t bytes;
    uint32_t caps; /* that it needs */
    uint32_t constants[GPU_CONSTANTS], count;
    struct gpu_pipeline *next;
};

struct gpu {
    VkInstance instance;
    VkPhysicalDevice physical;
    VkDevice device;
    VkQueue queue;
    uint32_t family;
    uint32_t timestamp_bits;  /* that count, of a timestamp; 0: the queue has none */
    double timestamp_seconds; /* of one step */
    VkCommandPool pool;
    VkDescriptorSetLayout set_layouts[2];
    VkPipelineLayout layout;
    VkPipelineCache cache;
    VkPhysicalDeviceMemoryProperties memory;
    struct gpu_pipeline *pipelines;
    struct workers *workers; /* they build pipelines, among others */
    bool cache_changed;
    char *cache_path; /* NULL: no cache on disk */
    uint32_t caps;
    struct gpu_limits limits;
    struct vkclip_device_info info;
    char *cache_folder;     /* NULL: nothing is kept on disk */
    char *disabled_kernels; /* see struct settings */
};

#define SETS_PER_POOL 256
#define DISPATCHES_PER_POOL 256

struct gpu_commands {
    struct gpu *gpu;
    VkCommandBuffer *buffers; /* one a submit; the last one is being recorded */
    size_t buffer_count;
    VkDescriptorPool *pools;
    size_t pool_count, sets_left;
    VkBufferView *views;
    size_t view_count;
    VkFence fence;
    bool submitted; /* and not waited for */
    double work;    /* of the buffer being recorded */
    bool timed;
    VkQueryPool *queries; /* timed: DISPATCHES_PER_POOL dispatches each, of two timestamps */
    size_t query_count, dispatches;
};

static int vulkan_error(VkResult result, const char *call)
{
    if (result == VK_ERROR_OUT_OF_HOST_MEMORY)
        return error_fail(VKCLIP_EMEMORY, "%s: out of host memory", call);
    if (result == VK_ERROR_OUT_OF_DEVICE_MEMORY)
        return error_fail(VKCLIP_EDEVICEMEMORY, "%s: out of device memory", call);
    if (result == VK_ERROR_DEVICE_LOST)
        return error_fail(VKCLIP_EDEVICE, "%s: device lost (the driver crashed or timed out)",
                          call);
    return error_fail(VKCLIP_EDEVICE, "%s: failed with VkResult %d", call, (int)result);
}

/* Runs a Vulkan call and goes to `done` with `error` set when it fails. */
#define TRY(call, ...)                            \
    do {                                          \
        VkResult result_ = call(__VA_ARGS__);     \
        if (result_ != VK_SUCCESS) {              \
            error = vulkan_error(result_, #call); \
            goto done;                            \
        }                                         \
    } while (0)

/* ---- Instance and devices -------------------------------------------------------------------- */

static bool has_extension(const VkExtensionProperties *extensions, uint32_t count, const char *name)
{
    for (uint32_t i = 0; i < count; i++)
        if (!strcmp(extensions[i].extensionName, name))
            return true;
    return false;
}

static int create_instance(VkInstance *instance)
{
    int error = VKCLIP_OK;
    VkExtensionProperties *extensions = NULL;
    uint32_t count = 0;
    if (volkInitialize() != VK_SUCCESS)
        return error_fail(VKCLIP_ENODEVICE, "no Vulkan loader on this machine (libvulkan): install "
                                            "the GPU's driver, or mesa-vulkan-drivers for any CPU");
    if (volkGetInstanceVersion() < VK_API_VERSION_1_1)
        return error_fail(VKCLIP_ENODEVICE, "the Vulkan loader is older than Vulkan 1.1");

    TRY(vkEnumerateInstanceExtensionProperties, NULL, &count, NULL);
    extensions = calloc(count + 1, sizeof(*extensions));
    if (!extensions) {
        error = error_fail(VKCLIP_EMEMORY, "out of memory for Vulkan's extensions");
        goto done;
    }
    TRY(vkEnumerateInstanceExtensionProperties, NULL, &count, extensions);

    VkApplicationInfo application = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                                     .pApplicationName = "vkclip",
                                     .pEngineName = "vkclip",
                                     .apiVersion = VK_API_VERSION_1_1};
    VkInstanceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
                                 .pApplicationInfo = &application};
#ifdef VK_KHR_portability_enumeration /* MoltenVK is listed only to those who ask */
    const char *portability = VK_KHR_PORTABILITY_ENUMERATION_EXTENSION_NAME;
    if (has_extension(extensions, count, portability)) {
        info.flags = VK_INSTANCE_CREATE_ENUMERATE_PORTABILITY_BIT_KHR;
        info.enabledExtensionCount = 1;
        info.ppEnabledExtensionNames = &portability;
    }
#endif
    VkResult result = vkCreateInstance(&info, NULL, instance);
    if (result == VK_ERROR_INCOMPATIBLE_DRIVER)
        error = error_fail(VKCLIP_ENODEVICE, "no Vulkan driver on this machine: install the GPU's "
                                             "driver, or mesa-vulkan-drivers for any CPU");
    else if (result != VK_SUCCESS)
        error = vulkan_error(result, "vkCreateInstance");
    else
        volkLoadInstance(*instance);
done:
    free(extensions);
    return error;
}

static int list_physical(VkInstance instance, VkPhysicalDevice **devices, uint32_t *count)
{
    int error = VKCLIP_OK;
    *devices = NULL;
    *count = 0;
    TRY(vkEnumeratePhysicalDevices, instance, count, NULL);
    *devices = calloc(*count + 1, sizeof(**devices));
    if (!*devices) {
        error = error_fail(VKCLIP_EMEMORY, "out of memory for the list of devices");
        goto done;
    }
    TRY(vkEnumeratePhysicalDevices, instance, count, *devices);
done:
    if (error) {
        free(*devices);
        *devices = NULL;
    }
    return error;
}

static enum vkclip_device_type device_type(VkPhysicalDeviceType type)
{
    switch (type) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU:
        return VKCLIP_DEVICE_DISCRETE;
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU:
        return VKCLIP_DEVICE_INTEGRATED;
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU:
        return VKCLIP_DEVICE_VIRTUAL;
    case VK_PHYSICAL_DEVICE_TYPE_CPU:
        return VKCLIP_DEVICE_CPU;
    default:
        return VKCLIP_DEVICE_OTHER;
    }
}

/* Masked bits exercise every fallback on one machine: VKCLIP_DISABLE_CAPS=f16,texel */
static uint32_t disabled_caps(const struct settings *settings)
{
    uint32_t mask = 0;
#define X(name, text)                                     \
    if (settings_list_has(settings->disabled_caps, text)) \
        mask |= CAP_##name;
    CAPS(X)
#undef X
    return mask;
}

static bool is_texel_format(VkPhysicalDevice physical, VkFormat format)
{
    VkFormatProperties properties;
    vkGetPhysicalDeviceFormatProperties(physical, format, &properties);
    return properties.bufferFeatures & VK_FORMAT_FEATURE_UNIFORM_TEXEL_BUFFER_BIT;
}

/* What the device can do beyond Vulkan 1.1: filled by probe(), handed to vkCreateDevice as it is.
 */
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
    const char *extensions[8]; /* to be enabled */
    uint32_t extension_count;
    uint32_t subgroup_width; /* what the rows with CAP_SUBGROUP are built for */
    uint32_t caps;
};

static void probe_subgroup(VkPhysicalDevice physical, struct features *f)
{
    VkPhysicalDeviceSubgroupSizeControlPropertiesEXT control = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES_EXT};
    VkPhysicalDeviceSubgroupProperties subgroup = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES, .pNext = &control};
    VkPhysicalDeviceProperties2 properties = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, .pNext = &subgroup};
    vkGetPhysicalDeviceProperties2(physical, &properties);
    uint32_t width = 16; /* or the nearest: wider ones leave too few registers to a lane */
    width = width < control.minSubgroupSize ? control.minSubgroupSize : width;
    width = width > control.maxSubgroupSize ? control.maxSubgroupSize : width;
    if (f->subgroup.subgroupSizeControl && f->subgroup.computeFullSubgroups && width >= 4 &&
        width <= 64 && control.requiredSubgroupSizeStages & VK_SHADER_STAGE_COMPUTE_BIT &&
        subgroup.supportedStages & VK_SHADER_STAGE_COMPUTE_BIT &&
        subgroup.supportedOperations & VK_SUBGROUP_FEATURE_BALLOT_BIT &&
        subgroup.supportedOperations & VK_SUBGROUP_FEATURE_ARITHMETIC_BIT) {
        f->caps |= CAP_SUBGROUP;
        f->subgroup_width = width;
    }
}

/* The first shape that the device lists for fp32 and for fp16, both summed in fp32. */
static void probe_coopmat(VkPhysicalDevice physical, struct features *f)
{
#ifdef VK_KHR_cooperative_matrix
    VkCooperativeMatrixPropertiesKHR listed[64];
    uint32_t count = ARRAY_COUNT(listed);
    if (!(f->caps & CAP_SUBGROUP) || !f->coopmat.cooperativeMatrix ||
        !f->memory_model.vulkanMemoryModel)
        return;
    for (uint32_t i = 0; i < count; i++)
        listed[i] = (VkCooperativeMatrixPropertiesKHR){
            .sType = VK_STRUCTURE_TYPE_COOPERATIVE_MATRIX_PROPERTIES_KHR};
    VkResult result = vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR(physical, &count, listed);
    if (result != VK_SUCCESS && result != VK_INCOMPLETE)
        return;
    for (uint32_t i = count; i-- > 0;) {
        const VkCooperativeMatrixPropertiesKHR *p = &listed[i];
        bool half = p->AType == VK_COMPONENT_TYPE_FLOAT16_KHR;
        if ((!half && p->AType != VK_COMPONENT_TYPE_FLOAT32_KHR) || p->BType != p->AType ||
            p->CType != VK_COMPONENT_TYPE_FLOAT32_KHR ||
            p->ResultType != VK_COMPONENT_TYPE_FLOAT32_KHR || p->scope != VK_SCOPE_SUBGROUP_KHR ||
            p->MSize > 16 || p->NSize > 16 || p->KSize > 16 || p->KSize % 4 ||
            (half && !f->float16.shaderFloat16))
            continue;
        f->caps |= half ? CAP_COOPMAT16 : CAP_COOPMAT32;
        memcpy(f->matrices[half], (uint32_t[]){p->MSize, p->NSize, p->KSize},
               sizeof(f->matrices[half]));
    }
#else
    (void)physical, (void)f;
#endif
}

/* Rounding activations to 8 bits only pays where such products are faster than those of floats;
 * tests of a device that has them without say VKCLIP_ENABLE_CAPS=dot. */
static void probe_dot(const struct settings *settings, VkPhysicalDevice physical,
                      struct features *f)
{
    VkPhysicalDeviceShaderIntegerDotProductPropertiesKHR dot = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_PROPERTIES_KHR};
    VkPhysicalDeviceProperties2 properties = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, .pNext = &dot};
    if (!f->dot.shaderIntegerDotProduct)
        return;
    vkGetPhysicalDeviceProperties2(physical, &properties);
    if (dot.integerDotProduct4x8BitPackedSignedAccelerated ||
        settings_list_has(settings->enabled_caps, "dot"))
        f->caps |= CAP_DOT;
}

static int probe(const struct settings *settings, VkPhysicalDevice physical, struct features *f)
{
    int error = VKCLIP_OK;
    uint32_t count = 0;
    VkExtensionProperties *listed = NULL;
    *f = (struct features){.core.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2};
    TRY(vkEnumerateDeviceExtensionProperties, physical, NULL, &count, NULL);
    listed = calloc(count + 1, sizeof(*listed));
    if (!listed) {
        error = error_fail(VKCLIP_EMEMORY, "out of memory for Vulkan's extensions");
        goto done;
    }
    TRY(vkEnumerateDeviceExtensionProperties, physical, NULL, &count, listed);
    const struct {
        const char *extension; /* NULL: of Vulkan 1.1 itself */
        VkBaseOutStructure *chain;
        VkStructureType type;
    } optional[] = {
        {NULL, (VkBaseOutStructure *)&f->storage16,
         VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_16BIT_STORAGE_FEATURES},
        {"VK_EXT_subgroup_size_control", (VkBaseOutStructure *)&f->subgroup,
         VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES_EXT},
        {"VK_KHR_shader_float16_int8", (VkBaseOutStructure *)&f->float16,
         VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES},
        {"VK_KHR_vulkan_memory_model", (VkBaseOutStructure *)&f->memory_model,
         VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_MEMORY_MODEL_FEATURES},
#ifdef VK_KHR_cooperative_matrix
        {VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME, (VkBaseOutStructure *)&f->coopmat,
         VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR},
#endif
        {"VK_KHR_shader_integer_dot_product", (VkBaseOutStructure *)&f->dot,
         VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_FEATURES_KHR},
        {"VK_KHR_portability_subset", NULL, 0}, /* must be enabled where it is listed */
    };
    for (size_t i = 0; i < ARRAY_COUNT(optional); i++) {
        if (optional[i].extension && !has_extension(listed, count, optional[i].extension))
            continue;
        if (optional[i].extension)
            f->extensions[f->extension_count++] = optional[i].extension;
        if (optional[i].chain) {
            optional[i].chain->sType = optional[i].type;
            optional[i].chain->pNext = f->core.pNext;
            f->core.pNext = optional[i].chain;
        }
    }
    vkGetPhysicalDeviceFeatures2(physical, &f->core);
    f->core.features = (VkPhysicalDeviceFeatures){0}; /* none of these is used */
    if (f->storage16.storageBuffer16BitAccess)
        f->caps |= CAP_F16;
    if (is_texel_format(physical, VK_FORMAT_R32G32B32A32_SFLOAT) &&
        is_texel_format(physical, VK_FORMAT_R16G16B16A16_SFLOAT) &&
        is_texel_format(physical, VK_FORMAT_R32_UINT))
        f->caps |= CAP_TEXEL;
    if (f->float16.shaderFloat16)
        f->caps |= CAP_F16MATH;
    probe_subgroup(physical, f);
    probe_coopmat(physical, f);
    probe_dot(settings, physical, f);
    f->caps &= ~disabled_caps(settings);
done:
    free(listed);
    return error;
}

/* The first queue family that computes, or UINT32_MAX. */
static uint32_t compute_family(VkPhysicalDevice physical)
{
    VkQueueFamilyProperties families[32];
    uint32_t count = ARRAY_COUNT(families);
    vkGetPhysicalDeviceQueueFamilyProperties(physical, &count, families);
    for (uint32_t i = 0; i < count; i++)
        if (families[i].queueFlags & VK_QUEUE_COMPUTE_BIT)
            return i;
    return UINT32_MAX;
}

static void describe(const struct settings *settings, VkPhysicalDevice physical, uint32_t index,
                     struct vkclip_device_info *info)
{
    VkPhysicalDeviceDriverProperties driver = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES};
    VkPhysicalDeviceProperties2 properties = {.sType =
                                                  VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2};
    VkPhysicalDeviceProperties *p = &properties.properties;
    *info = (struct vkclip_device_info){.index = index};
    vkGetPhysicalDeviceProperties(physical, p);
    info->type = device_type(p->deviceType);
    info->api_version[0] = VK_API_VERSION_MAJOR(p->apiVersion);
    info->api_version[1] = VK_API_VERSION_MINOR(p->apiVersion);
    info->api_version[2] = VK_API_VERSION_PATCH(p->apiVersion);
    info->max_buffer_range = p->limits.maxStorageBufferRange;
    snprintf(info->name, sizeof(info->name), "%s", p->deviceName);
    if (p->apiVersion < VK_API_VERSION_1_1) {
        snprintf(info->why, sizeof(info->why), "Vulkan %u.%u, needs 1.1", info->api_version[0],
                 info->api_version[1]);
        return;
    }
    if (p->apiVersion >= VK_API_VERSION_1_2) {
        properties.pNext = &driver;
        vkGetPhysicalDeviceProperties2(physical, &properties);
        snprintf(info->driver, sizeof(info->driver), "%s %s", driver.driverName, driver.driverInfo);
    } else {
        snprintf(info->driver, sizeof(info->driver), "version %u", p->driverVersion);
    }
    VkPhysicalDeviceMemoryProperties memory;
    vkGetPhysicalDeviceMemoryProperties(physical, &memory);
    for (uint32_t i = 0; i < memory.memoryHeapCount; i++)
        if (memory.memoryHeaps[i].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT &&
            memory.memoryHeaps[i].size > info->memory)
            info->memory = memory.memoryHeaps[i].size;
    struct features features;
    if (probe(settings, physical, &features)) {
        snprintf(info->why, sizeof(info->why), "%s", vkclip_last_error());
        return;
    }
#define X(name, text)                                                                              \
    if (features.caps & CAP_##name)                                                                \
        snprintf(info->caps + strlen(info->caps), sizeof(info->caps) - strlen(info->caps), "%s%s", \
                 info->caps[0] ? " " : "", text);
    CAPS(X)
#undef X
    if (compute_family(physical) == UINT32_MAX)
        snprintf(info->why, sizeof(info->why), "no compute queue");
    info->usable = !info->why[0];
}

int gpu_list(const struct settings *settings, struct vkclip_device_info *infos, size_t capacity,
             size_t *count)
{
    VkInstance instance = VK_NULL_HANDLE;
    VkPhysicalDevice *devices = NULL;
    uint32_t found = 0;
    *count = 0;
    int error = create_instance(&instance);
    if (!error)
        error = list_physical(instance, &devices, &found);
    for (uint32_t i = 0; i < found && i < capacity; i++)
        describe(settings, devices[i], i, &infos[i]);
    *count = found;
    free(devices);
    if (instance)
        vkDestroyInstance(instance, NULL);
    return error;
}

bool gpu_name_has(const char *text, const char *part)
{
    for (; *text; text++) {
        size_t i = 0;
        while (part[i] && tolower((unsigned char)text[i]) == tolower((unsigned char)part[i]))
            i++;
        if (!part[i])
            return true;
    }
    return false;
}

/* The device of that number or name; the best one where `wanted` is NULL. */
static int choose_device(struct gpu *gpu, const struct settings *settings, const char *wanted)
{
    VkPhysicalDevice *devices = NULL;
    uint32_t count = 0, best = UINT32_MAX, matches = 0;
    struct vkclip_device_info info;
    int error = list_physical(gpu->instance, &devices, &count);
    if (error)
        return error;
    char *end = NULL;
    unsigned long number = wanted ? strtoul(wanted, &end, 10) : 0;
    bool is_number = wanted && !*end && isdigit((unsigned char)*wanted);

    for (uint32_t i = 0; i < count; i++) {
        describe(settings, devices[i], i, &info);
        if (wanted && !(is_number ? number == i : gpu_name_has(info.name, wanted)))
            continue;
        if (!info.usable) {
            log_message(VKCLIP_LOG_INFO, "device %u, %s: passed over: %s", i, info.name, info.why);
            continue;
        }
        matches++;
        if (best == UINT32_MAX || info.type > gpu->info.type) {
            best = i;
            gpu->info = info;
        }
    }
    if (best == UINT32_MAX)
        error = wanted
                    ? error_fail(VKCLIP_ENODEVICE,
                                 "no usable Vulkan device matches \"%s\" among %u found: "
                                 "`vkclip devices` lists them",
                                 wanted, count)
                    : error_fail(VKCLIP_ENODEVICE, "no usable Vulkan device among %u found", count);
    else if (wanted && matches > 1)
        error = error_fail(VKCLIP_ENODEVICE,
                           "\"%s\" is part of %u devices' names: name one, or give its number",
                           wanted, matches);
    else
        gpu->physical = devices[best];
    free(devices);
    return error;
}

static void read_limits(struct gpu *gpu)
{
    VkPhysicalDeviceMaintenance3Properties maintenance3 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_3_PROPERTIES};
    VkPhysicalDeviceProperties2 properties = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, .pNext = &maintenance3};
    vkGetPhysicalDeviceProperties2(gpu->physical, &properties);
    const VkPhysicalDeviceLimits *l = &properties.properties.limits;
    uint64_t alignment = 16; /* of vec4 loads; the limits are powers of two */
    if (alignment < l->minStorageBufferOffsetAlignment)
        alignment = l->minStorageBufferOffsetAlignment;
    if (alignment < l->minTexelBufferOffsetAlignment)
        alignment = l->minTexelBufferOffsetAlignment;
    /* What a slow device of the kind does well within a second: Windows stops a submit after two.
     */
    double work = gpu->info.type == VKCLIP_DEVICE_DISCRETE     ? 1e11
                  : gpu->info.type == VKCLIP_DEVICE_INTEGRATED ? 1e10
                                                               : 1e9;
    gpu->limits = (struct gpu_limits){.buffer_range = l->maxStorageBufferRange,
                                      .allocation = maintenance3.maxMemoryAllocationSize,
                                      .texel_elements = l->maxTexelBufferElements,
                                      .alignment = (uint32_t)alignment,
                                      .invocations = l->maxComputeWorkGroupInvocations,
                                      .shared_bytes = l->maxComputeSharedMemorySize,
                                      .work = work};
    memcpy(gpu->limits.groups, l->maxComputeWorkGroupCount, sizeof(gpu->limits.groups));
    VkQueueFamilyProperties families[32];
    uint32_t count = ARRAY_COUNT(families);
    vkGetPhysicalDeviceQueueFamilyProperties(gpu->physical, &count, families);
    gpu->timestamp_bits = families[gpu->family].timestampValidBits;
    gpu->timestamp_seconds = (double)l->timestampPeriod * 1e-9;
}

static int create_device(struct gpu *gpu, const struct settings *settings)
{
    int error = VKCLIP_OK;
    struct features features;
    gpu->family = compute_family(gpu->physical);
    error = probe(settings, gpu->physical, &features);
    if (error)
        return error;
    gpu->caps = features.caps;
    read_limits(gpu);
    gpu->limits.subgroup = features.subgroup_width;
    memcpy(gpu->limits.matrices, features.matrices, sizeof(features.matrices));
    vkGetPhysicalDeviceMemoryProperties(gpu->physical, &gpu->memory);

    float priority = 1;
    VkDeviceQueueCreateInfo queue = {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                     .queueFamilyIndex = gpu->family,
                                     .queueCount = 1,
                                     .pQueuePriorities = &priority};
    VkDeviceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                               .pNext = &features.core,
                               .queueCreateInfoCount = 1,
                               .pQueueCreateInfos = &queue,
                               .enabledExtensionCount = features.extension_count,
                               .ppEnabledExtensionNames = features.extensions};
    TRY(vkCreateDevice, gpu->physical, &info, NULL, &gpu->device);
    vkGetDeviceQueue(gpu->device, gpu->family, 0, &gpu->queue);
    VkCommandPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                    .queueFamilyIndex = gpu->family};
    TRY(vkCreateCommandPool, gpu->device, &pool, NULL, &gpu->pool);
done:
    return error;
}

static int create_layout(struct gpu *gpu)
{
    int error = VKCLIP_OK;
    const VkDescriptorType types[] = {VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                                      VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER};
    for (int set = 0; set < 2; set++) {
        VkDescriptorSetLayoutBinding bindings[GPU_BINDINGS];
        for (uint32_t i = 0; i < GPU_BINDINGS; i++)
            bindings[i] = (VkDescriptorSetLayoutBinding){.binding = i,
                                                         .descriptorType = types[set],
                                                         .descriptorCount = 1,
                                                         .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT};
        VkDescriptorSetLayoutCreateInfo info = {
            .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO,
            .bindingCount = GPU_BINDINGS,
            .pBindings = bindings};
        TRY(vkCreateDescriptorSetLayout, gpu->device, &info, NULL, &gpu->set_layouts[set]);
    }
    VkPushConstantRange push = {VK_SHADER_STAGE_COMPUTE_BIT, 0, GPU_PUSH_BYTES};
    VkPipelineLayoutCreateInfo info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
                                       .setLayoutCount = 2,
                                       .pSetLayouts = gpu->set_layouts,
                                       .pushConstantRangeCount = 1,
                                       .pPushConstantRanges = &push};
    TRY(vkCreatePipelineLayout, gpu->device, &info, NULL, &gpu->layout);
done:
    return error;
}

/* ---- Pipeline cache on disk ------------------------------------------------------------------ */

char *gpu_cache_path(const struct gpu *gpu, const char *kind)
{
    VkPhysicalDeviceProperties p;
    vkGetPhysicalDeviceProperties(gpu->physical, &p);
    uint64_t hash = hash_bytes(0, p.pipelineCacheUUID, sizeof(p.pipelineCacheUUID));
    hash = hash_bytes(hash, gpu->info.driver, strlen(gpu->info.driver));
    char *name = string_format("%s-%08x-%08x-%08x-%016llx", kind, p.vendorID, p.deviceID,
                               p.driverVersion, (unsigned long long)hash);
    char *path = name && gpu->cache_folder ? cache_path(gpu->cache_folder, name) : NULL;
    free(name);
    return path;
}

static int open_cache(struct gpu *gpu)
{
    int error = VKCLIP_OK;
    struct cache_content content;
    gpu->cache_path = gpu_cache_path(gpu, "pipelines");
    cache_read(gpu->cache_path, &content);
    VkPipelineCacheCreateInfo info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO,
                                      .initialDataSize = content.size,
                                      .pInitialData = content.data};
    VkResult result = vkCreatePipelineCache(gpu->device, &info, NULL, &gpu->cache);
    if (result != VK_SUCCESS && info.initialDataSize) {
        info.initialDataSize = 0;
        result = vkCreatePipelineCache(gpu->device, &info, NULL, &gpu->cache);
    }
    if (result != VK_SUCCESS)
        error = vulkan_error(result, "vkCreatePipelineCache");
    cache_release(&content);
    return error;
}

static void save_cache(struct gpu *gpu)
{
    size_t size = 0;
    uint8_t *data = NULL;
    if (gpu->cache_path && gpu->cache_changed &&
        vkGetPipelineCacheData(gpu->device, gpu->cache, &size, NULL) == VK_SUCCESS &&
        (data = malloc(size + 1)) &&
        vkGetPipelineCacheData(gpu->device, gpu->cache, &size, data) == VK_SUCCESS)
        cache_write(gpu->cache_path, data, size);
    free(data);
}

/* ---- Open and close -------------------------------------------------------------------------- */

static int keep_settings(struct gpu *gpu, const struct settings *settings)
{
    if (settings->cache_folder)
        gpu->cache_folder = string_format("%s", settings->cache_folder);
    if (settings->disabled_kernels)
        gpu->disabled_kernels = string_format("%s", settings->disabled_kernels);
    if ((settings->cache_folder && !gpu->cache_folder) ||
        (settings->disabled_kernels && !gpu->disabled_kernels))
        return error_fail(VKCLIP_EMEMORY, "out of memory for a device");
    return VKCLIP_OK;
}

int gpu_open(const struct settings *settings, const char *device, struct gpu **result)
{
    *result = NULL;
    struct gpu *gpu = calloc(1, sizeof(*gpu));
    if (!gpu)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a device");
    int error = keep_settings(gpu, settings);
    if (!error)
        error = workers_open(0, &gpu->workers);
    if (!error)
        error = create_instance(&gpu->instance);
    if (!error)
        error = choose_device(gpu, settings, device);
    if (!error)
        error = create_device(gpu, settings);
    if (!error)
        error = create_layout(gpu);
    if (!error)
        error = open_cache(gpu);
    if (error)
        gpu_close(&gpu);
    else
        log_message(VKCLIP_LOG_INFO, "device %u: %s (%s)", gpu->info.index, gpu->info.name,
                    gpu->info.driver);
    *result = gpu;
    return error;
}

void gpu_close(struct gpu **handle)
{
    struct gpu *gpu = *handle;
    if (!gpu)
        return;
    workers_close(&gpu->workers);
    if (gpu->device) {
        vkDeviceWaitIdle(gpu->device);
        if (gpu->cache)
            save_cache(gpu);
        for (struct gpu_pipeline *next; gpu->pipelines; gpu->pipelines = next) {
            next = gpu->pipelines->next;
            vkDestroyPipeline(gpu->device, gpu->pipelines->pipeline, NULL);
            free(gpu->pipelines);
        }
        vkDestroyPipelineCache(gpu->device, gpu->cache, NULL);
        vkDestroyPipelineLayout(gpu->device, gpu->layout, NULL);
        for (int i = 0; i < 2; i++)
            vkDestroyDescriptorSetLayout(gpu->device, gpu->set_layouts[i], NULL);
        vkDestroyCommandPool(gpu->device, gpu->pool, NULL);
        vkDestroyDevice(gpu->device, NULL);
    }
    if (gpu->instance)
        vkDestroyInstance(gpu->instance, NULL);
    free(gpu->cache_folder);
    free(gpu->disabled_kernels);
    free(gpu->cache_path);
    free(gpu);
    *handle = NULL;
}

const struct vkclip_device_info *gpu_info(const struct gpu *gpu)
{
    return &gpu->info;
}

const struct gpu_limits *gpu_limits(const struct gpu *gpu)
{
    return &gpu->limits;
}

uint32_t gpu_caps(const struct gpu *gpu)
{
    return gpu->caps;
}

struct workers *gpu_workers(const struct gpu *gpu)
{
    return gpu->workers;
}

/* ---- Memory ---------------------------------------------------------------------------------- */

/* The first allowed type that has all of the wanted properties, or UINT32_MAX. */
static uint32_t find_memory(const struct gpu *gpu, uint32_t allowed, VkMemoryPropertyFlags wanted)
{
    for (uint32_t i = 0; i < gpu->memory.memoryTypeCount; i++)
        if (allowed & 1u << i && (gpu->memory.memoryTypes[i].propertyFlags & wanted) == wanted)
            return i;
    return UINT32_MAX;
}

static uint32_t choose_memory(const struct gpu *gpu, uint32_t allowed, enum gpu_memory memory)
{
    const VkMemoryPropertyFlags host =
        VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    const VkMemoryPropertyFlags preferred[] = {
        [GPU_DEVICE] = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT,
        [GPU_UPLOAD] = host,
        [GPU_DOWNLOAD] = host | VK_MEMORY_PROPERTY_HOST_CACHED_BIT, /* absent on some Mali */
    };
    uint32_t type = find_memory(gpu, allowed, preferred[memory]);
    return type == UINT32_MAX ? find_memory(gpu, allowed, memory == GPU_DEVICE ? 0 : host) : type;
}

int gpu_buffer_create(struct gpu *gpu, enum gpu_memory memory, uint64_t size,
                      struct gpu_buffer **result)
{
    int error = VKCLIP_OK;
    *result = NULL;
    struct gpu_buffer *buffer = calloc(1, sizeof(*buffer));
    if (!buffer)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a buffer");
    if (size > gpu->limits.allocation) {
        error = error_fail(VKCLIP_EDEVICEMEMORY,
                           "%s: a buffer of %llu bytes, at most %llu can be allocated at once",
                           gpu->info.name, (unsigned long long)size,
                           (unsigned long long)gpu->limits.allocation);
        goto done;
    }
    VkBufferCreateInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
                               .size = size ? size : 4,
                               .usage = memory == GPU_UPLOAD ? VK_BUFFER_USAGE_TRANSFER_SRC_BIT
                                        : memory == GPU_DOWNLOAD
                                            ? VK_BUFFER_USAGE_TRANSFER_DST_BIT
                                            : VK_BUFFER_USAGE_STORAGE_BUFFER_BIT |
                                                  VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT |
                                                  VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
                                                  VK_BUFFER_USAGE_TRANSFER_DST_BIT};
    TRY(vkCreateBuffer, gpu->device, &info, NULL, &buffer->buffer);
    VkMemoryRequirements needs;
    vkGetBufferMemoryRequirements(gpu->device, buffer->buffer, &needs);
    VkMemoryAllocateInfo allocation = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                       .allocationSize = needs.size,
                                       .memoryTypeIndex =
                                           choose_memory(gpu, needs.memoryTypeBits, memory)};
    if (vkAllocateMemory(gpu->device, &allocation, NULL, &buffer->memory) != VK_SUCCESS) {
        error =
            error_fail(VKCLIP_EDEVICEMEMORY,
                       "%s: no memory for %llu bytes: choose a smaller batch or --precision f16",
                       gpu->info.name, (unsigned long long)size);
        goto done;
    }
    TRY(vkBindBufferMemory, gpu->device, buffer->buffer, buffer->memory, 0);
    if (memory != GPU_DEVICE)
        TRY(vkMapMemory, gpu->device, buffer->memory, 0, VK_WHOLE_SIZE, 0, &buffer->map);
done:
    if (error)
        gpu_buffer_destroy(gpu, &buffer);
    *result = buffer;
    return error;
}

void gpu_buffer_destroy(struct gpu *gpu, struct gpu_buffer **buffer)
{
    if (!*buffer)
        return;
    vkDestroyBuffer(gpu->device, (*buffer)->buffer, NULL);
    vkFreeMemory(gpu->device, (*buffer)->memory, NULL);
    free(*buffer);
    *buffer = NULL;
}

void *gpu_buffer_map(const struct gpu_buffer *buffer)
{
    return buffer->map;
}

/* ---- Pipelines ------------------------------------------------------------------------------- */

/* On any thread: touches nothing but the pipeline. */
static VkResult build_pipeline(const struct gpu *gpu, struct gpu_pipeline *pipeline)
{
    VkShaderModule module = VK_NULL_HANDLE;
    VkShaderModuleCreateInfo module_info = {.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
                                            .codeSize = pipeline->bytes,
                                            .pCode = pipeline->code};
    if (settings_list_has(gpu->disabled_kernels, pipeline->name))
        return VK_ERROR_FEATURE_NOT_PRESENT;
    VkResult result = vkCreateShaderModule(gpu->device, &module_info, NULL, &module);
    if (result != VK_SUCCESS)
        return result;
    VkSpecializationMapEntry entries[GPU_CONSTANTS];
    for (uint32_t i = 0; i < pipeline->count; i++)
        entries[i] = (VkSpecializationMapEntry){i, 4 * i, 4};
    VkSpecializationInfo constants = {pipeline->count, entries, 4 * (size_t)pipeline->count,
                                      pipeline->constants};
    VkComputePipelineCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
        .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                  .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                  .module = module,
                  .pName = "main",
                  .pSpecializationInfo = &constants},
        .layout = gpu->layout};
    VkPipelineShaderStageRequiredSubgroupSizeCreateInfoEXT width = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO_EXT,
        .requiredSubgroupSize = gpu->limits.subgroup};
    if (pipeline->caps & (CAP_SUBGROUP | CAPS_COOPMAT)) {
        info.stage.flags = VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT_EXT;
        info.stage.pNext = &width;
    }
    result = vkCreateComputePipelines(gpu->device, gpu->cache, 1, &info, NULL, &pipeline->pipeline);
    vkDestroyShaderModule(gpu->device, module, NULL);
    if (result == VK_SUCCESS && !pipeline->pipeline) /* of some drivers */
        result = VK_ERROR_UNKNOWN;
    return result;
}

struct building {
    const struct gpu *gpu;
    struct gpu_pipeline **pipelines;
};

static int build_job(void *user, size_t index, unsigned thread)
{
    const struct building *building = user;
    struct gpu_pipeline *pipeline = building->pipelines[index];
    (void)thread;
    pipeline->result = build_pipeline(building->gpu, pipeline);
    if (pipeline->result != VK_SUCCESS)
        log_message(VKCLIP_LOG_WARNING, "%s: the driver cannot build kernel %s (VkResult %d)",
                    building->gpu->info.name, pipeline->name, (int)pipeline->result);
    return VKCLIP_OK; /* the others may do: gpu_pipeline_get fails */
}

int gpu_pipelines_build(struct gpu *gpu)
{
    size_t count = 0;
    for (struct gpu_pipeline *p = gpu->pipelines; p; p = p->next)
        count += p->result == VK_NOT_READY;
    struct building building = {gpu, malloc((count + 1) * sizeof(struct gpu_pipeline *))};
    if (!building.pipelines)
        return error_fail(VKCLIP_EMEMORY, "out of memory for pipelines");
    count = 0;
    for (struct gpu_pipeline *p = gpu->pipelines; p; p = p->next)
        if (p->result == VK_NOT_READY)
            building.pipelines[count++] = p;
    if (count)
        gpu->cache_changed = true;
    int error = workers_run(gpu->workers, build_job, &building, count);
    free(building.pipelines);
    return error;
}

int gpu_pipeline_announce(struct gpu *gpu, const char *name, const uint32_t *code, size_t bytes,
                          uint32_t caps, const uint32_t *constants, uint32_t count,
                          struct gpu_pipeline **result)
{
    for (struct gpu_pipeline *p = gpu->pipelines; p; p = p->next)
        if (p->code == code && p->count == count && !memcmp(p->constants, constants, 4 * count)) {
            *result = p;
            return VKCLIP_OK;
        }
    struct gpu_pipeline *pipeline = *result = calloc(1, sizeof(*pipeline));
    if (!pipeline)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a pipeline");
    *pipeline = (struct gpu_pipeline){.result = VK_NOT_READY,
                                      .name = name,
                                      .code = code,
                                      .bytes = bytes,
                                      .caps = caps,
                                      .count = count,
                                      .next = gpu->pipelines};
    memcpy(pipeline->constants, constants, 4 * count);
    gpu->pipelines = pipeline;
    return VKCLIP_OK;
}

int gpu_pipeline_get(struct gpu *gpu, const char *name, const uint32_t *code, size_t bytes,
                     uint32_t caps, const uint32_t *constants, uint32_t count,
                     struct gpu_pipeline **result)
{
    int error = gpu_pipeline_announce(gpu, name, code, bytes, caps, constants, count, result);
    if (!error && (*result)->result == VK_NOT_READY)
        error = gpu_pipelines_build(gpu);
    if (error || (*result)->result == VK_SUCCESS)
        return error;
    char message[512];
    snprintf(message, sizeof(message), "%s: the driver cannot build kernel %s (VkResult %d)",
             gpu->info.name, name, (int)(*result)->result);
    error_keep(message); /* not for the log: another kernel may do, and it was told before */
    return VKCLIP_EDEVICE;
}

/* ---- Commands -------------------------------------------------------------------------------- */

/* Room for one more in an array that doubles at powers of two. */
static int grow(void **array, size_t count, size_t size)
{
    if (count & (count - 1))
        return VKCLIP_OK;
    void *grown = realloc(*array, (count ? 2 * count : 1) * size);
    if (!grown)
        return error_fail(VKCLIP_EMEMORY, "out of memory for commands");
    *array = grown;
    return VKCLIP_OK;
}

static int begin_buffer(struct gpu_commands *commands)
{
    struct gpu *gpu = commands->gpu;
    int error = grow((void **)&commands->buffers, commands->buffer_count, sizeof(VkCommandBuffer));
    if (error)
        return error;
    VkCommandBuffer *buffer = &commands->buffers[commands->buffer_count];
    VkCommandBufferAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                        .commandPool = gpu->pool,
                                        .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                        .commandBufferCount = 1};
    VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
    TRY(vkAllocateCommandBuffers, gpu->device, &info, buffer);
    commands->buffer_count++;
    commands->work = 0;
    TRY(vkBeginCommandBuffer, *buffer, &begin);
done:
    return error;
}

static int end_buffer(struct gpu_commands *commands)
{
    int error = VKCLIP_OK;
    VkCommandBuffer buffer = commands->buffers[commands->buffer_count - 1];
    TRY(vkEndCommandBuffer, buffer);
done:
    return error;
}

int gpu_commands_create(struct gpu *gpu, struct gpu_commands **result)
{
    int error = VKCLIP_OK;
    *result = NULL;
    struct gpu_commands *commands = calloc(1, sizeof(*commands));
    if (!commands)
        return error_fail(VKCLIP_EMEMORY, "out of memory for commands");
    commands->gpu = gpu;
    VkFenceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
    TRY(vkCreateFence, gpu->device, &info, NULL, &commands->fence);
    error = begin_buffer(commands);
done:
    if (error)
        gpu_commands_destroy(&commands);
    *result = commands;
    return error;
}

void gpu_commands_destroy(struct gpu_commands **handle)
{
    struct gpu_commands *commands = *handle;
    if (!commands)
        return;
    VkDevice device = commands->gpu->device;
    if (commands->submitted)
        vkWaitForFences(device, 1, &commands->fence, VK_TRUE, UINT64_MAX);
    if (commands->buffer_count)
        vkFreeCommandBuffers(device, commands->gpu->pool, (uint32_t)commands->buffer_count,
                             commands->buffers);
    for (size_t i = 0; i < commands->pool_count; i++)
        vkDestroyDescriptorPool(device, commands->pools[i], NULL);
    for (size_t i = 0; i < commands->view_count; i++)
        vkDestroyBufferView(device, commands->views[i], NULL);
    vkDestroyFence(device, commands->fence, NULL);
    for (size_t i = 0; i < commands->query_count; i++)
        vkDestroyQueryPool(device, commands->queries[i], NULL);
    free(commands->queries);
    free(commands->buffers);
    free(commands->pools);
    free(commands->views);
    free(commands);
    *handle = NULL;
}

static int allocate_set(struct gpu_commands *commands, int which, VkDescriptorSet *set)
{
    struct gpu *gpu = commands->gpu;
    int error = VKCLIP_OK;
    if (!commands->sets_left) {
        error = grow((void **)&commands->pools, commands->pool_count, sizeof(VkDescriptorPool));
        if (error)
            return error;
        VkDescriptorPoolSize sizes[] = {
            {VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, SETS_PER_POOL * GPU_BINDINGS},
            {VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER, SETS_PER_POOL * GPU_BINDINGS}};
        VkDescriptorPoolCreateInfo info = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO,
                                           .maxSets = SETS_PER_POOL,
                                           .poolSizeCount = 2,
                                           .pPoolSizes = sizes};
        TRY(vkCreateDescriptorPool, gpu->device, &info, NULL,
            &commands->pools[commands->pool_count]);
        commands->pool_count++;
        commands->sets_left = SETS_PER_POOL;
    }
    VkDescriptorSetAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
                                        .descriptorPool = commands->pools[commands->pool_count - 1],
                                        .descriptorSetCount = 1,
                                        .pSetLayouts = &gpu->set_layouts[which]};
    TRY(vkAllocateDescriptorSets, gpu->device, &info, set);
    commands->sets_left--;
done:
    return error;
}

static int bind_storage(struct gpu_commands *commands, const struct gpu_dispatch *dispatch,
                        VkCommandBuffer buffer)
{
    VkDescriptorSet set;
    VkDescriptorBufferInfo infos[GPU_BINDINGS];
    VkWriteDescriptorSet writes[GPU_BINDINGS];
    int error = allocate_set(commands, 0, &set);
    if (error)
        return error;
    for (uint32_t i = 0; i < GPU_BINDINGS; i++) {
        const struct gpu_range *range = &dispatch->ranges[i];
        infos[i] = (VkDescriptorBufferInfo){range->buffer->buffer, range->offset, range->size};
        writes[i] = (VkWriteDescriptorSet){.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
                                           .dstSet = set,
                                           .dstBinding = i,
                                           .descriptorCount = 1,
                                           .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                                           .pBufferInfo = &infos[i]};
    }
    vkUpdateDescriptorSets(commands->gpu->device, GPU_BINDINGS, writes, 0, NULL);
    vkCmdBindDescriptorSets(buffer, VK_PIPELINE_BIND_POINT_COMPUTE, commands->gpu->layout, 0, 1,
                            &set, 0, NULL);
    return VKCLIP_OK;
}

static int bind_texels(struct gpu_commands *commands, const struct gpu_dispatch *dispatch,
                       VkCommandBuffer buffer)
{
    static const VkFormat formats[] = {VK_FORMAT_UNDEFINED, VK_FORMAT_R32G32B32A32_SFLOAT,
                                       VK_FORMAT_R16G16B16A16_SFLOAT, VK_FORMAT_R32_UINT};
    static const uint64_t sizes[] = {0, 16, 8, 4};
    VkDevice device = commands->gpu->device;
    VkDescriptorSet set = VK_NULL_HANDLE;
    int error = VKCLIP_OK;
    for (uint32_t i = 0; i < GPU_BINDINGS; i++) {
        const struct gpu_range *range = &dispatch->ranges[i];
        if (!dispatch->texel[i])
            continue;
        if (!set && (error = allocate_set(commands, 1, &set)))
            return error;
        error = grow((void **)&commands->views, commands->view_count, sizeof(VkBufferView));
        if (error)
            return error;
        VkBufferView *view = &commands->views[commands->view_count];
        uint64_t texel_bytes = sizes[dispatch->texel[i]];
        VkBufferViewCreateInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_VIEW_CREATE_INFO,
                                       .buffer = range->buffer->buffer,
                                       .format = formats[dispatch->texel[i]],
                                       .offset = range->offset,
                                       .range = range->size / texel_bytes * texel_bytes};
        TRY(vkCreateBufferView, device, &info, NULL, view);
        commands->view_count++;
        VkWriteDescriptorSet write = {.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
                                      .dstSet = set,
                                      .dstBinding = i,
                                      .descriptorCount = 1,
                                      .descriptorType = VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER,
                                      .pTexelBufferView = view};
        vkUpdateDescriptorSets(device, 1, &write, 0, NULL);
    }
    if (set)
        vkCmdBindDescriptorSets(buffer, VK_PIPELINE_BIND_POINT_COMPUTE, commands->gpu->layout, 1, 1,
                                &set, 0, NULL);
done:
    return error;
}

/* Everything recorded so far, in this submit or an earlier one, is finished and seen by what
 * follows. */
static void barrier(VkCommandBuffer buffer, VkPipelineStageFlags to, VkAccessFlags access)
{
    VkMemoryBarrier memory = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                              .srcAccessMask =
                                  VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT,
                              .dstAccessMask = access};
    vkCmdPipelineBarrier(buffer,
                         VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT, to,
                         0, 1, &memory, 0, NULL, 0, NULL);
}

static void device_barrier(VkCommandBuffer buffer)
{
    barrier(buffer, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT,
            VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_READ_BIT |
                VK_ACCESS_TRANSFER_WRITE_BIT);
}

int gpu_commands_time(struct gpu_commands *commands)
{
    const struct gpu *gpu = commands->gpu;
    if (!gpu->timestamp_bits)
        return error_fail(VKCLIP_EUNSUPPORTED, "%s has no timestamps", gpu->info.name);
    commands->timed = true;
    return VKCLIP_OK;
}

/* A timestamp once everything recorded so far is done: number 0 before a dispatch, 1 behind it. */
static void write_timestamp(struct gpu_commands *commands, VkCommandBuffer buffer, uint32_t number)
{
    const size_t dispatch = commands->dispatches;
    if (commands->timed)
        vkCmdWriteTimestamp(buffer, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT,
                            commands->queries[dispatch / DISPATCHES_PER_POOL],
                            2 * (uint32_t)(dispatch % DISPATCHES_PER_POOL) + number);
}

/* Place for the next dispatch's timestamps; every run resets it. */
static int add_queries(struct gpu_commands *commands, VkCommandBuffer buffer)
{
    if (!commands->timed || commands->dispatches % DISPATCHES_PER_POOL)
        return VKCLIP_OK;
    int error = grow((void **)&commands->queries, commands->query_count, sizeof(VkQueryPool));
    if (error)
        return error;
    VkQueryPool *queries = &commands->queries[commands->query_count];
    VkQueryPoolCreateInfo info = {.sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO,
                                  .queryType = VK_QUERY_TYPE_TIMESTAMP,
                                  .queryCount = 2 * DISPATCHES_PER_POOL};
    TRY(vkCreateQueryPool, commands->gpu->device, &info, NULL, queries);
    commands->query_count++;
    vkCmdResetQueryPool(buffer, *queries, 0, info.queryCount);
done:
    return error;
}

int gpu_commands_dispatch(struct gpu_commands *commands, const struct gpu_dispatch *dispatch)
{
    int error = VKCLIP_OK;
    struct gpu *gpu = commands->gpu;
    if (commands->work > 0 && commands->work + dispatch->work > gpu->limits.work) {
        error = end_buffer(commands);
        if (!error)
            error = begin_buffer(commands);
        if (error)
            return error;
    }
    commands->work += dispatch->work;
    VkCommandBuffer buffer = commands->buffers[commands->buffer_count - 1];
    error = add_queries(commands, buffer);
    if (error)
        return error;
    device_barrier(buffer);
    vkCmdBindPipeline(buffer, VK_PIPELINE_BIND_POINT_COMPUTE, dispatch->pipeline->pipeline);
    error = bind_storage(commands, dispatch, buffer);
    if (!error)
        error = bind_texels(commands, dispatch, buffer);
    if (error)
        return error;
    vkCmdPushConstants(buffer, gpu->layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, dispatch->push_bytes,
                       dispatch->push);
    write_timestamp(commands, buffer, 0);
    vkCmdDispatch(buffer, dispatch->groups[0], dispatch->groups[1], dispatch->groups[2]);
    write_timestamp(commands, buffer, 1);
    commands->dispatches++;
    return VKCLIP_OK;
}

int gpu_commands_copy(struct gpu_commands *commands, struct gpu_range from, struct gpu_range to)
{
    VkCommandBuffer buffer = commands->buffers[commands->buffer_count - 1];
    VkBufferCopy region = {from.offset, to.offset, from.size};
    device_barrier(buffer);
    vkCmdCopyBuffer(buffer, from.buffer->buffer, to.buffer->buffer, 1, &region);
    return VKCLIP_OK;
}

int gpu_commands_end(struct gpu_commands *commands)
{
    barrier(commands->buffers[commands->buffer_count - 1], VK_PIPELINE_STAGE_HOST_BIT,
            VK_ACCESS_HOST_READ_BIT);
    return end_buffer(commands);
}

int gpu_commands_submit(struct gpu_commands *commands)
{
    struct gpu *gpu = commands->gpu;
    int error = VKCLIP_OK;
    for (size_t i = 0; i < commands->buffer_count; i++) {
        VkSubmitInfo submit = {.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
                               .commandBufferCount = 1,
                               .pCommandBuffers = &commands->buffers[i]};
        bool last = i + 1 == commands->buffer_count;
        TRY(vkQueueSubmit, gpu->queue, 1, &submit, last ? commands->fence : VK_NULL_HANDLE);
    }
    commands->submitted = true;
done:
    if (error) /* a part of them may run, and their memory be freed next */
        vkQueueWaitIdle(gpu->queue);
    return error;
}

int gpu_commands_wait(struct gpu_commands *commands)
{
    struct gpu *gpu = commands->gpu;
    int error = VKCLIP_OK;
    if (!commands->submitted)
        return VKCLIP_OK;
    commands->submitted = false;
    TRY(vkWaitForFences, gpu->device, 1, &commands->fence, VK_TRUE, UINT64_MAX);
    TRY(vkResetFences, gpu->device, 1, &commands->fence);
done:
    return error;
}

int gpu_commands_run(struct gpu_commands *commands)
{
    int error = gpu_commands_submit(commands);
    return error ? error : gpu_commands_wait(commands);
}

size_t gpu_commands_dispatches(const struct gpu_commands *commands)
{
    return commands->dispatches;
}

int gpu_commands_read_times(struct gpu_commands *commands, double *seconds)
{
    const struct gpu *gpu = commands->gpu;
    const uint64_t mask =
        gpu->timestamp_bits < 64 ? ((uint64_t)1 << gpu->timestamp_bits) - 1 : UINT64_MAX;
    int error = VKCLIP_OK;
    for (size_t i = 0; i < commands->dispatches; i++) {
        uint64_t stamps[2] = {0};
        TRY(vkGetQueryPoolResults, gpu->device, commands->queries[i / DISPATCHES_PER_POOL],
            2 * (uint32_t)(i % DISPATCHES_PER_POOL), 2, sizeof(stamps), stamps, sizeof(*stamps),
            VK_QUERY_RESULT_64_BIT | VK_QUERY_RESULT_WAIT_BIT);
        seconds[i] = (double)((stamps[1] - stamps[0]) & mask) * gpu->timestamp_seconds;
    }
done:
    return error;
}

int gpu_copy(struct gpu *gpu, struct gpu_range from, struct gpu_range to)
{
    struct gpu_commands *commands;
    int error = gpu_commands_create(gpu, &commands);
    if (!error)
        error = gpu_commands_copy(commands, from, to);
    if (!error)
        error = gpu_commands_end(commands);
    if (!error)
        error = gpu_commands_run(commands);
    gpu_commands_destroy(&commands);
    return error;
}
