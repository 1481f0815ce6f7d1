/* SPDX-License-Identifier: MIT
 *
 * Lists devices and opens one. Any device of Vulkan 1.1 or later with a compute queue is usable,
 * unless a quirk refuses it.
 */
#include "base/memory.h"
#include "vulkan/internal.h"

#include "base/array.h"
#include "base/error.h"
#include "base/log.h"
#include "base/settings.h"
#include "base/string.h"
#include "base/workers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Which devices there are ----------------------------------------------------------------- */

/* Describes all devices. The caller frees the list, which is NULL after an error. */
static int describe_devices(const struct settings *settings, struct description **list,
                            uint32_t *count)
{
    VkPhysicalDevice *devices = NULL;
    *list = NULL;
    int error = instance_list(instance_functions(), instance_handle(), &devices, count);
    if (!error)
        *list = memory_calloc(*count + 1, sizeof(**list));
    if (!error && !*list)
        error = error_fail(VKCLIP_EMEMORY, "out of memory for the list of devices");
    for (uint32_t i = 0; i < *count && !error; i++)
        probe_describe(settings, (struct physical){devices[i], instance_functions()}, i,
                       &(*list)[i]);
    memory_free(devices);
    return error;
}

/* Names the capabilities of a device that is listed but not opened. */
static void describe_caps(const struct settings *settings, struct description *device)
{
    struct features features;
    if (device->info.usable && !probe_features(settings, device, &features))
        gpu_describe_caps(features.caps, device->info.caps, sizeof(device->info.caps));
}

int gpu_list(const struct settings *settings, struct vkclip_device_info *infos, size_t capacity,
             size_t *count)
{
    struct description *list = NULL;
    uint32_t found = 0;
    *count = 0;
    int error = gpu_loader_open();
    if (error)
        return error;
    error = describe_devices(settings, &list, &found);
    for (uint32_t i = 0; i < found && i < capacity && !error; i++) {
        describe_caps(settings, &list[i]);
        infos[i] = list[i].info;
    }
    *count = found;
    memory_free(list);
    gpu_loader_close();
    return error;
}

/* Says which devices cannot be used, and which are not used unless they are named. */
static void log_choice(const struct description *list, uint32_t count, const char *wanted,
                       const struct description *chosen)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct vkclip_device_info *info = &list[i].info;
        if (!info->usable)
            log_message(VKCLIP_LOG_INFO, "device %u, %s: skipped: %s", i, info->name, info->why);
        else if (!wanted && !list[i].conformant && chosen->conformant)
            log_message(chosen->info.type == VKCLIP_DEVICE_CPU ? VKCLIP_LOG_WARNING
                                                               : VKCLIP_LOG_INFO,
                        "device %u, %s: skipped, because its driver does not conform to Vulkan: "
                        "name it with `device` to use it",
                        i, info->name);
    }
}

int gpu_list_all(const struct settings *settings, uint32_t *numbers, size_t capacity, size_t *count)
{
    struct description *list = NULL;
    uint32_t found = 0;
    *count = 0;
    int error = gpu_loader_open();
    if (error)
        return error;
    error = describe_devices(settings, &list, &found);
    uint32_t *chosen = memory_calloc(found + 1, sizeof(*chosen));
    if (!error && !chosen)
        error = error_fail(VKCLIP_EMEMORY, "out of memory for the list of devices");
    if (!error)
        *count = choose_all(list, found, chosen);
    if (!error && !*count)
        error = error_fail(VKCLIP_ENODEVICE, "no usable Vulkan device among %u found", found);
    if (!error)
        log_choice(list, found, NULL, &list[chosen[0]]);
    for (size_t i = 0; i < *count && i < capacity && !error; i++)
        numbers[i] = chosen[i];
    memory_free(chosen);
    memory_free(list);
    gpu_loader_close();
    return error;
}

bool gpu_is_name(const struct settings *settings, const char *text)
{
    struct description *list = NULL;
    uint32_t count = 0;
    bool found = false;
    if (gpu_loader_open())
        return false;
    if (!describe_devices(settings, &list, &count))
        for (uint32_t i = 0; i < count; i++)
            found |= gpu_name_has(list[i].info.name, text);
    memory_free(list);
    gpu_loader_close();
    return found;
}

/* ---- Which device is opened ------------------------------------------------------------------ */

