/* SPDX-License-Identifier: MIT
 *
 * Creates buffers, each with memory of its own, because plans and stores create few and large
 * buffers. What the host sees is mapped as long as the buffer exists. A buffer above the device's
 * limit for one allocation is refused.
 */
#include "base/memory.h"
#include "vulkan/internal.h"

#include "base/array.h"
#include "base/error.h"
#include "base/log.h"
#include "base/pages.h"

#include <stdio.h>

#define HOST_MEMORY (VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT)
#define LOCAL_MEMORY VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT
#define KERNEL_USAGE                                                                 \
    (VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT | \
     VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT)

/* The properties that each kind of memory should have, the best first. Within one line the device's
 * own order decides, which puts types without further properties first. */
static const struct {
    VkMemoryPropertyFlags wanted[2];
    VkBufferUsageFlags usage;
} kinds[] = {
    [GPU_DEVICE] = {{LOCAL_MEMORY, LOCAL_MEMORY}, KERNEL_USAGE},
    [GPU_ANY] = {{LOCAL_MEMORY, 0}, KERNEL_USAGE},
    [GPU_INPUT] = {{LOCAL_MEMORY | HOST_MEMORY, HOST_MEMORY}, KERNEL_USAGE},
    [GPU_UPLOAD] = {{HOST_MEMORY, HOST_MEMORY}, VK_BUFFER_USAGE_TRANSFER_SRC_BIT},
    /* Some Mali devices have no cached memory that is also coherent. */
    [GPU_DOWNLOAD] = {{HOST_MEMORY | VK_MEMORY_PROPERTY_HOST_CACHED_BIT, HOST_MEMORY},
                      VK_BUFFER_USAGE_TRANSFER_DST_BIT},
};

/* ---- What memory there is -------------------------------------------------------------------- */

/* A CPU computes in the memory of the process, which has large pages, while a driver's own may be
 * of a kind of which the system gives small pages only, as that of Mesa 26 is. */
static int open_import(struct gpu *gpu, struct features *f)
{
    static const char extension[] = VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME;
    VkPhysicalDeviceExternalMemoryHostPropertiesEXT host = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_MEMORY_HOST_PROPERTIES_EXT};
    VkPhysicalDeviceProperties2 properties = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, .pNext = &host};
    bool has = false;
    if (gpu->info.type != VKCLIP_DEVICE_CPU || f->extension_count == ARRAY_COUNT(f->extensions))
        return VKCLIP_OK;
    int error = VKCLIP_OK;
    if (f->lent)
        has = lent_has_extension(f->lent, extension);
    else
        error = probe_has_extension(gpu->physical, extension, &has);
    if (error || !has)
        return error;
    f->extensions[f->extension_count++] = extension;
    gpu->physical.vk->GetPhysicalDeviceProperties2(gpu->physical.handle, &properties);
    gpu->import_alignment = host.minImportedHostPointerAlignment;
    return VKCLIP_OK;
}

int memory_open(struct gpu *gpu, struct features *f)
{
    gpu->physical.vk->GetPhysicalDeviceMemoryProperties(gpu->physical.handle, &gpu->memory);
    int error = probe_has_extension(gpu->physical, "VK_EXT_memory_budget", &gpu->has_budget);
    return error ? error : open_import(gpu, f);
}

/* Returns the number of the device's largest heap. */
static uint32_t find_heap(const struct gpu *gpu)
{
    const VkMemoryHeap *heaps = gpu->memory.memoryHeaps;
    uint32_t largest = 0;
    for (uint32_t i = 0; i < gpu->memory.memoryHeapCount; i++) {
        const bool local = heaps[i].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT;
        const bool other = !(heaps[largest].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT);
        if (local && (other || heaps[i].size > heaps[largest].size))
            largest = i;
    }
    return largest;
}

uint64_t gpu_memory_left(const struct gpu *gpu)
{
    VkPhysicalDeviceMemoryBudgetPropertiesEXT budget = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT};
    VkPhysicalDeviceMemoryProperties2 properties = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2, .pNext = &budget};
    const uint32_t heap = find_heap(gpu);
    if (!gpu->has_budget)
        return gpu->memory.memoryHeaps[heap].size;
    gpu->physical.vk->GetPhysicalDeviceMemoryProperties2(gpu->physical.handle, &properties);
    const uint64_t most = budget.heapBudget[heap], used = budget.heapUsage[heap];
    return most > used ? most - used : 0;
}

/* ---- Allocating ------------------------------------------------------------------------------ */

static VkMemoryPropertyFlags type_properties(const struct gpu *gpu, uint32_t type)
{
    return gpu->memory.memoryTypes[type].propertyFlags;
}

/* Tells whether the device and the host compute in the same memory, so that writing
 * there directly costs the host no more than writing a copy, and the device nothing. */
static bool shares_memory(const struct gpu *gpu)
{
    return gpu->info.type == VKCLIP_DEVICE_INTEGRATED || gpu->info.type == VKCLIP_DEVICE_CPU;
}

static bool is_full(VkResult result)
{
    return result == VK_ERROR_OUT_OF_DEVICE_MEMORY || result == VK_ERROR_OUT_OF_HOST_MEMORY;
}

