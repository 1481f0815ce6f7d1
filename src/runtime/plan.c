/* SPDX-License-Identifier: MIT
 *
 * choose -> place -> record -> run.
 */
#include "runtime/plan.h"
#include "base/error.h"
#include "base/half.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/launch.h"
#include "runtime/layout.h"
#include "runtime/tune.h"

/* What one run has for itself: the host writes and reads here while the device is at the other. */
struct run {
    struct gpu_buffer *upload, *download;
    struct gpu_commands *commands;
};

struct plan {
    struct gpu *gpu;
    struct graph graph;
    struct gpu_buffer *arena;
    struct gpu_range *ranges;      /* of each tensor on the device */
    struct kernel_choice *choices; /* of each node */
    uint64_t *host;             /* offset of each input in `upload`, of each output in `download` */
    bool *is_input, *is_output; /* those have such an offset */
    struct run runs[PLAN_RUNS];
    unsigned next, under_way; /* the run that is written next; how many before it are under way */
    const struct run *done;   /* the one waited for last */
    uint64_t memory;          /* bytes of all buffers */
};

/* ---- Placement ------------------------------------------------------------------------------- */

/* Memory that one or more tensors share, alive from the node `first` to the node `last`. */
struct block {
    int tensor; /* the storage they name */
    int first, last;
    uint64_t bytes, offset;
};

static int compare_blocks(const void *a, const void *b)
{
    const struct block *x = a, *y = b;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? 1 : -1;
    return x->tensor - y->tensor;
}

/* Lifetimes by storage: blocks[i] belongs to tensor i, bytes 0 where that has no memory of its own.
 */
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
        struct block *out = &blocks[graph->tensors[node->out].storage];
        if (out->first < 0)
            out->first = n;
        out->last = n;
        for (int i = 0; i < NODE_INPUTS; i++)
            if (node->in[i] >= 0) {
                struct block *in = &blocks[graph->tensors[node->in[i]].storage];
                if (in->first < 0) /* no node's own result: this one writes it too */
                    in->first = n;
                in->last = n;
            }
    }
    for (size_t t = 0; t < graph->tensor_count; t++)
        if (graph->tensors[t].role == ROLE_INPUT)
            blocks[t].first = -1; /* written before the first node */
}

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

/* Largest first, each at the lowest offset where nothing that lives at the same time lies. `blocks`
 * comes back sorted by size. */
static uint64_t place(struct block *blocks, size_t count)
{
    uint64_t arena = 0;
    qsort(blocks, count, sizeof(*blocks), compare_blocks);
    for (size_t i = 0; i < count && blocks[i].bytes; i++) {
        struct block *block = &blocks[i];
        for (bool moved = true; moved;) {
            moved = false;
            for (size_t j = 0; j < i; j++) {
                const struct block *other = &blocks[j];
                if (other->first <= block->last && block->first <= other->last &&
                    other->offset < block->offset + block->bytes &&
                    block->offset < other->offset + other->bytes) {
                    block->offset = other->offset + other->bytes;
                    moved = true;
                }
            }
        }
        if (arena < block->offset + block->bytes)
            arena = block->offset + block->bytes;
    }
    return arena;
}

int plan_measure(const struct graph *graph, uint32_t alignment, uint64_t *arena, uint64_t *least)
{
    struct block *blocks = calloc(graph->tensor_count + 1, sizeof(*blocks));
    if (!blocks)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a plan");
    find_lifetimes(graph, alignment, blocks);
    *least = least_bytes(graph, blocks);
    *arena = place(blocks, graph->tensor_count);
    free(blocks);
    return VKCLIP_OK;
}

/* The memory of a tensor that stays: a weight's by its name, a state's by its index. */
static int find_memory(const struct plan_params *params, const struct tensor *tensor, size_t index,
                       struct gpu_range *range)
{
    if (tensor->role == ROLE_WEIGHT && !store_find(params->weights, tensor->name, range))
        return error_fail(VKCLIP_EABSENT, "tensor %s was not loaded", tensor->name);
    if (tensor->role == ROLE_STATE && params->states)
        *range = params->states[index];
    if (!range->buffer)
        return error_fail(VKCLIP_EINVALID, "tensor %s: a plan needs memory for it", tensor->name);
    return VKCLIP_OK;
}

