/* SPDX-License-Identifier: MIT
 *
 * A Vulkan layer that makes a working driver fail as broken ones do, so that tests can show how
 * vkclip survives it. Variables of the environment name the faults; without them the layer changes
 * nothing. It is loaded like this, with the validation layer below it if that is wanted:
 *
 *     VK_LAYER_PATH=build/tests/fault:/usr/share/vulkan/explicit_layer.d
 *     VK_INSTANCE_LAYERS=VK_LAYER_VKCLIP_fault:VK_LAYER_KHRONOS_validation
 *
 * vulkan/fault_rules.h lists the variables.
 *
 * A device that hangs must be abandoned: waiting for it without a limit of time, or destroying it,
 * would never return on some drivers, so the layer then ends the process with a message.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <vulkan/vk_layer.h>
#include <vulkan/vulkan.h>

#include "kernels_spirv.h"
#include "vulkan/fault_copies.h"
#include "vulkan/fault_rules.h"

#define EXPORT __attribute__((visibility("default")))
#define COUNT(array) (sizeof(array) / sizeof(*(array)))
#define RESULT_BINDING 3 /* All kernels write their result to this binding of set 0. */
#define WRONG_WORD 0x5a5a5a5au
#define EXIT_STATUS 86

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

/* ---- The kernels' names ---------------------------------------------------------------------- */

