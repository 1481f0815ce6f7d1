/* SPDX-License-Identifier: MIT
 *
 * Wraps stb_image in one function, which limits the memory that stb_image may allocate.
 */
#ifndef VKCLIP_IMAGE_STB_H
#define VKCLIP_IMAGE_STB_H

#include <stddef.h>
#include <stdint.h>

/* Decodes PNG, JPEG, BMP or TGA to `channels` bytes per pixel, which the caller releases with
 * free(). image/decode.c must have checked the file's structure, because stb_image trusts several
 * fields. No single allocation exceeds `limit` bytes. Returns NULL after an error, where *reason is
 * a static text, which is "outofmem" for a lack of memory. */
uint8_t *image_stb_decode(const uint8_t *data, size_t size, size_t limit, unsigned channels,
                          uint32_t *width, uint32_t *height, const char **reason);

#endif
