/* SPDX-License-Identifier: MIT
 *
 * Turns and mirrors pictures as EXIF describes the position of the camera.
 */
#ifndef VKCLIP_IMAGE_ORIENT_H
#define VKCLIP_IMAGE_ORIENT_H

#include "vkclip.h"

/* Replaces the picture's pixels, which come from memory_alloc and have no padding, by upright ones.
 * `orientation` is EXIF's: 1 is upright; 5 to 8 exchange width and height. Fails only for lack of
 * memory, which leaves the picture as it is. */
int image_orient(struct vkclip_image *image, uint32_t orientation);

#endif
