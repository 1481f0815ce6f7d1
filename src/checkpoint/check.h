/* SPDX-License-Identifier: MIT
 *
 * Whether the weights of a checkpoint are those of the model that its configuration describes.
 */
#ifndef VKCLIP_CHECKPOINT_CHECK_H
#define VKCLIP_CHECKPOINT_CHECK_H

#include "checkpoint/weights.h"
#include "model/config.h"

/* Refuses weights that lack a tensor which a tower needs, have one in another shape, or have a
 * tensor of a tower that it does not need. */
int check_tensors(const struct weights *weights, const struct config *config);

#endif
