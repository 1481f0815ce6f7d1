/* SPDX-License-Identifier: MIT
 *
 * Finds what a device is and can do. Everything beyond Vulkan 1.1 with a compute queue is probed
 * here and becomes a CAP_ bit or a limit; class.c and memory.c ask for the rest. A driver is asked
 * only for what will be used, because questions about optional features crash some drivers.
 */
#include "base/memory.h"
#include "vulkan/internal.h"

#include "base/array.h"
#include "base/error.h"
#include "base/settings.h"

#include <stdio.h>
#include <string.h>

/* ---- Extensions and features ----------------------------------------------------------------- */

/* An optional feature of the device, asked for where one of its capabilities is wanted. */
struct optional_feature {
    const char *extension; /* NULL for a feature of Vulkan 1.1 itself */
    size_t features;       /* offset of its struct in struct features */
    size_t bytes;          /* size of that struct */
    VkStructureType type;
    uint32_t caps;
    size_t used[2]; /* offsets in that struct of what kernels use; 0: none */
};

#define FEATURES(member) \
    offsetof(struct features, member), sizeof(((struct features *)NULL)->member)

static const struct optional_feature optional[] = {
    {NULL,
     FEATURES(storage16),
     VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_16BIT_STORAGE_FEATURES,
     CAP_F16,
     {offsetof(VkPhysicalDevice16BitStorageFeatures, storageBuffer16BitAccess)}},
    {"VK_EXT_subgroup_size_control",
     FEATURES(subgroup),
     VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES_EXT,
     CAP_SUBGROUP | CAP_COOPMAT16,
     {offsetof(VkPhysicalDeviceSubgroupSizeControlFeaturesEXT, subgroupSizeControl),
      offsetof(VkPhysicalDeviceSubgroupSizeControlFeaturesEXT, computeFullSubgroups)}},
    {"VK_KHR_shader_float16_int8",
     FEATURES(float16),
     VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES,
     CAP_F16MATH | CAP_COOPMAT16,
     {offsetof(VkPhysicalDeviceShaderFloat16Int8Features, shaderFloat16)}},
    {"VK_KHR_vulkan_memory_model",
     FEATURES(memory_model),
     VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_MEMORY_MODEL_FEATURES,
     CAP_COOPMAT16,
     {offsetof(VkPhysicalDeviceVulkanMemoryModelFeatures, vulkanMemoryModel)}},
    {VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME,
     FEATURES(coopmat),
     VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR,
     CAP_COOPMAT16,
     {offsetof(VkPhysicalDeviceCooperativeMatrixFeaturesKHR, cooperativeMatrix)}},
    {"VK_KHR_shader_integer_dot_product",
     FEATURES(dot),
     VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_FEATURES_KHR,
     CAP_DOT,
     {offsetof(VkPhysicalDeviceShaderIntegerDotProductFeaturesKHR, shaderIntegerDotProduct)}},
    {"VK_KHR_buffer_device_address",
     FEATURES(address),
     VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_BUFFER_DEVICE_ADDRESS_FEATURES,
     CAP_ADDRESS,
     {offsetof(VkPhysicalDeviceBufferDeviceAddressFeatures, bufferDeviceAddress)}},
};

/* Vulkan requires a program to enable this extension wherever it is listed. */
static const char portability_subset[] = "VK_KHR_portability_subset";

struct extensions {
    VkExtensionProperties *list;
    uint32_t count;
};

static bool has_extension(const struct extensions *extensions, const char *name)
{
    return instance_has_extension(extensions->list, extensions->count, name);
}

/* The caller frees the list, also after an error. */
static int list_extensions(struct physical physical, struct extensions *extensions)
{
    static const char call[] = "vkEnumerateDeviceExtensionProperties";
    *extensions = (struct extensions){0};
    int error = vulkan_check(physical.vk->EnumerateDeviceExtensionProperties(
                                 physical.handle, NULL, &extensions->count, NULL),
                             call);
    if (error)
        return error;
    extensions->list = memory_calloc(extensions->count + 1, sizeof(*extensions->list));
    if (!extensions->list)
        return error_fail(VKCLIP_EMEMORY, "out of memory for Vulkan's extensions");
    return vulkan_check(physical.vk->EnumerateDeviceExtensionProperties(
                            physical.handle, NULL, &extensions->count, extensions->list),
                        call);
}

