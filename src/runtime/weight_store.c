/* SPDX-License-Identifier: MIT
 *
 * Places weights one after the other in buffers, and finds memory by name.
 */
#include "runtime/weight_store.h"
#include "base/error.h"

#include <string.h>

#include "base/memory.h"
#include "runtime/layout.h"

/* A buffer is limited to this size even if the device allows more, because a driver finds room for
 * several buffers of this size more easily than for one as large as all weights. */
#define BUFFER_BYTES ((uint64_t)1 << 30)

/* A buffer, which holds the weights from the previous buffer's `weights_end` up to its own. */
struct memory {
    struct gpu_buffer *buffer;
    uint64_t size;
    size_t weights_end; /* index after its last weight */
};

struct weight_store {
    struct gpu *gpu;
    struct memory *memory;
    size_t memory_count;
    struct stored_weight *weights;
    size_t weight_count;
    struct gpu_buffer *slots[2];
    uint64_t slot_bytes;
    uint32_t in_slot[2]; /* the segment whose weights each slot has */
};

/* ---- Placement ------------------------------------------------------------------------------- */

static uint64_t aligned_bytes(const struct weight_store *store, const struct tensor *tensor)
{
    const uint64_t alignment = gpu_limits(store->gpu)->alignment;
    return (layout_tensor_bytes(tensor) + alignment - 1) & ~(alignment - 1);
}

/* Places a weight after the previous one, or at the beginning of the next buffer. The range has no
 * buffer until create_buffers sets it. */
static void place_weight(struct weight_store *store, const struct tensor *tensor)
{
    const struct gpu_limits *limits = gpu_limits(store->gpu);
    uint64_t largest = BUFFER_BYTES < limits->allocation ? BUFFER_BYTES : limits->allocation;
    uint64_t bytes = layout_tensor_bytes(tensor), aligned = aligned_bytes(store, tensor);
    if (!store->memory_count || store->memory[store->memory_count - 1].size + aligned > largest)
        store->memory_count++;
    struct memory *memory = &store->memory[store->memory_count - 1];
    store->weights[store->weight_count++] =
        (struct stored_weight){*tensor, {.offset = memory->size, .size = bytes}, 0};
    memory->size += aligned;
    memory->weights_end = store->weight_count;
}

static int place_weights(struct weight_store *store, const struct graph *const *graphs,
                         size_t graph_count)
{
    struct gpu_range known;
    size_t total = 0;
    for (size_t g = 0; g < graph_count; g++)
        total += graphs[g]->tensor_count;
    store->weights = memory_calloc(total + 1, sizeof(*store->weights));
    store->memory = memory_calloc(total + 1, sizeof(*store->memory));
    if (!store->weights || !store->memory)
        return error_fail(VKCLIP_EMEMORY, "out of memory for the list of weights");
    for (size_t g = 0; g < graph_count; g++)
        for (size_t t = 0; t < graphs[g]->tensor_count; t++) {
            const struct tensor *tensor = &graphs[g]->tensors[t];
            if (tensor->role == ROLE_WEIGHT && !weight_store_find(store, tensor->name, &known))
                place_weight(store, tensor);
        }
    return VKCLIP_OK;
}

/* Places a weight in the slot of its segment, after those of the segment that came before. */
static void place_in_slot(struct weight_store *store, const struct tensor *tensor, uint32_t segment,
                          uint64_t *slot_end)
{
    store->weights[store->weight_count++] = (struct stored_weight){
        *tensor, {.offset = *slot_end, .size = layout_tensor_bytes(tensor)}, segment};
    *slot_end += aligned_bytes(store, tensor);
    if (store->slot_bytes < *slot_end)
        store->slot_bytes = *slot_end;
}

/* Finds the segment that each tensor of a graph is read in; 0: in none, or in several. */
static void find_segments(const struct graph *graph, uint32_t *segments)
{
    bool *seen = (bool *)(segments + graph->tensor_count);
    for (size_t n = 0; n < graph->node_count; n++)
        for (int i = 0; i < NODE_INPUTS; i++) {
            const struct node *node = &graph->nodes[n];
            const int t = node->in[i];
            if (t < 0)
                continue;
            if (!seen[t])
                segments[t] = node->segment;
            else if (segments[t] != node->segment)
                segments[t] = 0;
            seen[t] = true;
        }
}

