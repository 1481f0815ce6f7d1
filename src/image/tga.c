/* SPDX-License-Identifier: MIT
 *
 * Decodes TGA: grey, colours or a palette, plain or run-length encoded, in any order of rows and
 * columns. Its header has no magic number.
 */
#include "base/memory.h"
#include "image/reader.h"

#include <string.h>

bool image_tga_recognise(const struct image_file *file)
{
    const uint8_t *data = file->data;
    if (file->size < 18 || data[1] > 1 || data[17] & 0xc0)
        return false;
    unsigned kind = data[2] & 3, depth = data[16];
    if (data[2] & ~11u || (data[1] ? kind != 1 : kind != 2 && kind != 3))
        return false;
    if (data[1])
        return (depth == 8 || depth == 16) && le16(data + 5) &&
               (data[7] == 8 || data[7] == 15 || data[7] == 16 || data[7] == 24 || data[7] == 32);
    return depth == 8 || depth == 15 || depth == 16 || depth == 24 || depth == 32;
}

/* This struct says how the bytes of a pixel, or of a colour of the palette, become samples. */
struct form {
    unsigned bytes, channels;
    bool grey;
};

static struct form find_form(unsigned depth, bool grey)
{
    if (depth == 8)
        return (struct form){1, 1, true};
    if (depth == 16 && grey)
        return (struct form){2, 2, true};
    return (struct form){(depth + 7) / 8, depth == 32 ? 4 : 3, false};
}

/* Colours are stored as blue, green, red and alpha, or as 5 bits each. */
static void read_color(const struct form *form, const uint8_t *in, uint8_t *out)
{
    if (form->grey) {
        memcpy(out, in, form->channels);
    } else if (form->bytes == 2) {
        const unsigned value = le16(in);
        for (unsigned c = 0; c < 3; c++)
            out[c] = (uint8_t)((value >> (10 - 5 * c) & 31) * 255 / 31);
    } else {
        out[0] = in[2];
        out[1] = in[1];
        out[2] = in[0];
        if (form->channels == 4)
            out[3] = in[3];
    }
}

struct targa {
    struct form form;       /* of pixels that are not indices */
    uint8_t (*palette)[3];  /* [colors]; NULL: there is none */
    unsigned first, colors; /* index of the palette's first colour, and one beyond its last */
    unsigned bytes;         /* per pixel in the file */
    bool packed;
    size_t offset;
};

/* Reads the palette. Indices outside it are black, as in Pillow. */
static int read_palette(struct image_file *file, struct targa *targa)
{
    const uint8_t *data = file->data;
    const struct form form = find_form(data[7], false);
    const unsigned count = le16(data + 5);
    const size_t end = targa->offset + (size_t)count * form.bytes;
    if (end > file->size)
        return reader_truncated(file, end);
    targa->first = le16(data + 3);
    targa->colors = targa->first + count;
    targa->palette = memory_calloc(targa->colors, sizeof(*targa->palette));
    if (!targa->palette)
        return reader_no_memory(file);
    for (unsigned i = 0; i < count; i++) {
        uint8_t color[4];
        read_color(&form, data + targa->offset + (size_t)i * form.bytes, color);
        for (unsigned c = 0; c < 3; c++)
            targa->palette[targa->first + i][c] = color[form.channels < 3 ? 0 : c];
    }
    targa->offset = end;
    return VKCLIP_OK;
}

static int read_header(struct image_file *file, struct targa *targa)
{
    const uint8_t *data = file->data;
    const unsigned depth = data[16];
    int error = reader_claim_size(file, le16(data + 12), le16(data + 14));
    if (error)
        return error;
    targa->form = find_form(depth, (data[2] & 3) == 3);
    targa->bytes = (depth + 7) / 8;
    targa->packed = data[2] & 8;
    targa->offset = 18 + (size_t)data[0];
    file->channels = data[1] ? 3 : targa->form.channels;
    file->indexed = data[1];
    if (data[1])
        error = read_palette(file, targa);
    return error;
}

/* Checks that the file has the data of all pixels. */
static int check_length(const struct image_file *file, const struct targa *targa)
{
    const uint64_t pixels = (uint64_t)file->width * file->height;
    uint64_t offset = targa->offset + (targa->packed ? 0 : pixels * targa->bytes);
    for (uint64_t left = targa->packed ? pixels : 0; left;) {
        if (offset >= file->size)
            return reader_truncated(file, offset + 1);
        const unsigned run = (file->data[offset] & 127) + 1u;
        offset += 1 + (uint64_t)(file->data[offset] >> 7 ? 1 : run) * targa->bytes;
        left -= run < left ? run : left;
    }
    return offset > file->size ? reader_truncated(file, offset) : VKCLIP_OK;
}

static void read_pixel(const struct targa *targa, const uint8_t *in, uint8_t *out)
{
    static const uint8_t black[3];
    if (targa->palette) {
        const unsigned index = targa->bytes == 2 ? le16(in) : *in;
        memcpy(out, index < targa->colors ? targa->palette[index] : black, 3);
    } else {
        read_color(&targa->form, in, out);
    }
}

/* Reads all pixels in the file's order; runs may continue in the next row. */
static void read_pixels(const struct image_file *file, const struct targa *targa, uint8_t *out)
{
    const uint8_t *in = file->data + targa->offset;
    const uint64_t pixels = (uint64_t)file->width * file->height;
    uint64_t run = targa->packed ? 0 : pixels; /* pixels that are left of the run */
    bool repeat = false;
    for (uint64_t i = 0; i < pixels; i++, run--, out += file->channels) {
        if (!run) {
            run = (*in & 127) + 1u;
            repeat = *in++ >> 7;
        }
        read_pixel(targa, in, out);
        if (!repeat || run == 1)
            in += targa->bytes;
    }
}

static void swap_pixels(uint8_t *a, uint8_t *b, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        const uint8_t byte = a[i];
        a[i] = b[i];
        b[i] = byte;
    }
}

/* Puts rows from the bottom, and pixels from the right, into the usual order. */
static void reorder(const struct image_file *file, uint8_t *pixels)
{
    const size_t size = file->channels, row = file->width * size;
    const unsigned flags = file->data[17];
    for (uint32_t y = 0; !(flags & 0x20) && y < file->height / 2; y++)
        swap_pixels(pixels + y * row, pixels + (file->height - 1 - y) * row, row);
    for (uint32_t y = 0; flags & 0x10 && y < file->height; y++, pixels += row)
        for (uint32_t x = 0; x < file->width / 2; x++)
            swap_pixels(pixels + x * size, pixels + (file->width - 1 - x) * size, size);
}

int image_tga_decode(struct image_file *file, uint8_t **pixels)
{
    struct targa targa = {0};
    int error = read_header(file, &targa);
    if (!error)
        error = check_length(file, &targa);
    if (!error) {
        *pixels = memory_alloc((size_t)file->width * file->height * file->channels);
        error = *pixels ? VKCLIP_OK : reader_no_memory(file);
    }
    if (!error) {
        read_pixels(file, &targa, *pixels);
        reorder(file, *pixels);
    }
    memory_free(targa.palette);
    return error;
}