int probe_has_extension(struct physical physical, const char *name, bool *has)
{
    struct extensions listed;
    int error = list_extensions(physical, &listed);
    *has = !error && has_extension(&listed, name);
    memory_free(listed.list);
    return error;
}

static VkBaseOutStructure *feature_struct(struct features *f, const struct optional_feature *row)
{
    return (VkBaseOutStructure *)((char *)f + row->features);
}

/* Adds a struct to the front of a chain of Vulkan's structs. */
static void chain_struct(void **chain, void *added, VkStructureType type)
{
    VkBaseOutStructure *structure = added;
    structure->sType = type;
    structure->pNext = *chain;
    *chain = structure;
}

void probe_take_features(const VkBaseInStructure *given, struct features *f)
{
    for (size_t i = 0; i < ARRAY_COUNT(optional); i++) {
        const struct optional_feature *row = &optional[i];
        for (size_t u = 0; u < ARRAY_COUNT(row->used) && given->sType == row->type; u++)
            if (row->used[u])
                memcpy((char *)feature_struct(f, row) + row->used[u],
                       (const char *)given + row->used[u], sizeof(VkBool32));
    }
}

/* Chains the structs of the listed features that one of the capabilities needs. */
static void chain_features(const struct extensions *listed, uint32_t caps, struct features *f)
{
    for (size_t i = 0; i < ARRAY_COUNT(optional); i++) {
        const struct optional_feature *row = &optional[i];
        if (row->caps & caps && (!row->extension || has_extension(listed, row->extension)))
            chain_struct(&f->core.pNext, feature_struct(f, row), row->type);
    }
    if (has_extension(listed, portability_subset))
        f->extensions[f->extension_count++] = portability_subset;
}

/* Sets all features of a struct to false, except those that kernels use. */
static void clear_unused(const struct optional_feature *row, VkBaseOutStructure *features)
{
    VkBool32 kept[ARRAY_COUNT(row->used)] = {0};
    for (size_t i = 0; i < ARRAY_COUNT(row->used); i++)
        if (row->used[i])
            memcpy(&kept[i], (char *)features + row->used[i], sizeof(kept[i]));
    memset((char *)features + sizeof(*features), 0, row->bytes - sizeof(*features));
    for (size_t i = 0; i < ARRAY_COUNT(row->used); i++)
        if (row->used[i])
            memcpy((char *)features + row->used[i], &kept[i], sizeof(kept[i]));
}

void probe_enable(struct features *f)
{
    f->core.pNext = NULL;
    f->core.features = (VkPhysicalDeviceFeatures){0}; /* No kernel uses any of these. */
    for (size_t i = 0; i < ARRAY_COUNT(optional); i++) {
        const struct optional_feature *row = &optional[i];
        if (!(row->caps & f->caps))
            continue;
        clear_unused(row, feature_struct(f, row));
        chain_struct(&f->core.pNext, feature_struct(f, row), row->type);
        if (row->extension)
            f->extensions[f->extension_count++] = row->extension;
    }
}

/* ---- Capabilities ---------------------------------------------------------------------------- */

static bool is_texel_format(struct physical physical, VkFormat format)
{
    VkFormatProperties properties;
    physical.vk->GetPhysicalDeviceFormatProperties(physical.handle, format, &properties);
    return properties.bufferFeatures & VK_FORMAT_FEATURE_UNIFORM_TEXEL_BUFFER_BIT;
}

static bool has_texel_formats(struct physical physical)
{
    return is_texel_format(physical, VK_FORMAT_R32G32B32A32_SFLOAT) &&
           is_texel_format(physical, VK_FORMAT_R16G16B16A16_SFLOAT) &&
           is_texel_format(physical, VK_FORMAT_R32_UINT) &&
           is_texel_format(physical, VK_FORMAT_R32G32B32A32_UINT);
}

/* What is asked beyond features. */
struct properties {
    VkPhysicalDeviceSubgroupProperties subgroup;
    VkPhysicalDeviceSubgroupSizeControlPropertiesEXT control;
    VkPhysicalDeviceShaderIntegerDotProductPropertiesKHR dot;
};

