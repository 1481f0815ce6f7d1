/* SPDX-License-Identifier: MIT
 *
 * Decodes TGA. Its structure is checked before stb_image decodes it.
 */
#include "image/reader.h"
#include "image/stb.h"

/* Tells whether a file is a TGA. TGA has no magic number, so a file counts as TGA if all fields of
 * its header fit together. */
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

static int check_tga(struct image_file *file)
{
    const uint8_t *data = file->data;
    bool palette = data[1], packed = data[2] & 8, grey = (data[2] & 3) == 3;
    unsigned depth = data[16], bytes = (depth + 7) / 8;
    uint64_t offset =
        18 + data[0] + (palette ? (uint64_t)le16(data + 5) * ((data[7] + 7u) / 8) : 0);
    int error = reader_claim_size(file, le16(data + 12), le16(data + 14));
    if (error)
        return error;
    if (data[17] & 0x10)
        return reader_unsupported(file, "rows from right to left");
    if (palette && le16(data + 3))
        return reader_unsupported(file, "a palette that does not begin at colour 0");
    static const uint8_t channels[5] = {0, 1, 3, 3, 4};
    file->channels = channels[bytes];
    if (palette)
        file->channels = 3;
    else if (bytes == 2 && grey && depth == 16)
        file->channels = 2;
    file->indexed = palette;
    uint64_t pixels = (uint64_t)file->width * file->height;
    if (!packed)
        offset += pixels * bytes;
    for (uint64_t left = packed ? pixels : 0; left;) {
        if (offset >= file->size)
            return reader_truncated(file, offset + 1);
        unsigned run = (data[offset] & 127) + 1u;
        offset += 1 + (uint64_t)(data[offset] >> 7 ? 1 : run) * bytes;
        left -= run < left ? run : left;
    }
    return offset > file->size ? reader_truncated(file, offset) : VKCLIP_OK;
}

int image_tga_decode(struct image_file *file, uint8_t **pixels)
{
    int error = check_tga(file);
    return error ? error : image_stb_decode(file, file->data, file->size, pixels);
}
