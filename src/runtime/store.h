/* SPDX-License-Identifier: MIT
 *
 * Manages device memory by name. A store places every weight that graphs name in a few large
 * buffers and finds it by its name. The weights' contents are undefined until upload.h has filled
 * them.
 */
#ifndef VKCLIP_RUNTIME_STORE_H
#define VKCLIP_RUNTIME_STORE_H

#include "vulkan/gpu.h"
#include "graph/graph.h"

struct store;

/* A weight as a graph names it, and its memory. */
struct store_weight {
    struct tensor tensor;
    struct gpu_range range;
};

/* Allocates memory for every weight of the graphs, in the order of the graphs and of their tensors.
 * A weight that several graphs name is stored once, with the type and layout from the first of
 * them. */
int store_create(struct gpu *gpu, const struct graph *const *graphs, size_t graph_count,
                 struct store **store);
void store_destroy(struct store **store);

const struct store_weight *store_weights(const struct store *store, size_t *count);
/* Returns a buffer of weights; buffers are in the order of the weights. Returns NULL past the last
 * one. */
struct gpu_buffer *store_buffer(const struct store *store, size_t index, uint64_t *size);

/* Finds the memory of a weight. Returns false if no weight has that name. */
bool store_find(const struct store *store, const char *name, struct gpu_range *range);

#endif
