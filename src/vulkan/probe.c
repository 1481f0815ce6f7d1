/* SPDX-License-Identifier: MIT
 *
 * Finds what a device is and can do. Everything beyond Vulkan 1.1 with a compute queue is probed
 * here and becomes a CAP_ bit or a limit; no other file asks the driver.
 */
#include "vulkan/internal.h"

#include "base/array.h"
#include "base/error.h"
#include "base/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Extensions and features ----------------------------------------------------------------- */

bool probe_has_extension(const VkExtensionProperties *extensions, uint32_t count, const char *name)
{
    for (uint32_t i = 0; i < count; i++)
        if (!strcmp(extensions[i].extensionName, name))
            return true;
    return false;
}

static int list_extensions(VkPhysicalDevice physical, VkExtensionProperties **extensions,
                           uint32_t *count)
{
    static const char call[] = "vkEnumerateDeviceExtensionProperties";
    int error =
        vulkan_check(vkEnumerateDeviceExtensionProperties(physical, NULL, count, NULL), call);
    if (error)
        return error;
    *extensions = calloc(*count + 1, sizeof(**extensions));
    if (!*extensions)
        return error_fail(VKCLIP_EMEMORY, "out of memory for Vulkan's extensions");
    return vulkan_check(vkEnumerateDeviceExtensionProperties(physical, NULL, count, *extensions),
                        call);
}

/* Chains the features of every extension that is listed, and notes the extension to be enabled. */
static void chain_features(const VkExtensionProperties *listed, uint32_t count, struct features *f)
{
    const struct {
        const char *extension; /* NULL for a feature of Vulkan 1.1 itself */
        VkBaseOutStructure *features;
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
        /* Vulkan requires a program to enable this extension wherever it is listed. */
        {"VK_KHR_portability_subset", NULL, 0},
    };
    for (size_t i = 0; i < ARRAY_COUNT(optional); i++) {
        if (optional[i].extension && !probe_has_extension(listed, count, optional[i].extension))
            continue;
        if (optional[i].extension)
            f->extensions[f->extension_count++] = optional[i].extension;
        if (optional[i].features) {
            optional[i].features->sType = optional[i].type;
            optional[i].features->pNext = f->core.pNext;
            f->core.pNext = optional[i].features;
        }
    }
}

/* ---- Capabilities ---------------------------------------------------------------------------- */

static bool is_texel_format(VkPhysicalDevice physical, VkFormat format)
{
    VkFormatProperties properties;
    vkGetPhysicalDeviceFormatProperties(physical, format, &properties);
    return properties.bufferFeatures & VK_FORMAT_FEATURE_UNIFORM_TEXEL_BUFFER_BIT;
}

static bool has_texel_formats(VkPhysicalDevice physical)
{
    return is_texel_format(physical, VK_FORMAT_R32G32B32A32_SFLOAT) &&
           is_texel_format(physical, VK_FORMAT_R16G16B16A16_SFLOAT) &&
           is_texel_format(physical, VK_FORMAT_R32_UINT);
}

/* Chooses the subgroup width nearest to 16. Kernels keep one tile of sums per subgroup, and wider
 * subgroups leave too few registers to each lane. */
static void probe_subgroup(VkPhysicalDevice physical, struct features *f)
{
    VkPhysicalDeviceSubgroupSizeControlPropertiesEXT control = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES_EXT};
    VkPhysicalDeviceSubgroupProperties subgroup = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES, .pNext = &control};
    VkPhysicalDeviceProperties2 properties = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, .pNext = &subgroup};
    vkGetPhysicalDeviceProperties2(physical, &properties);
    uint32_t width = 16;
    if (width < control.minSubgroupSize)
        width = control.minSubgroupSize;
    if (width > control.maxSubgroupSize)
        width = control.maxSubgroupSize;
    if (f->subgroup.subgroupSizeControl && f->subgroup.computeFullSubgroups && width >= 4 &&
        width <= 64 && control.requiredSubgroupSizeStages & VK_SHADER_STAGE_COMPUTE_BIT &&
        subgroup.supportedStages & VK_SHADER_STAGE_COMPUTE_BIT &&
        subgroup.supportedOperations & VK_SUBGROUP_FEATURE_BALLOT_BIT &&
        subgroup.supportedOperations & VK_SUBGROUP_FEATURE_ARITHMETIC_BIT) {
        f->caps |= CAP_SUBGROUP;
        f->subgroup_width = width;
    }
}

#ifdef VK_KHR_cooperative_matrix
/* Tells whether the kernels can use a shape: fp32 or fp16 matrices of at most 16 rows and columns,
 * summed in fp32 by a subgroup.
 */