static const struct row {
    const char *shader, *name;
    const void *code;
    size_t bytes;
} rows[] = {
#define KERNEL(op, shader, x, w, needs)                          \
    {#shader, #shader "_" #x "_" #w, spirv_##shader##_##x##_##w, \
     sizeof(spirv_##shader##_##x##_##w)},
#include "kernel_rows.def"
#undef KERNEL
};

/* Other programs' shaders, and the library's that are in no row, have no names. */
static const struct row no_row = {"", "", NULL, 0};

static const struct row *find_row(const void *code, size_t bytes)
{
    for (size_t i = 0; i < COUNT(rows); i++)
        if (rows[i].bytes == bytes && !memcmp(rows[i].code, code, bytes))
            return &rows[i];
    return &no_row;
}

/* ---- When faults happen ---------------------------------------------------------------------- */

static uint64_t dispatches, submits, pipelines, allocations, device_bytes;

static void read_rules(void)
{
    pthread_mutex_lock(&mutex);
    if (rules_read())
        dispatches = submits = pipelines = allocations = 0;
    pthread_mutex_unlock(&mutex);
}

static void say(const char *what, uint64_t event, const char *fault)
{
    fprintf(stderr, "fault layer: %s %llu %s\n", what, (unsigned long long)event, fault);
}

/* ---- What is known of handles ---------------------------------------------------------------- */

/* What the layer remembers of one handle; each kind of handle uses some members. */
struct object {
    uint64_t handle;
    const struct row *row;         /* shader modules and pipelines */
    bool lose, hang, exit;         /* command buffers: a name of theirs is in the list */
    const struct row *bound;       /* command buffers: the pipeline */
    uint64_t set;                  /* command buffers: the descriptor set 0 */
    VkDescriptorBufferInfo result; /* descriptor sets: the range of RESULT_BINDING */
    uint64_t bytes;                /* memory that is local to the device */
};

/* Objects are never removed: a handle that Vulkan gives again gets the old place. */
struct objects {
    struct object **items;
    size_t count;
};
static struct objects modules, built, buffers, sets, memories;

/* Finds the object of a handle, or adds one. The mutex must be held. */
static struct object *find_object(struct objects *objects, uint64_t handle)
{
    for (size_t i = objects->count; i-- > 0;)
        if (objects->items[i]->handle == handle)
            return objects->items[i];
    objects->items = realloc(objects->items, (objects->count + 1) * sizeof(*objects->items));
    struct object *object = calloc(1, sizeof(*object));
    if (!objects->items || !object)
        abort();
    *object = (struct object){.handle = handle, .row = &no_row, .bound = &no_row};
    return objects->items[objects->count++] = object;
}

#define HANDLE(handle) ((uint64_t)(handle))

/* ---- Instances and devices ------------------------------------------------------------------- */

#define INSTANCE_FUNCTIONS(X)             \
    X(DestroyInstance)                    \
    X(GetPhysicalDeviceMemoryProperties)  \
    X(GetPhysicalDeviceMemoryProperties2) \
    X(GetPhysicalDeviceProperties)        \
    X(GetPhysicalDeviceProperties2)       \
    X(GetPhysicalDeviceQueueFamilyProperties)

#define DEVICE_FUNCTIONS(X)         \
    X(AllocateMemory)               \
    X(BeginCommandBuffer)           \
    X(CmdBindDescriptorSets)        \
    X(CmdBindPipeline)              \
    X(CmdDispatch)                  \
    X(CreateBuffer)                 \
    X(CreateCommandPool)            \
    X(CreateComputePipelines)       \
    X(CreateShaderModule)           \
    X(DestroyDevice)                \
    X(DeviceWaitIdle)               \
    X(FreeMemory)                   \
    X(GetBufferMemoryRequirements)  \
    X(GetBufferMemoryRequirements2) \
    X(GetDeviceQueue)               \
    X(GetFenceStatus)               \
    X(GetQueryPoolResults)          \
    X(QueueSubmit)                  \
    X(QueueWaitIdle)                \
    X(UpdateDescriptorSets)         \
    X(WaitForFences)

struct instance {
    VkInstance instance;
    PFN_vkGetInstanceProcAddr get;
#define X(name) PFN_vk##name name;
    INSTANCE_FUNCTIONS(X)
#undef X
    struct instance *next;
};

struct device {
    VkDevice device;
    PFN_vkGetDeviceProcAddr get;
#define X(name) PFN_vk##name name;
    DEVICE_FUNCTIONS(X)
#undef X
    PFN_vkCmdPipelineBarrier CmdPipelineBarrier;
    PFN_vkCmdFillBuffer CmdFillBuffer;
    uint32_t host_type; /* with VKCLIP_FAULT_DISCRETE: the real type of all memory */
    enum { WORKS, IS_LOST, HANGS } state;
    VkQueue queue; /* with VKCLIP_FAULT_COPIES: the only real one */
    struct copies_queue copies;
    struct device *next;
};

static struct instance *instances;
static struct device *devices;

/* All handles that belong to one instance or device begin with the same pointer. */
static void *key_of(const void *handle)
{
    return *(void *const *)handle;
}

static struct instance *find_instance(const void *handle)
{
    pthread_mutex_lock(&mutex);
    struct instance *instance = instances;
    while (instance && key_of(instance->instance) != key_of(handle))
        instance = instance->next;
    pthread_mutex_unlock(&mutex);
    return instance;
}

static struct device *find_device(const void *handle)
{
    pthread_mutex_lock(&mutex);
    struct device *device = devices;
    while (device && key_of(device->device) != key_of(handle))
        device = device->next;
    pthread_mutex_unlock(&mutex);
    return device;
}

static VkResult fault_CreateInstance(const VkInstanceCreateInfo *info,
                                     const VkAllocationCallbacks *callbacks, VkInstance *result)
{
    VkLayerInstanceCreateInfo *link = (VkLayerInstanceCreateInfo *)info->pNext;
    while (link && (link->sType != VK_STRUCTURE_TYPE_LOADER_INSTANCE_CREATE_INFO ||
                    link->function != VK_LAYER_LINK_INFO))
        link = (VkLayerInstanceCreateInfo *)link->pNext;
    if (!link)
        return VK_ERROR_INITIALIZATION_FAILED;
    PFN_vkGetInstanceProcAddr get = link->u.pLayerInfo->pfnNextGetInstanceProcAddr;
    link->u.pLayerInfo = link->u.pLayerInfo->pNext;
    PFN_vkCreateInstance create = (PFN_vkCreateInstance)get(NULL, "vkCreateInstance");
    VkResult created = create(info, callbacks, result);
    if (created != VK_SUCCESS)
        return created;
    struct instance *instance = calloc(1, sizeof(*instance));
    if (!instance)
        return VK_ERROR_OUT_OF_HOST_MEMORY;
    read_rules();
    instance->instance = *result;
    instance->get = get;
#define X(name) instance->name = (PFN_vk##name)get(*result, "vk" #name);
    INSTANCE_FUNCTIONS(X)
#undef X
    pthread_mutex_lock(&mutex);
    instance->next = instances;
    instances = instance;
    pthread_mutex_unlock(&mutex);
    return VK_SUCCESS;
}

static void fault_DestroyInstance(VkInstance handle, const VkAllocationCallbacks *callbacks)
{
    struct instance *instance = handle ? find_instance(handle) : NULL;
    if (!instance)
        return;
    pthread_mutex_lock(&mutex);
    struct instance **link = &instances;
    while (*link != instance)
        link = &(*link)->next;
    *link = instance->next;
    pthread_mutex_unlock(&mutex);
    instance->DestroyInstance(handle, callbacks);
    free(instance);
}

static VkResult fault_CreateDevice(VkPhysicalDevice physical, const VkDeviceCreateInfo *info,
                                   const VkAllocationCallbacks *callbacks, VkDevice *result)
{
    struct instance *instance = find_instance(physical);
    VkLayerDeviceCreateInfo *link = (VkLayerDeviceCreateInfo *)info->pNext;
    while (link && (link->sType != VK_STRUCTURE_TYPE_LOADER_DEVICE_CREATE_INFO ||
                    link->function != VK_LAYER_LINK_INFO))
        link = (VkLayerDeviceCreateInfo *)link->pNext;
    if (!link)
        return VK_ERROR_INITIALIZATION_FAILED;
    PFN_vkGetInstanceProcAddr get_instance = link->u.pLayerInfo->pfnNextGetInstanceProcAddr;
    PFN_vkGetDeviceProcAddr get = link->u.pLayerInfo->pfnNextGetDeviceProcAddr;
    link->u.pLayerInfo = link->u.pLayerInfo->pNext;
    PFN_vkCreateDevice create =
        (PFN_vkCreateDevice)get_instance(instance->instance, "vkCreateDevice");
    VkDeviceCreateInfo changed = *info;
    if (rules_number(COPIES, 0))
        changed.queueCreateInfoCount = 1; /* The second one is of the family that is not there. */
    VkResult created = create(physical, &changed, callbacks, result);
    if (created != VK_SUCCESS)
        return created;
    struct device *device = calloc(1, sizeof(*device));
    if (!device)
        return VK_ERROR_OUT_OF_HOST_MEMORY;
    device->device = *result;
    device->get = get;
#define X(name) device->name = (PFN_vk##name)get(*result, "vk" #name);
    DEVICE_FUNCTIONS(X)
#undef X
    device->CmdPipelineBarrier = (PFN_vkCmdPipelineBarrier)get(*result, "vkCmdPipelineBarrier");
    device->CmdFillBuffer = (PFN_vkCmdFillBuffer)get(*result, "vkCmdFillBuffer");
    const VkMemoryPropertyFlags host =
        VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    VkPhysicalDeviceMemoryProperties memory;
    instance->GetPhysicalDeviceMemoryProperties(physical, &memory);
    while (device->host_type + 1 < memory.memoryTypeCount &&
           (memory.memoryTypes[device->host_type].propertyFlags & host) != host)
        device->host_type++;
    pthread_mutex_lock(&mutex);
    device->next = devices;
    devices = device;
    pthread_mutex_unlock(&mutex);
    return VK_SUCCESS;
}

/* ---- A second queue -------------------------------------------------------------------------- */

static void fault_GetPhysicalDeviceQueueFamilyProperties(VkPhysicalDevice physical, uint32_t *count,
                                                         VkQueueFamilyProperties *families)
{
    const uint32_t capacity = *count;
    find_instance(physical)->GetPhysicalDeviceQueueFamilyProperties(physical, count, families);
    if (rules_number(COPIES, 0))
        copies_add_family(capacity, count, families);
}

static void fault_GetDeviceQueue(VkDevice handle, uint32_t family, uint32_t index, VkQueue *queue)
{
    struct device *device = find_device(handle);
    const bool copies = rules_number(COPIES, 0) && device->queue;
    if (!copies)
        device->GetDeviceQueue(handle, family, index, &device->queue);
    device->copies.dispatch = key_of(device->queue);
    *queue = copies ? (VkQueue)&device->copies : device->queue;
}

static VkResult fault_CreateCommandPool(VkDevice handle, const VkCommandPoolCreateInfo *info,
                                        const VkAllocationCallbacks *callbacks, VkCommandPool *pool)
{
    VkCommandPoolCreateInfo changed = *info;
    if (rules_number(COPIES, 0))
        changed.queueFamilyIndex = 0;
    return find_device(handle)->CreateCommandPool(handle, &changed, callbacks, pool);
}

static void begin_copies(struct device *device)
{
    pthread_mutex_lock(&mutex);
    copies_begin(&device->copies, device->QueueSubmit, device->queue);
    pthread_mutex_unlock(&mutex);
}

/* ---- Hangs and losses ------------------------------------------------------------------------ */

static void refuse_to_hang(const struct device *device, const char *call)
{
    if (device->state != HANGS)
        return;
    fprintf(stderr, "fault layer: %s would never return, because the device hangs\n", call);
    abort();
}

static void fault_DestroyDevice(VkDevice handle, const VkAllocationCallbacks *callbacks)
{
    struct device *device = handle ? find_device(handle) : NULL;
    if (!device)
        return;
    refuse_to_hang(device, "vkDestroyDevice");
    pthread_mutex_lock(&mutex);
    struct device **link = &devices;
    while (*link != device)
        link = &(*link)->next;
    *link = device->next;
    pthread_mutex_unlock(&mutex);
    device->DestroyDevice(handle, callbacks);
    free(device);
}

static VkResult fault_QueueSubmit(VkQueue queue, uint32_t count, const VkSubmitInfo *infos,
                                  VkFence fence)
{
    struct device *device = find_device(queue);
    if (device->state == IS_LOST)
        return VK_ERROR_DEVICE_LOST;
    if (device->state == HANGS)
        return VK_SUCCESS;
    if (queue == (VkQueue)&device->copies)
        return copies_keep(&device->copies, count, infos, fence);
    if (count && infos->waitSemaphoreCount)
        begin_copies(device);
    bool lose = false, hang = false, end = false;
    pthread_mutex_lock(&mutex);
    const uint64_t number = ++submits;
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t k = 0; k < infos[i].commandBufferCount; k++) {
            const struct object *buffer =
                find_object(&buffers, HANDLE(infos[i].pCommandBuffers[k]));
            lose |= buffer->lose;
            hang |= buffer->hang;
            end |= buffer->exit;
        }
    pthread_mutex_unlock(&mutex);
    if (end || rules_due(EXIT, number, "", "")) {
        say("submit", number, "ends the process");
        _exit(EXIT_STATUS);
    }
    if (lose || rules_due(LOSE, number, "", "")) {
        say("submit", number, "loses the device");
        device->DeviceWaitIdle(device->device); /* nothing of a lost device may go on executing */
        device->state = IS_LOST;
        return VK_SUCCESS; /* as on a GPU, where the loss shows later */
    }
    if (hang || rules_due(HANG, number, "", "")) {
        say("submit", number, "hangs");
        device->DeviceWaitIdle(device->device);
        device->state = HANGS;
        return VK_SUCCESS;
    }
    return device->QueueSubmit(queue, count, infos, fence);
}

static void wait_nanoseconds(uint64_t time)
{
    const uint64_t second = 1000000000;
    struct timespec rest = {(time_t)(time / second), (long)(time % second)};
    do
        nanosleep(&rest, NULL);
    while (time == UINT64_MAX);
}

static VkResult fault_WaitForFences(VkDevice handle, uint32_t count, const VkFence *fences,
                                    VkBool32 all, uint64_t time)
{
    struct device *device = find_device(handle);
    begin_copies(device);
    if (device->state == IS_LOST)
        return VK_ERROR_DEVICE_LOST;
    if (device->state == WORKS)
        return device->WaitForFences(handle, count, fences, all, time);
    VkResult result = device->WaitForFences(handle, count, fences, all, 0);
    if (result == VK_TIMEOUT)
        wait_nanoseconds(time);
    return result;
}

static VkResult fault_GetFenceStatus(VkDevice handle, VkFence fence)
{
    struct device *device = find_device(handle);
    return device->state == IS_LOST ? VK_ERROR_DEVICE_LOST : device->GetFenceStatus(handle, fence);
}

static VkResult fault_QueueWaitIdle(VkQueue queue)
{
    struct device *device = find_device(queue);
    refuse_to_hang(device, "vkQueueWaitIdle");
    return device->state == IS_LOST ? VK_ERROR_DEVICE_LOST : device->QueueWaitIdle(queue);
}

static VkResult fault_DeviceWaitIdle(VkDevice handle)
{
    struct device *device = find_device(handle);
    refuse_to_hang(device, "vkDeviceWaitIdle");
    return device->state == IS_LOST ? VK_ERROR_DEVICE_LOST : device->DeviceWaitIdle(handle);
}

static VkResult fault_GetQueryPoolResults(VkDevice handle, VkQueryPool pool, uint32_t first,
                                          uint32_t count, size_t size, void *data,
                                          VkDeviceSize stride, VkQueryResultFlags flags)
{
    struct device *device = find_device(handle);
    if (flags & VK_QUERY_RESULT_WAIT_BIT)
        refuse_to_hang(device, "vkGetQueryPoolResults");
    if (device->state == IS_LOST)
        return VK_ERROR_DEVICE_LOST;
    VkResult result =
        device->GetQueryPoolResults(handle, pool, first, count, size, data, stride, flags);
    if (rules_number(TIMESTAMPS, 0) && count > 1)
        ((uint64_t *)data)[1] += (uint64_t)1 << 50;
    return result;
}

/* ---- Pipelines ------------------------------------------------------------------------------- */

static VkResult fault_CreateShaderModule(VkDevice handle, const VkShaderModuleCreateInfo *info,
                                         const VkAllocationCallbacks *callbacks,
                                         VkShaderModule *module)
{
    VkResult result = find_device(handle)->CreateShaderModule(handle, info, callbacks, module);
    if (result != VK_SUCCESS)
        return result;
    pthread_mutex_lock(&mutex);
    find_object(&modules, HANDLE(*module))->row = find_row(info->pCode, info->codeSize);
    pthread_mutex_unlock(&mutex);
    return result;
}

/* The library builds one pipeline per call; of several only the first is looked at. */
static VkResult fault_CreateComputePipelines(VkDevice handle, VkPipelineCache cache, uint32_t count,
                                             const VkComputePipelineCreateInfo *infos,
                                             const VkAllocationCallbacks *callbacks,
                                             VkPipeline *result)
{
    struct device *device = find_device(handle);
    pthread_mutex_lock(&mutex);
    const uint64_t number = ++pipelines;
    const struct row *row = find_object(&modules, HANDLE(infos[0].stage.module))->row;
    pthread_mutex_unlock(&mutex);
    if (rules_due(PIPELINE, number, row->shader, row->name)) {
        say("pipeline", number, "cannot be built");
        memset(result, 0, count * sizeof(*result));
        return (VkResult)rules_number(PIPELINE_RESULT, VK_ERROR_UNKNOWN);
    }
    VkResult built_result =
        device->CreateComputePipelines(handle, cache, count, infos, callbacks, result);
    if (built_result == VK_SUCCESS) {
        pthread_mutex_lock(&mutex);
        find_object(&built, HANDLE(result[0]))->row = row;
        pthread_mutex_unlock(&mutex);
    }
    return built_result;
}

/* ---- Commands -------------------------------------------------------------------------------- */

static VkResult fault_BeginCommandBuffer(VkCommandBuffer commands,
                                         const VkCommandBufferBeginInfo *info)
{
    pthread_mutex_lock(&mutex);
    struct object *buffer = find_object(&buffers, HANDLE(commands));
    *buffer = (struct object){.handle = buffer->handle, .row = &no_row, .bound = &no_row};
    pthread_mutex_unlock(&mutex);
    return find_device(commands)->BeginCommandBuffer(commands, info);
}

static void fault_CmdBindPipeline(VkCommandBuffer commands, VkPipelineBindPoint point,
                                  VkPipeline pipeline)
{
    pthread_mutex_lock(&mutex);
    find_object(&buffers, HANDLE(commands))->bound = find_object(&built, HANDLE(pipeline))->row;
    pthread_mutex_unlock(&mutex);
    find_device(commands)->CmdBindPipeline(commands, point, pipeline);
}

static void fault_CmdBindDescriptorSets(VkCommandBuffer commands, VkPipelineBindPoint point,
                                        VkPipelineLayout layout, uint32_t first, uint32_t count,
                                        const VkDescriptorSet *bound, uint32_t offset_count,
                                        const uint32_t *offsets)
{
    if (first == 0) {
        pthread_mutex_lock(&mutex);
        find_object(&buffers, HANDLE(commands))->set = HANDLE(bound[0]);
        pthread_mutex_unlock(&mutex);
    }
    find_device(commands)->CmdBindDescriptorSets(commands, point, layout, first, count, bound,
                                                 offset_count, offsets);
}

static void fault_UpdateDescriptorSets(VkDevice handle, uint32_t count,
                                       const VkWriteDescriptorSet *writes, uint32_t copy_count,
                                       const VkCopyDescriptorSet *copies)
{
    pthread_mutex_lock(&mutex);
    for (uint32_t i = 0; i < count && rules_set(CORRUPT); i++)
        if (writes[i].descriptorType == VK_DESCRIPTOR_TYPE_STORAGE_BUFFER &&
            writes[i].dstBinding == RESULT_BINDING)
            find_object(&sets, HANDLE(writes[i].dstSet))->result = *writes[i].pBufferInfo;
    pthread_mutex_unlock(&mutex);
    find_device(handle)->UpdateDescriptorSets(handle, count, writes, copy_count, copies);
}

/* Overwrites one word of a result, another one at every event. The barriers are the layer's own,
 * because the caller knows of no transfer here. */
static void corrupt_result(const struct device *device, VkCommandBuffer commands, uint64_t number,
                           const VkDescriptorBufferInfo *result)
{
    const uint64_t words = result->range / 4;
    if (!words)
        return;
    VkMemoryBarrier barrier = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
        .srcAccessMask = VK_ACCESS_MEMORY_READ_BIT | VK_ACCESS_MEMORY_WRITE_BIT,
        .dstAccessMask = VK_ACCESS_MEMORY_READ_BIT | VK_ACCESS_MEMORY_WRITE_BIT};
    const VkPipelineStageFlags all = VK_PIPELINE_STAGE_ALL_COMMANDS_BIT;
    device->CmdPipelineBarrier(commands, all, all, 0, 1, &barrier, 0, NULL, 0, NULL);
    device->CmdFillBuffer(commands, result->buffer,
                          result->offset + 4 * (number * 2654435761u % words), 4, WRONG_WORD);
    device->CmdPipelineBarrier(commands, all, all, 0, 1, &barrier, 0, NULL, 0, NULL);
}

