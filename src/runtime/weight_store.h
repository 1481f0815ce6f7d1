/* SPDX-License-Identifier: MIT
 *
 * Manages device memory by name. A weight store places every weight that graphs name in a few
 * large buffers and finds it by its name. The weights' contents are undefined until upload.h has
 * filled them. A store that streams has less memory than weights: the segments of the graph take
 * turns in two slots, those of even numbers in one and those of odd numbers in the other.
 */
#ifndef VKCLIP_RUNTIME_WEIGHT_STORE_H
#define VKCLIP_RUNTIME_WEIGHT_STORE_H

#include "vulkan/gpu.h"
#include "graph/graph.h"

struct weight_store;

/* A weight as a graph names it, and its memory. */
struct stored_weight {
    struct tensor tensor;
    struct gpu_range range;
    uint32_t segment; /* that shares its slot with others; 0: the weight stays where it is */
};

/* Allocates memory for every weight of the graphs, in the order of the graphs and of their tensors.
 * A weight that several graphs name is stored once, with the type and layout from the first of
 * them. */
int weight_store_create(struct gpu *gpu, const struct graph *const *graphs, size_t graph_count,
                        struct weight_store **store);
/* Allocates memory for the weights of a graph such that those which only one segment reads take
 * turns in the two slots. */
int weight_store_create_slots(struct gpu *gpu, const struct graph *graph,
                              struct weight_store **store);
void weight_store_destroy(struct weight_store **store);

const struct stored_weight *weight_store_list(const struct weight_store *store, size_t *count);
/* Returns a buffer of weights; buffers are in the order of the weights. Returns NULL past the last
 * one. */
struct gpu_buffer *weight_store_buffer(const struct weight_store *store, size_t index,
                                       uint64_t *size);

/* Returns where the number of the segment is kept whose weights are in a segment's slot; 0 says
 * that the slot has none. Returns NULL if the store has no slots. */
uint32_t *weight_store_slot(struct weight_store *store, uint32_t segment);

/* Finds the memory of a weight. Returns false if no weight has that name. */
bool weight_store_find(const struct weight_store *store, const char *name, struct gpu_range *range);

#endif