static bool is_coopmat_usable(const VkCooperativeMatrixPropertiesKHR *p, const struct features *f)
{
    if (p->AType != VK_COMPONENT_TYPE_FLOAT32_KHR &&
        (p->AType != VK_COMPONENT_TYPE_FLOAT16_KHR || !f->float16.shaderFloat16))
        return false;
    return p->BType == p->AType && p->CType == VK_COMPONENT_TYPE_FLOAT32_KHR &&
           p->ResultType == VK_COMPONENT_TYPE_FLOAT32_KHR && p->scope == VK_SCOPE_SUBGROUP_KHR &&
           p->MSize <= 16 && p->NSize <= 16 && p->KSize <= 16 && p->KSize % 4 == 0;
}

/* Takes the first usable shape that the device lists for fp32 and for fp16. */
static void probe_coopmat(VkPhysicalDevice physical, struct features *f)
{
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
    for (uint32_t i = count; i-- > 0;) { /* backwards, so that the first usable shape is kept */
        const VkCooperativeMatrixPropertiesKHR *p = &listed[i];
        const bool half = p->AType == VK_COMPONENT_TYPE_FLOAT16_KHR;
        if (!is_coopmat_usable(p, f))
            continue;
        f->caps |= half ? CAP_COOPMAT16 : CAP_COOPMAT32;
        memcpy(f->matrices[half], (uint32_t[]){p->MSize, p->NSize, p->KSize},
               sizeof(f->matrices[half]));
    }
}
#else
static void probe_coopmat(VkPhysicalDevice physical, struct features *f)
{
    (void)physical, (void)f;
}
#endif

/* Sets CAP_DOT where dot products of 8-bit integers are faster than those of floats, because only
 * there does rounding activations to 8 bits save time. VKCLIP_ENABLE_CAPS=dot sets it elsewhere
 * too, so that the tests can run the kernels that need it. */
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

/* Returns the capabilities that VKCLIP_DISABLE_CAPS names (as in f16,texel), with which the tests
 * run every fallback on one machine. */
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

static void probe_caps(const struct settings *settings, VkPhysicalDevice physical,
                       struct features *f)
{
    vkGetPhysicalDeviceFeatures2(physical, &f->core);
    f->core.features = (VkPhysicalDeviceFeatures){0}; /* no kernel uses any of these */
    if (f->storage16.storageBuffer16BitAccess)
        f->caps |= CAP_F16;
    if (has_texel_formats(physical))
        f->caps |= CAP_TEXEL;
    if (f->float16.shaderFloat16)
        f->caps |= CAP_F16MATH;
    probe_subgroup(physical, f);
    probe_coopmat(physical, f);
    probe_dot(settings, physical, f);
    f->caps &= ~disabled_caps(settings);
}

int probe_features(const struct settings *settings, VkPhysicalDevice physical, struct features *f)
{
    VkExtensionProperties *listed = NULL;
    uint32_t count = 0;
    *f = (struct features){.core.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2};
    int error = list_extensions(physical, &listed, &count);
    if (!error) {
        chain_features(listed, count, f);
        probe_caps(settings, physical, f);
    }
    free(listed);
    return error;
}

/* ---- Description ----------------------------------------------------------------------------- */

uint32_t probe_compute_family(VkPhysicalDevice physical)
{
    VkQueueFamilyProperties families[32];
    uint32_t count = ARRAY_COUNT(families);
    vkGetPhysicalDeviceQueueFamilyProperties(physical, &count, families);
    for (uint32_t i = 0; i < count; i++)
        if (families[i].queueFlags & VK_QUEUE_COMPUTE_BIT)
            return i;
    return UINT32_MAX;
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

/* Fills in what every device says of itself, whatever its version of Vulkan. */
static void describe_device(const VkPhysicalDeviceProperties *p, struct vkclip_device_info *info)
{
    info->type = device_type(p->deviceType);
    info->api_version[0] = VK_API_VERSION_MAJOR(p->apiVersion);
    info->api_version[1] = VK_API_VERSION_MINOR(p->apiVersion);
    info->api_version[2] = VK_API_VERSION_PATCH(p->apiVersion);
    info->max_buffer_range = p->limits.maxStorageBufferRange;
    snprintf(info->name, sizeof(info->name), "%s", p->deviceName);
}

/* Describes the driver by its name, or by its number only before Vulkan 1.2, where drivers have no
 * name. */
static void describe_driver(VkPhysicalDevice physical, const VkPhysicalDeviceProperties *p,
                            struct vkclip_device_info *info)
{
    VkPhysicalDeviceDriverProperties driver = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES};
    VkPhysicalDeviceProperties2 properties = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, .pNext = &driver};
    if (p->apiVersion < VK_API_VERSION_1_2) {
        snprintf(info->driver, sizeof(info->driver), "version %u", p->driverVersion);
        return;
    }
    vkGetPhysicalDeviceProperties2(physical, &properties);
    snprintf(info->driver, sizeof(info->driver), "%s %s", driver.driverName, driver.driverInfo);
}

