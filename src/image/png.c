/* SPDX-License-Identifier: MIT
 *
 * Decodes PNG (ISO/IEC 15948). The chunks are checked up to the last byte that the picture needs
 * before a library decodes them.
 */
#include "base/error.h"
#include "image/reader.h"
#include "image/stb.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

struct chunks {
    size_t palette;  /* where the chunk with the palette begins; 0: there is none */
    unsigned colors; /* colours of the palette */
    unsigned depth;  /* bits of a sample, so that a pixel may name 2^depth colours */
};

static int check_header(struct image_file *file, struct chunks *found, const uint8_t *body)
{
    static const uint8_t channels[7] = {1, 0, 3, 3,
                                        2, 0, 4}; /* channels of each colour type, without tRNS */
    unsigned type = body[9];
    found->depth = body[8];
    file->channels = type < sizeof(channels) ? channels[type] : 0;
    if (!file->channels || found->depth > 16)
        return reader_corrupt(file, "no colour type of PNG in its header");
    file->indexed = type == 3 || (type == 0 && found->depth == 1);
    return reader_claim_size(file, be32(body), be32(body + 4));
}

static int check_chunks(struct image_file *file, struct chunks *found)
{
    uint64_t data = 0;
    for (size_t offset = 8;;) {
        if (file->size - offset < 12)
            return reader_truncated(file, (uint64_t)offset + 12);
        const uint8_t *chunk = file->data + offset;
        uint32_t length = be32(chunk), type = be32(chunk + 4);
        if (file->size - offset - 12 < length)
            return reader_truncated(file, (uint64_t)offset + 12 + length);
        /* Ancillary chunks (bit 5 of the first letter), such as tRNS, are not checked. */
        if (!(chunk[4] & 0x20) &&
            crc32(0, chunk + 4, (uInt)(length + 4)) != be32(chunk + 8 + length))
            return error_fail(VKCLIP_EFORMAT, "%s: corrupt PNG: checksum of chunk %.4s at byte %zu",
                              file->name, (const char *)chunk + 4, offset);
        bool header = type == 0x49484452; /* IHDR */
        if (header != (offset == 8) || (header && length != 13))
            return reader_corrupt(file, "its first chunk is not the only IHDR");
        if (header) {
            int error = check_header(file, found, chunk + 8);
            if (error)
                return error;
        } else if (type == 0x49444154) { /* IDAT */
            data += length;
        } else if (type == 0x504c5445) { /* PLTE */
            if (found->palette || length % 3 || length > 768)
                return reader_corrupt(file, "two palettes, or one of a wrong length");
            found->palette = offset;
            found->colors = length / 3;
        } else if (type == 0x49454e44) { /* IEND */
            break;
        } else if (!(chunk[4] & 0x20)) {
            return error_fail(VKCLIP_EFORMAT,
                              "%s: corrupt PNG: unknown critical chunk %.4s at byte %zu",
                              file->name, (const char *)chunk + 4, offset);
        }
        offset += (size_t)length + 12;
    }
    /* Deflate unpacks one byte to at most 1032 bytes, and a byte holds at most 8 pixels. */
    return reader_check_data(file, data, data * 1032 * 8);
}

/* Copies a file and extends its palette to all 2^depth colours, where the added colours are black
 * as in Pillow, because stb_image would show stack memory for indices beyond a short palette. The
 * checksum is not corrected, because stb_image does not read it. */
static uint8_t *fill_palette(const struct image_file *file, const struct chunks *found,
                             size_t *size)
{
    uint32_t length = 3u << found->depth;
    size_t body = found->palette + 8, old = found->colors * 3;
    *size = file->size - old + length;
    uint8_t *data = calloc(1, *size);
    if (data) {
        memcpy(data, file->data, body + old);
        data[found->palette + 2] = (uint8_t)(length >> 8);
        data[found->palette + 3] = (uint8_t)length;
        memcpy(data + body + length, file->data + body + old, file->size - body - old);
    }
    return data;
}

int image_png_decode(struct image_file *file, uint8_t **pixels)
{
    struct chunks found = {0};
    int error = check_chunks(file, &found);
    if (error)
        return error;
    if (!found.palette || !file->indexed || found.colors >= 1u << found.depth)
        return image_stb_decode(file, file->data, file->size, pixels);
    size_t size;
    uint8_t *filled = fill_palette(file, &found, &size);
    error = filled ? image_stb_decode(file, filled, size, pixels) : reader_no_memory(file);
    free(filled);
    return error;
}
