/* SPDX-License-Identifier: MIT
 *
 * Makes a plan in four steps: tensors are placed in an arena, kernels are chosen, pipelines are
 * built, and commands are recorded. A tensor never moves within the arena, so that running only
 * replays the commands. Where the arena itself has moved because another plan needed a larger one,
 * the commands are recorded again.
 */
#include "runtime/plan.h"
#include "base/error.h"
#include "base/half.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/launch.h"
#include "runtime/layout.h"
#include "runtime/tune.h"

/* Holds what each of the replays under way has for itself, so that the host can write and read one
 * while the device computes the other. Both replays use one arena, because commands wait for those
 * submitted before them. Where `upload` is fast for the device, kernels read the inputs there.
 * Otherwise, where the device has a queue for copies, each replay has device memory for its inputs,
 * which are copied while the replay before computes. Elsewhere, and where that memory is full, each
 * replay copies its inputs into the arena before its first node. */
struct replay {
    struct gpu_buffer *upload, *download;
    struct gpu_buffer *inputs;      /* device memory for inputs; NULL: the replay has none */
    struct gpu_commands *copies;    /* from `upload` to `inputs` */
    struct gpu_buffer *given;       /* the given input; NULL: the plan has none */
    struct gpu_commands **commands; /* of each part of the plan; NULL: not recorded */
    unsigned generation;            /* the arena's when the commands were recorded */
};

/* Neighbouring nodes whose commands are submitted at once: a segment where weights are filled in
 * between, and otherwise all nodes. */
struct part {
    size_t first, end; /* nodes */
    uint32_t segment;
};

struct plan {
    struct gpu *gpu;
    struct graph graph;
    struct arena *arena, own_arena;
    uint64_t arena_bytes;          /* that this plan needs of the arena */
    struct gpu_range *ranges;      /* of each tensor on the device */
    uint64_t *arena_offset;        /* of each tensor that has a place in the arena */
    struct kernel_choice *choices; /* of each node */
    struct part *parts;
    size_t part_count;
    int (*fill)(void *filler, uint32_t segment);
    void *filler;
    bool *is_input, *is_output; /* of each tensor; the given input is no such input */
    int given;                  /* the given input; -1: there is none */
    uint64_t *host_offset;      /* of each input in `upload`, of each output in `download` */
    struct replay replays[PLAN_REPLAYS];
    unsigned next;             /* index of the replay that is written next */
    unsigned under_way;        /* number of replays before it that are under way */
    const struct replay *done; /* the replay for which the host waited last */
    uint64_t memory;           /* bytes of all buffers and of the arena */
};

/* ---- Placement ------------------------------------------------------------------------------- */

/* Memory that the tensors of one storage share. It is alive from `first`, the node that first
 * writes it, to `last`, the node that last uses it. Blocks that are alive at the same node never
 * overlap; other blocks may share bytes. */
struct block {
    int tensor; /* index of the tensor that owns the storage */
    int first, last;
    uint64_t bytes, offset;
};

/* Orders blocks by falling size, and blocks of equal size by their tensors, so that the placement
 * does not depend on the sort algorithm. */
static int compare_blocks(const void *a, const void *b)
{
    const struct block *x = a, *y = b;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? 1 : -1;
    return x->tensor - y->tensor;
}

static void extend_lifetime(struct block *block, int n)
{
    if (block->first < 0)
        block->first = n;
    block->last = n;
}

/* Fills blocks[t] for every tensor t. A tensor that has no memory of its own, because it is a
 * weight or lies in another tensor's storage, gets a block of 0 bytes. */
static void find_lifetimes(const struct graph *graph, uint32_t alignment, struct block *blocks)
{
    for (size_t t = 0; t < graph->tensor_count; t++) {
        const struct tensor *tensor = &graph->tensors[t];
        blocks[t] = (struct block){.tensor = (int)t, .first = -1, .last = -1};
        if (!tensor_stays(tensor) && tensor->storage == (int)t)
            blocks[t].bytes = (layout_tensor_bytes(tensor) + alignment - 1) / alignment * alignment;
    }
    for (int n = 0; n < (int)graph->node_count; n++) {
        const struct node *node = &graph->nodes[n];
        extend_lifetime(&blocks[graph->tensors[node->out].storage], n);
        for (int i = 0; i < NODE_INPUTS; i++)
            /* An input without memory is one that this node writes in addition to its result. */
            if (node->in[i] >= 0)
                extend_lifetime(&blocks[graph->tensors[node->in[i]].storage], n);
    }
    for (size_t t = 0; t < graph->tensor_count; t++)
        if (graph->tensors[t].role == ROLE_INPUT)
            blocks[t].first = -1; /* The inputs are copied in before the first node. */
}

