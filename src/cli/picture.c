/* SPDX-License-Identifier: MIT
 *
 * Reads pixels of every kind of picture, and writes PNG files without filters.
 */
#include "cli/picture.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

void picture_read_pixel(const struct vkclip_image *image, uint32_t x, uint32_t y, uint32_t rgb[3])
{
    const size_t stride = image->stride ? image->stride : (size_t)image->width * image->channels;
    const uint8_t *pixel = image->pixels + y * stride + (size_t)x * image->channels;
    const uint32_t last = image->channels % 2 ? 255 : pixel[image->channels - 1];
    for (uint32_t c = 0; c < 3; c++) {
        const uint32_t value = pixel[image->channels < 3 ? 0 : c];
        if (image->cmyk)
            rgb[c] = ((255 - value) * (255 - last) + 127) / 255;
        else
            rgb[c] = (value * last + 255 * (255 - last) + 127) / 255;
    }
}

/* ---- PNG --------------------------------------------------------------------------------------- */

static void append_bytes(struct picture_file *bytes, const void *data, size_t size)
{
    memcpy(bytes->data + bytes->size, data, size);
    bytes->size += size;
}

static void append_number(struct picture_file *bytes, uint32_t value)
{
    const uint8_t big_endian[4] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16),
                                   (uint8_t)(value >> 8), (uint8_t)value};
    append_bytes(bytes, big_endian, 4);
}

static void append_chunk(struct picture_file *png, const char type[4], const void *data,
                         size_t size)
{
    append_number(png, (uint32_t)size);
    append_bytes(png, type, 4);
    append_bytes(png, data, size);
    append_number(png, (uint32_t)crc32(0, png->data + png->size - size - 4, (uInt)(size + 4)));
}

/* Compresses rows, each after the byte 0, which means that it is not filtered. */
static bool compress_rows(const uint8_t *pixels, uint32_t width, uint32_t height,
                          struct picture_file *packed)
{
    const size_t row = (size_t)width * 3, size = (row + 1) * height;
    uLongf packed_size = compressBound((uLong)size);
    uint8_t *rows = malloc(size);
    packed->data = malloc(packed_size);
    bool good = rows && packed->data;
    for (size_t y = 0; good && y < height; y++) {
        rows[y * (row + 1)] = 0;
        memcpy(rows + y * (row + 1) + 1, pixels + y * row, row);
    }
    good = good && compress2(packed->data, &packed_size, rows, (uLong)size, 6) == Z_OK;
    packed->size = packed_size;
    free(rows);
    return good;
}

bool picture_make_png(const uint8_t *pixels, uint32_t width, uint32_t height,
                      struct picture_file *png)
{
    *png = (struct picture_file){0};
    struct picture_file packed = {0};
    uint8_t head[13];
    struct picture_file header = {head, 0};
    append_number(&header, width);
    append_number(&header, height);
    append_bytes(&header, "\10\2\0\0\0", 5); /* 8 bits, RGB, no interlacing */
    if (compress_rows(pixels, width, height, &packed))
        png->data = malloc(packed.size + 64);
    if (png->data) {
        append_bytes(png, "\x89PNG\r\n\x1a\n", 8);
        append_chunk(png, "IHDR", head, header.size);
        append_chunk(png, "IDAT", packed.data, packed.size);
        append_chunk(png, "IEND", "", 0);
    }
    free(packed.data);
    return png->data;
}
