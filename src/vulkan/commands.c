/* SPDX-License-Identifier: MIT
 *
 * Records commands: copies and dispatches, which are split into submits by their work and timed if
 * the caller asks for it. The only vkCmdDispatch of the library is here. A barrier separates every
 * command from the previous one, so that the order of recording is the order of execution.
 */
#include "vulkan/internal.h"

#include "base/error.h"

#include <stdlib.h>

/* A plan has some hundred dispatches. Larger pools would take memory that small plans leave unused,
 * smaller ones would be created more often while commands are recorded. */
#define SETS_PER_POOL 256
#define DISPATCHES_PER_POOL 256

struct gpu_commands {
    struct gpu *gpu;
    VkCommandBuffer *buffers; /* one per submit; the last one is being recorded */
    size_t buffer_count;
    VkDescriptorPool *pools;
    size_t pool_count, sets_left; /* sets_left: sets not yet allocated from the last pool */
    VkBufferView *views;
    size_t view_count;
    VkFence fence;
    bool submitted;       /* a run was submitted and not waited for */
    double work;          /* operations in the buffer that is being recorded */
    bool timed;           /* every dispatch has a timestamp before and after it */
    VkQueryPool *queries; /* each has the timestamps of DISPATCHES_PER_POOL dispatches */
    size_t query_count, dispatches;
};

static VkCommandBuffer last_buffer(const struct gpu_commands *commands)
{
    return commands->buffers[commands->buffer_count - 1];
}

/* Returns the array with room for one more element; the array may move. The room doubles when the
 * count reaches a power of two. Returns NULL when out of memory, and the array stays as it was. */
static void *grow_array(void *array, size_t count, size_t size)
{
    if (count & (count - 1))
        return array;
    void *grown = realloc(array, (count ? 2 * count : 1) * size);
    if (!grown)
        error_fail(VKCLIP_EMEMORY, "out of memory for commands");
    return grown;
}

/* ---- Create and destroy ---------------------------------------------------------------------- */

static int begin_buffer(struct gpu_commands *commands)
{
    struct gpu *gpu = commands->gpu;
    VkCommandBuffer *buffers =
        grow_array(commands->buffers, commands->buffer_count, sizeof(*buffers));
    if (!buffers)
        return VKCLIP_EMEMORY;
    commands->buffers = buffers;
    VkCommandBuffer *buffer = &buffers[commands->buffer_count];
    VkCommandBufferAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                        .commandPool = gpu->pool,
                                        .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                        .commandBufferCount = 1};
    VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
    int error = vulkan_check(vkAllocateCommandBuffers(gpu->device, &info, buffer),
                             "vkAllocateCommandBuffers");
    if (error)
        return error;
    commands->buffer_count++;
    commands->work = 0;
    return vulkan_check(vkBeginCommandBuffer(*buffer, &begin), "vkBeginCommandBuffer");
}

static int end_buffer(struct gpu_commands *commands)
{
    return vulkan_check(vkEndCommandBuffer(last_buffer(commands)), "vkEndCommandBuffer");
}

int gpu_commands_create(struct gpu *gpu, struct gpu_commands **result)
{
    VkFenceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
    struct gpu_commands *commands = *result = calloc(1, sizeof(*commands));
    if (!commands)
        return error_fail(VKCLIP_EMEMORY, "out of memory for commands");
    commands->gpu = gpu;
    int error =
        vulkan_check(vkCreateFence(gpu->device, &info, NULL, &commands->fence), "vkCreateFence");
    if (!error)
        error = begin_buffer(commands);
    if (error)
        gpu_commands_destroy(result);
    return error;
}

void gpu_commands_destroy(struct gpu_commands **handle)
{
    struct gpu_commands *commands = *handle;
    if (!commands)
        return;
    VkDevice device = commands->gpu->device;
    if (commands->submitted)
        vkWaitForFences(device, 1, &commands->fence, VK_TRUE, UINT64_MAX);
    if (commands->buffer_count)
        vkFreeCommandBuffers(device, commands->gpu->pool, (uint32_t)commands->buffer_count,
                             commands->buffers);
    for (size_t i = 0; i < commands->pool_count; i++)
        vkDestroyDescriptorPool(device, commands->pools[i], NULL);
    for (size_t i = 0; i < commands->view_count; i++)
        vkDestroyBufferView(device, commands->views[i], NULL);
    for (size_t i = 0; i < commands->query_count; i++)
        vkDestroyQueryPool(device, commands->queries[i], NULL);
    vkDestroyFence(device, commands->fence, NULL);
    free(commands->queries);
    free(commands->buffers);
    free(commands->pools);
    free(commands->views);
    free(commands);
    *handle = NULL;
}

/* ---- Bindings -------------------------------------------------------------------------------- */

