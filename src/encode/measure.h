/* SPDX-License-Identifier: MIT
 *
 * Measures the time of each node of a tower.
 */
#ifndef VKCLIP_ENCODE_MEASURE_H
#define VKCLIP_ENCODE_MEASURE_H

#include "encode/model.h"

/* Implements vkclip_profile. */
int measure_tower(struct vkclip_model *model, enum tower tower, uint32_t batch,
                  vkclip_node_fn *each, void *user, struct vkclip_cost *cost);

#endif
