/* SPDX-License-Identifier: MIT
 *
 * Checks that a checkpoint's weights are those of the model that its configuration describes.
 */
#ifndef VKCLIP_CHECKPOINT_CHECK_H
#define VKCLIP_CHECKPOINT_CHECK_H

#include "checkpoint/weights.h"
#include "model/config.h"

/* Refuses weights that lack a tensor that a tower needs, have it in another shape, or have another
 * tensor under a tower's prefix. */
int check_tensors(const struct weights *weights, const struct config *config);

#endif
