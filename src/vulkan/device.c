/* SPDX-License-Identifier: MIT
 *
 * Finds and opens a device, beginning with the Vulkan loader. Any device of Vulkan 1.1 or later
 * with a compute queue is usable. A name that no usable device has, or that several have, is
 * refused.
 */
#define VOLK_IMPLEMENTATION
#include "vulkan/internal.h"

#include "base/error.h"
#include "base/log.h"
#include "base/settings.h"
#include "base/string.h"
#include "base/workers.h"

#include <ctype.h>
#include <stdlib.h>

/* ---- Instance -------------------------------------------------------------------------------- */

/* The loader lists MoltenVK only to a program that enables VK_KHR_portability_enumeration, which
 * older loaders do not have. */
#ifdef VK_KHR_portability_enumeration
static const char *const portability = VK_KHR_PORTABILITY_ENUMERATION_EXTENSION_NAME;

static int enable_portability(VkInstanceCreateInfo *info)
{
    static const char call[] = "vkEnumerateInstanceExtensionProperties";
    uint32_t count = 0;
    int error = vulkan_check(vkEnumerateInstanceExtensionProperties(NULL, &count, NULL), call);
    if (error)
        return error;
    VkExtensionProperties *listed = calloc(count + 1, sizeof(*listed));
    if (!listed)
        return error_fail(VKCLIP_EMEMORY, "out of memory for Vulkan's extensions");
    error = vulkan_check(vkEnumerateInstanceExtensionProperties(NULL, &count, listed), call);
    if (!error && probe_has_extension(listed, count, portability)) {
        info->flags = VK_INSTANCE_CREATE_ENUMERATE_PORTABILITY_BIT_KHR;
        info->enabledExtensionCount = 1;
        info->ppEnabledExtensionNames = &portability;
    }
    free(listed);
    return error;
}
#else
static int enable_portability(VkInstanceCreateInfo *info)
{
    (void)info;
    return VKCLIP_OK;
}
#endif

static int create_instance(VkInstance *instance)
{
    VkApplicationInfo application = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                                     .pApplicationName = "vkclip",
                                     .pEngineName = "vkclip",
                                     .apiVersion = VK_API_VERSION_1_1};
    VkInstanceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
                                 .pApplicationInfo = &application};
    if (volkInitialize() != VK_SUCCESS)
        return error_fail(VKCLIP_ENODEVICE, "no Vulkan loader on this machine (libvulkan): install "
                                            "the GPU's driver, or mesa-vulkan-drivers for any CPU");
    if (volkGetInstanceVersion() < VK_API_VERSION_1_1)
        return error_fail(VKCLIP_ENODEVICE, "the Vulkan loader is older than Vulkan 1.1");
    int error = enable_portability(&info);
    if (error)
        return error;
    VkResult result = vkCreateInstance(&info, NULL, instance);
    if (result == VK_ERROR_INCOMPATIBLE_DRIVER)
        return error_fail(VKCLIP_ENODEVICE, "no Vulkan driver on this machine: install the GPU's "
                                            "driver, or mesa-vulkan-drivers for any CPU");
    error = vulkan_check(result, "vkCreateInstance");
    if (!error)
        volkLoadInstance(*instance);
    return error;
}

/* ---- Which devices there are ----------------------------------------------------------------- */

/* Lists the physical devices. The caller frees the list, which is NULL after an error. */
static int list_physical(VkInstance instance, VkPhysicalDevice **devices, uint32_t *count)
{
    static const char call[] = "vkEnumeratePhysicalDevices";
    *devices = NULL;
    *count = 0;
    int error = vulkan_check(vkEnumeratePhysicalDevices(instance, count, NULL), call);
    if (error)
        return error;
    *devices = calloc(*count + 1, sizeof(**devices));
    if (!*devices)
        return error_fail(VKCLIP_EMEMORY, "out of memory for the list of devices");
    error = vulkan_check(vkEnumeratePhysicalDevices(instance, count, *devices), call);
    if (error) {
        free(*devices);
        *devices = NULL;
    }
    return error;
}

