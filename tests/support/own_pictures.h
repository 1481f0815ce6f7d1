/* SPDX-License-Identifier: MIT
 *
 * Puts pictures on an application's device, as VkBuffer and as VkImage.
 */
#ifndef VKCLIP_TESTS_SUPPORT_OWN_PICTURES_H
#define VKCLIP_TESTS_SUPPORT_OWN_PICTURES_H

#include "support/own_vulkan.h"

#include <string.h>

/* Functions of Vulkan that only tests call. */
#define PICTURE_FUNCTIONS(X)      \
    X(BindImageMemory)            \
    X(CmdCopyBufferToImage)       \
    X(CreateImage)                \
    X(DestroyImage)               \
    X(GetImageMemoryRequirements) \
    X(UnmapMemory)

struct own_pictures {
    struct own_vulkan *own;
#define X(name) PFN_vk##name name;
    PICTURE_FUNCTIONS(X)
#undef X
    VkCommandPool pool;
};

struct own_buffer {
    VkBuffer buffer;
    VkDeviceMemory memory;
};

struct own_image {
    VkImage image;
    VkDeviceMemory memory;
};

static inline void pictures_open(struct own_pictures *pictures, struct own_vulkan *own)
{
    const VkCommandPoolCreateInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                          .queueFamilyIndex = own->lent.queue_family};
    pictures->own = own;
#define X(name) \
    pictures->name = (PFN_vk##name)own->instance.GetDeviceProcAddr(own->lent.device, "vk" #name);
    PICTURE_FUNCTIONS(X)
#undef X
    assert_int_equal(own->vk.CreateCommandPool(own->lent.device, &info, NULL, &pictures->pool),
                     VK_SUCCESS);
}

static inline void pictures_close(struct own_pictures *pictures)
{
    pictures->own->vk.DestroyCommandPool(pictures->own->lent.device, pictures->pool, NULL);
}

static inline VkDeviceMemory own_allocate(struct own_pictures *pictures,
                                          const VkMemoryRequirements *needs,
                                          VkMemoryPropertyFlags properties)
{
    struct own_vulkan *own = pictures->own;
    VkPhysicalDeviceMemoryProperties types;
    VkMemoryAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                 .allocationSize = needs->size};
    VkDeviceMemory memory;
    own->instance.GetPhysicalDeviceMemoryProperties(own->lent.physical_device, &types);
    while (!(needs->memoryTypeBits & 1u << info.memoryTypeIndex) ||
           (types.memoryTypes[info.memoryTypeIndex].propertyFlags & properties) != properties)
        info.memoryTypeIndex++;
    assert_int_equal(own->vk.AllocateMemory(own->lent.device, &info, NULL, &memory), VK_SUCCESS);
    return memory;
}

/* Creates a buffer with the given content. */
static inline struct own_buffer own_buffer_create(struct own_pictures *pictures, const void *bytes,
                                                  size_t size)
{
    struct own_vulkan *own = pictures->own;
    const VkBufferCreateInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
                                     .size = size,
                                     .usage = VK_BUFFER_USAGE_TRANSFER_SRC_BIT};
    struct own_buffer buffer;
    VkMemoryRequirements needs;
    void *map;
    assert_int_equal(own->vk.CreateBuffer(own->lent.device, &info, NULL, &buffer.buffer),
                     VK_SUCCESS);
    own->vk.GetBufferMemoryRequirements(own->lent.device, buffer.buffer, &needs);
    buffer.memory =
        own_allocate(pictures, &needs,
                     VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT);
    own->vk.BindBufferMemory(own->lent.device, buffer.buffer, buffer.memory, 0);
    assert_int_equal(own->vk.MapMemory(own->lent.device, buffer.memory, 0, VK_WHOLE_SIZE, 0, &map),
                     VK_SUCCESS);
    memcpy(map, bytes, size);
    pictures->UnmapMemory(own->lent.device, buffer.memory);
    return buffer;
}

static inline void own_buffer_destroy(struct own_pictures *pictures, struct own_buffer *buffer)
{
    struct own_vulkan *own = pictures->own;
    own->vk.DestroyBuffer(own->lent.device, buffer->buffer, NULL);
    own->vk.FreeMemory(own->lent.device, buffer->memory, NULL);
}

