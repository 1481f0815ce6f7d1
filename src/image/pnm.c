/* SPDX-License-Identifier: MIT
 *
 * Decodes binary PBM, PGM and PPM (P4, P5, P6) as Pillow reads them. stb_image is not used because
 * it does not scale samples to the header's maximum and reads 16-bit samples in the wrong byte
 * order. image/decode.c refuses the plain-text forms (P1 to P3) and PAM (P7) before this file is
 * used.
 */
#include "image/reader.h"

#include <math.h>
#include <stdlib.h>

/* Reads a header's next number, which white space and comments may precede. Returns -1 if there is
 * none below 10^9. */
static int64_t read_number(const struct image_file *file, size_t *offset)
{
    const uint8_t *data = file->data;
    int64_t value = -1;
    for (bool comment = false; *offset < file->size; ++*offset) {
        uint8_t c = data[*offset];
        if (comment || c == '#')
            comment = c != '\n' && c != '\r';
        else if (c != ' ' && (c < '\t' || c > '\r'))
            break;
    }
    for (;
         *offset < file->size && data[*offset] >= '0' && data[*offset] <= '9' && value < 100000000;
         ++*offset)
        value = (value < 0 ? 0 : value) * 10 + data[*offset] - '0';
    return value;
}

static void convert_row(const struct image_file *file, const uint8_t *in, unsigned maximum,
                        uint8_t *out)
{
    size_t samples = (size_t)file->width * file->channels;
    for (size_t i = 0; i < samples; i++) {
        if (maximum == 1 && file->indexed) { /* In P4 files, 1 means black. */
            out[i] = in[i / 8] >> (7 - i % 8) & 1 ? 0 : 255;
            continue;
        }
        unsigned value = maximum < 256 ? in[i] : be16(in + i * 2);
        if (maximum == 65535)
            value >>= 8;
        else if (maximum != 255) /* rint() rounds ties to even, as Python's round() does. */
            value = (unsigned)rint((double)(value > maximum ? maximum : value) / maximum * 255);
        out[i] = (uint8_t)value;
    }
}

int image_pnm_decode(struct image_file *file, uint8_t **pixels)
{
    char kind = (char)file->data[1];
    size_t offset = 2;
    int64_t width = read_number(file, &offset), height = read_number(file, &offset);
    int64_t maximum = kind == '4' ? 1 : read_number(file, &offset);
    if (offset == file->size)
        return reader_truncated(file, (uint64_t)offset + 1);
    if (width < 0 || height < 0 || maximum < 1 || maximum > 65535)
        return reader_corrupt(file, "no width, height and maximum of 1 to 65535 in its header");
    int error = reader_claim_size(file, (uint64_t)width, (uint64_t)height);
    if (error)
        return error;
    offset++; /* One white space precedes the samples. */
    file->channels = kind == '6' ? 3 : 1;
    file->indexed = kind == '4';
    uint64_t row = (uint64_t)width * file->channels * (maximum < 256 ? 1 : 2);
    if (file->indexed)
        row = ((uint64_t)width + 7) / 8; /* a bit per sample */
    if (row * file->height > file->size - offset)
        return reader_truncated(file, offset + row * file->height);
    size_t out_row = (size_t)file->width * file->channels;
    *pixels = malloc(out_row * file->height);
    if (!*pixels)
        return reader_no_memory(file);
    for (uint32_t y = 0; y < file->height; y++)
        convert_row(file, file->data + offset + (size_t)row * y, (unsigned)maximum,
                    *pixels + out_row * y);
    return VKCLIP_OK;
}