/* Asks for the properties that the capabilities need. Those of generations also decide quirks of
 * cooperative matrices. */
static void read_properties(struct physical physical, const struct extensions *listed,
                            uint32_t caps, struct properties *p)
{
    VkPhysicalDeviceProperties2 core = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2};
    *p = (struct properties){0};
    if (caps & (CAP_SUBGROUP | CAP_COOPMAT16) &&
        has_extension(listed, "VK_EXT_subgroup_size_control")) {
        chain_struct(&core.pNext, &p->subgroup,
                     VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES);
        chain_struct(&core.pNext, &p->control,
                     VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES_EXT);
    }
    if (caps & (CAP_DOT | CAP_COOPMAT16) &&
        has_extension(listed, "VK_KHR_shader_integer_dot_product"))
        chain_struct(&core.pNext, &p->dot,
                     VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_PROPERTIES_KHR);
    if (core.pNext)
        physical.vk->GetPhysicalDeviceProperties2(physical.handle, &core);
}

/* Chooses the subgroup width nearest to 16 and tells whether kernels can rely on it. Kernels keep
 * one tile of sums per subgroup, and wider subgroups leave too few registers to each lane. Where
 * the device has only one width, nothing has to be asked for, and some drivers could not be. */
static bool choose_subgroup(const struct properties *p, struct features *f)
{
    uint32_t width = 16;
    if (width < p->control.minSubgroupSize)
        width = p->control.minSubgroupSize;
    if (width > p->control.maxSubgroupSize)
        width = p->control.maxSubgroupSize;
    const bool one_width = p->control.minSubgroupSize == p->control.maxSubgroupSize;
    const bool can_ask = f->subgroup.subgroupSizeControl &&
                         p->control.requiredSubgroupSizeStages & VK_SHADER_STAGE_COMPUTE_BIT;
    f->subgroup_width = width;
    f->required_subgroup = one_width ? 0 : width;
    return f->subgroup.computeFullSubgroups && (one_width || can_ask) && width >= 4 &&
           width <= 64 && p->subgroup.supportedStages & VK_SHADER_STAGE_COMPUTE_BIT &&
           p->subgroup.supportedOperations & VK_SUBGROUP_FEATURE_BALLOT_BIT &&
           p->subgroup.supportedOperations & VK_SUBGROUP_FEATURE_ARITHMETIC_BIT;
}

/* Tells whether the kernels can use a shape: fp16 matrices of at most 16 rows and columns, summed
 * in fp32 by a subgroup. The loop's slabs are whole matrices and whole octets along K. */
static bool is_coopmat_usable(const VkCooperativeMatrixPropertiesKHR *p)
{
    return p->AType == VK_COMPONENT_TYPE_FLOAT16_KHR && p->BType == p->AType &&
           p->CType == VK_COMPONENT_TYPE_FLOAT32_KHR &&
           p->ResultType == VK_COMPONENT_TYPE_FLOAT32_KHR && p->scope == VK_SCOPE_SUBGROUP_KHR &&
           p->MSize <= 16 && p->NSize <= 16 && (p->KSize == 8 || p->KSize == 16);
}

static bool has_coopmat(const struct features *f)
{
    return f->coopmat.cooperativeMatrix && f->memory_model.vulkanMemoryModel &&
           f->float16.shaderFloat16;
}

/* Takes the first usable shape that the device lists. */
void probe_matrices(struct physical physical, struct features *f)
{
    VkCooperativeMatrixPropertiesKHR listed[64];
    uint32_t count = ARRAY_COUNT(listed);
    const bool assumed = f->caps & CAP_COOPMAT16;
    f->caps &= ~(uint32_t)CAP_COOPMAT16;
    /* Old loaders do not have the function. */
    if (!assumed || !physical.vk->GetPhysicalDeviceCooperativeMatrixPropertiesKHR)
        return;
    for (uint32_t i = 0; i < count; i++)
        listed[i] = (VkCooperativeMatrixPropertiesKHR){
            .sType = VK_STRUCTURE_TYPE_COOPERATIVE_MATRIX_PROPERTIES_KHR};
    VkResult result = physical.vk->GetPhysicalDeviceCooperativeMatrixPropertiesKHR(physical.handle,
                                                                                   &count, listed);
    if (result != VK_SUCCESS && result != VK_INCOMPLETE)
        return;
    for (uint32_t i = 0; i < count; i++) {
        const VkCooperativeMatrixPropertiesKHR *p = &listed[i];
        if (!is_coopmat_usable(p))
            continue;
        f->caps |= CAP_COOPMAT16;
        memcpy(f->matrix, (uint32_t[]){p->MSize, p->NSize, p->KSize}, sizeof(f->matrix));
        return;
    }
}