static int add_pool(struct gpu_commands *commands)
{
    VkDescriptorPool *pools = grow_array(commands->pools, commands->pool_count, sizeof(*pools));
    if (!pools)
        return VKCLIP_EMEMORY;
    commands->pools = pools;
    VkDescriptorPoolSize sizes[] = {
        {VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, SETS_PER_POOL * GPU_BINDINGS},
        {VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER, SETS_PER_POOL * GPU_BINDINGS}};
    VkDescriptorPoolCreateInfo info = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO,
                                       .maxSets = SETS_PER_POOL,
                                       .poolSizeCount = 2,
                                       .pPoolSizes = sizes};
    int error = vulkan_check(
        vkCreateDescriptorPool(commands->gpu->device, &info, NULL, &pools[commands->pool_count]),
        "vkCreateDescriptorPool");
    if (error)
        return error;
    commands->pool_count++;
    commands->sets_left = SETS_PER_POOL;
    return VKCLIP_OK;
}

static int allocate_set(struct gpu_commands *commands, int number, VkDescriptorSet *set)
{
    struct gpu *gpu = commands->gpu;
    VkDescriptorSetAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
                                        .descriptorSetCount = 1,
                                        .pSetLayouts = &gpu->set_layouts[number]};
    int error = commands->sets_left ? VKCLIP_OK : add_pool(commands);
    if (!error) {
        info.descriptorPool = commands->pools[commands->pool_count - 1];
        error = vulkan_check(vkAllocateDescriptorSets(gpu->device, &info, set),
                             "vkAllocateDescriptorSets");
    }
    if (!error)
        commands->sets_left--;
    return error;
}

static int bind_storage(struct gpu_commands *commands, const struct gpu_dispatch *dispatch,
                        VkCommandBuffer buffer)
{
    VkDescriptorSet set;
    VkDescriptorBufferInfo infos[GPU_BINDINGS];
    VkWriteDescriptorSet writes[GPU_BINDINGS];
    int error = allocate_set(commands, 0, &set);
    if (error)
        return error;
    for (uint32_t i = 0; i < GPU_BINDINGS; i++) {
        const struct gpu_range *range = &dispatch->ranges[i];
        infos[i] = (VkDescriptorBufferInfo){range->buffer->buffer, range->offset, range->size};
        writes[i] = (VkWriteDescriptorSet){.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
                                           .dstSet = set,
                                           .dstBinding = i,
                                           .descriptorCount = 1,
                                           .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                                           .pBufferInfo = &infos[i]};
    }
    vkUpdateDescriptorSets(commands->gpu->device, GPU_BINDINGS, writes, 0, NULL);
    vkCmdBindDescriptorSets(buffer, VK_PIPELINE_BIND_POINT_COMPUTE, commands->gpu->layout, 0, 1,
                            &set, 0, NULL);
    return VKCLIP_OK;
}

/* Adds a view of a range as texels of a format. Bytes after the last whole texel are left out. */
static int add_view(struct gpu_commands *commands, const struct gpu_range *range,
                    enum gpu_texel texel, VkBufferView *view)
{
    static const struct {
        VkFormat format;
        uint64_t bytes;
    } texels[] = {[GPU_TEXEL_RGBA32F] = {VK_FORMAT_R32G32B32A32_SFLOAT, 16},
                  [GPU_TEXEL_RGBA16F] = {VK_FORMAT_R16G16B16A16_SFLOAT, 8},
                  [GPU_TEXEL_R32UI] = {VK_FORMAT_R32_UINT, 4}};
    VkBufferView *views = grow_array(commands->views, commands->view_count, sizeof(*views));
    if (!views)
        return VKCLIP_EMEMORY;
    commands->views = views;
    const uint64_t bytes = texels[texel].bytes;
    VkBufferViewCreateInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_VIEW_CREATE_INFO,
                                   .buffer = range->buffer->buffer,
                                   .format = texels[texel].format,
                                   .offset = range->offset,
                                   .range = range->size / bytes * bytes};
    int error = vulkan_check(vkCreateBufferView(commands->gpu->device, &info, NULL, view),
                             "vkCreateBufferView");
    if (!error)
        views[commands->view_count++] = *view;
    return error;
}

/* Writes the range of one binding into a descriptor set as texels. */
static int write_texels(struct gpu_commands *commands, const struct gpu_dispatch *dispatch,
                        uint32_t binding, VkDescriptorSet set)
{
    VkBufferView view;
    VkWriteDescriptorSet write = {.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
                                  .dstSet = set,
                                  .dstBinding = binding,
                                  .descriptorCount = 1,
                                  .descriptorType = VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER,
                                  .pTexelBufferView = &view};
    int error = add_view(commands, &dispatch->ranges[binding], dispatch->texel[binding], &view);
    if (!error)
        vkUpdateDescriptorSets(commands->gpu->device, 1, &write, 0, NULL);
    return error;
}