int gpu_list(const struct settings *settings, struct vkclip_device_info *infos, size_t capacity,
             size_t *count)
{
    VkInstance instance = VK_NULL_HANDLE;
    VkPhysicalDevice *devices = NULL;
    uint32_t found = 0;
    int error = create_instance(&instance);
    if (!error)
        error = list_physical(instance, &devices, &found);
    for (uint32_t i = 0; i < found && i < capacity && !error; i++)
        probe_info(settings, devices[i], i, &infos[i]);
    *count = found;
    free(devices);
    if (instance)
        vkDestroyInstance(instance, NULL);
    return error;
}

bool gpu_name_has(const char *name, const char *part)
{
    for (; *name; name++) {
        size_t i = 0;
        while (part[i] && tolower((unsigned char)name[i]) == tolower((unsigned char)part[i]))
            i++;
        if (!part[i])
            return true;
    }
    return false;
}

/* ---- Which device is opened ------------------------------------------------------------------ */

static bool is_wanted(const struct vkclip_device_info *info, const char *wanted)
{
    char *end = NULL;
    if (!wanted)
        return true;
    unsigned long number = strtoul(wanted, &end, 10);
    if (isdigit((unsigned char)*wanted) && !*end)
        return number == info->index;
    return gpu_name_has(info->name, wanted);
}

static int check_matches(const char *wanted, uint32_t matches, uint32_t count)
{
    if (!matches && wanted)
        return error_fail(VKCLIP_ENODEVICE,
                          "no usable Vulkan device matches \"%s\" among %u found: "
                          "`vkclip devices` lists them",
                          wanted, count);
    if (!matches)
        return error_fail(VKCLIP_ENODEVICE, "no usable Vulkan device among %u found", count);
    if (wanted && matches > 1)
        return error_fail(
            VKCLIP_ENODEVICE,
            "\"%s\" is part of the names of %u devices: give a longer part, or a device's number",
            wanted, matches);
    return VKCLIP_OK;
}

/* Chooses the device to open: of several wanted devices the first one of the best type. */
static int choose_device(struct gpu *gpu, const struct settings *settings, const char *wanted)
{
    VkPhysicalDevice *devices = NULL;
    uint32_t count = 0, matches = 0;
    int error = list_physical(gpu->instance, &devices, &count);
    for (uint32_t i = 0; i < count && !error; i++) {
        struct vkclip_device_info info;
        probe_info(settings, devices[i], i, &info);
        if (!is_wanted(&info, wanted))
            continue;
        if (!info.usable) {
            log_message(VKCLIP_LOG_INFO, "device %u, %s: skipped: %s", i, info.name, info.why);
            continue;
        }
        matches++;
        if (matches == 1 || info.type > gpu->info.type) {
            gpu->physical = devices[i];
            gpu->info = info;
        }
    }
    free(devices);
    return error ? error : check_matches(wanted, matches, count);
}

static int create_device(struct gpu *gpu, const struct settings *settings)
{
    struct features features;
    VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR executables;
    const float priority = 1;
    gpu->family = probe_compute_family(gpu->physical);
    int error = probe_features(settings, gpu->physical, &features);
    if (!error && settings->pipeline_statistics)
        error = statistics_enable(gpu, &features, &executables);
    if (error)
        return error;
    gpu->caps = features.caps;
    probe_limits(gpu, &features);
    class_find(gpu->physical, &gpu->limits);
    vkGetPhysicalDeviceMemoryProperties(gpu->physical, &gpu->memory);
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
    VkCommandPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                    .queueFamilyIndex = gpu->family};
    error =
        vulkan_check(vkCreateDevice(gpu->physical, &info, NULL, &gpu->device), "vkCreateDevice");
    if (error)
        return error;
    vkGetDeviceQueue(gpu->device, gpu->family, 0, &gpu->queue);
    return vulkan_check(vkCreateCommandPool(gpu->device, &pool, NULL, &gpu->pool),
                        "vkCreateCommandPool");
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
    struct gpu *gpu = *result = calloc(1, sizeof(*gpu));
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
        error = pipelines_open(gpu);
    if (error)
        gpu_close(result);
    else
        log_message(VKCLIP_LOG_INFO, "device %u: %s (%s)", gpu->info.index, gpu->info.name,
                    gpu->info.driver);
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
        pipelines_close(gpu);
        vkDestroyCommandPool(gpu->device, gpu->pool, NULL);
        vkDestroyDevice(gpu->device, NULL);
    }
    if (gpu->instance)
        vkDestroyInstance(gpu->instance, NULL);
    free(gpu->cache_folder);
    free(gpu->disabled_kernels);
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
