/* SPDX-License-Identifier: MIT
 *
 * Finds Vulkan's loader and fills the tables of its functions. The loader is not linked, so that
 * programs start on machines without it. It stays open to the end of the process, because the
 * drivers that it opens may have threads.
 */
#include "vulkan/functions.h"

#include "base/array.h"
#include "base/process.h"

PFN_vkGetInstanceProcAddr functions_find_loader(void)
{
    static const char *const names[] = {
#if defined(_WIN32)
        "vulkan-1.dll",
#elif defined(__APPLE__)
        "libvulkan.dylib",
        "libvulkan.1.dylib",
        "libMoltenVK.dylib",
        "vulkan.framework/vulkan",
        "MoltenVK.framework/MoltenVK",
#else
        "libvulkan.so.1",
        "libvulkan.so",
#endif
    };
    static PFN_vkGetInstanceProcAddr found;
    if (!found)
        found = (PFN_vkGetInstanceProcAddr)process_load(names, ARRAY_COUNT(names),
                                                        "vkGetInstanceProcAddr");
    return found;
}

void functions_load_global(PFN_vkGetInstanceProcAddr get, struct global_functions *functions)
{
#define X(name) functions->name = (PFN_vk##name)get(NULL, "vk" #name);
    GLOBAL_FUNCTIONS(X)
#undef X
}

void functions_load_instance(PFN_vkGetInstanceProcAddr get, VkInstance instance,
                             struct instance_functions *functions)
{
#define X(name) functions->name = (PFN_vk##name)get(instance, "vk" #name);
    INSTANCE_FUNCTIONS(X)
#undef X
}

void functions_load_device(const struct instance_functions *instance, VkDevice device,
                           struct device_functions *functions)
{
#define X(name) functions->name = (PFN_vk##name)instance->GetDeviceProcAddr(device, "vk" #name);
    DEVICE_FUNCTIONS(X)
#undef X
    /* A device of Vulkan 1.2 may have the feature without the extension. */
    if (!functions->GetBufferDeviceAddressKHR)
        functions->GetBufferDeviceAddressKHR =
            (PFN_vkGetBufferDeviceAddressKHR)instance->GetDeviceProcAddr(
                device, "vkGetBufferDeviceAddress");
}
