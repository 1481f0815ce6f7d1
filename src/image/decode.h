/* SPDX-License-Identifier: MIT
 *
 * Decodes picture files to pixels. Files that are truncated, corrupt, of another format or too
 * large are refused.
 */
#ifndef VKCLIP_IMAGE_DECODE_H
#define VKCLIP_IMAGE_DECODE_H

#include "vkclip.h"

/* Decodes the picture in a file, whose format is recognised by its content. A picture of more than
 * `max_pixels` is refused before memory for it is allocated; 0 means the limit that
 * vkclip_load_image states. After an error the picture is all zero. May be called from any thread.
 */
int image_load(const char *path, uint64_t max_pixels, struct vkclip_image *image);
/* Decodes the picture in memory in the same way; `name` is used in messages. */
int image_decode(const void *data, size_t size, const char *name, uint64_t max_pixels,
                 struct vkclip_image *image);
void image_free(struct vkclip_image *image);

#endif
