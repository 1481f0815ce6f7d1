/* SPDX-License-Identifier: MIT
 *
 * Records commands: copies and dispatches, which are split into submits by their work and timed if
 * the caller asks for it. The only vkCmdDispatch of the library is here. A barrier precedes every
 * command whose ranges conflict with those of the commands since the last barrier, so that results
 * are as if the order of recording were the order of execution.
 */
#include "base/memory.h"
#include "vulkan/internal.h"

#include "base/error.h"

/* A dispatch takes one or two descriptor sets. The size of the pool trades what DISPATCHES_PER_POOL
 * does. */
#define SETS_PER_POOL 256

static struct gpu_part *last_part(const struct gpu_commands *commands)
{
    return &commands->parts[commands->part_count - 1];
}

VkCommandBuffer commands_buffer(const struct gpu_commands *commands)
{
    return last_part(commands)->buffer;
}

/* Returns the array with room for one more element; the array may move. The room doubles when the
 * count reaches a power of two. Returns NULL when out of memory, and the array stays as it was. */
static void *grow_array(void *array, size_t count, size_t size)
{
    if (count & (count - 1))
        return array;
    void *grown = memory_realloc(array, (count ? 2 * count : 1) * size);
    if (!grown)
        error_fail(VKCLIP_EMEMORY, "out of memory for commands");
    return grown;
}

/* ---- Create and destroy ---------------------------------------------------------------------- */

/* Begins a part, and another command buffer for it. */
static int begin_part(struct gpu_commands *commands)
{
    struct gpu *gpu = commands->gpu;
    struct gpu_part *parts = grow_array(commands->parts, commands->part_count, sizeof(*parts));
    if (!parts)
        return VKCLIP_EMEMORY;
    commands->parts = parts;
    struct gpu_part *part = &parts[commands->part_count];
    *part = (struct gpu_part){.end = commands->dispatch_count};
    VkCommandBufferAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                        .commandPool = commands->queue->pool,
                                        .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                        .commandBufferCount = 1};
    VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
    VkFenceCreateInfo fence = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
    int error = vulkan_check(gpu->vk.AllocateCommandBuffers(gpu->device, &info, &part->buffer),
                             "vkAllocateCommandBuffers");
    if (error)
        return error;
    commands->part_count++;
    error =
        vulkan_check(gpu->vk.CreateFence(gpu->device, &fence, NULL, &part->fence), "vkCreateFence");
    return error ? error
                 : vulkan_check(gpu->vk.BeginCommandBuffer(part->buffer, &begin),
                                "vkBeginCommandBuffer");
}

static int end_part(struct gpu_commands *commands)
{
    return vulkan_check(commands->gpu->vk.EndCommandBuffer(commands_buffer(commands)),
                        "vkEndCommandBuffer");
}

static int create_commands(struct gpu *gpu, const struct gpu_queue *queue,
                           struct gpu_commands **result)
{
    struct gpu_commands *commands = *result = memory_calloc(1, sizeof(*commands));
    if (!commands)
        return error_fail(VKCLIP_EMEMORY, "out of memory for commands");
    commands->gpu = gpu;
    commands->queue = queue;
    commands->stages = queue->stages; /* of earlier submits */
    int error = begin_part(commands);
    if (error)
        gpu_commands_destroy(result);
    return error;
}

int gpu_commands_create(struct gpu *gpu, struct gpu_commands **commands)
{
    return create_commands(gpu, &gpu->queue, commands);
}

int gpu_commands_create_copies(struct gpu *gpu, struct gpu_commands **copies)
{
    return create_commands(gpu, gpu->caps & CAP_COPIES ? &gpu->copies : &gpu->queue, copies);
}

int gpu_commands_follow(struct gpu_commands *commands, struct gpu_commands *copies)
{
    VkSemaphoreCreateInfo info = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO};
    commands->leader = copies;
    return vulkan_check(
        commands->gpu->vk.CreateSemaphore(commands->gpu->device, &info, NULL, &copies->done),
        "vkCreateSemaphore");
}

