/* SPDX-License-Identifier: MIT
 *
 * The one list of picture formats. Formats whose library this build lacks stay in it, so that their
 * files are refused with that library's name and are not left out of a folder without a word.
 */
#include "image/formats.h"
#include "base/array.h"

#include <string.h>

static const struct vkclip_image_format formats[] = {
    {"PNG", "png apng", NULL},
    {"JPEG", "jpg jpeg jpe jfif", NULL},
    {"WebP", "webp", "libwebp"},
    {"TIFF", "tif tiff", "libtiff"},
    {"HEIC", "heic heif hif", "libheif"},
    {"AVIF", "avif", "libheif"},
    {"JPEG XL", "jxl", "libjxl"},
    {"GIF", "gif", NULL},
    {"BMP", "bmp dib", NULL},
    {"TGA", "tga", NULL},
    {"PSD", "psd", NULL},
    {"PNM", "pnm ppm pgm pbm", NULL},
};

const struct vkclip_image_format *image_format(size_t index)
{
    return index < ARRAY_COUNT(formats) ? &formats[index] : NULL;
}

/* Tells whether a list of words, which are separated by spaces, has this word. */
static bool has_word(const char *list, const char *word, size_t length)
{
    for (const char *found = list; (found = strstr(found, word)); found++)
        if ((found == list || found[-1] == ' ') && (found[length] == ' ' || !found[length]))
            return true;
    return false;
}

const struct vkclip_image_format *image_find_format(const char *extension)
{
    char lower[8] = "";
    size_t length = strlen(extension);
    if (!length || length >= sizeof(lower) || strchr(extension, ' '))
        return NULL;
    for (size_t i = 0; i < length; i++)
        lower[i] = (char)(extension[i] >= 'A' && extension[i] <= 'Z' ? extension[i] + 'a' - 'A'
                                                                     : extension[i]);
    for (size_t i = 0; i < ARRAY_COUNT(formats); i++)
        if (has_word(formats[i].extensions, lower, length))
            return &formats[i];
    return NULL;
}
