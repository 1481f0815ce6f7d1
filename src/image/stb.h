/* SPDX-License-Identifier: MIT
 *
 * stb_image behind one function, with a limit on the memory it takes.
 */
#ifndef VKCLIP_IMAGE_STB_H
#define VKCLIP_IMAGE_STB_H

#include <stddef.h>
#include <stdint.h>

/* Decodes PNG, JPEG, BMP or TGA to `channels` bytes a pixel; release with free(). The file's
 * structure must have been checked (image_file.c): stb_image itself trusts several fields. No
 * single allocation passes `limit` bytes. NULL: *reason is static text, "outofmem" included. */
uint8_t *image_stb_decode(const uint8_t *data, size_t size, size_t limit, unsigned channels,
                          uint32_t *width, uint32_t *height, const char **reason);

#endif
