/* SPDX-License-Identifier: MIT
 *
 * A program that lends a device and pictures of its own, compiled against an old, today's and a
 * newer vkclip_vulkan.h. Each returns NULL, or what went wrong.
 */
#ifndef VKCLIP_TESTS_API_GROWTH_VULKAN_CALLER_H
#define VKCLIP_TESTS_API_GROWTH_VULKAN_CALLER_H

#include <stdint.h>
#include <vulkan/vulkan_core.h>

enum { LENT_PICTURES = 2 };

/* What the test made with Vulkan. It has no struct of vkclip's, because those differ by version. */
struct growth_vulkan {
    PFN_vkGetInstanceProcAddr get_instance_proc_addr;
    PFN_vkGetSemaphoreCounterValue get_counter;
    VkInstance instance;
    uint32_t api_version;
    VkPhysicalDevice physical_device;
    VkDevice device;
    VkQueue queue;
    uint32_t queue_family;
    const VkPhysicalDeviceFeatures2 *features;
    /* The same pictures in three forms: pixels of three channels on the host, images with them at
     * x, y of a mip level and a layer, and rows of `pitch` bytes in buffers, of which the first
     * begins at `offset`. */
    uint32_t width, height;
    VkFormat format;
    const uint8_t *pixels[LENT_PICTURES];
    VkImage images[LENT_PICTURES];
    uint32_t x, y, mip_level, array_layer;
    VkImageLayout layout;
    VkBuffer buffers[LENT_PICTURES];
    VkDeviceSize offset, pitch;
    /* Timeline semaphores: one that has `wait_value`, and one to be signalled, which has 0. */
    VkSemaphore wait, signal;
    uint64_t wait_value;
};

const char *growth_vulkan_call_old(const struct growth_vulkan *made);
const char *growth_vulkan_call_today(const struct growth_vulkan *made);
const char *growth_vulkan_call_newer(const struct growth_vulkan *made);

#endif
