/* SPDX-License-Identifier: MIT
 *
 * The sizes of a ModifiedResNet, for the readers of configurations and the table of architectures.
 */
#ifndef VKCLIP_MODEL_RESNET_H
#define VKCLIP_MODEL_RESNET_H

#include "model/config.h"

/* Fills the sizes that follow from `stages` and `image.width`, which is the stem's width. The
 * caller gives the width of the attention pool's heads, which is 64 in all of OpenAI's models. */
void resnet_derive_sizes(struct config *config, uint32_t head_width);

#endif