static inline void own_transition(struct own_pictures *pictures, VkCommandBuffer commands,
                                  VkImage image, VkImageLayout before, VkImageLayout after)
{
    const VkPipelineStageFlags all = VK_PIPELINE_STAGE_ALL_COMMANDS_BIT;
    const VkImageMemoryBarrier barrier = {
        .sType = VK_STRUCTURE_TYPE_IMAGE_MEMORY_BARRIER,
        .srcAccessMask = VK_ACCESS_MEMORY_WRITE_BIT,
        .dstAccessMask = VK_ACCESS_MEMORY_READ_BIT | VK_ACCESS_MEMORY_WRITE_BIT,
        .oldLayout = before,
        .newLayout = after,
        .srcQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED,
        .dstQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED,
        .image = image,
        .subresourceRange = {VK_IMAGE_ASPECT_COLOR_BIT, 0, VK_REMAINING_MIP_LEVELS, 0,
                             VK_REMAINING_ARRAY_LAYERS}};
    pictures->own->vk.CmdPipelineBarrier(commands, all, all, 0, 0, NULL, 0, NULL, 1, &barrier);
}

/* Submits the commands that fill an image, and signals the semaphore unless it is NULL. */
static inline void own_submit(struct own_pictures *pictures, VkCommandBuffer commands,
                              VkSemaphore signal)
{
    struct own_vulkan *own = pictures->own;
    const VkSubmitInfo submit = {.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
                                 .commandBufferCount = 1,
                                 .pCommandBuffers = &commands,
                                 .signalSemaphoreCount = signal != VK_NULL_HANDLE,
                                 .pSignalSemaphores = &signal};
    assert_int_equal(own->vk.EndCommandBuffer(commands), VK_SUCCESS);
    assert_int_equal(own->vk.QueueSubmit(own->lent.queue, 1, &submit, VK_NULL_HANDLE), VK_SUCCESS);
}

static inline VkCommandBuffer own_begin(struct own_pictures *pictures)
{
    struct own_vulkan *own = pictures->own;
    const VkCommandBufferAllocateInfo info = {.sType =
                                                  VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                              .commandPool = pictures->pool,
                                              .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                              .commandBufferCount = 1};
    const VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
    VkCommandBuffer commands;
    assert_int_equal(own->vk.AllocateCommandBuffers(own->lent.device, &info, &commands),
                     VK_SUCCESS);
    assert_int_equal(own->vk.BeginCommandBuffer(commands, &begin), VK_SUCCESS);
    return commands;
}

/* Creates an image with bytes of four per pixel at `x`, `y` of its last mip level and last layer,
 * in the given layout. It is ready when `signal` is signalled, or in the order of submits. */
static inline struct own_image own_image_create(struct own_pictures *pictures,
                                                const struct own_buffer *source,
                                                const struct vkclip_vulkan_image *picture,
                                                VkSemaphore signal)
{
    struct own_vulkan *own = pictures->own;
    const uint32_t levels = picture->mip_level + 1;
    const VkImageCreateInfo info = {.sType = VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO,
                                    .imageType = VK_IMAGE_TYPE_2D,
                                    .format = picture->format,
                                    .extent = {(picture->x + picture->width) * levels,
                                               (picture->y + picture->height) * levels, 1},
                                    .mipLevels = levels,
                                    .arrayLayers = picture->array_layer + 1,
                                    .samples = VK_SAMPLE_COUNT_1_BIT,
                                    .usage = VK_IMAGE_USAGE_TRANSFER_SRC_BIT |
                                             VK_IMAGE_USAGE_TRANSFER_DST_BIT |
                                             VK_IMAGE_USAGE_SAMPLED_BIT};
    const VkBufferImageCopy region = {.imageSubresource = {VK_IMAGE_ASPECT_COLOR_BIT,
                                                           picture->mip_level, picture->array_layer,
                                                           1},
                                      .imageOffset = {(int32_t)picture->x, (int32_t)picture->y, 0},
                                      .imageExtent = {picture->width, picture->height, 1}};
    struct own_image image;
    VkMemoryRequirements needs;
    assert_int_equal(pictures->CreateImage(own->lent.device, &info, NULL, &image.image),
                     VK_SUCCESS);
    pictures->GetImageMemoryRequirements(own->lent.device, image.image, &needs);
    image.memory = own_allocate(pictures, &needs, 0);
    pictures->BindImageMemory(own->lent.device, image.image, image.memory, 0);
    VkCommandBuffer commands = own_begin(pictures);
    own_transition(pictures, commands, image.image, VK_IMAGE_LAYOUT_UNDEFINED,
                   VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL);
    pictures->CmdCopyBufferToImage(commands, source->buffer, image.image,
                                   VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL, 1, &region);
    own_transition(pictures, commands, image.image, VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL,
                   picture->layout);
    own_submit(pictures, commands, signal);
    return image;
}

static inline void own_image_destroy(struct own_pictures *pictures, struct own_image *image)
{
    struct own_vulkan *own = pictures->own;
    pictures->DestroyImage(own->lent.device, image->image, NULL);
    own->vk.FreeMemory(own->lent.device, image->memory, NULL);
}

#endif