static void fault_CmdDispatch(VkCommandBuffer commands, uint32_t x, uint32_t y, uint32_t z)
{
    struct device *device = find_device(commands);
    pthread_mutex_lock(&mutex);
    const uint64_t number = ++dispatches;
    struct object *buffer = find_object(&buffers, HANDLE(commands));
    const struct row *row = buffer->bound;
    buffer->lose |= rules_due(LOSE, 0, row->shader, row->name);
    buffer->hang |= rules_due(HANG, 0, row->shader, row->name);
    buffer->exit |= rules_due(EXIT, 0, row->shader, row->name);
    const bool corrupt = rules_due(CORRUPT, number, row->shader, row->name);
    const VkDescriptorBufferInfo result =
        corrupt ? find_object(&sets, buffer->set)->result : (VkDescriptorBufferInfo){0};
    pthread_mutex_unlock(&mutex);
    device->CmdDispatch(commands, x, y, z);
    if (corrupt)
        corrupt_result(device, commands, number, &result);
}

/* ---- Memory ---------------------------------------------------------------------------------- */

static VkResult fault_CreateBuffer(VkDevice handle, const VkBufferCreateInfo *info,
                                   const VkAllocationCallbacks *callbacks, VkBuffer *buffer)
{
    VkBufferCreateInfo changed = *info;
    if (rules_set(CORRUPT))
        changed.usage |= VK_BUFFER_USAGE_TRANSFER_DST_BIT;
    if (rules_number(COPIES, 0))
        changed.sharingMode = VK_SHARING_MODE_EXCLUSIVE;
    return find_device(handle)->CreateBuffer(handle, &changed, callbacks, buffer);
}

