/* SPDX-License-Identifier: MIT
 *
 * Finds the text encoders inside a single-file Stable Diffusion checkpoint (1, 2, XL, 3), or one of
 * FLUX and other models, by the prefixes of their tensors' names.
 */
#ifndef VKCLIP_CHECKPOINT_DIFFUSION_H
#define VKCLIP_CHECKPOINT_DIFFUSION_H

#include "format/tensor_view.h"

/* An encoder in a file of a whole model. */
struct diffusion_encoder {
    const char *prefix; /* of the names of its tensors */
    const char *name;
};

/* Tells whether a name is that of an encoder's tensor in a file of a whole model. */
bool diffusion_has_prefix(const char *name);

/* Keeps the views of the encoder called `wanted`, or of the first encoder if `wanted` is NULL, and
 * removes the prefix from their names. *found becomes the encoder. If no prefix is found, and
 * `wanted` is NULL or may name the one text encoder that the file is, *found is NULL and the views
 * are unchanged. Returns EABSENT if the wanted encoder is missing. */
int diffusion_pick_encoder(const char *path, const char *wanted, struct tensor_view *views,
                           size_t *count, const struct diffusion_encoder **found);

#endif
