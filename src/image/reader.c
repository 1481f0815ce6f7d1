/* SPDX-License-Identifier: MIT
 *
 * This file has the checks and messages that all readers of picture formats share. A picture of
 * more pixels than the caller allows is refused before anything of that size is allocated.
 */
#include "image/reader.h"
#include "base/error.h"
#include "base/memory.h"
#include "image/orient.h"

#include <string.h>

#define DEFAULT_MAX_PIXELS 89478485 /* a quarter of a GiB of RGB, where Pillow begins to warn */
#define DECODER_MAX_PIXELS ((uint64_t)1 << 28) /* stb_image counts the bytes of RGBA in an int */

uint64_t reader_most_pixels(const struct image_file *file)
{
    uint64_t limit = file->max_pixels ? file->max_pixels : DEFAULT_MAX_PIXELS;
    return limit < DECODER_MAX_PIXELS ? limit : DECODER_MAX_PIXELS;
}

int reader_claim_size(struct image_file *file, uint64_t width, uint64_t height)
{
    uint64_t limit = reader_most_pixels(file);
    if (!width || !height)
        return error_fail(VKCLIP_EFORMAT, "%s: corrupt %s: its header says %llu x %llu pixels",
                          file->name, file->format, (unsigned long long)width,
                          (unsigned long long)height);
    if (width > UINT32_MAX || height > UINT32_MAX || width > limit / height)
        return error_fail(VKCLIP_EUNSUPPORTED, "%s: %llu x %llu pixels, expected at most %llu%s",
                          file->name, (unsigned long long)width, (unsigned long long)height,
                          (unsigned long long)limit,
                          limit < DECODER_MAX_PIXELS ? " (`max_pixels` sets this limit)"
                                                     : " pixels, which is all that can be decoded");
    file->width = file->full_width = (uint32_t)width;
    file->height = file->full_height = (uint32_t)height;
    return VKCLIP_OK;
}

void reader_set_exif(struct image_file *file, const uint8_t *data, size_t size)
{
    const size_t prefix = size > 6 && !memcmp(data, "Exif\0\0", 6) ? 6 : 0;
    file->exif = data + prefix;
    file->exif_size = size - prefix;
}

bool reader_set_exif_block(struct image_file *file, const uint8_t *block, size_t size)
{
    if (size <= 4 || be32(block) >= size - 4)
        return false;
    file->exif = block + 4 + be32(block);
    file->exif_size = size - 4 - be32(block);
    return true;
}

int reader_orient(struct image_file *file, uint8_t **pixels, uint32_t orientation)
{
    struct vkclip_image image = {.pixels = *pixels,
                                 .width = file->width,
                                 .height = file->height,
                                 .channels = file->channels};
    int error = image_orient(&image, orientation);
    *pixels = (uint8_t *)image.pixels;
    file->width = file->full_width = image.width;
    file->height = file->full_height = image.height;
    file->oriented = true;
    return error ? reader_no_memory(file) : VKCLIP_OK;
}

void reader_divide_alpha(const struct image_file *file, uint8_t *pixels)
{
    uint64_t count = (uint64_t)file->width * file->height;
    for (unsigned alpha = file->channels - 1; count; count--, pixels += file->channels)
        for (unsigned c = 0; c < alpha; c++) {
            unsigned color = pixels[alpha] ? pixels[c] * 255u / pixels[alpha] : 0;
            pixels[c] = (uint8_t)(color < 255 ? color : 255);
        }
}

int reader_check_data(const struct image_file *file, uint64_t bytes, uint64_t most_pixels)
{
    if (most_pixels >= (uint64_t)file->width * file->height)
        return VKCLIP_OK;
    return error_fail(VKCLIP_EFORMAT,
                      "%s: corrupt %s: %llu bytes of data cannot hold %u x %u pixels", file->name,
                      file->format, (unsigned long long)bytes, file->width, file->height);
}

int reader_truncated(const struct image_file *file, uint64_t expected)
{
    return error_fail(VKCLIP_EFORMAT, "%s: truncated %s: %zu bytes, expected at least %llu",
                      file->name, file->format, file->size, (unsigned long long)expected);
}

int reader_corrupt(const struct image_file *file, const char *what)
{
    return error_fail(VKCLIP_EFORMAT, "%s: corrupt %s: %s", file->name, file->format, what);
}

int reader_unsupported(const struct image_file *file, const char *what)
{
    return error_fail(VKCLIP_EUNSUPPORTED, "%s: this kind of %s is not supported: %s", file->name,
                      file->format, what);
}

int reader_no_memory(const struct image_file *file)
{
    return error_fail(VKCLIP_EMEMORY, "%s: out of memory for %u x %u pixels", file->name,
                      file->width, file->height);
}

uint8_t *reader_allocate(const struct image_file *file, size_t bytes)
{
    uint8_t *memory = file->spare ? scratch_take(file->spare, bytes) : NULL;
    return memory ? memory : memory_alloc(bytes);
}