/* ---- Queues ---------------------------------------------------------------------------------- */

/* Returns a queue family that supports compute, or UINT32_MAX if there is none. With `separate` one
 * without graphics is preferred. */
static uint32_t find_compute_family(const VkQueueFamilyProperties *families, uint32_t count,
                                    bool separate)
{
    uint32_t found = UINT32_MAX;
    for (uint32_t i = count; i-- > 0;) { /* backwards, so that the first of several is kept */
        const bool graphics = families[i].queueFlags & VK_QUEUE_GRAPHICS_BIT;
        const bool better = found == UINT32_MAX || !separate || !graphics ||
                            families[found].queueFlags & VK_QUEUE_GRAPHICS_BIT;
        if (families[i].queueFlags & VK_QUEUE_COMPUTE_BIT && better)
            found = i;
    }
    return found;
}

static bool has_compute(struct physical physical)
{
    VkQueueFamilyProperties families[MOST_FAMILIES];
    uint32_t count = ARRAY_COUNT(families);
    physical.vk->GetPhysicalDeviceQueueFamilyProperties(physical.handle, &count, families);
    return find_compute_family(families, count, false) != UINT32_MAX;
}

/* Finds a queue that copies while `queue` computes: the first of a family that does nothing else,
 * which are the copy engines of a GPU. With `second`, where there is no such family, it is the
 * second queue of the family that computes. */
static bool find_copies(const VkQueueFamilyProperties *families, uint32_t count, bool second,
                        const struct gpu_queue *queue, struct gpu_queue *copies)
{
    const VkQueueFlags ignored = VK_QUEUE_SPARSE_BINDING_BIT | VK_QUEUE_PROTECTED_BIT;
    uint32_t i = 0;
    while (i < count && (families[i].queueFlags & ~ignored) != VK_QUEUE_TRANSFER_BIT)
        i++;
    const bool found = i < count || (second && families[queue->family].queueCount > 1);
    *copies = (struct gpu_queue){.family = i < count ? i : queue->family,
                                 .index = i < count ? 0 : 1,
                                 .stages = VK_PIPELINE_STAGE_TRANSFER_BIT};
    return found;
}

/* Chooses the queues of a device, and tells whether one is for copies. An application lends one
 * queue. */
static bool choose_queues(struct physical physical, bool second, struct features *f)
{
    VkQueueFamilyProperties families[MOST_FAMILIES];
    uint32_t count = ARRAY_COUNT(families);
    physical.vk->GetPhysicalDeviceQueueFamilyProperties(physical.handle, &count, families);
    f->queue = (struct gpu_queue){
        .family = find_compute_family(families, count, f->quirks.compute_queue),
        .stages = VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT};
    if (f->lent)
        f->queue.family = f->lent->queue_family;
    else if (f->queue.family != UINT32_MAX)
        return find_copies(families, count, second, &f->queue, &f->copies);
    return false;
}

/* ---- Capabilities ---------------------------------------------------------------------------- */

/* Returns the capabilities that a list names, as in f16,texel. With VKCLIP_DISABLE_CAPS the tests
 * run every fallback on one machine. */
static uint32_t named_caps(const char *list)
{
    uint32_t mask = 0;
#define X(name, text)                  \
    if (settings_list_has(list, text)) \
        mask |= CAP_##name;
    CAPS(X)
#undef X
    return mask;
}

bool probe_is_cap(const char *word)
{
    return named_caps(word);
}

/* Returns those of the wanted capabilities that the device has, and of those that are slow there
 * only the enabled ones. */