static void destroy_objects(struct gpu_commands *commands)
{
    const struct device_functions *vk = &commands->gpu->vk;
    VkDevice device = commands->gpu->device;
    for (size_t i = 0; i < commands->part_count; i++) {
        vk->FreeCommandBuffers(device, commands->queue->pool, 1, &commands->parts[i].buffer);
        vk->DestroyFence(device, commands->parts[i].fence, NULL);
    }
    vk->DestroySemaphore(device, commands->done, NULL);
    for (size_t i = 0; i < commands->pool_count; i++)
        vk->DestroyDescriptorPool(device, commands->pools[i], NULL);
    for (size_t i = 0; i < commands->view_count; i++)
        vk->DestroyBufferView(device, commands->views[i], NULL);
    for (size_t i = 0; i < commands->query_pool_count; i++)
        vk->DestroyQueryPool(device, commands->queries[i], NULL);
}

void gpu_commands_destroy(struct gpu_commands **handle)
{
    struct gpu_commands *commands = *handle;
    if (!commands)
        return;
    if (!commands->gpu->lost)
        gpu_commands_wait(commands);
    if (!commands->gpu->hangs)
        destroy_objects(commands);
    memory_free(commands->queries);
    memory_free(commands->parts);
    memory_free(commands->dispatches);
    memory_free(commands->pools);
    memory_free(commands->views);
    memory_free(commands->accesses);
    memory_free(commands);
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
    int error = vulkan_check(commands->gpu->vk.CreateDescriptorPool(
                                 commands->gpu->device, &info, NULL, &pools[commands->pool_count]),
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
        error = vulkan_check(gpu->vk.AllocateDescriptorSets(gpu->device, &info, set),
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
    commands->gpu->vk.UpdateDescriptorSets(commands->gpu->device, GPU_BINDINGS, writes, 0, NULL);
    commands->gpu->vk.CmdBindDescriptorSets(buffer, VK_PIPELINE_BIND_POINT_COMPUTE,
                                            commands->gpu->layout, 0, 1, &set, 0, NULL);
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
                  [GPU_TEXEL_R32UI] = {VK_FORMAT_R32_UINT, 4},
                  [GPU_TEXEL_RGBA32UI] = {VK_FORMAT_R32G32B32A32_UINT, 16}};
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
    int error =
        vulkan_check(commands->gpu->vk.CreateBufferView(commands->gpu->device, &info, NULL, view),
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
        commands->gpu->vk.UpdateDescriptorSets(commands->gpu->device, 1, &write, 0, NULL);
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
        commands->gpu->vk.CmdBindDescriptorSets(buffer, VK_PIPELINE_BIND_POINT_COMPUTE,
                                                commands->gpu->layout, 1, 1, &set, 0, NULL);
    return error;
}

/* ---- Recording ------------------------------------------------------------------------------- */

/* Adds a barrier: everything recorded so far that used the stages `before`, in this submit or an
 * earlier one, is finished, and its writes are visible to the commands that follow in `stages`. */
static void add_barrier(const struct gpu_commands *commands, VkPipelineStageFlags before,
                        VkPipelineStageFlags stages, VkAccessFlags access)
{
    const bool shader = before & VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT;
    const bool copy = before & VK_PIPELINE_STAGE_TRANSFER_BIT;
    VkMemoryBarrier memory = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                              .srcAccessMask = (shader ? VK_ACCESS_SHADER_WRITE_BIT : 0u) |
                                               (copy ? VK_ACCESS_TRANSFER_WRITE_BIT : 0u),
                              .dstAccessMask = access};
    commands->gpu->vk.CmdPipelineBarrier(commands_buffer(commands), before, stages, 0, 1, &memory,
                                         0, NULL, 0, NULL);
}

static struct gpu_access access_range(const struct gpu_range *range, bool written)
{
    return (struct gpu_access){range->buffer, range->offset, range->offset + range->size, written};
}

/* Tells whether a range overlaps one that was used since the last barrier, and either is written.
 */
static bool conflicts(const struct gpu_commands *commands, const struct gpu_access *access)
{
    for (size_t i = 0; i < commands->access_count; i++) {
        const struct gpu_access *other = &commands->accesses[i];
        if ((access->written || other->written) && access->buffer == other->buffer &&
            access->begin < other->end && other->begin < access->end)
            return true;
    }
    return false;
}

/* Lists the ranges of the next command, which the commands after it may have to wait for. */
static int list_accesses(struct gpu_commands *commands, const struct gpu_access *accesses,
                         size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct gpu_access *list =
            grow_array(commands->accesses, commands->access_count, sizeof(*list));
        if (!list)
            return VKCLIP_EMEMORY;
        commands->accesses = list;
        list[commands->access_count++] = accesses[i];
    }
    return VKCLIP_OK;
}

