/* SPDX-License-Identifier: MIT
 *
 * Copies pixels to where EXIF's orientation says that they belong, as Pillow's exif_transpose does.
 */
#include "image/orient.h"
#include "base/error.h"
#include "base/memory.h"

#include <string.h>

/* Where the upright pixel (x,y) lies in the picture as it is stored: with `exchanged` at (y,x), and
 * then counted from the right or from the bottom. */
struct position {
    bool exchanged, from_right, from_bottom;
};

static const struct position positions[9] = {
    [2] = {false, true, false}, [3] = {false, true, true}, [4] = {false, false, true},
    [5] = {true, false, false}, [6] = {true, false, true}, [7] = {true, true, true},
    [8] = {true, true, false},
};

/* Pixels of an exchanged picture are copied in squares, because a whole column of a photograph
 * does not stay in the processor's cache. */
#define SQUARE 32

static void copy_square(const struct vkclip_image *from, const struct position *position,
                        uint32_t left, uint32_t top, struct vkclip_image *to, uint8_t *pixels)
{
    const size_t channels = from->channels;
    const uint32_t right = to->width - left < SQUARE ? to->width : left + SQUARE;
    const uint32_t bottom = to->height - top < SQUARE ? to->height : top + SQUARE;
    for (uint32_t y = top; y < bottom; y++)
        for (uint32_t x = left; x < right; x++) {
            size_t column = position->exchanged ? y : x, row = position->exchanged ? x : y;
            column = position->from_right ? from->width - 1 - column : column;
            row = position->from_bottom ? from->height - 1 - row : row;
            const uint8_t *in = from->pixels + (row * from->width + column) * channels;
            uint8_t *out = pixels + ((size_t)y * to->width + x) * channels;
            for (size_t c = 0; c < channels; c++)
                out[c] = in[c];
        }
}

int image_orient(struct vkclip_image *image, uint32_t orientation)
{
    if (orientation < 2 || orientation > 8)
        return VKCLIP_OK;
    const struct position *position = &positions[orientation];
    struct vkclip_image upright = *image;
    uint8_t *pixels = memory_alloc((size_t)image->width * image->height * image->channels);
    if (!pixels)
        return error_fail(VKCLIP_EMEMORY, "out of memory for %u x %u pixels", image->width,
                          image->height);
    if (position->exchanged) {
        upright.width = image->height;
        upright.height = image->width;
    }
    for (uint32_t y = 0; y < upright.height; y += SQUARE)
        for (uint32_t x = 0; x < upright.width; x += SQUARE)
            copy_square(image, position, x, y, &upright, pixels);
    upright.pixels = pixels;
    memory_free((void *)image->pixels);
    *image = upright;
    return VKCLIP_OK;
}