/* Lets every block live all the time, so that none takes the place of another. */
static void keep_apart(const struct graph *graph, struct block *blocks)
{
    for (size_t t = 0; t < graph->tensor_count; t++) {
        blocks[t].first = -1;
        blocks[t].last = (int)graph->node_count;
    }
}

/* Returns the most bytes that are alive at one node, or before the first one. */
static uint64_t least_bytes(const struct graph *graph, const struct block *blocks)
{
    uint64_t least = 0;
    for (int n = -1; n < (int)graph->node_count; n++) {
        uint64_t alive = 0;
        for (size_t t = 0; t < graph->tensor_count; t++)
            if (blocks[t].first <= n && n <= blocks[t].last)
                alive += blocks[t].bytes;
        least = alive > least ? alive : least;
    }
    return least;
}

static bool overlap(const struct block *a, const struct block *b)
{
    bool both_alive = a->first <= b->last && b->first <= a->last;
    return both_alive && a->offset < b->offset + b->bytes && b->offset < a->offset + a->bytes;
}

/* Sorts the blocks by size, places each at the lowest offset where it overlaps none of those placed
 * before, and returns the bytes of the arena. */
static uint64_t place_blocks(struct block *blocks, size_t count)
{
    uint64_t arena = 0;
    qsort(blocks, count, sizeof(*blocks), compare_blocks);
    for (size_t i = 0; i < count && blocks[i].bytes; i++) {
        struct block *block = &blocks[i];
        for (bool moved = true; moved;) {
            moved = false;
            for (size_t j = 0; j < i; j++)
                if (overlap(&blocks[j], block)) {
                    block->offset = blocks[j].offset + blocks[j].bytes;
                    moved = true;
                }
        }
        if (arena < block->offset + block->bytes)
            arena = block->offset + block->bytes;
    }
    return arena;
}

/* Returns the blocks of a graph's tensors with their lifetimes, or NULL after error_fail. */
static struct block *make_blocks(const struct graph *graph, uint32_t alignment,
                                 bool separate_memory)
{
    struct block *blocks = memory_calloc(graph->tensor_count + 1, sizeof(*blocks));
    if (!blocks) {
        error_fail(VKCLIP_EMEMORY, "out of memory for a plan");
        return NULL;
    }
    find_lifetimes(graph, alignment, blocks);
    if (separate_memory)
        keep_apart(graph, blocks);
    return blocks;
}

int plan_measure(const struct graph *graph, uint32_t alignment, bool separate_memory,
                 uint64_t *arena, uint64_t *least)
{
    struct block *blocks = make_blocks(graph, alignment, separate_memory);
    if (!blocks)
        return VKCLIP_EMEMORY;
    *least = least_bytes(graph, blocks);
    *arena = place_blocks(blocks, graph->tensor_count);
    memory_free(blocks);
    return VKCLIP_OK;
}

/* Finds the memory of a weight by its name, or that of a state by its index. */
static int find_memory(const struct plan_params *params, const struct tensor *tensor, size_t index,
                       struct gpu_range *range)
{
    if (tensor->role == ROLE_WEIGHT && !weight_store_find(params->weights, tensor->name, range))
        return error_fail(VKCLIP_EABSENT, "tensor %s was not loaded", tensor->name);
    if (tensor->role == ROLE_STATE && params->states)
        *range = params->states[index];
    if (!range->buffer)
        return error_fail(VKCLIP_EINVALID, "tensor %s: a plan needs memory for it", tensor->name);
    return VKCLIP_OK;
}