static int choose_device(const struct settings *settings, const char *wanted,
                         struct description *chosen)
{
    struct description *list = NULL;
    uint32_t count = 0, number = 0;
    int error = describe_devices(settings, &list, &count);
    if (!error)
        error = choose_one(list, count, wanted, &number);
    if (!error) {
        *chosen = list[number];
        log_choice(list, count, wanted, chosen);
    }
    memory_free(list);
    return error;
}

/* What vkCreateDevice enables. */
struct enabled {
    struct features features;
    VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR executables; /* in its chain */
};

/* Finds what the GPU can do, and what of it is enabled. */
static int probe_device(struct gpu *gpu, const struct settings *settings,
                        struct description *device, struct enabled *enabled)
{
    struct features *features = &enabled->features;
    gpu->physical = device->physical;
    gpu->info = device->info;
    int error = probe_features(settings, device, features);
    if (error)
        return error;
    probe_matrices(device->physical, features);
    probe_enable(features);
    gpu_describe_caps(features->caps, gpu->info.caps, sizeof(gpu->info.caps));
    gpu->caps = features->caps;
    gpu->queue = features->queue;
    if (gpu->caps & CAP_COPIES)
        gpu->copies = features->copies;
    probe_limits(gpu, features);
    gpu->limits.separate_memory = features->quirks.separate_memory;
    gpu->limits.stored_rows = features->quirks.stored_rows;
    class_find(device, &gpu->limits);
    rows_set_limits(gpu);
    error = memory_open(gpu, features);
    if (!error && settings->pipeline_statistics && !device->lent)
        error = statistics_enable(gpu, features, &enabled->executables);
    return error;
}

/* Gets a queue of the device unless it is known, and creates its pool. */
static int open_queue(struct gpu *gpu, struct gpu_queue *queue)
{
    VkCommandPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                    .queueFamilyIndex = queue->family};
    if (!queue->queue)
        gpu->vk.GetDeviceQueue(gpu->device, queue->family, queue->index, &queue->queue);
    return vulkan_check(gpu->vk.CreateCommandPool(gpu->device, &pool, NULL, &queue->pool),
                        "vkCreateCommandPool");
}

/* Creates the device with queues of the given priority, and of a low priority among all programs if
 * `global` is not NULL, which is chained to each of them. */
static VkResult create_queues(struct gpu *gpu, const struct features *features, float priority,
                              const VkDeviceQueueGlobalPriorityCreateInfoKHR *global)
{
    const float priorities[] = {priority, priority};
    const bool copies = gpu->caps & CAP_COPIES;
    const bool same = copies && gpu->copies.family == gpu->queue.family;
    VkDeviceQueueCreateInfo queues[] = {{.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                         .pNext = global,
                                         .queueFamilyIndex = gpu->queue.family,
                                         .queueCount = same ? 2 : 1,
                                         .pQueuePriorities = priorities},
                                        {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                         .pNext = global,
                                         .queueFamilyIndex = gpu->copies.family,
                                         .queueCount = 1,
                                         .pQueuePriorities = priorities}};
    VkDeviceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                               .pNext = &features->core,
                               .queueCreateInfoCount = copies && !same ? 2 : 1,
                               .pQueueCreateInfos = queues,
                               .enabledExtensionCount = features->extension_count,
                               .ppEnabledExtensionNames = features->extensions};
    return gpu->physical.vk->CreateDevice(gpu->physical.handle, &info, NULL, &gpu->device);
}

/* Finds the extension by which queues have a priority among all programs: NULL if there is none. */
static int find_global_priority(const struct gpu *gpu, const char **extension)
{
    static const char *const names[] = {"VK_KHR_global_priority", "VK_EXT_global_priority"};
    int error = VKCLIP_OK;
    *extension = NULL;
    for (size_t i = 0; i < ARRAY_COUNT(names) && !error && !*extension; i++) {
        bool has = false;
        error = probe_has_extension(gpu->physical, names[i], &has);
        *extension = has ? names[i] : NULL;
    }
    return error;
}

/* Creates a device whose queues give way to others. A system may refuse a program any priority
 * among all programs, so that the device is then created without one. */