/* With VKCLIP_FAULT_DISCRETE the types are these two, and each has its heap. */
enum { DEVICE_TYPE, HOST_TYPE, TYPES };

static void change_memory(VkPhysicalDeviceMemoryProperties *memory)
{
    const VkDeviceSize bytes = (VkDeviceSize)rules_number(DEVICE_MEMORY, 0);
    if (rules_number(DISCRETE, 0)) {
        memory->memoryHeaps[HOST_TYPE] = (VkMemoryHeap){memory->memoryHeaps[0].size, 0};
        memory->memoryHeaps[DEVICE_TYPE].flags = VK_MEMORY_HEAP_DEVICE_LOCAL_BIT;
        memory->memoryTypes[DEVICE_TYPE] =
            (VkMemoryType){VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT, DEVICE_TYPE};
        memory->memoryTypes[HOST_TYPE] = (VkMemoryType){VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT |
                                                            VK_MEMORY_PROPERTY_HOST_COHERENT_BIT |
                                                            VK_MEMORY_PROPERTY_HOST_CACHED_BIT,
                                                        HOST_TYPE};
        memory->memoryHeapCount = memory->memoryTypeCount = TYPES;
    }
    if (bytes)
        memory->memoryHeaps[DEVICE_TYPE].size = bytes;
}