/* Finds the place of every tensor. Ranges in the arena have no buffer until bind_ranges sets it. */
static int place_tensors(struct plan *plan, const struct plan_params *params)
{
    const struct graph *graph = &plan->graph;
    const struct gpu_limits *limits = gpu_limits(plan->gpu);
    struct block *blocks = make_blocks(graph, limits->alignment, limits->separate_memory);
    int error = VKCLIP_OK;
    if (!blocks)
        return VKCLIP_EMEMORY;
    plan->arena_bytes = place_blocks(blocks, graph->tensor_count);
    plan->memory += plan->arena_bytes;
    for (size_t i = 0; i < graph->tensor_count; i++)
        plan->arena_offset[blocks[i].tensor] = blocks[i].offset;
    memory_free(blocks);
    for (size_t t = 0; t < graph->tensor_count && !error; t++) {
        const struct tensor *tensor = &graph->tensors[t];
        if (tensor_stays(tensor)) {
            error = find_memory(params, tensor, t, &plan->ranges[t]);
        } else {
            plan->arena_offset[t] = plan->arena_offset[tensor->storage];
            plan->ranges[t].size = layout_tensor_bytes(tensor);
        }
    }
    return error;
}

/* ---- Recording ------------------------------------------------------------------------------- */

/* Creates host memory for the wanted tensors, one after the other, and adds its size to *bytes. The
 * offsets are the same for every replay. */
static int create_host_buffer(struct plan *plan, enum gpu_memory memory, const bool *wanted,
                              struct gpu_buffer **buffer, uint64_t *bytes)
{
    const uint64_t alignment = gpu_limits(plan->gpu)->alignment;
    uint64_t size = 0;
    for (size_t t = 0; t < plan->graph.tensor_count; t++)
        if (wanted[t]) {
            plan->host_offset[t] = size;
            size += (plan->ranges[t].size + alignment - 1) / alignment * alignment;
        }
    *bytes += size;
    return gpu_buffer_create(plan->gpu, memory, size, buffer);
}

/* Records a node with its choice of kernel. Without commands, only announces its pipelines. */
static int record_node(struct plan *plan, struct gpu_commands *commands, size_t n)
{
    const struct node *node = &plan->graph.nodes[n];
    struct gpu_range ranges[KERNEL_SLOTS] = {{0}};
    for (int i = 0; i < NODE_INPUTS; i++)
        if (node->in[i] >= 0)
            ranges[i] = plan->ranges[node->in[i]];
    ranges[KERNEL_OUT] = plan->ranges[node->out];
    return launch_node(plan->gpu, commands, &plan->graph, node, ranges, &plan->choices[n]);
}

/* Builds the pipelines of all nodes at once on all threads, because recording would build them one
 * by one. */
static int build_pipelines(struct plan *plan)
{
    int error = VKCLIP_OK;
    for (size_t n = 0; n < plan->graph.node_count && !error; n++)
        error = record_node(plan, NULL, n);
    return error ? error : gpu_pipelines_build(plan->gpu);
}

/* Tells whether kernels can read an input in the upload buffer: no node writes its storage. */
static bool is_only_read(const struct graph *graph, int input)
{
    for (size_t t = 0; t < graph->tensor_count; t++)
        if ((int)t != input && graph->tensors[t].storage == input)
            return false;
    return true;
}

/* Says where the tensors in the arena, and the inputs of a replay, lie. */
static void bind_ranges(struct plan *plan, const struct replay *replay)
{
    const struct graph *graph = &plan->graph;
    struct gpu_buffer *inputs =
        gpu_buffer_is_local(replay->upload) ? replay->upload : replay->inputs;
    for (size_t t = 0; t < graph->tensor_count; t++) {
        struct gpu_range *range = &plan->ranges[t];
        if (tensor_stays(&graph->tensors[t]))
            continue;
        if ((int)t == plan->given)
            *range = (struct gpu_range){replay->given, 0, range->size};
        else if (plan->is_input[t] && inputs && is_only_read(graph, (int)t))
            *range = (struct gpu_range){inputs, plan->host_offset[t], range->size};
        else
            *range = (struct gpu_range){plan->arena->buffer, plan->arena_offset[t], range->size};
    }
}

