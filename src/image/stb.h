/* SPDX-License-Identifier: MIT
 *
 * Wraps stb_image in one function, which limits the memory that stb_image may allocate.
 */
#ifndef VKCLIP_IMAGE_STB_H
#define VKCLIP_IMAGE_STB_H

#include "image/reader.h"

/* Decodes PNG or JPEG to file->channels bytes per pixel. `data` are the file's bytes,
 * perhaps mended. The reader must have checked the file's structure, because stb_image trusts
 * several fields, and must have set size and channels. */
int image_stb_decode(struct image_file *file, const uint8_t *data, size_t size, uint8_t **pixels);

#endif
