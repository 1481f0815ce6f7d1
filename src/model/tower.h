/* SPDX-License-Identifier: MIT
 *
 * The towers of CLIP as graphs: from a configuration to a list of nodes. No Vulkan, no files.
 *
 * Inputs are called "image" (ViT: [B,P,3pp], rows of pixels c, y, x of each patch, patches in
 * reading order; ModifiedResNet: [B,S,S,4], the fourth channel zero), "text.ids" [B,T] and
 * "text.rows" [B] (where each text ends). Results have the names that vkclip_hidden_fn gives; a
 * tower without projection has no "....projected": its embedding is "....pooled".
 */
#ifndef VKCLIP_MODEL_TOWER_H
#define VKCLIP_MODEL_TOWER_H

#include "model/config.h"
#include "graph/graph.h"

/* The graph of a tower for `batch` items at once, activations and weights stored as `type`. */
int model_image_graph(const struct config *config, enum type type, uint32_t batch,
                      struct graph *graph);
int model_text_graph(const struct config *config, enum type type, uint32_t batch,
                     struct graph *graph);

/* A tower appended to a graph; returns its embeddings of length one [B,D], or -1. In a training
 * graph batch norm takes the batch's statistics and moves the running ones. */
int model_add_image(const struct config *config, uint32_t batch, struct graph *graph);
int model_add_text(const struct config *config, uint32_t batch, struct graph *graph);

/* Floats of one picture's input, and the picture [3,S,S] in that form. */
size_t model_image_floats(const struct config *config);
void model_image_input(const struct config *config, const float *pixels, float *input);
/* Where a text of T ids ends: what the pooled token is. */
int32_t model_end_of_text(const struct config *config, const int32_t *ids);

#endif
