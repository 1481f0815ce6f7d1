/* SPDX-License-Identifier: MIT
 *
 * Decodes BMP of OS/2 and of Windows 2 to 5 as Pillow reads it: palettes, 16 to 32 bits with colour
 * masks, plain or run-length encoded. Refused are embedded JPEG and PNG, masks that are not one run
 * of bits, and indices beyond the palette.
 */
#include "base/error.h"
#include "base/memory.h"
#include "image/reader.h"

#include <string.h>

enum method { PLAIN, RLE8, RLE4, MASKS };

struct bitmap {
    uint32_t header; /* bytes of the second header, which begins at byte 14 */
    uint32_t depth, method;
    uint64_t offset; /* of the pixels */
    bool top_down;
    uint32_t masks[4];      /* red, green, blue, alpha */
    uint32_t shifts[4];     /* of each mask's lowest bit */
    const uint8_t *palette; /* blue, green, red, and an unused byte where a colour has four */
    uint32_t colors, color_size;
};

static int read_old_header(struct image_file *file, struct bitmap *bitmap)
{
    const uint8_t *data = file->data;
    bitmap->depth = le16(data + 24);
    bitmap->color_size = 3;
    return reader_claim_size(file, le16(data + 18), le16(data + 20));
}

static int read_header(struct image_file *file, struct bitmap *bitmap)
{
    const uint8_t *data = file->data;
    const uint32_t height = le32(data + 22);
    bitmap->depth = le16(data + 28);
    bitmap->method = le32(data + 30);
    bitmap->colors = le32(data + 46);
    bitmap->color_size = 4;
    bitmap->top_down = height >> 31;
    return reader_claim_size(file, le32(data + 18), bitmap->top_down ? 0 - height : height);
}

/* Reads colour masks, which follow the first 40 bytes of the header or are part of it, and of which
 * only headers of 56 bytes and more have one for alpha. Without masks there are defaults. */
static int read_masks(struct image_file *file, struct bitmap *bitmap)
{
    static const uint32_t defaults[2][4] = {{0x7c00, 0x3e0, 0x1f}, {0xff0000, 0xff00, 0xff}};
    const unsigned count = bitmap->header >= 56 ? 4 : 3;
    uint32_t all = 0;
    memcpy(bitmap->masks, defaults[bitmap->depth > 16], sizeof(bitmap->masks));
    if (bitmap->method != MASKS)
        return VKCLIP_OK;
    if (file->size < 54 + 4 * count)
        return reader_truncated(file, 54 + 4 * count);
    for (unsigned i = 0; i < count; i++)
        all |= bitmap->masks[i] = le32(file->data + 54 + 4 * i);
    if (!all) { /* Pillow reads 32 bits without any masks as blue, green, red and alpha. */
        memcpy(bitmap->masks, defaults[1], sizeof(bitmap->masks));
        bitmap->masks[3] = 0xff000000;
    }
    return VKCLIP_OK;
}

static int check_masks(const struct image_file *file, struct bitmap *bitmap)
{
    for (unsigned i = 0; i < 4; i++) {
        const uint32_t mask = bitmap->masks[i];
        while (mask && !(mask >> bitmap->shifts[i] & 1))
            bitmap->shifts[i]++;
        const uint32_t most = mask >> bitmap->shifts[i];
        if ((!mask && i < 3) || (most & (most + 1)))
            return reader_unsupported(file, "a colour mask that is not one run of bits");
    }
    return VKCLIP_OK;
}

/* Finds the palette between the headers and the pixels, where a file may have less of it than its
 * header says. */
static int find_palette(struct image_file *file, struct bitmap *bitmap)
{
    const uint64_t begin = 14 + (uint64_t)bitmap->header;
    const uint32_t most = 1u << bitmap->depth;
    bitmap->palette = file->data + begin;
    if (!bitmap->colors)
        bitmap->colors = most;
    if (!bitmap->offset || bitmap->offset == begin)
        bitmap->offset = begin + (uint64_t)bitmap->colors * bitmap->color_size;
    if (bitmap->offset < begin + bitmap->color_size)
        return reader_corrupt(file, "pixels that begin before its header ends");
    if (bitmap->offset > file->size)
        return reader_truncated(file, bitmap->offset);
    const uint64_t room = (bitmap->offset - begin) / bitmap->color_size;
    if (bitmap->colors > room)
        bitmap->colors = (uint32_t)room;
    return VKCLIP_OK;
}

/* Tells whether Pillow keeps the palette. A palette whose colours only repeat the indices makes a
 * grey picture, or a picture of single bits if it has two colours. */
