/* SPDX-License-Identifier: MIT
 *
 * Makes the tensors that towers compute with of others that OpenCLIP's files have: LayerScale's
 * factors go into the matrices that they follow, and the joint matrix of an attentional pool is
 * taken apart. The configuration then no longer mentions them, so that a model is written without.
 */
#ifndef VKCLIP_CHECKPOINT_FOLD_H
#define VKCLIP_CHECKPOINT_FOLD_H

#include "checkpoint/weights.h"
#include "model/config.h"

int fold_tensors(struct weights *weights, struct config *config);

#endif
