/* SPDX-License-Identifier: MIT
 *
 * Writes a checkpoint as another file or folder. vkclip_convert_model calls this function and
 * documents its parameters.
 */
#ifndef VKCLIP_CHECKPOINT_CONVERT_H
#define VKCLIP_CHECKPOINT_CONVERT_H

#include "vkclip.h"

/* `model` may be NULL. After an error no new file is left. */
int convert_model(const char *path, const struct vkclip_model_params *model, const char *output,
                  const struct vkclip_convert_params *params, struct vkclip_conversion *conversion);

#endif