static bool is_indexed(const struct bitmap *bitmap)
{
    const uint8_t *color = bitmap->palette;
    bool grey = bitmap->colors != 2 && bitmap->colors <= 1u << bitmap->depth;
    for (uint32_t i = 0; grey && i < bitmap->colors; i++, color += bitmap->color_size)
        grey = color[0] == i && color[1] == i && color[2] == i;
    return !grey;
}

static int read_headers(struct image_file *file, struct bitmap *bitmap)
{
    const uint8_t *data = file->data;
    if (file->size < 26)
        return reader_truncated(file, 26);
    const uint32_t header = bitmap->header = le32(data + 14);
    bitmap->offset = le32(data + 10);
    if (header != 12 && header != 40 && header != 52 && header != 56 && header != 64 &&
        header != 108 && header != 124)
        return reader_unsupported(file, "unknown header, expected OS/2 or Windows 2 to 5");
    if (file->size < 14 + (uint64_t)header)
        return reader_truncated(file, 14 + (uint64_t)header);
    int error = header == 12 ? read_old_header(file, bitmap) : read_header(file, bitmap);
    if (error)
        return error;
    const uint32_t depth = bitmap->depth, method = bitmap->method;
    if (depth != 1 && depth != 4 && depth != 8 && depth != 16 && depth != 24 && depth != 32)
        return reader_corrupt(file, "its header does not say 1, 4, 8, 16, 24 or 32 bits per pixel");
    if (method > MASKS || (method == RLE8 && depth != 8) || (method == RLE4 && depth != 4) ||
        (method == MASKS && (depth < 16 || header == 64)))
        return reader_unsupported(
            file, "a compression that is unknown or does not fit its bits per pixel");
    if (depth < 16) {
        error = find_palette(file, bitmap);
        file->channels = 3;
        file->indexed = !error && is_indexed(bitmap);
        return error;
    }
    const uint64_t end = 14 + (uint64_t)header + (method == MASKS && header == 40 ? 12 : 0);
    if (!bitmap->offset)
        bitmap->offset = end;
    if (bitmap->offset < 14 + (uint64_t)header)
        return reader_corrupt(file, "pixels that begin before its header ends");
    error = read_masks(file, bitmap);
    if (!error)
        error = check_masks(file, bitmap);
    file->channels = bitmap->masks[3] ? 4 : 3;
    return error;
}

/* ---- Pixels ---------------------------------------------------------------------------------- */

/* Replaces an index per pixel by its colour. `pixels` has the indices in its last third, so that no
 * index is overwritten before it is read. */
static int look_up(const struct image_file *file, const struct bitmap *bitmap, uint8_t *pixels)
{
    const size_t count = (size_t)file->width * file->height;
    const uint8_t *indices = pixels + 2 * count;
    for (size_t i = 0; i < count; i++, pixels += 3) {
        if (indices[i] >= bitmap->colors)
            return reader_corrupt(file, "a pixel that refers to a colour beyond the palette");
        const uint8_t *color = bitmap->palette + (size_t)indices[i] * bitmap->color_size;
        const uint8_t blue = color[0], green = color[1], red = color[2];
        pixels[0] = red;
        pixels[1] = green;
        pixels[2] = blue;
    }
    return VKCLIP_OK;
}

static uint8_t take_sample(uint32_t pixel, uint32_t mask, uint32_t shift)
{
    const uint32_t value = (pixel & mask) >> shift, most = mask >> shift;
    return (uint8_t)(most == 255 ? value : (uint64_t)value * 255 / most);
}

static void read_colours(const struct bitmap *bitmap, const uint8_t *in, uint32_t width,
                         uint32_t channels, uint8_t *out)
{
    const uint32_t bytes = bitmap->depth / 8;
    for (uint32_t x = 0; x < width; x++, in += bytes) {
        uint32_t pixel = 0;
        for (uint32_t i = 0; i < bytes; i++)
            pixel |= (uint32_t)in[i] << 8 * i;
        for (uint32_t c = 0; c < channels; c++)
            *out++ = take_sample(pixel, bitmap->masks[c], bitmap->shifts[c]);
    }
}

static void read_indices(const struct bitmap *bitmap, const uint8_t *in, uint32_t width,
                         uint8_t *out)
{
    const uint32_t depth = bitmap->depth, mask = (1u << depth) - 1;
    for (uint64_t x = 0; x < width; x++)
        out[x] = (uint8_t)(in[x * depth / 8] >> (8 - depth - x * depth % 8) & mask);
}

/* Returns where row `y` of the file belongs in `rows`. */
static uint8_t *find_row(const struct image_file *file, const struct bitmap *bitmap, uint32_t y,
                         size_t size, uint8_t *rows)
{
    return rows + size * (bitmap->top_down ? y : file->height - 1 - y);
}

