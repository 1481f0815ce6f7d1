/* SPDX-License-Identifier: MIT
 *
 * Makes a small JPEG of a picture, for programs that show search results.
 */
#ifndef VKCLIP_IMAGE_THUMBNAIL_H
#define VKCLIP_IMAGE_THUMBNAIL_H

#include "vkclip.h"

/* Writes the picture so that its longer side has at most `side` pixels; transparent parts become
 * white. A CMYK picture must have been converted to RGB. The caller frees *data. */
int image_make_thumbnail(const struct vkclip_image *image, uint32_t side, void **data,
                         size_t *size);

#endif
