/* SPDX-License-Identifier: MIT
 *
 * Derives the configuration of weights that have none beside them. Sizes follow from the shapes of
 * the tensors (OpenAI's clip/model.py, build_model). Head width and activation follow from OpenAI's
 * rule or that of Stable Diffusion's text encoders. Refuses to guess them for other weights.
 */
#ifndef VKCLIP_CHECKPOINT_STATE_DICT_H
#define VKCLIP_CHECKPOINT_STATE_DICT_H

#include "checkpoint/weights.h"
#include "model/config.h"

/* Returns one size of a tensor, or 0 if the tensor or the dimension is missing. */
uint32_t state_dict_size(const struct weights *weights, const char *name, unsigned dimension);
/* Tells the kind of a tower by the names of its tensors; KIND_NONE if there are none. */
/* Takes sizes of the image tower that its configuration leaves open, and so are 0, from the shapes,
 * and the number of heads from their width. */
void state_dict_fill_image(const struct weights *weights, struct config *config);

enum tower_kind state_dict_kind(const struct weights *weights, enum tower tower);

/* Sets the sizes of a tower that the configuration has to those that the shapes tell. */
void state_dict_read_sizes(const struct weights *weights, enum tower tower, struct config *config);

/* Reads a bare state dict, by OpenAI's rule unless the caller names an activation. OpenAI's rule is
 * not used for checkpoints that OpenCLIP's training writes. */
int state_dict_read(const struct weights *weights, enum vkclip_activation activation,
                    struct config *config);
/* Reads a text encoder of a diffusion model: "clip_l", "clip_h" or "clip_g". If `name` is NULL, the
 * width tells which one it is. */
int state_dict_read_encoder(const struct weights *weights, const char *name, struct config *config);

#endif
