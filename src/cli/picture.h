/* SPDX-License-Identifier: MIT
 *
 * Pictures for people: the colours of a picture's pixels, and pixels as a PNG file.
 */
#ifndef VKCLIP_CLI_PICTURE_H
#define VKCLIP_CLI_PICTURE_H

#include "vkclip.h"

/* Reads a pixel as RGB: over white where it is transparent, and without regard to inks' real
 * colours where it is CMYK. */
void picture_read_pixel(const struct vkclip_image *image, uint32_t x, uint32_t y, uint32_t rgb[3]);

/* The bytes of a file, which are to be freed. */
struct picture_file {
    uint8_t *data;
    size_t size;
};
/* Makes a PNG file of RGB pixels with no gaps between rows. False when out of memory. */
bool picture_make_png(const uint8_t *pixels, uint32_t width, uint32_t height,
                      struct picture_file *png);

#endif