static void fault_GetPhysicalDeviceMemoryProperties(VkPhysicalDevice physical,
                                                    VkPhysicalDeviceMemoryProperties *memory)
{
    find_instance(physical)->GetPhysicalDeviceMemoryProperties(physical, memory);
    change_memory(memory);
}

static void fault_GetPhysicalDeviceMemoryProperties2(VkPhysicalDevice physical,
                                                     VkPhysicalDeviceMemoryProperties2 *memory)
{
    find_instance(physical)->GetPhysicalDeviceMemoryProperties2(physical, memory);
    change_memory(&memory->memoryProperties);
    for (VkBaseOutStructure *s = memory->pNext; s; s = s->pNext) {
        VkPhysicalDeviceMemoryBudgetPropertiesEXT *budget = (void *)s;
        if (s->sType != VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT)
            continue;
        for (uint32_t i = 0; i < memory->memoryProperties.memoryHeapCount; i++)
            budget->heapBudget[i] = memory->memoryProperties.memoryHeaps[i].size;
        budget->heapUsage[HOST_TYPE] = 0;
        budget->heapUsage[DEVICE_TYPE] = device_bytes;
    }
}

/* Makes requirements that allow the real type of memory allow both types that stand for it. */
static void change_requirements(VkMemoryRequirements *needs)
{
    if (rules_number(DISCRETE, 0))
        needs->memoryTypeBits = 1u << DEVICE_TYPE | 1u << HOST_TYPE;
}

