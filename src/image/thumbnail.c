/* SPDX-License-Identifier: MIT
 *
 * Each pixel of a thumbnail is the mean of the pixels that it covers. stb_image_write makes the
 * JPEG, because it is there in every build, and a thumbnail takes it about a millisecond.
 */
#include "image/thumbnail.h"
#include "base/error.h"
#include "base/memory.h"

#include <string.h>

#if defined(__GNUC__) /* Most of the header is not used. */
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#endif
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#define STBI_WRITE_NO_STDIO
#define STBIW_MALLOC(size) memory_alloc(size)
#define STBIW_REALLOC(memory, size) memory_realloc(memory, size)
#define STBIW_FREE(memory) memory_free(memory)
#include <stb_image_write.h>

enum { QUALITY = 85 }; /* Below it, blocks show in skies; above it, files grow fast. */

/* Adds the colours of a pixel over white to sums of 255 times their value. */
static void add_pixel(const uint8_t *pixel, uint32_t channels, uint64_t sums[3])
{
    const bool grey = channels < 3, transparent = channels == 2 || channels == 4;
    const uint32_t alpha = transparent ? pixel[channels - 1] : 255;
    for (uint32_t c = 0; c < 3; c++)
        sums[c] += pixel[grey ? 0 : c] * alpha + 255 * (255 - alpha);
}

static void average(const struct vkclip_image *image, uint32_t left, uint32_t top, uint32_t right,
                    uint32_t bottom, uint8_t out[3])
{
    const size_t stride = image->stride ? image->stride : (size_t)image->width * image->channels;
    const uint64_t count = (uint64_t)(right - left) * (bottom - top) * 255;
    uint64_t sums[3] = {count / 2, count / 2, count / 2};
    for (uint32_t y = top; y < bottom; y++)
        for (uint32_t x = left; x < right; x++)
            add_pixel(image->pixels + y * stride + (size_t)x * image->channels, image->channels,
                      sums);
    for (uint32_t c = 0; c < 3; c++)
        out[c] = (uint8_t)(sums[c] / count);
}

/* Returns a side of the thumbnail for a side of the picture, whose longer side is `longest`. */
static uint32_t scale_side(uint32_t side, uint32_t longest, uint32_t most)
{
    if (longest <= most)
        return side;
    const uint32_t scaled = (uint32_t)((uint64_t)side * most / longest);
    return scaled ? scaled : 1;
}

/* This JPEG grows in memory. */
struct output {
    uint8_t *data;
    size_t size, capacity;
    bool failed;
};

static void write_bytes(void *user, void *data, int size)
{
    struct output *output = user;
    const size_t needed = output->size + (size_t)size;
    if (!output->failed && needed > output->capacity) {
        const size_t capacity = needed * 2 + 4096;
        void *larger = memory_realloc(output->data, capacity);
        output->failed = !larger;
        output->data = larger ? larger : output->data;
        output->capacity = larger ? capacity : output->capacity;
    }
    if (output->failed)
        return;
    memcpy(output->data + output->size, data, (size_t)size);
    output->size = needed;
}

int image_make_thumbnail(const struct vkclip_image *image, uint32_t side, void **data, size_t *size)
{
    const uint32_t longest = image->width > image->height ? image->width : image->height;
    const uint32_t width = scale_side(image->width, longest, side),
                   height = scale_side(image->height, longest, side);
    uint8_t *pixels = memory_alloc((size_t)width * height * 3);
    struct output output = {0};
    for (uint32_t y = 0; y < height && pixels; y++)
        for (uint32_t x = 0; x < width; x++)
            average(image, (uint32_t)((uint64_t)x * image->width / width),
                    (uint32_t)((uint64_t)y * image->height / height),
                    (uint32_t)((uint64_t)(x + 1) * image->width / width),
                    (uint32_t)((uint64_t)(y + 1) * image->height / height),
                    pixels + ((size_t)y * width + x) * 3);
    const bool good = pixels && stbi_write_jpg_to_func(write_bytes, &output, (int)width,
                                                       (int)height, 3, pixels, QUALITY);
    memory_free(pixels);
    if (!good || output.failed) {
        memory_free(output.data);
        return error_fail(VKCLIP_EMEMORY, "out of memory for a thumbnail");
    }
    *data = output.data;
    *size = output.size;
    return VKCLIP_OK;
}