/* Tells whether kernels may read a kind of memory by its address. */
static bool has_address(const struct gpu *gpu, enum gpu_memory memory)
{
    return gpu->caps & CAP_ADDRESS && kinds[memory].usage & VK_BUFFER_USAGE_STORAGE_BUFFER_BIT;
}

/* Tries every type of `allowed` that has the wanted properties, and takes those that it tried out
 * of `allowed`. `import` is what vkAllocateMemory takes memory of the process by, or NULL. */
static VkResult try_types(const struct gpu *gpu, VkMemoryPropertyFlags wanted, uint64_t size,
                          const void *import, uint32_t *allowed, struct gpu_buffer *buffer)
{
    const VkMemoryAllocateFlagsInfo addressed = {.sType =
                                                     VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO,
                                                 .pNext = import,
                                                 .flags = VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT};
    VkResult result = VK_ERROR_OUT_OF_DEVICE_MEMORY;
    for (uint32_t i = 0; i < gpu->memory.memoryTypeCount; i++) {
        if (!(*allowed & 1u << i) || (type_properties(gpu, i) & wanted) != wanted)
            continue;
        VkMemoryAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                     .pNext = gpu->caps & CAP_ADDRESS ? &addressed : import,
                                     .allocationSize = size,
                                     .memoryTypeIndex = i};
        *allowed &= ~(1u << i);
        buffer->properties = type_properties(gpu, i);
        result = gpu->vk.AllocateMemory(gpu->device, &info, NULL, &buffer->memory);
        if (!is_full(result))
            break;
    }
    return result;
}

#define PROCESS_MEMORY VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT

/* Tells whether a buffer is to lie in memory of the process. Smaller ones have no large page. */
static bool is_imported(const struct gpu *gpu, enum gpu_memory memory, uint64_t size)
{
    return gpu->import_alignment && gpu->import_alignment <= PAGES_LARGE && size >= PAGES_LARGE &&
           (memory == GPU_DEVICE || memory == GPU_ANY);
}

static void free_pages(struct gpu_buffer *buffer)
{
    pages_free(buffer->pages, buffer->page_bytes);
    buffer->pages = NULL;
}

/* Takes memory of the process for a buffer, or none if the driver refuses it for any reason. Only
 * the types that are full are taken out of `allowed`. */
static VkResult import_memory(const struct gpu *gpu, uint64_t size, uint32_t *allowed,
                              struct gpu_buffer *buffer)
{
    VkMemoryHostPointerPropertiesEXT properties = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_HOST_POINTER_PROPERTIES_EXT};
    buffer->page_bytes = (size + PAGES_LARGE - 1) / PAGES_LARGE * PAGES_LARGE;
    buffer->pages = pages_allocate(buffer->page_bytes);
    if (!buffer->pages || gpu->vk.GetMemoryHostPointerPropertiesEXT(gpu->device, PROCESS_MEMORY,
                                                                    buffer->pages, &properties))
        properties.memoryTypeBits = 0;
    const VkImportMemoryHostPointerInfoEXT import = {
        .sType = VK_STRUCTURE_TYPE_IMPORT_MEMORY_HOST_POINTER_INFO_EXT,
        .handleType = PROCESS_MEMORY,
        .pHostPointer = buffer->pages};
    const uint32_t types = *allowed & properties.memoryTypeBits;
    uint32_t left = types;
    VkResult result =
        try_types(gpu, LOCAL_MEMORY | HOST_MEMORY, buffer->page_bytes, &import, &left, buffer);
    if (result == VK_SUCCESS)
        return result;
    free_pages(buffer);
    if (is_full(result))
        *allowed &= ~types | left;
    return VK_ERROR_OUT_OF_DEVICE_MEMORY;
}

/* Fails with a message that is not logged for GPU_DEVICE, whose caller has another way. */
static int fail_memory(enum gpu_memory memory, const char *message)
{
    if (memory != GPU_DEVICE)
        return error_fail(VKCLIP_EDEVICEMEMORY, "%s", message);
    error_keep(message);
    return VKCLIP_EDEVICEMEMORY;
}

static int fail_full(const struct gpu *gpu, enum gpu_memory memory, uint64_t size)
{
    char message[ERROR_MESSAGE];
    snprintf(message, sizeof(message),
             "%s: no memory for %llu bytes: choose a smaller batch or f16 (`precision`)",
             gpu->info.name, (unsigned long long)size);
    return fail_memory(memory, message);
}

static int check_size(const struct gpu *gpu, enum gpu_memory memory, uint64_t size)
{
    char message[ERROR_MESSAGE];
    if (size <= gpu->limits.allocation)
        return VKCLIP_OK;
    snprintf(message, sizeof(message),
             "%s: a buffer of %llu bytes, at most %llu can be allocated at once", gpu->info.name,
             (unsigned long long)size, (unsigned long long)gpu->limits.allocation);
    return fail_memory(memory, message);
}