static int read_plain(const struct image_file *file, const struct bitmap *bitmap, uint8_t *rows,
                      size_t row_size)
{
    for (uint32_t y = 0; y < file->height; y++) {
        const uint64_t stride = ((uint64_t)file->width * bitmap->depth + 31) / 32 * 4;
        const uint8_t *in = file->data + bitmap->offset + stride * y;
        uint8_t *row = find_row(file, bitmap, y, row_size, rows);
        if (bitmap->depth < 16)
            read_indices(bitmap, in, file->width, row);
        else
            read_colours(bitmap, in, file->width, file->channels, row);
    }
    return VKCLIP_OK;
}

/* ---- Run lengths ----------------------------------------------------------------------------- */

struct run_reader {
    const uint8_t *next, *end;
    uint64_t x, y, width, height; /* the next pixel, and the picture's size */
};

/* Takes `count` bytes, or none if there are not so many. */
static const uint8_t *take_bytes(struct run_reader *reader, size_t count)
{
    const uint8_t *bytes = reader->next;
    if ((size_t)(reader->end - bytes) < count)
        return NULL;
    reader->next += count;
    return bytes;
}

/* Writes pixels of a run, whose end is left out where it would exceed the row. */
static void write_run(struct run_reader *reader, const uint8_t *in, unsigned count, bool repeat,
                      bool half_bytes, uint8_t *row)
{
    for (unsigned i = 0; i < count && reader->x < reader->width; i++) {
        const uint8_t *byte = in + (repeat ? 0 : half_bytes ? i / 2 : i);
        const uint8_t shift = i % 2 ? 0 : 4;
        row[reader->x++] = half_bytes ? *byte >> shift & 15 : *byte;
    }
}

/* Reads runs up to the end of the picture. Pixels that the runs jump over have index 0. A picture
 * whose runs end before its last row is cut off. */
static int read_runs(const struct image_file *file, const struct bitmap *bitmap, uint8_t *rows)
{
    struct run_reader reader = {.next = file->data + bitmap->offset,
                                .end = file->data + file->size,
                                .width = file->width,
                                .height = file->height};
    const bool half_bytes = bitmap->method == RLE4;
    memset(rows, 0, (size_t)file->width * file->height);
    while (reader.y + 1 < reader.height || reader.x < reader.width) {
        const uint8_t *code = take_bytes(&reader, 2), *bytes = code;
        if (!code)
            return reader_truncated(file, (uint64_t)file->size + 1);
        uint8_t *row = find_row(file, bitmap, (uint32_t)reader.y, file->width, rows);
        if (code[0]) {
            write_run(&reader, code + 1, code[0], true, half_bytes, row);
        } else if (code[1] == 0) {
            reader.x = 0;
            reader.y++;
        } else if (code[1] == 1) {
            return reader_corrupt(file, "runs that end before its last row");
        } else if (code[1] == 2) {
            bytes = take_bytes(&reader, 2);
            reader.x += bytes ? bytes[0] : 0;
            reader.y += bytes ? bytes[1] : 0;
        } else {
            const size_t size = half_bytes ? (code[1] + 1u) / 2 : code[1];
            bytes = take_bytes(&reader, (size + 1) & ~(size_t)1);
            if (bytes)
                write_run(&reader, bytes, code[1], false, half_bytes, row);
        }
        if (!bytes)
            return reader_truncated(file, (uint64_t)file->size + 1);
        if (reader.y >= reader.height)
            break;
    }
    return VKCLIP_OK;
}

int image_bmp_decode(struct image_file *file, uint8_t **pixels)
{
    struct bitmap bitmap = {0};
    int error = read_headers(file, &bitmap);
    if (error)
        return error;
    const bool packed = bitmap.method == RLE8 || bitmap.method == RLE4;
    const uint64_t row = ((uint64_t)file->width * bitmap.depth + 7) / 8;
    const uint64_t stride = (row + 3) / 4 * 4, count = (uint64_t)file->width * file->height;
    const uint64_t end = bitmap.offset + stride * (file->height - 1) + row;
    if (!packed && end > file->size) /* The last row's padding may be missing. */
        return reader_truncated(file, end);
    *pixels = memory_alloc(count * file->channels);
    if (!*pixels)
        return reader_no_memory(file);
    if (bitmap.depth >= 16)
        return read_plain(file, &bitmap, *pixels, (size_t)file->width * file->channels);
    uint8_t *indices = *pixels + 2 * count;
    error = packed ? read_runs(file, &bitmap, indices)
                   : read_plain(file, &bitmap, indices, file->width);
    return error ? error : look_up(file, &bitmap, *pixels);
}
