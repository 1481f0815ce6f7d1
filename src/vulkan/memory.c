/* SPDX-License-Identifier: MIT
 *
 * Creates buffers, each with memory of its own, because plans and stores create few and large
 * buffers. A buffer above the device's limit for one allocation is refused.
 */
#include "vulkan/internal.h"

#include "base/error.h"

#include <stdlib.h>

#define HOST_MEMORY (VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT)

static const struct {
    VkMemoryPropertyFlags required, preferred;
    VkBufferUsageFlags usage;
} kinds[] = {
    [GPU_DEVICE] = {0, VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT,
                    VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT |
                        VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT},
    [GPU_UPLOAD] = {HOST_MEMORY, HOST_MEMORY, VK_BUFFER_USAGE_TRANSFER_SRC_BIT},
    /* Some Mali devices have no cached memory that is also coherent. */
    [GPU_DOWNLOAD] = {HOST_MEMORY, HOST_MEMORY | VK_MEMORY_PROPERTY_HOST_CACHED_BIT,
                      VK_BUFFER_USAGE_TRANSFER_DST_BIT},
};

/* Returns the first allowed type of memory that has all of the wanted properties, or UINT32_MAX if
 * there is none. */
static uint32_t find_memory(const struct gpu *gpu, uint32_t allowed, VkMemoryPropertyFlags wanted)
{
    for (uint32_t i = 0; i < gpu->memory.memoryTypeCount; i++)
        if (allowed & 1u << i && (gpu->memory.memoryTypes[i].propertyFlags & wanted) == wanted)
            return i;
    return UINT32_MAX;
}

static uint32_t choose_memory(const struct gpu *gpu, uint32_t allowed, enum gpu_memory memory)
{
    uint32_t type = find_memory(gpu, allowed, kinds[memory].preferred);
    return type == UINT32_MAX ? find_memory(gpu, allowed, kinds[memory].required) : type;
}

static int allocate_memory(const struct gpu *gpu, enum gpu_memory memory, uint64_t size,
                           struct gpu_buffer *buffer)
{
    VkMemoryRequirements needs;
    vkGetBufferMemoryRequirements(gpu->device, buffer->buffer, &needs);
    VkMemoryAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                 .allocationSize = needs.size,
                                 .memoryTypeIndex =
                                     choose_memory(gpu, needs.memoryTypeBits, memory)};
    if (vkAllocateMemory(gpu->device, &info, NULL, &buffer->memory) != VK_SUCCESS)
        return error_fail(
            VKCLIP_EDEVICEMEMORY,
            "%s: no memory for %llu bytes: choose a smaller batch or f16 (`precision`)",
            gpu->info.name, (unsigned long long)size);
    return VKCLIP_OK;
}

static int fill_buffer(const struct gpu *gpu, enum gpu_memory memory, uint64_t size,
                       struct gpu_buffer *buffer)
{
    VkBufferCreateInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
                               .size = size ? size : 4, /* Vulkan has no empty buffers */
                               .usage = kinds[memory].usage};
    int error =
        vulkan_check(vkCreateBuffer(gpu->device, &info, NULL, &buffer->buffer), "vkCreateBuffer");
    if (!error)
        error = allocate_memory(gpu, memory, size, buffer);
    if (!error)
        error = vulkan_check(vkBindBufferMemory(gpu->device, buffer->buffer, buffer->memory, 0),
                             "vkBindBufferMemory");
    if (!error && memory != GPU_DEVICE)
        error = vulkan_check(
            vkMapMemory(gpu->device, buffer->memory, 0, VK_WHOLE_SIZE, 0, &buffer->map),
            "vkMapMemory");
    return error;
}

int gpu_buffer_create(struct gpu *gpu, enum gpu_memory memory, uint64_t size,
                      struct gpu_buffer **result)
{
    *result = NULL;
    if (size > gpu->limits.allocation)
        return error_fail(VKCLIP_EDEVICEMEMORY,
                          "%s: a buffer of %llu bytes, at most %llu can be allocated at once",
                          gpu->info.name, (unsigned long long)size,
                          (unsigned long long)gpu->limits.allocation);
    struct gpu_buffer *buffer = *result = calloc(1, sizeof(*buffer));
    if (!buffer)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a buffer");
    int error = fill_buffer(gpu, memory, size, buffer);
    if (error)
        gpu_buffer_destroy(gpu, result);
    return error;
}

void gpu_buffer_destroy(struct gpu *gpu, struct gpu_buffer **handle)
{
    struct gpu_buffer *buffer = *handle;
    if (!buffer)
        return;
    vkDestroyBuffer(gpu->device, buffer->buffer, NULL);
    vkFreeMemory(gpu->device, buffer->memory, NULL);
    free(buffer);
    *handle = NULL;
}

void *gpu_buffer_map(const struct gpu_buffer *buffer)
{
    return buffer->map;
}