static uint32_t find_caps(struct physical physical, const struct properties *p, uint32_t wanted,
                          uint32_t enabled, struct features *f)
{
    uint32_t caps = 0;
    if (f->storage16.storageBuffer16BitAccess)
        caps |= CAP_F16;
    if (wanted & CAP_TEXEL && has_texel_formats(physical))
        caps |= CAP_TEXEL;
    if (f->float16.shaderFloat16)
        caps |= CAP_F16MATH;
    if (choose_subgroup(p, f))
        caps |= CAP_SUBGROUP;
    if (caps & CAP_SUBGROUP && has_coopmat(f))
        caps |= CAP_COOPMAT16;
    /* Rounding activations to 8 bits saves time only where dot products of 8-bit integers are
     * faster than those of floats. */
    if (f->dot.shaderIntegerDotProduct &&
        (p->dot.integerDotProduct4x8BitPackedSignedAccelerated || enabled & CAP_DOT))
        caps |= CAP_DOT;
    if (f->address.bufferDeviceAddress)
        caps |= CAP_ADDRESS;
    if (choose_queues(physical, enabled & CAP_COPIES, f))
        caps |= CAP_COPIES;
    return caps & wanted;
}

int probe_features(const struct settings *settings, struct description *device, struct features *f)
{
    const uint32_t enabled = named_caps(settings->enabled_caps);
    uint32_t wanted = ~named_caps(settings->disabled_caps);
    struct extensions listed;
    struct properties properties;
    *f = (struct features){.core.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2};
    int error = list_extensions(device->physical, &listed);
    if (!error) {
        read_properties(device->physical, &listed, wanted, &properties);
        device->subgroup_min = properties.control.minSubgroupSize;
        device->subgroup_max = properties.control.maxSubgroupSize;
        device->mixed_dot = properties.dot.integerDotProduct4x8BitPackedMixedSignednessAccelerated;
        f->quirks = quirks_find(settings, device);
        wanted &= ~f->quirks.caps | enabled;
        f->lent = device->lent;
        if (f->lent) {
            lent_features(f->lent, f);
        } else {
            chain_features(&listed, wanted, f);
            device->physical.vk->GetPhysicalDeviceFeatures2(device->physical.handle, &f->core);
        }
        f->caps = find_caps(device->physical, &properties, wanted, enabled, f);
    }
    memory_free(listed.list);
    return error;
}

/* ---- Description ----------------------------------------------------------------------------- */

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
static void describe_device(const VkPhysicalDeviceProperties *p, struct description *device)
{
    struct vkclip_device_info *info = &device->info;
    info->type = device_type(p->deviceType);
    info->vendor_id = p->vendorID;
    info->device_id = p->deviceID;
    info->api_version[0] = VK_API_VERSION_MAJOR(p->apiVersion);
    info->api_version[1] = VK_API_VERSION_MINOR(p->apiVersion);
    info->api_version[2] = VK_API_VERSION_PATCH(p->apiVersion);
    info->max_buffer_range = p->limits.maxStorageBufferRange;
    device->driver_version = p->driverVersion;
    device->conformant = true; /* until the driver says that it is not */
    snprintf(info->name, sizeof(info->name), "%s", p->deviceName);
}

/* Vulkan 1.1 has the driver's properties as an extension. */
static int has_driver_properties(const struct description *device, bool *has)
{
    *has = device->info.api_version[0] > 1 || device->info.api_version[1] >= 2;
    if (*has)
        return VKCLIP_OK;
    return probe_has_extension(device->physical, "VK_KHR_driver_properties", has);
}

/* Fills in the identifiers of the device, and the driver by its name, or by its number only where
 * it has no name. */
