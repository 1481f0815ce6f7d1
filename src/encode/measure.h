/* SPDX-License-Identifier: MIT
 *
 * Measures the time of each node of a tower.
 */
#ifndef VKCLIP_ENCODE_MEASURE_H
#define VKCLIP_ENCODE_MEASURE_H

#include "encode/model.h"

/* Counts the cost of a batch; unless `each` is NULL, it also runs the batch once on the first GPU
 * and gives `each` the time of every node. */
int measure_tower(struct vkclip_model *model, enum tower tower, uint32_t batch,
                  vkclip_node_fn *each, void *user, struct vkclip_cost *cost);

#endif