static int create_background(struct gpu *gpu, struct features *features, VkResult *result)
{
    const VkDeviceQueueGlobalPriorityCreateInfoKHR low = {
        .sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_GLOBAL_PRIORITY_CREATE_INFO_KHR,
        .globalPriority = VK_QUEUE_GLOBAL_PRIORITY_LOW_KHR};
    const char *extension = NULL;
    int error = find_global_priority(gpu, &extension);
    *result = VK_ERROR_NOT_PERMITTED_KHR;
    if (error)
        return error;
    if (extension && features->extension_count < ARRAY_COUNT(features->extensions)) {
        features->extensions[features->extension_count] = extension;
        features->extension_count++;
        *result = create_queues(gpu, features, 0, &low);
        features->extension_count--;
    }
    if (*result == VK_ERROR_NOT_PERMITTED_KHR || *result == VK_ERROR_INITIALIZATION_FAILED)
        *result = create_queues(gpu, features, 0, NULL);
    return VKCLIP_OK;
}

static int create_device(struct gpu *gpu, struct features *features, bool background)
{
    VkResult result = VK_SUCCESS;
    int error = VKCLIP_OK;
    if (background)
        error = create_background(gpu, features, &result);
    else
        result = create_queues(gpu, features, 1, NULL);
    if (!error)
        error = vulkan_check(result, "vkCreateDevice");
    if (error)
        return error;
    functions_load_device(gpu->physical.vk, gpu->device, &gpu->vk);
    error = open_queue(gpu, &gpu->queue);
    return !error && gpu->caps & CAP_COPIES ? open_queue(gpu, &gpu->copies) : error;
}

/* ---- Open and close -------------------------------------------------------------------------- */

/* A device that shows no progress for this long counts as lost. Submits take a fraction of a second
 * on a GPU, but may take a minute on a busy CPU or where other programs use the device. */
#define TIMEOUT_SECONDS 300

static void take_timeout(struct gpu *gpu, const struct settings *settings)
{
    char *end = NULL;
    const char *text = settings->timeout_seconds > 0 ? NULL : settings->timeout;
    gpu->timeout = settings->timeout_seconds > 0 ? settings->timeout_seconds : TIMEOUT_SECONDS;
    const double seconds = text ? strtod(text, &end) : 0;
    if (text && !*end && seconds > 0)
        gpu->timeout = seconds;
    else if (text)
        log_message(VKCLIP_LOG_WARNING,
                    "VKCLIP_TIMEOUT is \"%s\", expected a number of seconds above 0: taken as %d",
                    text, TIMEOUT_SECONDS);
}

static void check_caps(const char *variable, const char *list)
{
    char names[160], expected[200];
    gpu_describe_caps(UINT32_MAX, names, sizeof(names));
    snprintf(expected, sizeof(expected), "some of %s, with commas between", names);
    settings_check_list(variable, list, probe_is_cap, expected);
}

static int keep_settings(struct gpu *gpu, const struct settings *settings)
{
    check_caps("VKCLIP_DISABLE_CAPS", settings->disabled_caps);
    check_caps("VKCLIP_ENABLE_CAPS", settings->enabled_caps);
    if (settings->quirks && strcmp(settings->quirks, "on") && strcmp(settings->quirks, "off"))
        log_message(VKCLIP_LOG_WARNING, "VKCLIP_QUIRKS is \"%s\", expected on or off: taken as on",
                    settings->quirks);
    take_timeout(gpu, settings);
    if (settings->cache_folder)
        gpu->cache_folder = string_format("%s", settings->cache_folder);
    if (settings->disabled_kernels)
        gpu->disabled_kernels = string_format("%s", settings->disabled_kernels);
    if ((settings->cache_folder && !gpu->cache_folder) ||
        (settings->disabled_kernels && !gpu->disabled_kernels))
        return error_fail(VKCLIP_EMEMORY, "out of memory for a device");
    return VKCLIP_OK;
}

/* The thread that calls is one of the threads, so that a single one needs no pool. */
static int open_workers(struct gpu *gpu, const struct settings *settings)
{
    if (settings->threads == 1)
        return VKCLIP_OK;
    int error = workers_open(settings->threads ? settings->threads - 1 : 0, &gpu->workers);
    if (!error && settings->background)
        workers_set_background(gpu->workers);
    return error;
}