static void fault_GetBufferMemoryRequirements(VkDevice handle, VkBuffer buffer,
                                              VkMemoryRequirements *needs)
{
    find_device(handle)->GetBufferMemoryRequirements(handle, buffer, needs);
    change_requirements(needs);
}

static void fault_GetBufferMemoryRequirements2(VkDevice handle,
                                               const VkBufferMemoryRequirementsInfo2 *info,
                                               VkMemoryRequirements2 *needs)
{
    find_device(handle)->GetBufferMemoryRequirements2(handle, info, needs);
    change_requirements(&needs->memoryRequirements);
}

/* Every type counts as local to the device, as on a CPU, unless VKCLIP_FAULT_DISCRETE is set. */
static VkResult fault_AllocateMemory(VkDevice handle, const VkMemoryAllocateInfo *info,
                                     const VkAllocationCallbacks *callbacks, VkDeviceMemory *memory)
{
    struct device *device = find_device(handle);
    VkMemoryAllocateInfo changed = *info;
    const bool discrete = rules_number(DISCRETE, 0);
    const bool local = !discrete || info->memoryTypeIndex == DEVICE_TYPE;
    const uint64_t above = (uint64_t)rules_number(ALLOCATE_ABOVE, INT64_MAX);
    const uint64_t capacity = (uint64_t)rules_number(DEVICE_MEMORY, INT64_MAX);
    if (discrete)
        changed.memoryTypeIndex = device->host_type;
    pthread_mutex_lock(&mutex);
    const uint64_t number = ++allocations;
    const bool fails = rules_due(ALLOCATE, number, local ? "device" : "host", "") ||
                       info->allocationSize > above ||
                       (local && device_bytes + info->allocationSize > capacity);
    VkResult result = fails ? VK_ERROR_OUT_OF_DEVICE_MEMORY
                            : device->AllocateMemory(handle, &changed, callbacks, memory);
    if (result == VK_SUCCESS) {
        uint64_t bytes = local ? info->allocationSize : 0;
        find_object(&memories, HANDLE(*memory))->bytes = bytes;
        device_bytes += bytes;
    }
    pthread_mutex_unlock(&mutex);
    if (fails)
        say("allocation", number, "fails");
    return result;
}