static int place_tensors(struct plan *plan, const struct plan_params *params)
{
    const struct graph *graph = &plan->graph;
    struct block *blocks = calloc(graph->tensor_count + 1, sizeof(*blocks));
    if (!blocks)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a plan");
    find_lifetimes(graph, gpu_limits(plan->gpu)->alignment, blocks);
    uint64_t arena = place(blocks, graph->tensor_count);
    int error = gpu_buffer_create(plan->gpu, GPU_DEVICE, arena, &plan->arena);
    plan->memory += arena;
    for (size_t i = 0; i < graph->tensor_count && !error; i++)
        plan->ranges[blocks[i].tensor] = (struct gpu_range){plan->arena, blocks[i].offset, 0};
    free(blocks);
    for (size_t t = 0; t < graph->tensor_count && !error; t++) {
        const struct tensor *tensor = &graph->tensors[t];
        if (tensor_stays(tensor)) {
            error = find_memory(params, tensor, t, &plan->ranges[t]);
        } else {
            plan->ranges[t].offset = plan->ranges[tensor->storage].offset;
            plan->ranges[t].size = layout_tensor_bytes(tensor);
        }
    }
    return error;
}

/* ---- Recording ------------------------------------------------------------------------------- */

/* Host memory for a list of tensors, one behind the other. */
static int create_host_buffer(struct plan *plan, enum gpu_memory memory, const bool *wanted,
                              struct gpu_buffer **buffer)
{
    uint64_t size = 0;
    for (size_t t = 0; t < plan->graph.tensor_count; t++)
        if (wanted[t]) {
            plan->host[t] = size;
            size += (plan->ranges[t].size + 15) / 16 * 16;
        }
    plan->memory += size;
    return gpu_buffer_create(plan->gpu, memory, size, buffer);
}

/* By their choice of kernel; `commands` NULL: see launch_choice. */
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

/* All at once, which is faster than each when it is recorded. */
static int build_pipelines(struct plan *plan)
{
    int error = VKCLIP_OK;
    for (size_t n = 0; n < plan->graph.node_count && !error; n++)
        error = record_node(plan, NULL, n);
    return error ? error : gpu_pipelines_build(plan->gpu);
}

/* `ends`, unless NULL: the run is timed; gets the number of dispatches up to each node's end. */
static int record(struct plan *plan, struct run *run, size_t *ends)
{
    const struct graph *graph = &plan->graph;
    int error = gpu_commands_create(plan->gpu, &run->commands);
    if (ends && !error)
        error = gpu_commands_time(run->commands);
    for (size_t t = 0; t < graph->tensor_count && !error; t++)
        if (plan->is_input[t]) {
            struct gpu_range from = {run->upload, plan->host[t], plan->ranges[t].size};
            error = gpu_commands_copy(run->commands, from, plan->ranges[t]);
        }
    for (size_t n = 0; n < graph->node_count && !error; n++) {
        int out = graph->nodes[n].out;
        error = record_node(plan, run->commands, n);
        if (!error && plan->is_output[out]) {
            struct gpu_range from = plan->ranges[out];
            struct gpu_range to = {run->download, plan->host[out], from.size};
            error = gpu_commands_copy(run->commands, from, to);
        }
        if (ends)
            ends[n] = gpu_commands_dispatches(run->commands);
    }
    return error ? error : gpu_commands_end(run->commands);
}

static void destroy_run(struct gpu *gpu, struct run *run)
{
    gpu_commands_destroy(&run->commands);
    gpu_buffer_destroy(gpu, &run->upload);
    gpu_buffer_destroy(gpu, &run->download);
}

static int create_run(struct plan *plan, struct run *run)
{
    int error = create_host_buffer(plan, GPU_UPLOAD, plan->is_input, &run->upload);
    if (!error)
        error = create_host_buffer(plan, GPU_DOWNLOAD, plan->is_output, &run->download);
    for (size_t t = 0; t < plan->graph.tensor_count && !error; t++)
        if (plan->is_input[t])
            memset((char *)gpu_buffer_map(run->upload) + plan->host[t], 0, plan->ranges[t].size);
    if (!error)
        error = record(plan, run, NULL);
    if (error)
        destroy_run(plan->gpu, run);
    return error;
}

