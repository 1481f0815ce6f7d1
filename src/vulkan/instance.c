/* SPDX-License-Identifier: MIT
 *
 * Opens Vulkan: the loader, and the instance that all devices share which the library opens by
 * itself. The tables of functions of the instance are written only when no other thread can call
 * through them: under a lock, when nobody has Vulkan open.
 */
#include "base/memory.h"
#include "vulkan/internal.h"

#include "base/error.h"
#include "base/process.h"
#include "base/thread.h"

#include <string.h>

static struct mutex lock = MUTEX_INIT; /* protects the following */
static struct global_functions global; /* of the loader, where it was found */
static VkInstance instance;
static struct instance_functions functions; /* of the instance */
static unsigned users; /* calls of gpu_loader_open that gpu_loader_close has not ended */

bool instance_has_extension(const VkExtensionProperties *extensions, uint32_t count,
                            const char *name)
{
    for (uint32_t i = 0; i < count; i++)
        if (!strcmp(extensions[i].extensionName, name))
            return true;
    return false;
}

/* The loader lists MoltenVK only to a program that enables VK_KHR_portability_enumeration, which
 * older loaders do not have. */
#ifdef VK_KHR_portability_enumeration
static const char *const portability = VK_KHR_PORTABILITY_ENUMERATION_EXTENSION_NAME;

static int enable_portability(VkInstanceCreateInfo *info)
{
    static const char call[] = "vkEnumerateInstanceExtensionProperties";
    uint32_t count = 0;
    int error = vulkan_check(global.EnumerateInstanceExtensionProperties(NULL, &count, NULL), call);
    if (error)
        return error;
    VkExtensionProperties *listed = memory_calloc(count + 1, sizeof(*listed));
    if (!listed)
        return error_fail(VKCLIP_EMEMORY, "out of memory for Vulkan's extensions");
    error = vulkan_check(global.EnumerateInstanceExtensionProperties(NULL, &count, listed), call);
    if (!error && instance_has_extension(listed, count, portability)) {
        info->flags = VK_INSTANCE_CREATE_ENUMERATE_PORTABILITY_BIT_KHR;
        info->enabledExtensionCount = 1;
        info->ppEnabledExtensionNames = &portability;
    }
    memory_free(listed);
    return error;
}
#else
static int enable_portability(VkInstanceCreateInfo *info)
{
    (void)info;
    return VKCLIP_OK;
}
#endif

static uint32_t loader_version(void)
{
    uint32_t version = VK_API_VERSION_1_0;
    if (!global.EnumerateInstanceVersion || global.EnumerateInstanceVersion(&version) != VK_SUCCESS)
        return VK_API_VERSION_1_0;
    return version;
}

/* Forgets in a forked child what belongs to its parent: the driver's threads do not exist there,
 * and a thread of the parent may have held the lock. */
static void forget_inherited(void)
{
    static const struct mutex fresh = MUTEX_INIT;
    lock = fresh;
    users = 0;
}

static void watch_forks(void)
{
    process_watch_forks(forget_inherited);
}

static int create_instance(void)
{
    VkApplicationInfo application = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                                     .pApplicationName = "vkclip",
                                     .pEngineName = "vkclip",
                                     .apiVersion = VK_API_VERSION_1_1};
    VkInstanceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
                                 .pApplicationInfo = &application};
    const PFN_vkGetInstanceProcAddr get = functions_find_loader();
    if (!get)
        return error_fail(VKCLIP_ENODEVICE, "no Vulkan loader on this machine (libvulkan): install "
                                            "the GPU's driver, or mesa-vulkan-drivers for any CPU");
    functions_load_global(get, &global);
    if (loader_version() < VK_API_VERSION_1_1)
        return error_fail(VKCLIP_ENODEVICE, "the Vulkan loader is older than Vulkan 1.1");
    int error = enable_portability(&info);
    if (error)
        return error;
    VkResult result = global.CreateInstance(&info, NULL, &instance);
    if (result == VK_ERROR_INCOMPATIBLE_DRIVER)
        return error_fail(VKCLIP_ENODEVICE, "no Vulkan driver on this machine: install the GPU's "
                                            "driver, or mesa-vulkan-drivers for any CPU");
    error = vulkan_check(result, "vkCreateInstance");
    if (!error)
        functions_load_instance(get, instance, &functions);
    return error;
}

int gpu_loader_open(void)
{
    static struct once once = ONCE_INIT;
    once_run(&once, watch_forks);
    mutex_lock(&lock);
    int error = users ? VKCLIP_OK : create_instance();
    users += !error;
    mutex_unlock(&lock);
    return error;
}

void gpu_loader_close(void)
{
    mutex_lock(&lock);
    if (!--users)
        functions.DestroyInstance(instance, NULL);
    mutex_unlock(&lock);
}

int instance_list(const struct instance_functions *vk, VkInstance handle,
                  VkPhysicalDevice **devices, uint32_t *count)
{
    static const char call[] = "vkEnumeratePhysicalDevices";
    *devices = NULL;
    *count = 0;
    int error = vulkan_check(vk->EnumeratePhysicalDevices(handle, count, NULL), call);
    if (error)
        return error;
    *devices = memory_calloc(*count + 1, sizeof(**devices));
    if (!*devices)
        return error_fail(VKCLIP_EMEMORY, "out of memory for the list of devices");
    error = vulkan_check(vk->EnumeratePhysicalDevices(handle, count, *devices), call);
    if (error) {
        memory_free(*devices);
        *devices = NULL;
    }
    return error;
}

PFN_vkGetInstanceProcAddr instance_find_loader(void)
{
    mutex_lock(&lock);
    const PFN_vkGetInstanceProcAddr get = functions_find_loader();
    mutex_unlock(&lock);
    return get;
}

VkInstance instance_handle(void)
{
    return instance;
}

const struct instance_functions *instance_functions(void)
{
    return &functions;
}
