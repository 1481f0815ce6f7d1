/* SPDX-License-Identifier: MIT
 *
 * Takes over a device that the application created: only what the application says that it enabled
 * counts as there. Refuses objects that are absent, Vulkan 1.0, and a queue that does not compute.
 * Nothing here destroys anything.
 */
#include "base/memory.h"
#include "vulkan/internal.h"

#include "base/array.h"
#include "base/error.h"
#include "base/settings.h"

#include <assert.h>
#include <string.h>

/* ---- Features -------------------------------------------------------------------------------- */

/* Says where a feature is among those of a whole version of Vulkan, which an application may have
 * enabled in place of the struct of the feature. */
struct place {
    VkStructureType type;
    size_t offset; /* in that struct */
    size_t target; /* in struct features */
};

#define PLACE(version, member, kept)                                     \
    {                                                                    \
        VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_##version##_FEATURES,   \
            offsetof(VkPhysicalDeviceVulkan##version##Features, member), \
            offsetof(struct features, kept.member)                       \
    }
/* The names of the types have an underscore in the number. */
#define VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_11_FEATURES \
    VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES
#define VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_12_FEATURES \
    VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES
#define VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_13_FEATURES \
    VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_FEATURES

static const struct place places[] = {
    PLACE(11, storageBuffer16BitAccess, storage16), PLACE(12, shaderFloat16, float16),
    PLACE(12, vulkanMemoryModel, memory_model),     PLACE(12, bufferDeviceAddress, address),
    PLACE(13, subgroupSizeControl, subgroup),       PLACE(13, computeFullSubgroups, subgroup),
    PLACE(13, shaderIntegerDotProduct, dot),
};

static void take_version(const VkBaseInStructure *given, struct features *f)
{
    for (size_t i = 0; i < ARRAY_COUNT(places); i++) {
        VkBool32 enabled;
        if (given->sType != places[i].type)
            continue;
        memcpy(&enabled, (const char *)given + places[i].offset, sizeof(enabled));
        if (enabled)
            memcpy((char *)f + places[i].target, &enabled, sizeof(enabled));
    }
}

void lent_features(const struct vkclip_vulkan_device *lent, struct features *f)
{
    const VkBaseInStructure *given = (const VkBaseInStructure *)lent->features;
    for (; given; given = given->pNext) {
        probe_take_features(given, f);
        take_version(given, f);
    }
}

bool lent_has_extension(const struct vkclip_vulkan_device *lent, const char *name)
{
    for (uint32_t i = 0; i < lent->extension_count; i++)
        if (!strcmp(lent->extensions[i], name))
            return true;
    return false;
}

/* ---- The device ------------------------------------------------------------------------------ */

static int check_version(const struct vkclip_vulkan_device *lent)
{
    const uint32_t major = VK_API_VERSION_MAJOR(lent->api_version);
    const uint32_t minor = VK_API_VERSION_MINOR(lent->api_version);
    if (lent->api_version >= VK_API_VERSION_1_1)
        return VKCLIP_OK;
    return error_fail(VKCLIP_EUNSUPPORTED,
                      "the application's VkInstance is of Vulkan %u.%u (`api_version`), expected "
                      "1.1 or later",
                      major, minor);
}

/* Finds the functions of the application's instance. */
static int load_functions(const struct vkclip_vulkan_device *lent,
                          struct instance_functions *functions)
{
    PFN_vkGetInstanceProcAddr get = lent->get_instance_proc_addr;
    if (!get)
        get = instance_find_loader();
    if (!get)
        return error_fail(VKCLIP_ENODEVICE,
                          "no Vulkan loader on this machine (libvulkan): expected "
                          "`get_instance_proc_addr`");
    functions_load_instance(get, lent->instance, functions);
    if (!functions->GetDeviceProcAddr || !functions->GetPhysicalDeviceProperties2)
        return error_fail(VKCLIP_EINVALID, "`get_instance_proc_addr` does not find functions of "
                                           "Vulkan 1.1 for the application's VkInstance");
    return VKCLIP_OK;
}

/* Finds the number of the device in the enumeration of the application's instance. */
static int find_index(const struct vkclip_vulkan_device *lent,
                      const struct instance_functions *functions, uint32_t *index)
{
    VkPhysicalDevice *list = NULL;
    uint32_t count = 0;
    int error = instance_list(functions, lent->instance, &list, &count);
    *index = 0;
    while (*index < count && list[*index] != lent->physical_device)
        ++*index;
    if (!error && *index == count)
        error = error_fail(VKCLIP_EINVALID, "`physical_device` is none of `instance`");
    memory_free(list);
    return error;
}

int lent_describe(const struct settings *settings, const struct vkclip_vulkan_device *lent,
                  struct instance_functions *functions, struct description *device)
{
    uint32_t index = 0;
    if (!lent || !lent->instance || !lent->physical_device)
        return error_fail(VKCLIP_EINVALID,
                          "a Vulkan device: expected `instance` and `physical_device`");
    int error = check_version(lent);
    if (!error)
        error = load_functions(lent, functions);
    if (!error)
        error = find_index(lent, functions, &index);
    if (error)
        return error;
    probe_describe(settings, (struct physical){lent->physical_device, functions}, index, device);
    device->lent = lent->device ? lent : NULL;
    if (!device->info.usable)
        return error_fail(VKCLIP_ENODEVICE, "%s: %s", device->info.name, device->info.why);
    return VKCLIP_OK;
}

int lent_check(const struct vkclip_vulkan_device *lent, const struct description *device)
{
    VkQueueFamilyProperties families[MOST_FAMILIES];
    uint32_t count = ARRAY_COUNT(families);
    if (!lent->device || (lent->extension_count && !lent->extensions) ||
        !lent->lock_queue != !lent->unlock_queue)
        return error_fail(VKCLIP_EINVALID,
                          "a Vulkan device: expected `device`, as many `extensions` as "
                          "`extension_count` says, and both `lock_queue` and `unlock_queue` or "
                          "neither");
    device->physical.vk->GetPhysicalDeviceQueueFamilyProperties(device->physical.handle, &count,
                                                                families);
    if (lent->queue_family >= count)
        return error_fail(VKCLIP_EINVALID, "%s: `queue_family` is %u, but it has %u families",
                          device->info.name, lent->queue_family, count);
    if (!(families[lent->queue_family].queueFlags & VK_QUEUE_COMPUTE_BIT))
        return error_fail(VKCLIP_EUNSUPPORTED,
                          "%s: queue family %u does not compute (VK_QUEUE_COMPUTE_BIT)",
                          device->info.name, lent->queue_family);
    return VKCLIP_OK;
}

/* ---- What the application may enable --------------------------------------------------------- */

int gpu_find_wants(const struct settings *settings, const struct vkclip_vulkan_device *lent,
                   struct vkclip_vulkan_wants *wants)
{
    struct vkclip_vulkan_device unopened = {0};
    struct instance_functions functions;
    struct description device;
    struct features *features = (struct features *)(void *)wants->memory;
    static_assert(sizeof(*features) <= sizeof(wants->memory), "memory for what is wanted");
    static_assert(ARRAY_COUNT(features->extensions) <= ARRAY_COUNT(wants->extensions),
                  "room for extensions");
    if (lent) {
        unopened = *lent;
        unopened.device = VK_NULL_HANDLE;
    }
    int error = lent_describe(settings, lent ? &unopened : NULL, &functions, &device);
    if (!error)
        error = probe_features(settings, &device, features);
    if (error)
        return error;
    probe_matrices(device.physical, features);
    probe_enable(features);
    /* A CPU computes in memory of the process, see memory.c. */
    const char *const import = VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME;
    bool has = false;
    if (device.info.type == VKCLIP_DEVICE_CPU)
        error = probe_has_extension(device.physical, import, &has);
    if (has && features->extension_count < ARRAY_COUNT(features->extensions))
        features->extensions[features->extension_count++] = import;
    wants->features = &features->core;
    wants->queue_family = features->queue.family;
    wants->extension_count = features->extension_count;
    memcpy(wants->extensions, features->extensions, sizeof(features->extensions));
    return error;
}
