/* SPDX-License-Identifier: MIT
 *
 * Picture files from a hostile source: decoded, then preprocessed both ways. Checksums of PNG
 * chunks are made right after each mutation, since nothing behind them would be reached otherwise.
 */
#include "image/prepare.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    (void)seed;
    size = LLVMFuzzerMutate(data, size, max_size);
    if (size < 8 || memcmp(data, "\x89PNG", 4))
        return size;
    for (size_t at = 8; size - at >= 12;) {
        uint8_t *p = data + at;
        size_t length = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
        if (length > size - at - 12)
            break;
        uint32_t sum = (uint32_t)crc32(0, p + 4, (uInt)length + 4);
        for (int i = 0; i < 4; i++)
            p[8 + length + i] = (uint8_t)(sum >> (24 - 8 * i));
        at += length + 12;
    }
    return size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t u8[24 * 24 * 3];
    static float values[3 * 24 * 24];
    struct image_transform transform = {24, {0.5f, 0.5f, 0.5f}, {0.25f, 0.25f, 0.25f}, false};
    struct vkclip_image image;
    if (vkclip_decode_image(data, size, "fuzz", 1 << 16, &image)) {
        if (image.pixels || !*vkclip_last_error() || strchr(vkclip_last_error(), '\n'))
            abort();
        return 0;
    }
    if (!image.pixels || (uint64_t)image.width * image.height > 1 << 16)
        abort();
    for (int i = 0; i < 2; i++, transform.rgb_first = true)
        if (image_preprocess(&image, &transform, u8, values))
            abort();
    vkclip_free_image(&image);
    return 0;
}
