/* SPDX-License-Identifier: MIT
 *
 * Opens and closes a Vulkan device of our own.
 */
#include "own_device.h"
#include "hardware_buffer.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#define API_VERSION VK_API_VERSION_1_1
#define MOST_EXTENSIONS 32

/* ---- The instance ---------------------------------------------------------------------------- */

static PFN_vkVoidFunction find_function(const struct own_device *own, const char *name)
{
    return own->get(own->instance, name);
}

static bool open_loader(struct own_device *own)
{
    own->loader = dlopen("libvulkan.so", RTLD_NOW | RTLD_LOCAL);
    if (!own->loader)
        own->loader = dlopen("libvulkan.so.1", RTLD_NOW | RTLD_LOCAL);
    void *get = own->loader ? dlsym(own->loader, "vkGetInstanceProcAddr") : NULL;
    memcpy(&own->get, &get, sizeof(get)); /* C has no conversion to a pointer to a function. */
    return own->get;
}

static bool create_instance(struct own_device *own)
{
    const VkApplicationInfo application = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                                           .pApplicationName = "vkclip",
                                           .apiVersion = API_VERSION};
    const VkInstanceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
                                       .pApplicationInfo = &application};
    PFN_vkCreateInstance create = (PFN_vkCreateInstance)find_function(own, "vkCreateInstance");
    if (!create || create(&info, NULL, &own->instance) != VK_SUCCESS)
        return false;
#define X(name)                                                  \
    own->vk.name = (PFN_vk##name)find_function(own, "vk" #name); \
    if (!own->vk.name)                                           \
        return false;
    INSTANCE_FUNCTIONS(X)
#undef X
    return true;
}

/* ---- The device ------------------------------------------------------------------------------ */

static bool has_extension(const VkExtensionProperties *list, uint32_t count, const char *name)
{
    for (uint32_t i = 0; i < count; i++)
        if (!strcmp(list[i].extensionName, name))
            return true;
    return false;
}

static bool has_extensions(const struct own_device *own, VkPhysicalDevice device)
{
    uint32_t count = 0;
    size_t wanted = 0;
    const char *const *names = hardware_buffer_extensions(&wanted);
    if (own->vk.EnumerateDeviceExtensionProperties(device, NULL, &count, NULL) != VK_SUCCESS)
        return false;
    VkExtensionProperties *list = calloc(count + 1, sizeof(*list));
    bool all = list &&
               own->vk.EnumerateDeviceExtensionProperties(device, NULL, &count, list) == VK_SUCCESS;
    for (size_t i = 0; all && i < wanted; i++)
        all = has_extension(list, count, names[i]);
    free(list);
    return all;
}

/* Chooses a device, and asks what the library would enable on it. */
static bool choose_device(struct own_device *own, struct vkclip_vulkan_wants *wants)
{
    VkPhysicalDevice devices[8];
    uint32_t count = sizeof(devices) / sizeof(*devices);
    const VkResult result = own->vk.EnumeratePhysicalDevices(own->instance, &count, devices);
    if (result != VK_SUCCESS && result != VK_INCOMPLETE)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        const struct vkclip_vulkan_device asked = {.size = sizeof(asked),
                                                   .get_instance_proc_addr = own->get,
                                                   .instance = own->instance,
                                                   .api_version = API_VERSION,
                                                   .physical_device = devices[i]};
        own->physical_device = devices[i];
        if (has_extensions(own, devices[i]) && !vkclip_get_vulkan_wants(&asked, wants))
            return true;
    }
    return false;
}

static bool create_device(struct own_device *own, const struct vkclip_vulkan_wants *wants,
                          const char *const *extensions, uint32_t count, bool background)
{
    const float priority = background ? 0 : 1;
    const VkDeviceQueueCreateInfo queue = {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                           .queueFamilyIndex = wants->queue_family,
                                           .queueCount = 1,
                                           .pQueuePriorities = &priority};
    const VkDeviceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                                     .pNext = wants->features,
                                     .queueCreateInfoCount = 1,
                                     .pQueueCreateInfos = &queue,
                                     .enabledExtensionCount = count,
                                     .ppEnabledExtensionNames = extensions};
    own->queue_family = wants->queue_family;
    if (own->vk.CreateDevice(own->physical_device, &info, NULL, &own->device) != VK_SUCCESS)
        return false;
#define X(name)                                                                      \
    own->vk.name = (PFN_vk##name)own->vk.GetDeviceProcAddr(own->device, "vk" #name); \
    if (!own->vk.name)                                                               \
        return false;
    DEVICE_FUNCTIONS(X)
#undef X
    return true;
}

/* ---- Opening and closing --------------------------------------------------------------------- */

/* Puts the extensions for hardware buffers and those that the library wants into one list. */
static uint32_t join_extensions(const struct vkclip_vulkan_wants *wants, const char **extensions)
{
    size_t count = 0;
    const char *const *names = hardware_buffer_extensions(&count);
    if (count + wants->extension_count > MOST_EXTENSIONS)
        return 0;
    if (count)
        memcpy(extensions, names, count * sizeof(*extensions));
    memcpy(extensions + count, wants->extensions, wants->extension_count * sizeof(*extensions));
    return (uint32_t)count + wants->extension_count;
}

static int lend_device(const struct vkclip_device_params *params, const struct own_device *own,
                       const struct vkclip_vulkan_wants *wants, const char *const *extensions,
                       uint32_t count, struct vkclip_device **device)
{
    const struct vkclip_vulkan_device lent = {.size = sizeof(lent),
                                              .get_instance_proc_addr = own->get,
                                              .instance = own->instance,
                                              .api_version = API_VERSION,
                                              .physical_device = own->physical_device,
                                              .device = own->device,
                                              .queue_family = own->queue_family,
                                              .extensions = extensions,
                                              .extension_count = count,
                                              .features = wants->features};
    return vkclip_open_vulkan_device(params, &lent, device);
}

int own_device_open(const struct vkclip_device_params *params, struct own_device **own,
                    struct vkclip_device **device)
{
    const char *extensions[MOST_EXTENSIONS];
    struct vkclip_vulkan_wants wants = {.size = sizeof(wants)};
    size_t needed;
    int error = VKCLIP_EUNSUPPORTED;
    struct own_device *opened =
        hardware_buffer_extensions(&needed) ? calloc(1, sizeof(*opened)) : NULL;
    if (opened && open_loader(opened) && create_instance(opened) && choose_device(opened, &wants)) {
        const uint32_t count = join_extensions(&wants, extensions);
        if (create_device(opened, &wants, extensions, count, params->background))
            error = lend_device(params, opened, &wants, extensions, count, device);
    }
    if (error)
        own_device_close(&opened);
    *own = opened;
    return error;
}

void own_device_close(struct own_device **own)
{
    struct own_device *closed = *own;
    if (!closed)
        return;
    if (closed->device && closed->vk.DestroyDevice)
        closed->vk.DestroyDevice(closed->device, NULL);
    if (closed->instance && closed->vk.DestroyInstance)
        closed->vk.DestroyInstance(closed->instance, NULL);
    if (closed->loader)
        dlclose(closed->loader);
    free(closed);
    *own = NULL;
}
