/* SPDX-License-Identifier: MIT
 *
 * Makes small pictures for tests of an index: each number has a content of its own, and all files
 * have one size.
 */
#ifndef VKCLIP_TESTS_SUPPORT_PICTURES_H
#define VKCLIP_TESTS_SUPPORT_PICTURES_H

#include "support/testing.h"

enum { PICTURE_SIDE = 24 };

static inline void write_picture(const char *path, int number)
{
    uint8_t pixels[PICTURE_SIDE * PICTURE_SIDE * 3];
    uint32_t state = (uint32_t)number * 2654435761u + 1;
    for (size_t i = 0; i < sizeof(pixels); i++) {
        state = state * 1664525 + 1013904223;
        pixels[i] = (uint8_t)(state >> 24);
    }
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    fprintf(file, "P6 %d %d 255\n", PICTURE_SIDE, PICTURE_SIDE);
    fwrite(pixels, sizeof(pixels), 1, file);
    assert_int_equal(fclose(file), 0);
}

#endif