static int record_inputs(struct plan *plan, const struct replay *replay,
                         struct gpu_commands *commands)
{
    int error = VKCLIP_OK;
    for (size_t t = 0; t < plan->graph.tensor_count && !error; t++)
        if (plan->is_input[t] && plan->ranges[t].buffer != replay->upload) {
            struct gpu_range host = {replay->upload, plan->host_offset[t], plan->ranges[t].size};
            const bool beside = plan->ranges[t].buffer == replay->inputs;
            error = gpu_commands_copy(beside ? replay->copies : commands, host, plan->ranges[t]);
        }
    return error;
}

/* Records the copies of inputs, for which the first part waits. */
static int record_copies(struct plan *plan, struct replay *replay, struct gpu_commands *commands)
{
    int error = VKCLIP_OK;
    if (replay->inputs)
        error = gpu_commands_create_copies(plan->gpu, &replay->copies);
    if (!error && replay->inputs)
        error = gpu_commands_follow(commands, replay->copies);
    if (!error)
        error = record_inputs(plan, replay, commands);
    return !error && replay->inputs ? gpu_commands_end(replay->copies) : error;
}

/* Copies an output directly after the node that computes it, because a later node may reuse its
 * memory. */
static int record_output(struct plan *plan, const struct replay *replay,
                         struct gpu_commands *commands, int tensor)
{
    struct gpu_range device = plan->ranges[tensor];
    struct gpu_range host = {replay->download, plan->host_offset[tensor], device.size};
    return gpu_commands_copy(commands, device, host);
}

static int record_part(struct plan *plan, struct replay *replay, size_t part, size_t *ends)
{
    struct gpu_commands **commands = &replay->commands[part];
    int error = gpu_commands_create(plan->gpu, commands);
    if (!error && ends)
        error = gpu_commands_time(*commands);
    if (!error && !part)
        error = record_copies(plan, replay, *commands);
    for (size_t n = plan->parts[part].first; n < plan->parts[part].end && !error; n++) {
        int out = plan->graph.nodes[n].out;
        error = record_node(plan, *commands, n);
        if (!error && plan->is_output[out])
            error = record_output(plan, replay, *commands, out);
        if (ends)
            ends[n] = gpu_commands_dispatches(*commands);
    }
    return error ? error : gpu_commands_end(*commands);
}

/* Records all commands of a replay. If `ends` is not NULL the replay is timed, and ends[n] becomes
 * the number of dispatches of a part up to the end of its node n. */
static int record_replay(struct plan *plan, struct replay *replay, size_t *ends)
{
    bind_ranges(plan, replay);
    replay->commands = memory_calloc(plan->part_count, sizeof(*replay->commands));
    int error =
        replay->commands ? VKCLIP_OK : error_fail(VKCLIP_EMEMORY, "out of memory for commands");
    for (size_t part = 0; part < plan->part_count && !error; part++)
        error = record_part(plan, replay, part, ends);
    return error;
}

/* Destroying commands waits until they are done, and with them all that were submitted before. */
static void destroy_commands(struct plan *plan, struct replay *replay)
{
    for (size_t part = 0; part < plan->part_count && replay->commands; part++) {
        if (plan->arena->last == replay->commands[part])
            plan->arena->last = NULL;
        gpu_commands_destroy(&replay->commands[part]);
    }
    gpu_commands_destroy(&replay->copies);
    memory_free(replay->commands);
    replay->commands = NULL;
}

static void destroy_replay(struct plan *plan, struct replay *replay)
{
    destroy_commands(plan, replay);
    gpu_buffer_destroy(plan->gpu, &replay->upload);
    gpu_buffer_destroy(plan->gpu, &replay->inputs);
    gpu_buffer_destroy(plan->gpu, &replay->given);
    gpu_buffer_destroy(plan->gpu, &replay->download);
}

/* Gives an input the values that it has until others are written. */
static void fill_input(const struct plan *plan, const struct replay *replay, size_t input)
{
    void *target = (char *)gpu_buffer_map(replay->upload) + plan->host_offset[input];
    const float *values = plan->graph.tensors[input].values;
    if (values)
        memcpy(target, values, plan->ranges[input].size);
    else
        memset(target, 0, plan->ranges[input].size);
}

/* Creates device memory for inputs of `size` bytes where copies can run beside kernels. Without
 * room for it the inputs are copied into the arena. */
