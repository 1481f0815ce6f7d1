/* SPDX-License-Identifier: MIT
 *
 * Decodes PBM, PGM and PPM, binary (P4, P5, P6) and plain text (P1, P2, P3), as Pillow reads them.
 * PAM (P7) is refused by image/decode.c.
 */
#include "base/error.h"
#include "base/memory.h"
#include "image/reader.h"

#include <math.h>

/* Skips white space and comments. */
static void skip_space(const struct image_file *file, size_t *offset)
{
    for (bool comment = false; *offset < file->size; ++*offset) {
        const uint8_t c = file->data[*offset];
        if (comment || c == '#')
            comment = c != '\n' && c != '\r';
        else if (c != ' ' && (c < '\t' || c > '\r'))
            break;
    }
}

/* Reads the next number, which white space and comments may precede. Returns -1 if there is none
 * below 10^9. */
static int64_t read_number(const struct image_file *file, size_t *offset)
{
    int64_t value = -1;
    skip_space(file, offset);
    for (; *offset < file->size && value < 100000000; ++*offset) {
        const uint8_t c = file->data[*offset];
        if (c < '0' || c > '9')
            break;
        value = (value < 0 ? 0 : value) * 10 + c - '0';
    }
    return value;
}

/* Scales a sample to 8 bits. Pillow keeps grey of 16 bits as it is, of which the high byte is
 * taken.
 */
static uint8_t scale_sample(const struct image_file *file, unsigned value, unsigned maximum)
{
    if (maximum == 255)
        return (uint8_t)(value > 255 ? 255 : value);
    if (maximum == 65535 && file->channels == 1)
        return (uint8_t)(value >> 8);
    /* rint() rounds ties to even, as Python's round() does. */
    return (uint8_t)rint((double)(value > maximum ? maximum : value) / maximum * 255);
}

static int read_binary(const struct image_file *file, size_t offset, unsigned maximum, uint8_t *out)
{
    const uint8_t *in = file->data + offset;
    const size_t samples = (size_t)file->width * file->channels;
    uint64_t row = (uint64_t)samples * (maximum < 256 ? 1 : 2);
    if (file->indexed)
        row = ((uint64_t)file->width + 7) / 8; /* a bit per sample */
    if (row * file->height > file->size - offset)
        return reader_truncated(file, offset + row * file->height);
    for (uint32_t y = 0; y < file->height; y++, in += row, out += samples)
        for (size_t i = 0; i < samples; i++) {
            if (file->indexed) /* A set bit is black. */
                out[i] = in[i / 8] >> (7 - i % 8) & 1 ? 0 : 255;
            else
                out[i] = scale_sample(file, maximum < 256 ? in[i] : be16(in + i * 2), maximum);
        }
    return VKCLIP_OK;
}

/* Reads decimal numbers, or single digits of bits, between which may be no white space. */
static int read_plain(const struct image_file *file, size_t offset, unsigned maximum, uint8_t *out)
{
    const size_t count = (size_t)file->width * file->height * file->channels;
    for (size_t i = 0; i < count; i++) {
        int64_t value;
        skip_space(file, &offset);
        if (offset == file->size)
            return error_fail(VKCLIP_EFORMAT, "%s: truncated PNM: %zu of %zu samples", file->name,
                              i, count);
        if (file->indexed)
            value = file->data[offset] >= '0' ? file->data[offset++] - '0' : -1;
        else
            value = read_number(file, &offset);
        if (value < 0 || value > maximum)
            return reader_corrupt(file, "a sample that is no number up to its maximum");
        if (file->indexed)
            out[i] = value ? 0 : 255;
        else
            out[i] = scale_sample(file, (unsigned)value, maximum);
    }
    return VKCLIP_OK;
}

int image_pnm_decode(struct image_file *file, uint8_t **pixels)
{
    const char kind = (char)file->data[1];
    const bool plain = kind <= '3', bits = kind == '1' || kind == '4';
    size_t offset = 2;
    int64_t width = read_number(file, &offset), height = read_number(file, &offset);
    int64_t maximum = bits ? 1 : read_number(file, &offset);
    if (offset == file->size)
        return reader_truncated(file, (uint64_t)offset + 1);
    if (width < 0 || height < 0 || maximum < 1 || maximum > 65535)
        return reader_corrupt(file, "no width, height and maximum of 1 to 65535 in its header");
    int error = reader_claim_size(file, (uint64_t)width, (uint64_t)height);
    if (error)
        return error;
    offset++; /* One white space precedes the samples. */
    file->channels = kind == '3' || kind == '6' ? 3 : 1;
    file->indexed = bits;
    /* A bit takes an eighth of a byte, or a digit; nothing takes less. */
    error = reader_check_data(file, file->size, (uint64_t)file->size * (plain ? 1 : 8));
    if (error)
        return error;
    *pixels = memory_alloc((size_t)file->width * file->height * file->channels);
    if (!*pixels)
        return reader_no_memory(file);
    return plain ? read_plain(file, offset, (unsigned)maximum, *pixels)
                 : read_binary(file, offset, (unsigned)maximum, *pixels);
}
