/* SPDX-License-Identifier: MIT
 *
 * Resizes a table of learned positions for pictures of another size than the checkpoint's.
 */
#ifndef VKCLIP_CHECKPOINT_POSITIONS_H
#define VKCLIP_CHECKPOINT_POSITIONS_H

#include "checkpoint/weights.h"
#include "model/config.h"

/* Resizes positions [tokens + old*old, width] to [tokens + new*new, width], where `old_side` and
 * `new_side` are the sides of the grid. The rows of the first `tokens`, which is 1 with a class
 * token and else 0, are copied. The grid is resized by antialiased bicubic (a = -0.5), as
 * OpenCLIP's resize_pos_embed does it with torch.nn.functional.interpolate. Returns false if memory
 * runs out. */
bool positions_resize(const float *positions, uint32_t tokens, uint32_t old_side, uint32_t new_side,
                      uint32_t width, float *resized);

/* Replaces the checkpoint's positions by those for pictures of `image_size` pixels per side.
 * Refuses a size that is not a multiple of the patch size, or is above 4096. */
int positions_fit(struct weights *weights, uint32_t image_size, struct config *config);

#endif
