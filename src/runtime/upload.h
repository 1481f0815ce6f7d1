/* SPDX-License-Identifier: MIT
 *
 * A checkpoint's weights in device memory, in the type and layout that the graphs ask for. They
 * pass through two staging buffers of fixed size: no second copy of the weights is ever made on the
 * host.
 */
#ifndef VKCLIP_RUNTIME_UPLOAD_H
#define VKCLIP_RUNTIME_UPLOAD_H

#include "vulkan/gpu.h"
#include "graph/graph.h"
#include "checkpoint/weights.h"

struct upload;

/* Uploads every weight that one of the graphs names. `weights` is not needed afterwards. */
int upload_create(struct gpu *gpu, const struct weights *weights, const struct graph *const *graphs,
                  size_t graph_count, struct upload **upload);
void upload_destroy(struct upload **upload);
/* Where a weight lies. */
bool upload_find(const struct upload *upload, const char *name, struct gpu_range *range);
/* The buffers that the weights lie in, in the order of the graphs and of their tensors; NULL behind
 * the last. */
struct gpu_buffer *upload_buffer(const struct upload *upload, size_t index, uint64_t *size);
/* Memory of the caller's that upload_find then finds too. */
int upload_name(struct upload *upload, const char *name, struct gpu_range range);
uint64_t upload_bytes(const struct upload *upload);

#endif