static int place_slots(struct weight_store *store, const struct graph *graph)
{
    const size_t tensors = graph->tensor_count;
    uint32_t *segments = memory_calloc(tensors + 1, sizeof(*segments) + sizeof(bool));
    uint64_t *slot_ends = memory_calloc((size_t)graph->segments + 1, sizeof(*slot_ends));
    store->weights = memory_calloc(tensors + 1, sizeof(*store->weights));
    store->memory = memory_calloc(tensors + 1, sizeof(*store->memory));
    const bool good = segments && slot_ends && store->weights && store->memory;
    if (good)
        find_segments(graph, segments);
    for (size_t t = 0; t < tensors && good; t++) {
        if (graph->tensors[t].role != ROLE_WEIGHT)
            continue;
        if (segments[t])
            place_in_slot(store, &graph->tensors[t], segments[t], &slot_ends[segments[t]]);
        else
            place_weight(store, &graph->tensors[t]);
    }
    memory_free(segments);
    memory_free(slot_ends);
    return good ? VKCLIP_OK : error_fail(VKCLIP_EMEMORY, "out of memory for the list of weights");
}

static int create_slots(struct weight_store *store)
{
    int error = VKCLIP_OK;
    for (int i = 0; i < 2 && store->slot_bytes && !error; i++)
        error = gpu_buffer_create(store->gpu, GPU_ANY, store->slot_bytes, &store->slots[i]);
    for (size_t i = 0; i < store->weight_count; i++)
        if (store->weights[i].segment)
            store->weights[i].range.buffer = store->slots[store->weights[i].segment % 2];
    return error;
}

static int create_buffers(struct weight_store *store)
{
    int error = VKCLIP_OK;
    size_t weight = 0;
    for (size_t i = 0; i < store->memory_count && !error; i++) {
        struct memory *memory = &store->memory[i];
        error = gpu_buffer_create(store->gpu, GPU_ANY, memory->size, &memory->buffer);
        for (; weight < memory->weights_end; weight++)
            store->weights[weight].range.buffer = memory->buffer;
    }
    return error ? error : create_slots(store);
}

static int create_store(struct gpu *gpu, const struct graph *const *graphs, size_t graph_count,
                        bool slots, struct weight_store **result)
{
    *result = NULL;
    struct weight_store *store = memory_calloc(1, sizeof(*store));
    if (!store)
        return error_fail(VKCLIP_EMEMORY, "out of memory for weights");
    store->gpu = gpu;
    int error = slots ? place_slots(store, graphs[0]) : place_weights(store, graphs, graph_count);
    if (!error)
        error = create_buffers(store);
    if (error)
        weight_store_destroy(&store);
    *result = store;
    return error;
}

int weight_store_create(struct gpu *gpu, const struct graph *const *graphs, size_t graph_count,
                        struct weight_store **store)
{
    return create_store(gpu, graphs, graph_count, false, store);
}

int weight_store_create_slots(struct gpu *gpu, const struct graph *graph,
                              struct weight_store **store)
{
    return create_store(gpu, &graph, 1, true, store);
}

void weight_store_destroy(struct weight_store **handle)
{
    struct weight_store *store = *handle;
    if (!store)
        return;
    for (size_t i = 0; i < store->memory_count; i++)
        gpu_buffer_destroy(store->gpu, &store->memory[i].buffer);
    for (int i = 0; i < 2; i++)
        gpu_buffer_destroy(store->gpu, &store->slots[i]);
    memory_free(store->memory);
    memory_free(store->weights);
    memory_free(store);
    *handle = NULL;
}

/* ---- Looking up ------------------------------------------------------------------------------ */

const struct stored_weight *weight_store_list(const struct weight_store *store, size_t *count)
{
    *count = store->weight_count;
    return store->weights;
}

struct gpu_buffer *weight_store_buffer(const struct weight_store *store, size_t index,
                                       uint64_t *size)
{
    *size = index < store->memory_count ? store->memory[index].size : 0;
    return index < store->memory_count ? store->memory[index].buffer : NULL;
}

uint32_t *weight_store_slot(struct weight_store *store, uint32_t segment)
{
    return store->slot_bytes ? &store->in_slot[segment % 2] : NULL;
}

bool weight_store_find(const struct weight_store *store, const char *name, struct gpu_range *range)
{
    for (size_t i = 0; i < store->weight_count; i++)
        if (!strcmp(store->weights[i].tensor.name, name)) {
            *range = store->weights[i].range;
            return true;
        }
    return false;
}
