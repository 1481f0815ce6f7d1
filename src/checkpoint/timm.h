/* SPDX-License-Identifier: MIT
 *
 * The image towers that OpenCLIP takes from timm, by the names that timm gives them. A published
 * configuration has little more than the name, from which the number of heads and the settings of
 * the family follow; the sizes that `timm_model_kwargs` states have precedence, and sizes that
 * neither has are read from the tensors.
 */
#ifndef VKCLIP_CHECKPOINT_TIMM_H
#define VKCLIP_CHECKPOINT_TIMM_H

#include "checkpoint/json.h"
#include "model/config.h"

/* Tells whether a `vision_cfg` describes a tower of timm. */
bool timm_is_tower(const struct section *vision);
/* Reads such a `vision_cfg`. */
void timm_read(const struct section *vision, struct config *config);

/* The readers of families that have files of their own, and what writes such a `vision_cfg`, which
 * is NULL if memory ran out. `name` is the model's name in timm; other values are
 * taken over. */
void timm_read_convnext(const struct section *vision, const char *name, struct config *config);
json_t *timm_pack_convnext(const struct config *config, json_t *epsilon);
void timm_read_eva(const struct section *vision, const char *name, struct config *config);
json_t *timm_pack_eva(const struct config *config, json_t *mlp_ratio);
void timm_read_siglip(const struct section *vision, const char *name, struct config *config);
json_t *timm_pack_siglip(const struct config *config, json_t *mlp_ratio);

#endif