static void fault_FreeMemory(VkDevice handle, VkDeviceMemory memory,
                             const VkAllocationCallbacks *callbacks)
{
    pthread_mutex_lock(&mutex);
    if (memory) {
        struct object *object = find_object(&memories, HANDLE(memory));
        device_bytes -= object->bytes;
        object->bytes = 0;
    }
    pthread_mutex_unlock(&mutex);
    find_device(handle)->FreeMemory(handle, memory, callbacks);
}

/* ---- Properties ------------------------------------------------------------------------------ */

static void change_properties(VkPhysicalDeviceProperties *properties)
{
    const uint32_t binding = (uint32_t)rules_number(BINDING, UINT32_MAX);
    if (rules_number(DISCRETE, 0))
        properties->deviceType = VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU;
    if (properties->limits.maxStorageBufferRange > binding)
        properties->limits.maxStorageBufferRange = binding;
}

static void fault_GetPhysicalDeviceProperties(VkPhysicalDevice physical,
                                              VkPhysicalDeviceProperties *properties)
{
    find_instance(physical)->GetPhysicalDeviceProperties(physical, properties);
    change_properties(properties);
}

static void fault_GetPhysicalDeviceProperties2(VkPhysicalDevice physical,
                                               VkPhysicalDeviceProperties2 *properties)
{
    find_instance(physical)->GetPhysicalDeviceProperties2(physical, properties);
    change_properties(&properties->properties);
}

