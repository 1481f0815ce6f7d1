/* SPDX-License-Identifier: MIT
 *
 * Finds the scales that files with weights of 8 bits store beside them. Only weights.c calls this.
 */
#ifndef VKCLIP_CHECKPOINT_SCALES_H
#define VKCLIP_CHECKPOINT_SCALES_H

#include "format/tensor_view.h"

/* Gives every view X.weight the scale that the view X.scale_weight or X.weight_scale has, and
 * removes the views that only say how others are quantised. The views stay sorted by name. */
int scales_apply(const char *path, struct tensor_view *views, size_t *count);

#endif
