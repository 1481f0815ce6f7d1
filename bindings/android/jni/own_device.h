/* SPDX-License-Identifier: MIT
 *
 * A Vulkan device of our own, which is lent to the library: it has the extensions by which memory
 * of other parts of the system becomes an image. The library's own devices do not have them.
 */
#ifndef VKCLIP_JNI_OWN_DEVICE_H
#define VKCLIP_JNI_OWN_DEVICE_H

#ifndef VK_NO_PROTOTYPES
#define VK_NO_PROTOTYPES
#endif
#include <vkclip_vulkan.h>

/* Functions of Vulkan, each found by its name. */
#define INSTANCE_FUNCTIONS(X)   \
    X(DestroyInstance)          \
    X(EnumeratePhysicalDevices) \
    X(CreateDevice) X(EnumerateDeviceExtensionProperties) X(GetDeviceProcAddr)
#define DEVICE_FUNCTIONS(X) \
    X(DestroyDevice)        \
    X(CreateImage) X(DestroyImage) X(AllocateMemory) X(FreeMemory) X(BindImageMemory)

struct own_device {
    void *loader;
    PFN_vkGetInstanceProcAddr get;
    VkInstance instance;
    VkPhysicalDevice physical_device;
    VkDevice device;
    uint32_t queue_family;
    struct {
#define X(name) PFN_vk##name name;
        INSTANCE_FUNCTIONS(X) DEVICE_FUNCTIONS(X)
#undef X
    } vk;
};

/* Opens the first device that the library can use and that has the extensions of
 * hardware_buffer_extensions, and lends it to the library. params->device is not read. Returns a
 * negative VKCLIP_E* where that fails for any reason, with both left NULL. */
int own_device_open(const struct vkclip_device_params *params, struct own_device **own,
                    struct vkclip_device **device);
/* Sets *own, which may be NULL, to NULL. */
void own_device_close(struct own_device **own);

#endif
