/* SPDX-License-Identifier: MIT
 *
 * Takes apart the joint matrix of query, key and value that OpenCLIP's files have for an
 * attentional pool, because query and tokens have products of their own in the tower.
 */
#ifndef VKCLIP_CHECKPOINT_POOL_H
#define VKCLIP_CHECKPOINT_POOL_H

#include "checkpoint/weights.h"
#include "model/config.h"

/* Does nothing where the model has no such pool. */
int pool_split(struct weights *weights, const struct config *config);

#endif
