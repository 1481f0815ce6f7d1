/* SPDX-License-Identifier: MIT
 *
 * Device memory by name. A store gives every weight that graphs name a place in a few large
 * buffers, and finds it again by its name; callers may name further memory of their own. The
 * weights' contents are undefined until upload.h has filled them.
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
 * A weight that several graphs name has one place, with the type and layout that the first of them
 * gives it. */
int store_create(struct gpu *gpu, const struct graph *const *graphs, size_t graph_count,
                 struct store **store);
void store_destroy(struct store **store);

const struct store_weight *store_weights(const struct store *store, size_t *count);
/* The buffers that the weights lie in, in the order of the weights; NULL past the last one. */
struct gpu_buffer *store_buffer(const struct store *store, size_t index, uint64_t *size);

/* Gives a name to memory that the caller owns and that must outlive the store's users. A name that
 * a weight already has still finds the weight. */
int store_name(struct store *store, const char *name, struct gpu_range range);
/* Finds the memory of a weight or of a name that store_name gave; false if there is none. */
bool store_find(const struct store *store, const char *name, struct gpu_range *range);

#endif