/* Binds the ranges that the dispatch reads as texels. Most kernels have none. */
static int bind_texels(struct gpu_commands *commands, const struct gpu_dispatch *dispatch,
                       VkCommandBuffer buffer)
{
    VkDescriptorSet set = VK_NULL_HANDLE;
    int error = VKCLIP_OK;
    for (uint32_t i = 0; i < GPU_BINDINGS && !error; i++) {
        if (!dispatch->texel[i])
            continue;
        if (!set)
            error = allocate_set(commands, 1, &set);
        if (!error)
            error = write_texels(commands, dispatch, i, set);
    }
    if (!error && set)
        vkCmdBindDescriptorSets(buffer, VK_PIPELINE_BIND_POINT_COMPUTE, commands->gpu->layout, 1, 1,
                                &set, 0, NULL);
    return error;
}

/* ---- Recording ------------------------------------------------------------------------------- */

/* Adds a barrier: everything recorded so far, in this submit or an earlier one, is finished, and
 * its writes are visible to the commands that follow in `stages`. */
static void add_barrier(VkCommandBuffer buffer, VkPipelineStageFlags stages, VkAccessFlags access)
{
    VkMemoryBarrier memory = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                              .srcAccessMask =
                                  VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT,
                              .dstAccessMask = access};
    vkCmdPipelineBarrier(buffer,
                         VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT,
                         stages, 0, 1, &memory, 0, NULL, 0, NULL);
}

static void add_device_barrier(VkCommandBuffer buffer)
{
    add_barrier(buffer, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT,
                VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT |
                    VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT);
}

int gpu_commands_time(struct gpu_commands *commands)
{
    const struct gpu *gpu = commands->gpu;
    if (!gpu->timestamp_bits)
        return error_fail(VKCLIP_EUNSUPPORTED, "%s has no timestamps", gpu->info.name);
    commands->timed = true;
    return VKCLIP_OK;
}

/* Records a timestamp that the device writes when everything recorded so far is done: number 0
 * before a dispatch, number 1 after it. */
static void write_timestamp(struct gpu_commands *commands, VkCommandBuffer buffer, uint32_t number)
{
    const size_t dispatch = commands->dispatches;
    if (commands->timed)
        vkCmdWriteTimestamp(buffer, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT,
                            commands->queries[dispatch / DISPATCHES_PER_POOL],
                            2 * (uint32_t)(dispatch % DISPATCHES_PER_POOL) + number);
}

/* Makes room for the next dispatch's timestamps. The reset of the queries is recorded, so that
 * every run repeats it.
 */
static int add_queries(struct gpu_commands *commands, VkCommandBuffer buffer)
{
    if (!commands->timed || commands->dispatches % DISPATCHES_PER_POOL)
        return VKCLIP_OK;
    VkQueryPool *queries = grow_array(commands->queries, commands->query_count, sizeof(*queries));
    if (!queries)
        return VKCLIP_EMEMORY;
    commands->queries = queries;
    VkQueryPool *pool = &queries[commands->query_count];
    VkQueryPoolCreateInfo info = {.sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO,
                                  .queryType = VK_QUERY_TYPE_TIMESTAMP,
                                  .queryCount = 2 * DISPATCHES_PER_POOL};
    int error = vulkan_check(vkCreateQueryPool(commands->gpu->device, &info, NULL, pool),
                             "vkCreateQueryPool");
    if (error)
        return error;
    commands->query_count++;
    vkCmdResetQueryPool(buffer, *pool, 0, info.queryCount);
    return VKCLIP_OK;
}

/* Adds a dispatch's work to the current submit. Starts another submit before that if the current
 * one would exceed the work that one submit may have. */
static int add_work(struct gpu_commands *commands, double work)
{
    int error = VKCLIP_OK;
    if (commands->work > 0 && commands->work + work > commands->gpu->limits.work) {
        error = end_buffer(commands);
        if (!error)
            error = begin_buffer(commands);
    }
    if (!error)
        commands->work += work;
    return error;
}

static int bind_dispatch(struct gpu_commands *commands, const struct gpu_dispatch *dispatch,
                         VkCommandBuffer buffer)
{
    vkCmdBindPipeline(buffer, VK_PIPELINE_BIND_POINT_COMPUTE, dispatch->pipeline->pipeline);
    int error = bind_storage(commands, dispatch, buffer);
    if (!error)
        error = bind_texels(commands, dispatch, buffer);
    return error;
}

