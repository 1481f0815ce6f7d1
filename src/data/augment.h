/* SPDX-License-Identifier: MIT
 *
 * Makes a training input from a decoded picture with OpenCLIP's transform: a random crop, resized
 * by Pillow's antialiased bicubic filter, changes of colour, normalisation. The caller gives the
 * random numbers, so that a step can be repeated.
 */
#ifndef VKCLIP_DATA_AUGMENT_H
#define VKCLIP_DATA_AUGMENT_H

#include "base/rng.h"
#include "image/prepare.h"

/* Refuses values outside their ranges. The messages use OpenCLIP's names. */
int augment_check(const struct vkclip_augmentation *params);

/* Makes the values [3,S,S] of a picture. */
int augment_image(const struct vkclip_augmentation *params, const struct image_transform *transform,
                  const struct vkclip_image *image, struct rng *rng, float *pixel_values);

#endif
