/* SPDX-License-Identifier: MIT
 *
 * The text encoders inside a single-file Stable Diffusion checkpoint, by the prefix of their
 * tensors' names. Only weights.c calls this.
 */
#ifndef VKCLIP_CHECKPOINT_DIFFUSION_H
#define VKCLIP_CHECKPOINT_DIFFUSION_H

#include "format/tensor_view.h"

/* Keeps the views of the encoder called `wanted` (NULL: of the first one), without the prefix.
 * *name is what it is called; NULL, and nothing changed, where there is none and none is wanted.
 * Errors: EABSENT. */
int weights_pick_encoder(const char *path, const char *wanted, struct tensor_view *views,
                         size_t *count, const char **name);

#endif