/* ---- The loader's way in --------------------------------------------------------------------- */

static PFN_vkVoidFunction fault_GetInstanceProcAddr(VkInstance handle, const char *name);

static PFN_vkVoidFunction fault_GetDeviceProcAddr(VkDevice handle, const char *name)
{
    static const struct {
        const char *name;
        PFN_vkVoidFunction function;
    } functions[] = {{"vkGetDeviceProcAddr", (PFN_vkVoidFunction)fault_GetDeviceProcAddr},
#define X(name) {"vk" #name, (PFN_vkVoidFunction)fault_##name},
                     DEVICE_FUNCTIONS(X)
#undef X
    };
    for (size_t i = 0; i < COUNT(functions); i++)
        if (!strcmp(name, functions[i].name))
            return functions[i].function;
    struct device *device = handle ? find_device(handle) : NULL;
    return device ? device->get(handle, name) : NULL;
}

static PFN_vkVoidFunction fault_GetInstanceProcAddr(VkInstance handle, const char *name)
{
    static const struct {
        const char *name;
        PFN_vkVoidFunction function;
    } functions[] = {{"vkGetInstanceProcAddr", (PFN_vkVoidFunction)fault_GetInstanceProcAddr},
                     {"vkCreateInstance", (PFN_vkVoidFunction)fault_CreateInstance},
                     {"vkCreateDevice", (PFN_vkVoidFunction)fault_CreateDevice},
#define X(name) {"vk" #name, (PFN_vkVoidFunction)fault_##name},
                     INSTANCE_FUNCTIONS(X)
#undef X
    };
    for (size_t i = 0; i < COUNT(functions); i++)
        if (!strcmp(name, functions[i].name))
            return functions[i].function;
    PFN_vkVoidFunction function = fault_GetDeviceProcAddr(NULL, name);
    if (function)
        return function;
    struct instance *instance = handle ? find_instance(handle) : NULL;
    return instance ? instance->get(handle, name) : NULL;
}

EXPORT VkResult vkNegotiateLoaderLayerInterfaceVersion(VkNegotiateLayerInterface *loader);
EXPORT VkResult vkNegotiateLoaderLayerInterfaceVersion(VkNegotiateLayerInterface *loader)
{
    if (loader->loaderLayerInterfaceVersion < 2)
        return VK_ERROR_INITIALIZATION_FAILED;
    loader->loaderLayerInterfaceVersion = 2;
    loader->pfnGetInstanceProcAddr = fault_GetInstanceProcAddr;
    loader->pfnGetDeviceProcAddr = fault_GetDeviceProcAddr;
    loader->pfnGetPhysicalDeviceProcAddr = NULL;
    return VK_SUCCESS;
}
