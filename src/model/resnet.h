/* SPDX-License-Identifier: MIT
 *
 * The sizes of a ModifiedResNet, for those who read or list its configurations.
 */
#ifndef VKCLIP_MODEL_RESNET_H
#define VKCLIP_MODEL_RESNET_H

#include "model/config.h"

/* Fills the sizes that follow from `image.width`, which is the stem's, and `stages`. Heads of the
 * attention pool have the width that the caller says; OpenAI's all have 64. */
void resnet_derive_sizes(struct config *config, uint32_t head_width);

#endif
