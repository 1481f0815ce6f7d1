/* SPDX-License-Identifier: MIT
 *
 * A program that uses Vulkan itself, beside the library: it calls the loader's functions, or with
 * -DPOINTERS has pointers of their names as volk does, and its own functions have names that the
 * library's files use too. install.sh links it with the static library, where such names would
 * collide if the library showed them.
 */
#ifdef POINTERS
#define VK_NO_PROTOTYPES
#include <dlfcn.h>
#endif
#include <stdio.h>
#include <vkclip.h>
#include <vulkan/vulkan.h>

#ifdef POINTERS
PFN_vkGetInstanceProcAddr vkGetInstanceProcAddr;
PFN_vkCreateInstance vkCreateInstance;
PFN_vkEnumeratePhysicalDevices vkEnumeratePhysicalDevices;
PFN_vkDestroyInstance vkDestroyInstance;

static void load(VkInstance instance)
{
    if (!instance) {
        void *loader = dlopen("libvulkan.so.1", RTLD_NOW);
        vkGetInstanceProcAddr =
            (PFN_vkGetInstanceProcAddr)(size_t)dlsym(loader, "vkGetInstanceProcAddr");
        vkCreateInstance = (PFN_vkCreateInstance)vkGetInstanceProcAddr(NULL, "vkCreateInstance");
        return;
    }
    vkEnumeratePhysicalDevices = (PFN_vkEnumeratePhysicalDevices)vkGetInstanceProcAddr(
        instance, "vkEnumeratePhysicalDevices");
    vkDestroyInstance = (PFN_vkDestroyInstance)vkGetInstanceProcAddr(instance, "vkDestroyInstance");
}
#else
static void load(VkInstance instance)
{
    (void)instance;
}
#endif

/* These names are also those of the library's functions and tables. */
const char *kernels = "of the program";
int gpu_open(void);
int gpu_open(void)
{
    return 7;
}
int error_fail(int error);
int error_fail(int error)
{
    return error + 1;
}

static unsigned count_devices(void)
{
    VkInstanceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO};
    VkInstance instance;
    uint32_t count = 0;
    load(NULL);
    if (vkCreateInstance(&info, NULL, &instance))
        return 0;
    load(instance);
    vkEnumeratePhysicalDevices(instance, &count, NULL);
    vkDestroyInstance(instance, NULL);
    return count;
}

int main(void)
{
    struct vkclip_device *device = NULL;
    struct vkclip_device_info info = {.size = sizeof(info)};
    const unsigned before = count_devices();
    if (vkclip_read_environment() || vkclip_open_device(NULL, &device) ||
        vkclip_get_device_info(device, &info)) {
        fprintf(stderr, "%s\n", vkclip_last_error());
        return 1;
    }
    const unsigned during = count_devices();
    vkclip_close_device(&device);
    printf("%s: %u devices before, %u during, %u after\n", info.name, before, during,
           count_devices());
    return !(before && before == during && during == count_devices() && gpu_open() == 7 &&
             error_fail(1) == 2 && *kernels == 'o');
}
