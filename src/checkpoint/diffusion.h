/* SPDX-License-Identifier: MIT
 *
 * The text encoders inside a single-file Stable Diffusion checkpoint (1, 2, XL and 3), found by the
 * prefix of their tensors' names. Only weights.c calls this.
 */
#ifndef VKCLIP_CHECKPOINT_DIFFUSION_H
#define VKCLIP_CHECKPOINT_DIFFUSION_H

#include "format/tensor_view.h"

/* Keeps the views of the encoder called `wanted`, or of the first encoder if `wanted` is NULL, and
 * takes the prefix off their names. *name is what the encoder is called. If there is no encoder and
 * none is wanted, *name is NULL and the views stay as they are. EABSENT: the wanted one is missing.
 */
int diffusion_pick_encoder(const char *path, const char *wanted, struct tensor_view *views,
                           size_t *count, const char **name);

#endif