int plan_create(const struct plan_params *params, struct graph *graph, struct plan **result)
{
    const double seconds = params->tuning_seconds > 0 ? params->tuning_seconds : TUNE_SECONDS;
    struct plan *plan = calloc(1, sizeof(*plan));
    int error = VKCLIP_EMEMORY;
    *result = NULL;
    if (!plan) {
        graph_free(graph);
        return error_fail(VKCLIP_EMEMORY, "out of memory for a plan");
    }
    plan->gpu = params->gpu;
    plan->graph = *graph;
    *graph = (struct graph){0};
    size_t count = plan->graph.tensor_count;
    plan->ranges = calloc(count + 1, sizeof(*plan->ranges));
    plan->host = calloc(count + 1, sizeof(*plan->host));
    plan->choices = calloc(plan->graph.node_count + 1, sizeof(*plan->choices));
    plan->is_input = calloc(count + 1, sizeof(*plan->is_input));
    plan->is_output = calloc(count + 1, sizeof(*plan->is_output));
    if (!plan->ranges || !plan->host || !plan->choices || !plan->is_input || !plan->is_output) {
        error_fail(VKCLIP_EMEMORY, "out of memory for a plan");
        goto done;
    }
    for (size_t t = 0; t < count; t++)
        plan->is_input[t] = plan->graph.tensors[t].role == ROLE_INPUT;
    for (size_t i = 0; i < params->output_count; i++)
        plan->is_output[params->outputs[i]] = true;
    plan->done = plan->runs;
    error = place_tensors(plan, params);
    if (!error) {
        tune_choose(params->gpu, params->tuner, &plan->graph, seconds, plan->choices);
        error = build_pipelines(plan);
    }
    if (!error)
        error = create_run(plan, plan->runs);
done:
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
    for (int i = 0; i < PLAN_RUNS; i++) /* waits for those under way */
        destroy_run(plan->gpu, &plan->runs[i]);
    gpu_buffer_destroy(plan->gpu, &plan->arena);
    graph_free(&plan->graph);
    free(plan->ranges);
    free(plan->host);
    free(plan->choices);
    free(plan->is_input);
    free(plan->is_output);
    free(plan);
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

void plan_write(struct plan *plan, int tensor, uint64_t first, const float *values, uint64_t count)
{
    char *at = (char *)gpu_buffer_map(plan->runs[plan->next].upload) + plan->host[tensor];
    if (plan->graph.tensors[tensor].type == TYPE_F32)
        memcpy((float *)(void *)at + first, values, count * sizeof(*values));
    else
        for (uint64_t i = 0; i < count; i++)
            ((uint16_t *)(void *)at)[first + i] = half_from_float(values[i]);
}

void plan_write_ids(struct plan *plan, int tensor, uint64_t first, const int32_t *ids,
                    uint64_t count)
{
    char *at = (char *)gpu_buffer_map(plan->runs[plan->next].upload) + plan->host[tensor];
    memcpy((int32_t *)(void *)at + first, ids, count * sizeof(*ids));
}

int plan_begin(struct plan *plan)
{
    if (plan->under_way == PLAN_RUNS)
        return error_fail(VKCLIP_EINVALID, "a plan has %d runs at most", PLAN_RUNS);
    if (!plan->under_way)
        plan->next = 0; /* the second one is made when it is needed */
    struct run *run = &plan->runs[plan->next];
    return run->commands ? VKCLIP_OK : create_run(plan, run);
}

int plan_submit(struct plan *plan)
{
    int error = gpu_commands_submit(plan->runs[plan->next].commands);
    if (error)
        return error;
    plan->next = (plan->next + 1) % PLAN_RUNS;
    plan->under_way++;
    return VKCLIP_OK;
}

int plan_wait(struct plan *plan)
{
    unsigned oldest = (plan->next + PLAN_RUNS - plan->under_way) % PLAN_RUNS;
    plan->done = &plan->runs[oldest];
    plan->under_way--;
    return gpu_commands_wait(plan->done->commands);
}

int plan_run(struct plan *plan)
{
    unsigned same = plan->next; /* inputs keep their values */
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

int plan_profile(struct plan *plan, double *seconds)
{
    struct run run = plan->runs[0]; /* its buffers; the second one may not have been needed yet */
    double *times = NULL;
    size_t *ends = calloc(plan->graph.node_count + 1, sizeof(*ends));
    run.commands = NULL;
    int error = ends ? record(plan, &run, ends) : VKCLIP_EMEMORY;
    if (!error && !(times = calloc(gpu_commands_dispatches(run.commands) + 1, sizeof(*times))))
        error = VKCLIP_EMEMORY;
    if (error == VKCLIP_EMEMORY)
        error_fail(error, "out of memory for a profile");
    if (!error)
        error = gpu_commands_run(run.commands);
    if (!error)
        error = gpu_commands_read_times(run.commands, times);
    for (size_t n = 0, i = 0; n < plan->graph.node_count && !error; n++)
        for (seconds[n] = 0; i < ends[n]; i++)
            seconds[n] += times[i];
    gpu_commands_destroy(&run.commands);
    free(times);
    free(ends);
    return error;
}

void plan_read(const struct plan *plan, int tensor, uint64_t first, float *values, uint64_t count)
{
    const char *at = (const char *)gpu_buffer_map(plan->done->download) + plan->host[tensor];
    if (plan->graph.tensors[tensor].type == TYPE_F32)
        memcpy(values, (const float *)(const void *)at + first, count * sizeof(*values));
    else
        for (uint64_t i = 0; i < count; i++)
            values[i] = half_to_float(((const uint16_t *)(const void *)at)[first + i]);
}