/* Makes what a device has before anything of Vulkan. */
static int begin_open(const struct settings *settings, struct gpu **result)
{
    struct gpu *gpu = *result = memory_calloc(1, sizeof(*gpu));
    if (!gpu)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a device");
    const int error = keep_settings(gpu, settings);
    return error ? error : open_workers(gpu, settings);
}

/* Makes what a device has besides its VkDevice, or closes it where there was an error. */
static int complete_open(struct gpu **result, int error)
{
    struct gpu *gpu = *result;
    if (!error)
        error = pipelines_open(gpu);
    if (error) {
        gpu_close(result);
        return error;
    }
    rows_open(gpu);
    log_message(VKCLIP_LOG_INFO, "device %u: %s (%s)%s", gpu->info.index, gpu->info.name,
                gpu->info.driver, gpu->lent ? ", which the application opened" : "");
    return VKCLIP_OK;
}

int gpu_open(const struct settings *settings, const char *device, struct gpu **result)
{
    struct description chosen;
    struct enabled enabled;
    int error = begin_open(settings, result);
    struct gpu *gpu = *result;
    if (!error) {
        error = gpu_loader_open();
        gpu->loader = !error;
    }
    if (!error)
        error = choose_device(settings, device, &chosen);
    if (!error)
        error = probe_device(gpu, settings, &chosen, &enabled);
    if (!error)
        error = create_device(gpu, &enabled.features, settings->background);
    return complete_open(result, error);
}

/* Takes over what the application created in place of creating it. */
static int take_device(struct gpu *gpu, const struct vkclip_vulkan_device *lent)
{
    gpu->lent = true;
    gpu->device = lent->device;
    gpu->queue.queue = lent->queue;
    gpu->queue.index = lent->queue_index;
    gpu->lock_queue = lent->lock_queue;
    gpu->unlock_queue = lent->unlock_queue;
    gpu->queue_user = lent->user;
    functions_load_device(gpu->physical.vk, gpu->device, &gpu->vk);
    return open_queue(gpu, &gpu->queue);
}

int gpu_open_lent(const struct settings *settings, const struct vkclip_vulkan_device *lent,
                  struct gpu **result)
{
    struct description device;
    struct enabled enabled;
    int error = begin_open(settings, result);
    struct gpu *gpu = *result;
    if (!error)
        error = lent_describe(settings, lent, &gpu->lent_functions, &device);
    if (!error)
        error = lent_check(lent, &device);
    if (!error)
        error = probe_device(gpu, settings, &device, &enabled);
    if (!error)
        error = take_device(gpu, lent);
    return complete_open(result, error);
}

bool gpu_is_lent(const struct gpu *gpu)
{
    return gpu->lent;
}

int gpu_open_again(const struct settings *settings, struct gpu *lost, struct gpu **gpu)
{
    char number[16];
    if (lost->lent)
        return error_fail(VKCLIP_ELOST, "%s; it is the application's, which has to open it again",
                          lost->loss ? lost->loss : "the device was lost");
    snprintf(number, sizeof(number), "%u", lost->info.index);
    int error = gpu_open(settings, number, gpu);
    if (!error)
        rows_inherit(*gpu, lost);
    return error;
}

/* Destroys what the device and the instance have, or only what was made on the application's
 * device, of which every run has been waited for. A device that hangs is left as it is, because
 * some drivers would wait for it for ever; so is the instance, which must outlive its devices. */
static void close_device(struct gpu *gpu)
{
    if (gpu->hangs)
        return;
    if (gpu->device) {
        if (!gpu->lent)
            gpu->vk.DeviceWaitIdle(gpu->device);
        pipelines_close(gpu);
        gpu->vk.DestroyCommandPool(gpu->device, gpu->queue.pool, NULL);
        gpu->vk.DestroyCommandPool(gpu->device, gpu->copies.pool, NULL);
        if (!gpu->lent)
            gpu->vk.DestroyDevice(gpu->device, NULL);
    }
    if (gpu->loader)
        gpu_loader_close();
}

void gpu_close(struct gpu **handle)
{
    struct gpu *gpu = *handle;
    if (!gpu)
        return;
    workers_close(&gpu->workers);
    rows_close(gpu);
    close_device(gpu);
    memory_free(gpu->loss);
    memory_free(gpu->cache_folder);
    memory_free(gpu->disabled_kernels);
    memory_free(gpu);
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
