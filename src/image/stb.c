/* SPDX-License-Identifier: MIT
 *
 * This is the only file that includes stb_image.h. The arithmetic of stb_image on corrupt JPEG and
 * deflate data overflows harmlessly, but overflow is not defined in C. So this file is built with
 * -fwrapv and without UBSan's checks of shifts, which all other files keep.
 */
#include "image/stb.h"
#include "base/memory.h"

#include <limits.h>
#include <string.h>

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
    return within_limit(size) ? memory_calloc(1, size) : NULL;
}

static void *limited_realloc(void *memory, size_t size)
{
    return within_limit(size) ? memory_realloc(memory, size) : NULL;
}

#define STBI_MALLOC(size) limited_malloc(size)
#define STBI_REALLOC(memory, size) limited_realloc(memory, size)
#define STBI_FREE(memory) memory_free(memory)
#define STBI_ASSERT(condition) ((void)0) /* Hostile data must not end the process. */
#define STBI_NO_STDIO
#define STBI_ONLY_PNG
#define STBI_ONLY_JPEG
#define STBI_NO_LINEAR
#ifdef __aarch64__
#define STBI_NEON /* Each such processor has it, but stb_image uses it only if asked. */
#endif
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#ifdef __GNUC__
#pragma GCC diagnostic ignored \
    "-Wunused-function" /* checked at the file's end, where a pop would undo this */
#endif
#include <stb_image.h>

/* The limit is the largest allocation that a decoder needs. It is 8 bytes per pixel, in whole
 * blocks of a JPEG, or 16 because a buffer that grows by doubling may be twice as large. To this
 * comes twice the compressed data, which the decoder of a PNG collects. */
static size_t largest_allocation(const struct image_file *file)
{
    uint64_t limit = ((uint64_t)file->width + 31) * ((uint64_t)file->height + 31) * 16 +
                     (uint64_t)file->size * 2 + 65536;
    return limit < SIZE_MAX ? (size_t)limit : SIZE_MAX;
}

int image_stb_decode(struct image_file *file, const uint8_t *data, size_t size, uint8_t **pixels)
{
    int width = 0, height = 0, channels = 0;
    if (size > INT_MAX)
        return reader_unsupported(file, "larger than 2 GiB");
    allocation_limit = largest_allocation(file);
    stbi__g_failure_reason = "damaged data"; /* Some failures set no reason. */
    *pixels =
        stbi_load_from_memory(data, (int)size, &width, &height, &channels, (int)file->channels);
    if (!*pixels && !allocation_limit)
        return reader_corrupt(file, "data that unpacks to more than its pixels");
    if (!*pixels && !strcmp(stbi__g_failure_reason, "outofmem"))
        return reader_no_memory(file);
    if (!*pixels)
        return reader_corrupt(file, stbi__g_failure_reason);
    if ((uint32_t)width != file->width || (uint32_t)height != file->height)
        return reader_corrupt(file, "two headers that differ in size");
    return VKCLIP_OK;
}