static void note_barrier(struct gpu_commands *commands)
{
    commands->access_count = 0;
    commands->barrier_count++;
}

/* Makes a dispatch wait for what was recorded before it, and the first one for earlier submits. A
 * barrier names copies only where there were some, because it is dearer then. A dispatch with
 * timestamps always waits, because it would otherwise be timed together with those before it. */
static int order_dispatch(struct gpu_commands *commands, const struct gpu_dispatch *dispatch,
                          bool timed)
{
    struct gpu_access accesses[GPU_BINDINGS];
    bool wait = timed || !commands->barrier_count;
    for (int i = 0; i < GPU_BINDINGS; i++) {
        accesses[i] = access_range(&dispatch->ranges[i], !dispatch->only_read[i]);
        wait = wait || conflicts(commands, &accesses[i]);
    }
    if (wait) {
        add_barrier(commands, commands->stages, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT,
                    VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT);
        note_barrier(commands);
        commands->stages = 0;
    }
    commands->stages |= VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT;
    commands->copies_wait = true;
    return list_accesses(commands, accesses, GPU_BINDINGS);
}

/* Makes a copy wait for what was recorded before it. The barriers before dispatches do not order
 * copies, so that the first copy after a dispatch always waits, and its barrier is one for all. */
int commands_order_copy(struct gpu_commands *commands, const struct gpu_range *source,
                        const struct gpu_range *target)
{
    const struct gpu_access accesses[] = {access_range(source, false), access_range(target, true)};
    if (commands->copies_wait || !commands->barrier_count || conflicts(commands, &accesses[0]) ||
        conflicts(commands, &accesses[1])) {
        const VkPipelineStageFlags all = commands->queue->stages;
        const bool computes = all & VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT;
        add_barrier(commands, all, all,
                    (computes ? VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT : 0u) |
                        VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT);
        note_barrier(commands);
        commands->copies_wait = false;
        commands->stages = 0;
    }
    commands->stages |= VK_PIPELINE_STAGE_TRANSFER_BIT;
    return list_accesses(commands, accesses, 2);
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
static void write_timestamp(const struct gpu_commands *commands, size_t query, uint32_t number)
{
    if (query != NO_QUERY)
        commands->gpu->vk.CmdWriteTimestamp(commands_buffer(commands),
                                            VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT,
                                            commands->queries[query / DISPATCHES_PER_POOL],
                                            2 * (uint32_t)(query % DISPATCHES_PER_POOL) + number);
}

/* Gets a pair of timestamps. The reset of the queries is recorded, so that every run repeats it. */
static int add_query(struct gpu_commands *commands, size_t *query)
{
    *query = commands->query_count;
    if (*query < commands->query_pool_count * DISPATCHES_PER_POOL) {
        commands->query_count++;
        return VKCLIP_OK;
    }
    VkQueryPool *queries =
        grow_array(commands->queries, commands->query_pool_count, sizeof(*queries));
    if (!queries)
        return VKCLIP_EMEMORY;
    commands->queries = queries;
    VkQueryPool *pool = &queries[commands->query_pool_count];
    VkQueryPoolCreateInfo info = {.sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO,
                                  .queryType = VK_QUERY_TYPE_TIMESTAMP,
                                  .queryCount = 2 * DISPATCHES_PER_POOL};
    int error =
        vulkan_check(commands->gpu->vk.CreateQueryPool(commands->gpu->device, &info, NULL, pool),
                     "vkCreateQueryPool");
    if (error)
        return error;
    commands->query_pool_count++;
    commands->query_count++;
    commands->gpu->vk.CmdResetQueryPool(commands_buffer(commands), *pool, 0, info.queryCount);
    return VKCLIP_OK;
}

/* Starts another part before a dispatch if the current part would exceed the work that one submit
 * may have, or if either has to run alone. */
static int choose_part(struct gpu_commands *commands, const struct gpu_dispatch *dispatch,
                       const struct gpu_row *row)
{
    const double share = dispatch->work / rows_submit_work(commands->gpu, row, dispatch->weight);
    const bool alone = row->state == ROW_ALONE || run_is_alone(commands, commands->part_count - 1);
    int error = VKCLIP_OK;
    if (last_part(commands)->share > 0 && (alone || last_part(commands)->share + share > 1)) {
        error = end_part(commands);
        if (!error)
            error = begin_part(commands);
    }
    if (!error)
        last_part(commands)->share += share;
    return error;
}

/* Adds a dispatch to the list. It gets timestamps if its speed is needed and not known, or if all
 * have them. */
static int list_dispatch(struct gpu_commands *commands, const struct gpu_dispatch *dispatch,
                         struct gpu_row *row)
{
    const bool learns = rows_is_unknown(commands->gpu, row, dispatch->work);
    size_t query = NO_QUERY;
    struct gpu_dispatched *list =
        grow_array(commands->dispatches, commands->dispatch_count, sizeof(*list));
    if (!list)
        return VKCLIP_EMEMORY;
    commands->dispatches = list;
    int error = learns || commands->timed ? add_query(commands, &query) : VKCLIP_OK;
    if (error)
        return error;
    list[commands->dispatch_count++] =
        (struct gpu_dispatched){row, dispatch->work, dispatch->weight, query};
    commands->learns |= learns;
    last_part(commands)->end = commands->dispatch_count;
    return VKCLIP_OK;
}

static int bind_dispatch(struct gpu_commands *commands, const struct gpu_dispatch *dispatch,
                         VkCommandBuffer buffer)
{
    commands->gpu->vk.CmdBindPipeline(buffer, VK_PIPELINE_BIND_POINT_COMPUTE,
                                      dispatch->pipeline->pipeline);
    int error = bind_storage(commands, dispatch, buffer);
    if (!error)
        error = bind_texels(commands, dispatch, buffer);
    return error;
}

static int record_dispatch(struct gpu_commands *commands, const struct gpu_dispatch *dispatch)
{
    VkCommandBuffer buffer = commands_buffer(commands);
    const size_t query = commands->dispatches[commands->dispatch_count - 1].query;
    int error = order_dispatch(commands, dispatch, query != NO_QUERY);
    if (!error)
        error = bind_dispatch(commands, dispatch, buffer);
    if (error)
        return error;
    commands->gpu->vk.CmdPushConstants(buffer, commands->gpu->layout, VK_SHADER_STAGE_COMPUTE_BIT,
                                       0, dispatch->push_bytes, dispatch->push);
    write_timestamp(commands, query, 0);
    commands->gpu->vk.CmdDispatch(buffer, dispatch->groups[0], dispatch->groups[1],
                                  dispatch->groups[2]);
    write_timestamp(commands, query, 1);
    return VKCLIP_OK;
}

int gpu_commands_dispatch(struct gpu_commands *commands, const struct gpu_dispatch *dispatch)
{
    struct gpu_row *row =
        rows_get(commands->gpu, dispatch->row ? dispatch->row : dispatch->pipeline->name);
    if (!row)
        return VKCLIP_EMEMORY;
    int error = choose_part(commands, dispatch, row);
    if (!error)
        error = list_dispatch(commands, dispatch, row);
    return error ? error : record_dispatch(commands, dispatch);
}

int gpu_commands_copy(struct gpu_commands *commands, struct gpu_range source,
                      struct gpu_range target)
{
    VkBufferCopy region = {source.offset, target.offset, source.size};
    target.size = source.size;
    int error = commands_order_copy(commands, &source, &target);
    if (error)
        return error;
    commands->gpu->vk.CmdCopyBuffer(commands_buffer(commands), source.buffer->buffer,
                                    target.buffer->buffer, 1, &region);
    return VKCLIP_OK;
}

int gpu_commands_end(struct gpu_commands *commands)
{
    add_barrier(commands, commands->queue->stages, VK_PIPELINE_STAGE_HOST_BIT,
                VK_ACCESS_HOST_READ_BIT);
    return end_part(commands);
}
