/* SPDX-License-Identifier: MIT
 *
 * The one list of picture formats. Formats whose library this build lacks stay in it, so that their
 * files are refused with that library's name and are not left out of a folder without a word.
 */
#include "image/formats.h"
#include "base/array.h"

#include <string.h>

/* What this build has. stb_image is always there, and stands in for two libraries, as
 * libheif does for libavif. */
#ifdef VKCLIP_WITH_JPEG
#define JPEG_LIBRARY "libjpeg-turbo"
#else
#define JPEG_LIBRARY "stb_image"
#endif
#ifdef VKCLIP_WITH_PNG
#define PNG_LIBRARY "libspng"
#else
#define PNG_LIBRARY "stb_image"
#endif
#ifdef VKCLIP_WITH_WEBP
#define HAS_WEBP true
#else
#define HAS_WEBP false
#endif
#ifdef VKCLIP_WITH_TIFF
#define HAS_TIFF true
#else
#define HAS_TIFF false
#endif
#ifdef VKCLIP_WITH_HEIF
#define HAS_HEIF true
#else
#define HAS_HEIF false
#endif
#ifdef VKCLIP_WITH_AVIF
#define HAS_AVIF true
#else
#define HAS_AVIF false
#endif
#ifdef VKCLIP_WITH_JXL
#define HAS_JXL true
#else
#define HAS_JXL false
#endif

static const struct vkclip_image_format formats[] = {
    {"PNG", "png apng", PNG_LIBRARY, true},
    {"JPEG", "jpg jpeg jpe jfif", JPEG_LIBRARY, true},
    {"WebP", "webp", "libwebp", HAS_WEBP},
    {"TIFF", "tif tiff", "libtiff", HAS_TIFF},
    {"AVIF", "avif", HAS_HEIF && !HAS_AVIF ? "libheif" : "libavif", HAS_AVIF || HAS_HEIF},
    {"HEIC", "heic", "libheif", HAS_HEIF},
    {"HEIF", "heif hif", "libheif", HAS_HEIF},
    {"JPEG XL", "jxl", "libjxl", HAS_JXL},
    {"BMP", "bmp dib", NULL, true},
    {"GIF", "gif", NULL, true},
    {"PSD", "psd", NULL, true},
    {"PNM", "pnm ppm pgm pbm", NULL, true},
    {"TGA", "tga", NULL, true},
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
