/* SPDX-License-Identifier: MIT
 *
 * From a decoded picture to a training input: OpenCLIP's transform, a random resized crop
 * (Pillow's antialiased bicubic), colours, normalisation. Random numbers are the caller's.
 */
#ifndef VKCLIP_DATA_AUGMENT_H
#define VKCLIP_DATA_AUGMENT_H

#include "image/prepare.h"
#include "base/rng.h"

/* Whether the values make sense; messages call them by OpenCLIP's names. */
int augment_check(const struct vkclip_augmentation *params);

/* Picture to values [3,S,S]. */
int augment_image(const struct vkclip_augmentation *params, const struct image_transform *transform,
                  const struct vkclip_image *image, struct rng *rng, float *pixel_values);

#endif
