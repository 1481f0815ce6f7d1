/* SPDX-License-Identifier: MIT
 *
 * Reads what EXIF data say of a picture.
 */
#ifndef VKCLIP_IMAGE_EXIF_H
#define VKCLIP_IMAGE_EXIF_H

#include "image/facts.h"

#include <stddef.h>

/* Sets orientation, taken, camera, latitude and longitude from EXIF data that begin with their TIFF
 * header. What is missing or makes no sense stays as it is. */
void exif_read(const uint8_t *data, size_t size, struct image_facts *facts);

#endif
