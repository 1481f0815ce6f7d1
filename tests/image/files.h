/* SPDX-License-Identifier: MIT
 *
 * Picture files in memory for the tests of pictures: read from a file, or PNGs to order.
 */
#ifndef VKCLIP_TESTS_IMAGE_FILES_H
#define VKCLIP_TESTS_IMAGE_FILES_H

#include "support/testing.h"

#include <zlib.h>

#define B(bytes) (bytes), sizeof(bytes) - 1

struct bytes {
    uint8_t *data;
    size_t size;
};

static inline struct bytes read_bytes(const char *path)
{
    struct bytes file = {0};
    char *data;
    if (file_read(path, 1 << 24, &data, &file.size))
        fail_msg("%s", vkclip_last_error());
    /* It has no final NUL, so that ASan sees reads past the end. */
    file.data = malloc(file.size + !file.size);
    memcpy(file.data, data, file.size);
    free(data);
    return file;
}

/* ---- PNGs to order --------------------------------------------------------------------------- */

static inline void put32(uint8_t *bytes, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        bytes[i] = (uint8_t)(value >> (24 - 8 * i));
}

static inline void add_chunk(struct bytes *file, const char *type, const void *data, size_t size)
{
    file->data = realloc(file->data, file->size + size + 12);
    uint8_t *chunk = file->data + file->size;
    put32(chunk, (uint32_t)size);
    memcpy(chunk + 4, type, 4);
    if (size)
        memcpy(chunk + 8, data, size);
    put32(chunk + 8 + size, (uint32_t)crc32(0, chunk + 4, (uInt)size + 4));
    file->size += size + 12;
}

static inline struct bytes begin_png(uint32_t width, uint32_t height, unsigned depth,
                                     unsigned color)
{
    struct bytes file = {malloc(8), 8};
    uint8_t header[13] = {0};
    memcpy(file.data, "\x89PNG\r\n\x1a\n", 8);
    put32(header, width);
    put32(header + 4, height);
    header[8] = (uint8_t)depth;
    header[9] = (uint8_t)color;
    add_chunk(&file, "IHDR", header, 13);
    return file;
}

/* Makes a PNG of the given rows, which include the filter bytes. If `type` is given, a chunk of
 * that type comes before the rows. */
static inline struct bytes make_png(uint32_t width, uint32_t height, unsigned depth, unsigned color,
                                    const char *type, const void *chunk, size_t chunk_size,
                                    const void *rows, size_t size)
{
    struct bytes file = begin_png(width, height, depth, color);
    uLongf packed_size = compressBound(size);
    uint8_t *packed = malloc(packed_size);
    if (type)
        add_chunk(&file, type, chunk, chunk_size);
    assert_int_equal(compress(packed, &packed_size, rows, size), Z_OK);
    add_chunk(&file, "IDAT", packed, packed_size);
    add_chunk(&file, "IEND", NULL, 0);
    free(packed);
    return file;
}

#endif
