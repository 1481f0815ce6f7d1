/* SPDX-License-Identifier: MIT
 *
 * The one list of picture formats: their names, the extensions of their files, and the libraries
 * that this build lacks for them. A file is decoded by its content whatever its name is; extensions
 * only tell which files of a folder or an archive are pictures.
 */
#ifndef VKCLIP_IMAGE_FORMATS_H
#define VKCLIP_IMAGE_FORMATS_H

#include "vkclip.h"

/* Returns a format by its position, or NULL after the last one. */
const struct vkclip_image_format *image_format(size_t index);
/* Returns the format whose files have this extension, given without its dot and in either case, or
 * NULL if there is none. */
const struct vkclip_image_format *image_find_format(const char *extension);

#endif
