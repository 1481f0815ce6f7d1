/* SPDX-License-Identifier: MIT
 *
 * Picture files to pixels.
 */
#ifndef VKCLIP_IMAGE_DECODE_H
#define VKCLIP_IMAGE_DECODE_H

#include "vkclip.h"

/* As vkclip_load_image and vkclip_decode_image. The picture is all zero after an error. From any
 * thread. */
int image_load(const char *path, uint64_t max_pixels, struct vkclip_image *image);
int image_decode(const void *data, size_t size, const char *name, uint64_t max_pixels,
                 struct vkclip_image *image);
void image_free(struct vkclip_image *image);

#endif
