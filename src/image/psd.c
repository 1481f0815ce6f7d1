/* SPDX-License-Identifier: MIT
 *
 * Decodes the merged picture of a Photoshop file, grey or RGB, plain or PackBits, as Pillow reads
 * it. stb_image is not used because it "removes the white matte" of pictures with alpha, which the
 * reference does not do and whose results exceed the range of a byte. Layers are not read.
 */
#include "base/memory.h"
#include "image/reader.h"

struct planes {
    const uint8_t *data;    /* one plane per channel, row by row */
    const uint8_t *lengths; /* 16 bits per row, its number of packed bytes; NULL: plain rows */
    unsigned bytes;         /* bytes per sample */
};

static uint64_t row_length(const struct image_file *file, const struct planes *planes, uint64_t row)
{
    return planes->lengths ? be16(planes->lengths + row * 2)
                           : (uint64_t)file->width * planes->bytes;
}

/* Finds the planes, which follow the palette, the resources and the layers. The file must have all
 * bytes of the planes. */
static int find_planes(const struct image_file *file, unsigned channels, struct planes *planes)
{
    const uint8_t *data = file->data;
    uint64_t offset = 26, rows = (uint64_t)file->height * file->channels;
    for (int section = 0; section < 3; section++) {
        if (offset + 4 > file->size)
            return reader_truncated(file, offset + 4);
        offset += 4 + (uint64_t)be32(data + offset);
    }
    if (offset + 2 > file->size)
        return reader_truncated(file, offset + 2);
    unsigned method = be16(data + offset);
    offset += 2;
    if (method > 1)
        return reader_unsupported(file, "ZIP compression, expected none or PackBits");
    if (method == 1) {
        planes->lengths = data + offset;
        offset += (uint64_t)file->height * channels * 2;
        if (offset > file->size)
            return reader_truncated(file, offset);
    }
    planes->data = data + offset;
    for (uint64_t row = 0; row < rows; row++)
        offset += row_length(file, planes, row);
    return offset > file->size ? reader_truncated(file, offset) : VKCLIP_OK;
}

/* Unpacks one PackBits row. Returns false unless it gives exactly `wanted` bytes. */
static bool unpack_row(const uint8_t *in, size_t size, uint8_t *out, size_t wanted)
{
    const uint8_t *end = in + size;
    while (wanted && in < end) {
        unsigned head = *in++, run = head < 128 ? head + 1 : 257 - head;
        size_t bytes = head < 128 ? run : 1;
        if (head == 128)
            continue;
        if (run > wanted || bytes > (size_t)(end - in))
            return false;
        for (unsigned i = 0; i < run; i++)
            *out++ = in[head < 128 ? i : 0];
        in += bytes;
        wanted -= run;
    }
    return !wanted;
}

/* Reads the planes as bytes. Of a 16-bit sample only the high byte is taken, which comes first. */
static int read_planes(const struct image_file *file, const struct planes *planes,
                       uint8_t *unpacked, uint8_t *pixels)
{
    const uint8_t *in = planes->data;
    uint64_t rows = (uint64_t)file->height * file->channels;
    for (uint64_t row = 0; row < rows; row++) {
        size_t length = (size_t)row_length(file, planes, row), y = row % file->height;
        const uint8_t *samples = planes->lengths ? unpacked : in;
        uint8_t *out = pixels + y * file->width * file->channels + row / file->height;
        if (planes->lengths &&
            !unpack_row(in, length, unpacked, (size_t)file->width * planes->bytes))
            return reader_corrupt(file, "a PackBits row of a wrong length");
        for (size_t x = 0; x < file->width; x++)
            out[x * file->channels] = samples[x * planes->bytes];
        in += length;
    }
    return VKCLIP_OK;
}

static int decode_planes(const struct image_file *file, const struct planes *planes,
                         uint8_t **pixels)
{
    int error;
    uint8_t *unpacked = memory_alloc((size_t)file->width * planes->bytes);
    *pixels = memory_alloc((size_t)file->width * file->height * file->channels);
    if (unpacked && *pixels)
        error = read_planes(file, planes, unpacked, *pixels);
    else
        error = reader_no_memory(file);
    memory_free(unpacked);
    return error;
}

int image_psd_decode(struct image_file *file, uint8_t **pixels)
{
    const uint8_t *data = file->data;
    if (file->size < 26)
        return reader_truncated(file, 26);
    unsigned channels = be16(data + 12), depth = be16(data + 22), mode = be16(data + 24);
    if (be16(data + 4) != 1 || (mode != 1 && mode != 3) || (depth != 8 && depth != 16))
        return reader_unsupported(file, "expected version 1, grey or RGB, 8 or 16 bits");
    file->channels = channels == 4 ? 4 : 3;
    if (mode == 1)
        file->channels = 1;
    if (channels < file->channels)
        return reader_corrupt(file, "fewer channels than its colours");
    struct planes planes = {.bytes = depth / 8};
    int error = reader_claim_size(file, be32(data + 18), be32(data + 14));
    if (!error)
        error = find_planes(file, channels, &planes);
    if (!error)
        error = decode_planes(file, &planes, pixels);
    return error;
}