static int create_inputs(const struct plan *plan, struct replay *replay, uint64_t size,
                         uint64_t *bytes)
{
    if (gpu_buffer_is_local(replay->upload) || !(gpu_caps(plan->gpu) & CAP_COPIES))
        return VKCLIP_OK;
    int error = gpu_buffer_create(plan->gpu, GPU_DEVICE, size, &replay->inputs);
    *bytes += error ? 0 : size;
    return error == VKCLIP_EDEVICEMEMORY ? VKCLIP_OK : error;
}

static int create_given(const struct plan *plan, struct replay *replay, uint64_t *bytes)
{
    const uint64_t size = plan->ranges[plan->given].size;
    *bytes += size;
    return gpu_buffer_create(plan->gpu, GPU_ANY, size, &replay->given);
}

static int create_host_buffers(struct plan *plan, struct replay *replay)
{
    uint64_t bytes = 0;
    int error = create_host_buffer(plan, GPU_INPUT, plan->is_input, &replay->upload, &bytes);
    if (!error)
        error = create_inputs(plan, replay, bytes, &bytes);
    if (!error && plan->given >= 0)
        error = create_given(plan, replay, &bytes);
    if (!error)
        error = create_host_buffer(plan, GPU_DOWNLOAD, plan->is_output, &replay->download, &bytes);
    if (error)
        return error;
    plan->memory += bytes;
    for (size_t t = 0; t < plan->graph.tensor_count; t++)
        if (plan->is_input[t])
            fill_input(plan, replay, t);
    return VKCLIP_OK;
}

/* Makes sure that a replay has its host memory, and commands for the arena as it is now. Only the
 * commands of a replay that is done are replaced: the arena moves when nothing runs. */
static int prepare_replay(struct plan *plan, struct replay *replay)
{
    int error = replay->download ? VKCLIP_OK : create_host_buffers(plan, replay);
    if (error) {
        destroy_replay(plan, replay);
        return error;
    }
    error = arena_reserve(plan->arena, plan->arena_bytes);
    if (error || (replay->commands && replay->generation == plan->arena->generation))
        return error;
    destroy_commands(plan, replay);
    replay->generation = plan->arena->generation;
    error = record_replay(plan, replay, NULL);
    if (error)
        destroy_commands(plan, replay);
    return error;
}

static void list_parts(struct plan *plan)
{
    plan->part_count = 1;
    for (size_t n = 0; n < plan->graph.node_count; n++) {
        struct part *part = &plan->parts[plan->part_count - 1];
        const uint32_t segment = plan->fill ? plan->graph.nodes[n].segment : 0;
        if (segment != part->segment) {
            plan->part_count++;
            *++part = (struct part){.first = n, .segment = segment};
        }
        part->end = n + 1;
    }
}

static int create_lists(struct plan *plan, const struct plan_params *params)
{
    size_t count = plan->graph.tensor_count;
    plan->ranges = memory_calloc(count + 1, sizeof(*plan->ranges));
    plan->host_offset = memory_calloc(count + 1, sizeof(*plan->host_offset));
    plan->choices = memory_calloc(plan->graph.node_count + 1, sizeof(*plan->choices));
    plan->arena_offset = memory_calloc(count + 1, sizeof(*plan->arena_offset));
    plan->is_input = memory_calloc(count + 1, sizeof(*plan->is_input));
    plan->is_output = memory_calloc(count + 1, sizeof(*plan->is_output));
    plan->parts = memory_calloc(plan->graph.node_count + 1, sizeof(*plan->parts));
    if (!plan->ranges || !plan->host_offset || !plan->choices || !plan->arena_offset ||
        !plan->is_input || !plan->is_output || !plan->parts)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a plan");
    list_parts(plan);
    for (size_t t = 0; t < count; t++)
        plan->is_input[t] = plan->graph.tensors[t].role == ROLE_INPUT && (int)t != plan->given;
    for (size_t i = 0; i < params->output_count; i++)
        plan->is_output[params->outputs[i]] = true;
    return VKCLIP_OK;
}

