/* SPDX-License-Identifier: MIT
 *
 * Recognises the formats that are boxes of ISO/IEC 14496-12 by their brands. A file may name its
 * codec only among the brands that it is compatible with, as pictures of the general brand mif1 do.
 */
#include "image/reader.h"

#include <string.h>

/* Tells whether a file has one of the brands, which are four letters each: its major brand, or one
 * of the compatible brands that follow the version. */
static bool has_brand(const struct image_file *file, const char *brands)
{
    if (file->size < 12 || memcmp(file->data + 4, "ftyp", 4))
        return false;
    size_t end = be32(file->data) < file->size ? be32(file->data) : file->size;
    for (size_t offset = 8; offset == 8 || offset + 4 <= end; offset += offset == 8 ? 8 : 4)
        for (const char *brand = brands; *brand; brand += 4)
            if (!memcmp(file->data + offset, brand, 4))
                return true;
    return false;
}

bool image_avif_recognise(const struct image_file *file)
{
    return has_brand(file, "avifavis");
}

bool image_heic_recognise(const struct image_file *file)
{
    return has_brand(file, "heicheixheimheishevchevxhevmhevs");
}

bool image_heif_recognise(const struct image_file *file)
{
    return has_brand(file, "mif1mif2msf1");
}