static int record_dispatch(struct gpu_commands *commands, const struct gpu_dispatch *dispatch,
                           VkCommandBuffer buffer)
{
    add_device_barrier(buffer);
    int error = bind_dispatch(commands, dispatch, buffer);
    if (error)
        return error;
    vkCmdPushConstants(buffer, commands->gpu->layout, VK_SHADER_STAGE_COMPUTE_BIT, 0,
                       dispatch->push_bytes, dispatch->push);
    write_timestamp(commands, buffer, 0);
    vkCmdDispatch(buffer, dispatch->groups[0], dispatch->groups[1], dispatch->groups[2]);
    write_timestamp(commands, buffer, 1);
    commands->dispatches++;
    return VKCLIP_OK;
}

int gpu_commands_dispatch(struct gpu_commands *commands, const struct gpu_dispatch *dispatch)
{
    int error = add_work(commands, dispatch->work);
    if (!error)
        error = add_queries(commands, last_buffer(commands));
    if (!error)
        error = record_dispatch(commands, dispatch, last_buffer(commands));
    return error;
}

int gpu_commands_copy(struct gpu_commands *commands, struct gpu_range source,
                      struct gpu_range target)
{
    VkCommandBuffer buffer = last_buffer(commands);
    VkBufferCopy region = {source.offset, target.offset, source.size};
    add_device_barrier(buffer);
    vkCmdCopyBuffer(buffer, source.buffer->buffer, target.buffer->buffer, 1, &region);
    return VKCLIP_OK;
}

int gpu_commands_end(struct gpu_commands *commands)
{
    add_barrier(last_buffer(commands), VK_PIPELINE_STAGE_HOST_BIT, VK_ACCESS_HOST_READ_BIT);
    return end_buffer(commands);
}

/* ---- Running --------------------------------------------------------------------------------- */

int gpu_commands_submit(struct gpu_commands *commands)
{
    struct gpu *gpu = commands->gpu;
    int error = VKCLIP_OK;
    for (size_t i = 0; i < commands->buffer_count && !error; i++) {
        const bool last = i + 1 == commands->buffer_count;
        VkSubmitInfo submit = {.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
                               .commandBufferCount = 1,
                               .pCommandBuffers = &commands->buffers[i]};
        error = vulkan_check(
            vkQueueSubmit(gpu->queue, 1, &submit, last ? commands->fence : VK_NULL_HANDLE),
            "vkQueueSubmit");
    }
    commands->submitted = !error;
    if (error) /* earlier submits may run, and the caller may free their memory next */
        vkQueueWaitIdle(gpu->queue);
    return error;
}

int gpu_commands_wait(struct gpu_commands *commands)
{
    VkDevice device = commands->gpu->device;
    if (!commands->submitted)
        return VKCLIP_OK;
    commands->submitted = false;
    int error = vulkan_check(vkWaitForFences(device, 1, &commands->fence, VK_TRUE, UINT64_MAX),
                             "vkWaitForFences");
    if (!error)
        error = vulkan_check(vkResetFences(device, 1, &commands->fence), "vkResetFences");
    return error;
}

int gpu_commands_run(struct gpu_commands *commands)
{
    int error = gpu_commands_submit(commands);
    return error ? error : gpu_commands_wait(commands);
}

size_t gpu_commands_dispatches(const struct gpu_commands *commands)
{
    return commands->dispatches;
}

int gpu_commands_read_times(struct gpu_commands *commands, double *seconds)
{
    const struct gpu *gpu = commands->gpu;
    const uint64_t mask =
        gpu->timestamp_bits < 64 ? ((uint64_t)1 << gpu->timestamp_bits) - 1 : UINT64_MAX;
    for (size_t i = 0; i < commands->dispatches; i++) {
        uint64_t stamps[2] = {0};
        int error =
            vulkan_check(vkGetQueryPoolResults(
                             gpu->device, commands->queries[i / DISPATCHES_PER_POOL],
                             2 * (uint32_t)(i % DISPATCHES_PER_POOL), 2, sizeof(stamps), stamps,
                             sizeof(*stamps), VK_QUERY_RESULT_64_BIT | VK_QUERY_RESULT_WAIT_BIT),
                         "vkGetQueryPoolResults");
        if (error)
            return error;
        seconds[i] = (double)((stamps[1] - stamps[0]) & mask) * gpu->timestamp_seconds;
    }
    return VKCLIP_OK;
}

int gpu_copy(struct gpu *gpu, struct gpu_range source, struct gpu_range target)
{
    struct gpu_commands *commands;
    int error = gpu_commands_create(gpu, &commands);
    if (!error)
        error = gpu_commands_copy(commands, source, target);
    if (!error)
        error = gpu_commands_end(commands);
    if (!error)
        error = gpu_commands_run(commands);
    gpu_commands_destroy(&commands);
    return error;
}