int plan_create(const struct plan_params *params, struct graph *graph, struct plan **result)
{
    const double seconds = params->tuning_seconds > 0 ? params->tuning_seconds : TUNE_SECONDS;
    struct plan *plan = memory_calloc(1, sizeof(*plan));
    *result = NULL;
    if (!plan) {
        graph_free(graph);
        return error_fail(VKCLIP_EMEMORY, "out of memory for a plan");
    }
    plan->gpu = params->gpu;
    plan->fill = params->fill;
    plan->filler = params->filler;
    plan->given = params->given ? *params->given : -1;
    plan->own_arena = (struct arena){.gpu = params->gpu, .memory = GPU_ANY};
    const bool shared = params->arena && !gpu_limits(params->gpu)->separate_memory;
    plan->arena = shared ? params->arena : &plan->own_arena;
    plan->graph = *graph;
    plan->done = plan->replays;
    *graph = (struct graph){0};
    int error = create_lists(plan, params);
    if (!error)
        error = place_tensors(plan, params);
    if (!error) /* before the kernels are measured, which would be in vain without memory */
        error = arena_reserve(plan->arena, plan->arena_bytes);
    if (!error)
        error = tune_choose(params->gpu, params->tuner, &plan->graph, seconds, plan->choices);
    if (!error)
        error = build_pipelines(plan);
    if (!error)
        error = prepare_replay(plan, plan->replays);
    if (error)
        plan_destroy(&plan);
    *result = plan;
    return error;
}

void plan_destroy(struct plan **handle)
{
    struct plan *plan = *handle;
    if (!plan)
        return;
    for (int i = 0; i < PLAN_REPLAYS; i++)
        destroy_replay(plan, &plan->replays[i]);
    arena_release(&plan->own_arena);
    graph_free(&plan->graph);
    memory_free(plan->ranges);
    memory_free(plan->host_offset);
    memory_free(plan->choices);
    memory_free(plan->parts);
    memory_free(plan->arena_offset);
    memory_free(plan->is_input);
    memory_free(plan->is_output);
    memory_free(plan);
    *handle = NULL;
}

/* ---- Running --------------------------------------------------------------------------------- */

const struct graph *plan_graph(const struct plan *plan)
{
    return &plan->graph;
}

const struct kernel_choice *plan_choices(const struct plan *plan)
{
    return plan->choices;
}

struct gpu_range plan_given(const struct plan *plan)
{
    const struct replay *replay = &plan->replays[plan->next];
    return (struct gpu_range){replay->given, 0, plan->ranges[plan->given].size};
}

/* Returns the address of element 0 of an input of the next replay. */
static void *input_values(const struct plan *plan, int tensor)
{
    char *upload = gpu_buffer_map(plan->replays[plan->next].upload);
    return upload + plan->host_offset[tensor];
}

void plan_write(struct plan *plan, int tensor, uint64_t first, const float *values, uint64_t count)
{
    if (plan->graph.tensors[tensor].type == TYPE_F32) {
        float *input = input_values(plan, tensor);
        memcpy(&input[first], values, count * sizeof(*values));
        return;
    }
    uint16_t *input = input_values(plan, tensor);
    half_from_floats(values, count, &input[first]);
}

void plan_write_ids(struct plan *plan, int tensor, uint64_t first, const int32_t *ids,
                    uint64_t count)
{
    int32_t *input = input_values(plan, tensor);
    memcpy(&input[first], ids, count * sizeof(*ids));
}

void plan_read(const struct plan *plan, int tensor, uint64_t first, float *values, uint64_t count)
{
    const char *download = gpu_buffer_map(plan->done->download);
    const void *output = download + plan->host_offset[tensor];
    if (plan->graph.tensors[tensor].type == TYPE_F32) {
        memcpy(values, (const float *)output + first, count * sizeof(*values));
        return;
    }
    const uint16_t *halves = output;
    for (uint64_t i = 0; i < count; i++)
        values[i] = half_to_float(halves[first + i]);
}

int plan_begin(struct plan *plan)
{
    if (plan->under_way == PLAN_REPLAYS)
        return error_fail(VKCLIP_EINVALID, "a plan has at most %d replays under way", PLAN_REPLAYS);
    /* The second replay's memory is created only when two replays are under way. */
    if (!plan->under_way)
        plan->next = 0;
    return prepare_replay(plan, &plan->replays[plan->next]);
}

/* Waits until all parts of a replay that were submitted are done. */
static int wait_parts(const struct plan *plan, const struct replay *replay)
{
    int error = replay->copies ? gpu_commands_wait(replay->copies) : VKCLIP_OK;
    for (size_t part = 0; part < plan->part_count; part++) {
        int failed = gpu_commands_wait(replay->commands[part]);
        error = error ? error : failed;
    }
    return error;
}