static uint64_t largest_heap(VkPhysicalDevice physical)
{
    VkPhysicalDeviceMemoryProperties memory;
    uint64_t largest = 0;
    vkGetPhysicalDeviceMemoryProperties(physical, &memory);
    for (uint32_t i = 0; i < memory.memoryHeapCount; i++) {
        const VkMemoryHeap *heap = &memory.memoryHeaps[i];
        if (heap->flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT && heap->size > largest)
            largest = heap->size;
    }
    return largest;
}

static void describe_caps(uint32_t caps, char *text, size_t size)
{
    static const char *const names[] = {
#define X(name, text) text,
        CAPS(X)
#undef X
    };
    size_t length = 0;
    for (int i = 0; i < CAP_COUNT; i++)
        if (caps & 1u << i && length < size)
            length +=
                (size_t)snprintf(text + length, size - length, "%s%s", length ? " " : "", names[i]);
}

void probe_info(const struct settings *settings, VkPhysicalDevice physical, uint32_t index,
                struct vkclip_device_info *info)
{
    VkPhysicalDeviceProperties properties;
    struct features features;
    *info = (struct vkclip_device_info){.index = index};
    vkGetPhysicalDeviceProperties(physical, &properties);
    describe_device(&properties, info);
    if (properties.apiVersion < VK_API_VERSION_1_1) {
        snprintf(info->why, sizeof(info->why), "Vulkan %u.%u, needs 1.1", info->api_version[0],
                 info->api_version[1]);
        return;
    }
    describe_driver(physical, &properties, info);
    info->memory = largest_heap(physical);
    if (probe_features(settings, physical, &features)) {
        snprintf(info->why, sizeof(info->why), "%s", error_last());
        return;
    }
    describe_caps(features.caps, info->caps, sizeof(info->caps));
    if (probe_compute_family(physical) == UINT32_MAX)
        snprintf(info->why, sizeof(info->why), "no compute queue");
    info->usable = !info->why[0];
}

/* ---- Limits ---------------------------------------------------------------------------------- */

/* Returns how many operations a slow device of the type does well within one second. More
 * operations per submit would save overhead, but Windows stops a submit that takes two seconds. */
static double submit_work(enum vkclip_device_type type)
{
    switch (type) {
    case VKCLIP_DEVICE_DISCRETE:
        return 1e11;
    case VKCLIP_DEVICE_INTEGRATED:
        return 1e10;
    default:
        return 1e9;
    }
}

/* Returns the alignment of every binding. Kernels load vectors of 16 bytes, and the device's limits
 * are powers of two, so the largest of them is a multiple of all. */
static uint32_t binding_alignment(const VkPhysicalDeviceLimits *l)
{
    VkDeviceSize alignment = 16;
    if (alignment < l->minStorageBufferOffsetAlignment)
        alignment = l->minStorageBufferOffsetAlignment;
    if (alignment < l->minTexelBufferOffsetAlignment)
        alignment = l->minTexelBufferOffsetAlignment;
    return (uint32_t)alignment;
}

void probe_limits(struct gpu *gpu, const struct features *f)
{
    VkPhysicalDeviceMaintenance3Properties maintenance3 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_3_PROPERTIES};
    VkPhysicalDeviceProperties2 properties = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, .pNext = &maintenance3};
    VkQueueFamilyProperties families[32];
    uint32_t count = ARRAY_COUNT(families);
    vkGetPhysicalDeviceProperties2(gpu->physical, &properties);
    vkGetPhysicalDeviceQueueFamilyProperties(gpu->physical, &count, families);
    const VkPhysicalDeviceLimits *l = &properties.properties.limits;
    gpu->limits = (struct gpu_limits){.buffer_range = l->maxStorageBufferRange,
                                      .allocation = maintenance3.maxMemoryAllocationSize,
                                      .texel_elements = l->maxTexelBufferElements,
                                      .alignment = binding_alignment(l),
                                      .invocations = l->maxComputeWorkGroupInvocations,
                                      .shared_bytes = l->maxComputeSharedMemorySize,
                                      .subgroup = f->subgroup_width,
                                      .work = submit_work(gpu->info.type)};
    memcpy(gpu->limits.groups, l->maxComputeWorkGroupCount, sizeof(gpu->limits.groups));
    memcpy(gpu->limits.matrices, f->matrices, sizeof(f->matrices));
    gpu->timestamp_bits = families[gpu->family].timestampValidBits;
    gpu->timestamp_seconds = (double)l->timestampPeriod * 1e-9;
}
