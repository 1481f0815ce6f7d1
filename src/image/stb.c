/* SPDX-License-Identifier: MIT
 *
 * This is the only file that includes stb_image.h. The arithmetic of stb_image on corrupt JPEG and
 * deflate data overflows harmlessly, but overflow is not defined in C. So this file is built with
 * -fwrapv and without UBSan's checks of shifts, which all other files keep.
 */
#include "image/stb.h"

#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>

static _Thread_local size_t allocation_limit;

/* Tells whether a size is within the limit. An exceeded limit becomes 0, so that the caller can
 * tell it from a lack of memory.
 */
static bool within_limit(size_t size)
{
    if (size > allocation_limit)
        allocation_limit = 0;
    return allocation_limit > 0;
}

/* Allocates memory of zeros, because a corrupt JPEG leaves out pixels, for which stb_image would
 * show what the memory held before. */
static void *limited_malloc(size_t size)
{
    return within_limit(size) ? calloc(1, size) : NULL;
}

static void *limited_realloc(void *memory, size_t size)
{
    return within_limit(size) ? realloc(memory, size) : NULL;
}

#define STBI_MALLOC(size) limited_malloc(size)
#define STBI_REALLOC(memory, size) limited_realloc(memory, size)
#define STBI_FREE(memory) free(memory)
#define STBI_ASSERT(condition) ((void)0) /* Hostile data must not end the process. */
#define STBI_NO_STDIO
#define STBI_ONLY_PNG
#define STBI_ONLY_JPEG
#define STBI_ONLY_BMP
#define STBI_ONLY_TGA
#define STBI_NO_LINEAR
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#ifdef __GNUC__
#pragma GCC diagnostic ignored \
    "-Wunused-function" /* checked at the file's end, where a pop would undo this */
#endif
#include <stb_image.h>

uint8_t *image_stb_decode(const uint8_t *data, size_t size, size_t limit, unsigned channels,
                          uint32_t *width, uint32_t *height, const char **reason)
{
    int w = 0, h = 0, found = 0;
    if (size > INT_MAX) {
        *reason = "larger than 2 GiB";
        return NULL;
    }
    allocation_limit = limit;
    stbi__g_failure_reason = "damaged data"; /* Some failures set no reason. */
    uint8_t *pixels = stbi_load_from_memory(data, (int)size, &w, &h, &found, (int)channels);
    *reason =
        allocation_limit ? stbi__g_failure_reason : "data that unpacks to more than its pixels";
    *width = (uint32_t)w;
    *height = (uint32_t)h;
    return pixels;
}