/* Fills the slot of a part while the device computes the part before, which has the other slot. */
static int fill_slot(const struct plan *plan, const struct replay *replay, size_t part)
{
    const uint32_t segment = plan->parts[part].segment;
    if (!segment)
        return VKCLIP_OK;
    int error = part < 2 ? VKCLIP_OK : gpu_commands_wait(replay->commands[part - 2]);
    return error ? error : plan->fill(plan->filler, segment);
}

/* Submits the parts of a replay one after the other. Where slots are filled, nothing else of their
 * store may be running, neither before nor after. */
static int submit_parts(const struct plan *plan, const struct replay *replay)
{
    int error = replay->copies ? gpu_commands_submit(replay->copies) : VKCLIP_OK;
    for (size_t part = 0; part < plan->part_count && !error; part++) {
        error = fill_slot(plan, replay, part);
        if (!error)
            error = gpu_commands_submit(replay->commands[part]);
    }
    if (!plan->fill)
        return error;
    int failed = wait_parts(plan, replay);
    return error ? error : failed;
}

int plan_submit(struct plan *plan)
{
    struct replay *replay = &plan->replays[plan->next];
    int error = prepare_replay(plan, replay);
    if (error)
        return error;
    plan->arena->last = replay->commands[plan->part_count - 1];
    error = submit_parts(plan, replay);
    if (error && replay->copies)
        destroy_commands(plan, replay); /* Nothing has waited for the copies that were submitted. */
    if (error)
        return error;
    plan->next = (plan->next + 1) % PLAN_REPLAYS;
    plan->under_way++;
    return VKCLIP_OK;
}

int plan_wait(struct plan *plan)
{
    unsigned oldest = (plan->next + PLAN_REPLAYS - plan->under_way) % PLAN_REPLAYS;
    plan->done = &plan->replays[oldest];
    plan->under_way--;
    return wait_parts(plan, plan->done);
}

int plan_run(struct plan *plan)
{
    const unsigned same = plan->next; /* The next replay has the inputs of this one. */
    int error = plan_submit(plan);
    if (!error)
        error = plan_wait(plan);
    plan->next = same;
    return error;
}

uint64_t plan_memory(const struct plan *plan)
{
    return plan->memory;
}

void plan_count(const struct plan *plan, size_t *dispatches, size_t *barriers)
{
    *dispatches = *barriers = 0;
    for (size_t part = 0; part < plan->part_count; part++) {
        *dispatches += gpu_commands_dispatches(plan->replays[0].commands[part]);
        *barriers += gpu_commands_barriers(plan->replays[0].commands[part]);
    }
}

/* Reads the times of commands that ran and adds up the seconds of each node's dispatches. */
static int time_nodes(const struct part *part, struct gpu_commands *commands, const size_t *ends,
                      double *seconds)
{
    double *times = memory_calloc(gpu_commands_dispatches(commands) + 1, sizeof(*times));
    if (!times)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a profile");
    int error = gpu_commands_read_times(commands, times);
    size_t dispatch = 0;
    for (size_t n = part->first; n < part->end && !error; n++) {
        seconds[n] = 0;
        for (; dispatch < ends[n]; dispatch++)
            seconds[n] += times[dispatch];
    }
    memory_free(times);
    return error;
}

int plan_profile(struct plan *plan, double *seconds)
{
    struct replay replay = plan->replays[0]; /* the first replay's buffers, with new commands */
    size_t *ends = memory_calloc(plan->graph.node_count + 1, sizeof(*ends));
    if (!ends)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a profile");
    replay.commands = NULL;
    replay.copies = NULL;
    int error = arena_reserve(plan->arena, plan->arena_bytes);
    if (!error)
        error = record_replay(plan, &replay, ends);
    if (!error)
        error = submit_parts(plan, &replay);
    if (!error)
        error = wait_parts(plan, &replay);
    for (size_t part = 0; part < plan->part_count && !error; part++)
        error = time_nodes(&plan->parts[part], replay.commands[part], ends, seconds);
    destroy_commands(plan, &replay);
    memory_free(ends);
    return error;
}
