/* SPDX-License-Identifier: MIT
 *
 * Uses the input as a picture file. It must be refused with a message, or give pixels that can be
 * prepared with either order of resizing and conversion to RGB.
 */
#define _GNU_SOURCE
#include "fuzz/fuzz.h"
#include "image/decode.h"
#include "image/prepare.h"

#include <zlib.h>

/* Corrects the checksums of PNG chunks after each mutation, because the fuzzer would not reach
 * anything after a wrong checksum. */

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    (void)seed;
    size = LLVMFuzzerMutate(data, size, max_size);
    if (size < 8 || memcmp(data, "\x89PNG", 4))
        return size;
    for (size_t offset = 8; size - offset >= 12;) {
        uint8_t *chunk = data + offset;
        size_t length =
            (size_t)chunk[0] << 24 | (size_t)chunk[1] << 16 | (size_t)chunk[2] << 8 | chunk[3];
        if (length > size - offset - 12)
            break;
        uint32_t sum = (uint32_t)crc32(0, chunk + 4, (uInt)length + 4);
        for (int i = 0; i < 4; i++)
            chunk[8 + length + i] = (uint8_t)(sum >> (24 - 8 * i));
        offset += length + 12;
    }
    return size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t u8[24 * 24 * 3];
    static float values[3 * 24 * 24];
    struct image_transform transform = {
        .size = 24, .mean = {0.5f, 0.5f, 0.5f}, .std = {0.25f, 0.25f, 0.25f}};
    /* Half of the inputs are decoded at a scale where the decoder has one. */
    const struct image_options options = {
        .max_pixels = 1 << 16, .orient = true, .least_side = size % 2 ? 24 : 0};
    struct vkclip_image image;
    struct image_facts facts; /* Every format's EXIF data are read because these are asked for. */
    if (image_decode(data, size, "fuzz", &options, &image, &facts)) {
        if (image.pixels || !*vkclip_last_error() || strchr(vkclip_last_error(), '\n'))
            abort();
        return 0;
    }
    if (!image.pixels || (uint64_t)image.width * image.height > 1 << 16)
        abort();
    if (facts.orientation < 1 || facts.orientation > 8 || strlen(facts.camera) >= 96)
        abort();
    for (int i = 0; i < 2; i++, transform.rgb_first = true)
        if (image_preprocess(&image, &transform, u8, values))
            abort();
    vkclip_free_image(&image);
    return 0;
}
