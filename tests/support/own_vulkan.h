/* SPDX-License-Identifier: MIT
 *
 * Makes a Vulkan device as an application does that lends it to vkclip. Vulkan is called through
 * tables that are the test's own.
 */
#ifndef VKCLIP_TESTS_SUPPORT_OWN_VULKAN_H
#define VKCLIP_TESTS_SUPPORT_OWN_VULKAN_H

#include "support/testing.h"
#include "vkclip_vulkan.h"
#include "vulkan/functions.h"

/* How much of the device the application enables. */
enum enabled {
    ENABLED_NOTHING,
    ENABLED_WANTS,   /* what vkclip_get_vulkan_wants says */
    ENABLED_VERSIONS /* the same features, in the structs of Vulkan 1.1 to 1.3 */
};

struct own_vulkan {
    struct global_functions global;
    struct instance_functions instance;
    struct device_functions vk;
    struct vkclip_vulkan_device lent;
    struct vkclip_vulkan_wants wants;
    VkPhysicalDeviceFeatures2 features;
    VkPhysicalDeviceVulkan11Features features11;
    VkPhysicalDeviceVulkan12Features features12;
    VkPhysicalDeviceVulkan13Features features13;
};

static inline void own_create_instance(struct own_vulkan *own, uint32_t api_version)
{
    const VkApplicationInfo application = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                                           .apiVersion = api_version};
    const VkInstanceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
                                       .pApplicationInfo = &application};
    uint32_t count = 1;
    *own = (struct own_vulkan){.lent = {.size = sizeof(own->lent), .api_version = api_version},
                               .wants = {.size = sizeof(own->wants)}};
    const PFN_vkGetInstanceProcAddr get = functions_find_loader();
    if (!get)
        fail_msg("no Vulkan loader");
    functions_load_global(get, &own->global);
    assert_int_equal(own->global.CreateInstance(&info, NULL, &own->lent.instance), VK_SUCCESS);
    functions_load_instance(get, own->lent.instance, &own->instance);
    VkResult result = own->instance.EnumeratePhysicalDevices(own->lent.instance, &count,
                                                             &own->lent.physical_device);
    if (result != VK_SUCCESS && result != VK_INCOMPLETE)
        fail_msg("vkEnumeratePhysicalDevices: %d", (int)result);
}

/* Enables the features that kernels use by the structs of whole versions. */
static inline void own_enable_versions(struct own_vulkan *own)
{
    own->features = (VkPhysicalDeviceFeatures2){
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, .pNext = &own->features11};
    own->features11 = (VkPhysicalDeviceVulkan11Features){
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES, .pNext = &own->features12};
    own->features12 = (VkPhysicalDeviceVulkan12Features){
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES, .pNext = &own->features13};
    own->features13 = (VkPhysicalDeviceVulkan13Features){
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_FEATURES};
    own->instance.GetPhysicalDeviceFeatures2(own->lent.physical_device, &own->features);
    own->lent.features = &own->features;
}

static inline void own_create_device(struct own_vulkan *own, enum enabled enabled)
{
    const float priority = 1;
    assert_int_equal(vkclip_get_vulkan_wants(&own->lent, &own->wants), VKCLIP_OK);
    own->lent.queue_family = own->wants.queue_family;
    if (enabled == ENABLED_WANTS) {
        own->lent.features = own->wants.features;
        own->lent.extensions = own->wants.extensions;
        own->lent.extension_count = own->wants.extension_count;
    } else if (enabled == ENABLED_VERSIONS) {
        own_enable_versions(own);
    }
    const VkDeviceQueueCreateInfo queue = {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                           .queueFamilyIndex = own->lent.queue_family,
                                           .queueCount = 1,
                                           .pQueuePriorities = &priority};
    const VkDeviceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                                     .pNext = own->lent.features,
                                     .queueCreateInfoCount = 1,
                                     .pQueueCreateInfos = &queue,
                                     .enabledExtensionCount = own->lent.extension_count,
                                     .ppEnabledExtensionNames = own->lent.extensions};
    assert_int_equal(
        own->instance.CreateDevice(own->lent.physical_device, &info, NULL, &own->lent.device),
        VK_SUCCESS);
    functions_load_device(&own->instance, own->lent.device, &own->vk);
    own->vk.GetDeviceQueue(own->lent.device, own->lent.queue_family, 0, &own->lent.queue);
}

/* The device must be created in place, because its structs point to each other. */
static inline void own_open(struct own_vulkan *own, enum enabled enabled)
{
    own_create_instance(own, enabled == ENABLED_NOTHING ? VK_API_VERSION_1_1 : VK_API_VERSION_1_3);
    own_create_device(own, enabled);
}

static inline void own_close(struct own_vulkan *own)
{
    if (own->lent.device) {
        own->vk.DeviceWaitIdle(own->lent.device);
        own->vk.DestroyDevice(own->lent.device, NULL);
    }
    own->instance.DestroyInstance(own->lent.instance, NULL);
    *own = (struct own_vulkan){0};
}

#endif
