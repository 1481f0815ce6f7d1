/* SPDX-License-Identifier: MIT
 *
 * The configuration of weights that have none beside them. Sizes follow from the shapes of the
 * tensors (OpenAI's clip/model.py, build_model). Head width and activation do not: they follow
 * OpenAI's rule or that of Stable Diffusion's text encoders. Refuses to guess them elsewhere.
 */
#ifndef VKCLIP_CHECKPOINT_STATE_DICT_H
#define VKCLIP_CHECKPOINT_STATE_DICT_H

#include "checkpoint/weights.h"
#include "model/config.h"

/* One size of a tensor; 0 where the tensor or the dimension is missing. */
uint32_t state_dict_size(const struct weights *weights, const char *name, unsigned dimension);
/* The kind of a tower by the names of its tensors; KIND_NONE where there are none. */
enum tower_kind state_dict_kind(const struct weights *weights, enum tower tower);

/* A bare state dict: OpenAI's, unless the caller names an activation. */
int state_dict_read(const struct weights *weights, enum vkclip_activation activation,
                    struct config *config);
/* A text encoder inside a single-file Stable Diffusion checkpoint. */
int state_dict_read_encoder(const struct weights *weights, struct config *config);

#endif
