/* SPDX-License-Identifier: MIT
 *
 * Decodes picture files to pixels. Files that are truncated, corrupt, of another format or too
 * large are refused.
 */
#ifndef VKCLIP_IMAGE_DECODE_H
#define VKCLIP_IMAGE_DECODE_H

#include "vkclip.h"

/* image_load and image_decode do what vkclip_load_image and vkclip_decode_image do. After an error
 * the picture is all zero. They may be called from any thread. */
int image_load(const char *path, uint64_t max_pixels, struct vkclip_image *image);
int image_decode(const void *data, size_t size, const char *name, uint64_t max_pixels,
                 struct vkclip_image *image);
void image_free(struct vkclip_image *image);

#endif
