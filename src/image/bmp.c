/* SPDX-License-Identifier: MIT
 *
 * Decodes BMP. Its structure is checked before stb_image decodes it.
 */
#include "image/reader.h"
#include "image/stb.h"

/* Tells whether every index is within the palette, because stb_image would show stack memory for
 * other indices.
 */
static bool check_indices(const struct image_file *file, const uint8_t *row, size_t stride,
                          unsigned depth, unsigned colors)
{
    unsigned mask = (1u << depth) - 1;
    for (uint32_t y = 0; colors <= mask && y < file->height; y++, row += stride)
        for (uint64_t x = 0; x < file->width; x++) {
            uint64_t bit = x * depth;
            if ((row[bit / 8] >> (8 - depth - bit % 8) & mask) >= colors)
                return false;
        }
    return true;
}

/* Tells whether Pillow keeps the palette. A palette whose colours only repeat the indices makes a
 * grey picture, or a picture of single bits if it has two colours. */
static bool is_indexed(const uint8_t *palette, uint32_t colors, unsigned depth)
{
    bool grey = colors != 2 && colors <= 1u << depth;
    for (uint32_t i = 0; grey && i < colors; i++, palette += 4)
        grey = palette[0] == i && palette[1] == i && palette[2] == i;
    return !grey;
}

static int check_bmp(struct image_file *file)
{
    const uint8_t *data = file->data;
    if (file->size < 54)
        return reader_truncated(file, 54);
    uint32_t offset = le32(data + 10), header = le32(data + 14);
    if (header != 40 && header != 56 && header != 108 && header != 124)
        return reader_unsupported(file, "OS/2 or unknown header, expected Windows 3 to 5");
    uint32_t height = le32(data + 22), depth = le32(data + 26) >> 16, method = le32(data + 30);
    int error = reader_claim_size(file, le32(data + 18), height >> 31 ? 0 - height : height);
    if (error)
        return error;
    if (method == 3 && header == 56)
        return reader_unsupported(file, "colour masks in a version 3 header");
    if (method != 0 && (method != 3 || (depth != 16 && depth != 32)))
        return reader_unsupported(file, "compressed, expected plain pixels");
    if (depth != 1 && depth != 4 && depth != 8 && depth != 16 && depth != 24 && depth != 32)
        return reader_corrupt(file, "its header does not say 1, 4, 8, 16, 24 or 32 bits per pixel");
    uint64_t row = ((uint64_t)file->width * depth + 7) / 8, stride = (row + 3) / 4 * 4;
    uint64_t end = offset + stride * (file->height - 1) + row, least = 14 + (uint64_t)header;
    if (offset < least + (depth < 16 ? 4 : 0))
        return reader_corrupt(file, "pixels that begin before its header ends");
    if (end > file->size)
        return reader_truncated(file, end);
    file->channels = method == 3 && header >= 108 && le32(data + 66) ? 4 : 3;
    if (depth < 16) {
        uint32_t room = (offset - (uint32_t)least) / 4, used = le32(data + 46);
        uint32_t colors = used ? used : 1u << depth;
        if (!check_indices(file, data + offset, stride, depth, room))
            return reader_corrupt(file, "a pixel that refers to a colour beyond the palette");
        file->indexed = is_indexed(data + least, colors < room ? colors : room, depth);
    }
    return VKCLIP_OK;
}

int image_bmp_decode(struct image_file *file, uint8_t **pixels)
{
    int error = check_bmp(file);
    return error ? error : image_stb_decode(file, file->data, file->size, pixels);
}
