/* SPDX-License-Identifier: MIT
 *
 * What follows from the numbers of blocks and the widths of a ConvNeXt's stages.
 */
#ifndef VKCLIP_MODEL_CONVNEXT_H
#define VKCLIP_MODEL_CONVNEXT_H

#include "model/config.h"

/* Sets the sizes that follow from config->stages and config->stage_widths. */
void convnext_derive_sizes(struct config *config);
/* Returns the epsilon of LayerNorm, which is another one in the largest of timm's ConvNeXts, the
 * only one whose first stage is as wide. */
float convnext_epsilon(uint32_t width);

#endif