static int describe_driver(struct description *device)
{
    struct vkclip_device_info *info = &device->info;
    VkPhysicalDeviceDriverProperties driver = {0};
    VkPhysicalDeviceIDProperties id = {0};
    VkPhysicalDeviceProperties2 core = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2};
    bool named = false;
    int error = has_driver_properties(device, &named);
    if (error)
        return error;
    chain_struct(&core.pNext, &id, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ID_PROPERTIES);
    if (named)
        chain_struct(&core.pNext, &driver, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES);
    device->physical.vk->GetPhysicalDeviceProperties2(device->physical.handle, &core);
    memcpy(info->uuid, id.deviceUUID, sizeof(info->uuid));
    memcpy(info->driver_uuid, id.driverUUID, sizeof(info->driver_uuid));
    memcpy(info->luid, id.deviceLUID, sizeof(info->luid));
    info->has_luid = id.deviceLUIDValid;
    if (!named) {
        snprintf(info->driver, sizeof(info->driver), "version %u", device->driver_version);
        return VKCLIP_OK;
    }
    const VkConformanceVersion *version = &driver.conformanceVersion;
    device->conformant = version->major || version->minor || version->subminor || version->patch;
    device->driver = driver.driverID;
    snprintf(info->driver, sizeof(info->driver), "%s %s", driver.driverName, driver.driverInfo);
    return VKCLIP_OK;
}

static uint64_t largest_heap(struct physical physical)
{
    VkPhysicalDeviceMemoryProperties memory;
    uint64_t largest = 0;
    physical.vk->GetPhysicalDeviceMemoryProperties(physical.handle, &memory);
    for (uint32_t i = 0; i < memory.memoryHeapCount; i++) {
        const VkMemoryHeap *heap = &memory.memoryHeaps[i];
        if (heap->flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT && heap->size > largest)
            largest = heap->size;
    }
    return largest;
}

void gpu_describe_caps(uint32_t caps, char *text, size_t size)
{
    static const char *const names[] = {
#define X(name, text) text,
        CAPS(X)
#undef X
    };
    size_t length = 0;
    text[0] = 0;
    for (int i = 0; i < CAP_COUNT; i++)
        if (caps & 1u << i && length < size)
            length +=
                (size_t)snprintf(text + length, size - length, "%s%s", length ? " " : "", names[i]);
}

void probe_describe(const struct settings *settings, struct physical physical, uint32_t index,
                    struct description *device)
{
    VkPhysicalDeviceProperties properties;
    *device = (struct description){.info.index = index, .physical = physical};
    struct vkclip_device_info *info = &device->info;
    physical.vk->GetPhysicalDeviceProperties(physical.handle, &properties);
    describe_device(&properties, device);
    if (properties.apiVersion < VK_API_VERSION_1_1) {
        snprintf(info->why, sizeof(info->why), "Vulkan %u.%u, needs 1.1", info->api_version[0],
                 info->api_version[1]);
        return;
    }
    info->memory = largest_heap(physical);
    if (describe_driver(device)) {
        snprintf(info->why, sizeof(info->why), "%s", error_last());
        return;
    }
    const char *refusal = quirks_find(settings, device).refusal;
    if (refusal)
        snprintf(info->why, sizeof(info->why), "%s", refusal);
    else if (!has_compute(physical))
        snprintf(info->why, sizeof(info->why), "no compute queue");
    info->usable = !info->why[0];
}

/* ---- Limits ---------------------------------------------------------------------------------- */

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
    VkQueueFamilyProperties families[MOST_FAMILIES];
    uint32_t count = ARRAY_COUNT(families);
    gpu->physical.vk->GetPhysicalDeviceProperties2(gpu->physical.handle, &properties);
    gpu->physical.vk->GetPhysicalDeviceQueueFamilyProperties(gpu->physical.handle, &count,
                                                             families);
    const VkPhysicalDeviceLimits *l = &properties.properties.limits;
    gpu->limits = (struct gpu_limits){.buffer_range = l->maxStorageBufferRange,
                                      .allocation = maintenance3.maxMemoryAllocationSize,
                                      .texel_elements = l->maxTexelBufferElements,
                                      .alignment = binding_alignment(l),
                                      .invocations = l->maxComputeWorkGroupInvocations,
                                      .shared_bytes = l->maxComputeSharedMemorySize,
                                      .subgroup = f->subgroup_width};
    gpu->required_subgroup = f->required_subgroup;
    memcpy(gpu->limits.groups, l->maxComputeWorkGroupCount, sizeof(gpu->limits.groups));
    memcpy(gpu->limits.matrix, f->matrix, sizeof(f->matrix));
    gpu->families = count;
    gpu->timestamp_bits = families[gpu->queue.family].timestampValidBits;
    gpu->timestamp_seconds = (double)l->timestampPeriod * 1e-9;
}