static int allocate_memory(struct gpu *gpu, enum gpu_memory memory, uint64_t size,
                           struct gpu_buffer *buffer)
{
    VkMemoryRequirements needs;
    gpu->vk.GetBufferMemoryRequirements(gpu->device, buffer->buffer, &needs);
    uint32_t allowed = needs.memoryTypeBits;
    VkResult result = VK_ERROR_OUT_OF_DEVICE_MEMORY;
    if (is_imported(gpu, memory, size))
        result = import_memory(gpu, needs.size, &allowed, buffer);
    if (is_full(result) && shares_memory(gpu) && (memory == GPU_DEVICE || memory == GPU_ANY))
        result = try_types(gpu, LOCAL_MEMORY | HOST_MEMORY, needs.size, NULL, &allowed, buffer);
    for (int i = 0; i < 2 && is_full(result); i++)
        result = try_types(gpu, kinds[memory].wanted[i], needs.size, NULL, &allowed, buffer);
    if (is_full(result))
        return fail_full(gpu, memory, size);
    if (memory == GPU_ANY && !(buffer->properties & LOCAL_MEMORY) && !gpu->told_full) {
        gpu->told_full = true;
        log_message(VKCLIP_LOG_WARNING,
                    "%s: its memory is full: host memory is used too, which is slower",
                    gpu->info.name);
    }
    return vulkan_check(result, "vkAllocateMemory");
}

static int map_memory(const struct gpu *gpu, uint64_t size, struct gpu_buffer *buffer)
{
    if ((buffer->properties & HOST_MEMORY) != HOST_MEMORY)
        return VKCLIP_OK;
    int error = vulkan_check(
        gpu->vk.MapMemory(gpu->device, buffer->memory, 0, VK_WHOLE_SIZE, 0, &buffer->map),
        "vkMapMemory");
    if (!error && gpu->info.type == VKCLIP_DEVICE_CPU)
        pages_prefer_large(buffer->map, size);
    return error;
}

static uint64_t find_address(const struct gpu *gpu, VkBuffer buffer)
{
    const VkBufferDeviceAddressInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO,
                                            .buffer = buffer};
    return gpu->vk.GetBufferDeviceAddressKHR(gpu->device, &info);
}

static int fill_buffer(struct gpu *gpu, enum gpu_memory memory, uint64_t size,
                       struct gpu_buffer *buffer)
{
    const VkExternalMemoryBufferCreateInfo import = {
        .sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO,
        .handleTypes = PROCESS_MEMORY};
    VkBufferCreateInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
                               .pNext = is_imported(gpu, memory, size) ? &import : NULL,
                               .size = size ? size : 4, /* Vulkan has no empty buffers */
                               .usage = kinds[memory].usage};
    /* Buffers have no layout that would depend on the queue which owns them. */
    const uint32_t families[] = {gpu->queue.family, gpu->copies.family};
    if (gpu->caps & CAP_COPIES && families[0] != families[1]) {
        info.sharingMode = VK_SHARING_MODE_CONCURRENT;
        info.queueFamilyIndexCount = ARRAY_COUNT(families);
        info.pQueueFamilyIndices = families;
    }
    if (has_address(gpu, memory))
        info.usage |= VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT;
    int error = vulkan_check(gpu->vk.CreateBuffer(gpu->device, &info, NULL, &buffer->buffer),
                             "vkCreateBuffer");
    if (!error)
        error = allocate_memory(gpu, memory, size, buffer);
    if (!error)
        error =
            vulkan_check(gpu->vk.BindBufferMemory(gpu->device, buffer->buffer, buffer->memory, 0),
                         "vkBindBufferMemory");
    if (!error && has_address(gpu, memory))
        buffer->address = find_address(gpu, buffer->buffer);
    return error ? error : map_memory(gpu, size, buffer);
}

int gpu_buffer_create(struct gpu *gpu, enum gpu_memory memory, uint64_t size,
                      struct gpu_buffer **result)
{
    *result = NULL;
    int error = check_size(gpu, memory, size);
    if (error)
        return error;
    struct gpu_buffer *buffer = *result = memory_calloc(1, sizeof(*buffer));
    if (!buffer)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a buffer");
    error = fill_buffer(gpu, memory, size, buffer);
    if (error)
        gpu_buffer_destroy(gpu, result);
    return error;
}

void gpu_buffer_destroy(struct gpu *gpu, struct gpu_buffer **handle)
{
    struct gpu_buffer *buffer = *handle;
    if (!buffer)
        return;
    if (!gpu->hangs) { /* A device that hangs may still use its memory. */
        gpu->vk.DestroyBuffer(gpu->device, buffer->buffer, NULL);
        gpu->vk.FreeMemory(gpu->device, buffer->memory, NULL);
        free_pages(buffer);
    }
    memory_free(buffer);
    *handle = NULL;
}

void *gpu_buffer_map(const struct gpu_buffer *buffer)
{
    return buffer->map;
}

bool gpu_buffer_is_local(const struct gpu_buffer *buffer)
{
    return buffer->properties & LOCAL_MEMORY;
}

uint64_t gpu_range_address(const struct gpu_range *range)
{
    return range->buffer->address + range->offset;
}
