/* SPDX-License-Identifier: MIT
 *
 * A table of learned positions for pictures of another size.
 */
#ifndef VKCLIP_CHECKPOINT_POSITIONS_H
#define VKCLIP_CHECKPOINT_POSITIONS_H

#include "vkclip.h"

/* Positions [1 + from*from, width] to [1 + to*to, width]: the first row, that of the class token,
 * is kept, the grid resized by antialiased bicubic (a = -0.5), as OpenCLIP's resize_pos_embed has
 * it from torch.nn.functional.interpolate. False when out of memory. */
bool positions_resize(const float *positions, uint32_t from, uint32_t to, uint32_t width,
                      float *out);

#endif
