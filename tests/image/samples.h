/* SPDX-License-Identifier: MIT
 *
 * Small handmade picture files with the pixels that they decode to, and names of golden files.
 */
#ifndef VKCLIP_TESTS_IMAGE_SAMPLES_H
#define VKCLIP_TESTS_IMAGE_SAMPLES_H

#include "image/files.h"

static inline struct bytes read_golden(const char *name)
{
    char *path = string_format("tests/golden/preprocess/images/%s", name);
    struct bytes file = read_bytes(path);
    free(path);
    return file;
}

static const char *const goldens[] = {"small_17x31.png",     "rgba.png",     "palette_4bit.png",
                                      "bilevel.png",         "animated.gif", "palette.bmp",
                                      "jpeg_420_restart.jpg"};

/* clang-format off */
#define TGA(map, kind, colors, bits, width, height, depth, flags) \
    "\0" map kind "\0\0" colors "\0" bits "\0\0\0\0" width "\0" height "\0" depth flags
#define BMP(offset, header, width, height, depth, method) \
    "BM\0\0\0\0\0\0\0\0" offset "\0\0\0" header "\0\0\0" width "\0\0\0" height "\1\0" depth "\0" \
    method "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
#define PSD(mode, channels, width, depth) \
    "8BPS\0\1\0\0\0\0\0\0\0" channels "\0\0\0\1\0\0\0" width "\0" depth "\0" mode \
    "\0\0\0\1x\0\0\0\0\0\0\0\2yz"
#define GIF_HEAD "GIF89a\2\0\1\0\x81\0\0" "\x0a\x0b\x0c\1\2\3\x14\x15\x16\4\5\6"
#define GIF_FRAME "\x2c\1\0\0\0\1\0\1\0\0"

static const struct sample {
    const char *name;
    const void *data;
    size_t size;
    uint32_t width, height, channels;
    bool indexed;
    const char *pixels;
} samples[] = {
    {"raw.tga", B(TGA("\0", "\2", "\0", "\0", "\2", "\2", "\x18", "\0")
                  "\1\2\3\4\5\6\7\x8\x9\xa\xb\xc"), 2, 2, 3, false,
     "\x9\x8\7\xc\xb\xa\3\2\1\6\5\4"},
    {"packed.tga", B(TGA("\0", "\xb", "\0", "\0", "\3", "\1", "\x8", "\x20") "\x81" "2" "\0<"),
     3, 1, 1, false, "22<"},
    {"grey_alpha.tga", B(TGA("\0", "\3", "\0", "\0", "\1", "\1", "\x10", "\x28") "\7\x9"),
     1, 1, 2, false, "\7\x9"},
    {"palette.tga", B(TGA("\1", "\1", "\2", "\x18", "\2", "\1", "\x8", "\x20") "\1\2\3\4\5\6\1\0"),
     2, 1, 3, true, "\6\5\4\3\2\1"},
    {"alpha.tga", B(TGA("\0", "\2", "\0", "\0", "\1", "\1", "\x20", "\x28") "\1\2\3\4"),
     1, 1, 4, false, "\3\2\1\4"},
    {"mirrored.tga", B(TGA("\0", "\2", "\0", "\0", "\2", "\2", "\x18", "\x10")
                       "\1\2\3\4\5\6\7\x8\x9\xa\xb\xc"), 2, 2, 3, false,
     "\xc\xb\xa\x9\x8\7\6\5\4\3\2\1"},
    {"five_bits.tga", B(TGA("\0", "\2", "\0", "\0", "\1", "\1", "\x10", "\x20") "\x41\x7c"),
     1, 1, 3, false, "\xff\x10\x8"},
    /* A palette that begins at colour 1: indices before it and beyond it are black. */
    {"first.tga", B("\0\1\1\1\0\1\0\x18\0\0\0\0\3\0\1\0\x8\x20" "\1\2\3\1\0\7"),
     3, 1, 3, true, "\3\2\1\0\0\0\0\0\0"},
    /* A run of equal pixels that continues in the next row. */
    {"rows.tga", B(TGA("\0", "\xb", "\0", "\0", "\2", "\2", "\x8", "\x20") "\x82" "2" "\0<"),
     2, 2, 1, false, "222<"},
    {"raw.psd", B(PSD("\3", "\3", "\2", "\x8") "\0\0" "\1\2\3\4\5\6"),
     2, 1, 3, false, "\1\3\5\2\4\6"},
    {"packed.psd", B(PSD("\3", "\3", "\3", "\x8") "\0\1" "\0\2\0\4\0\2" "\xfe\7" "\2\1\2\3"
        "\xfe\x9"),
     3, 1, 3, false, "\7\1\x9\7\2\x9\7\3\x9"},
    {"deep.psd", B(PSD("\3", "\3", "\1", "\x10") "\0\0" "\1\xff\2\xff\3\xff"),
     1, 1, 3, false, "\1\2\3"},
    {"alpha.psd", B(PSD("\3", "\4", "\1", "\x8") "\0\0" "\1\2\3\4"), 1, 1, 4, false, "\1\2\3\4"},
    {"grey.psd", B(PSD("\1", "\2", "\1", "\x8") "\0\0" "\7\x9"), 1, 1, 1, false, "\7"},
    {"packed16.psd", B(PSD("\1", "\1", "\2", "\x10") "\0\1" "\0\5" "\3\1\xff\2\xff"),
     2, 1, 1, false, "\1\2"},
    {"five.psd", B(PSD("\3", "\5", "\1", "\x8") "\0\0" "\1\2\3\xff\x8"), 1, 1, 3, false, "\1\2\3"},
    {"grey.pgm", B("P5\n# words\n2 1\n255\n\1\2"), 2, 1, 1, false, "\1\2"},
    {"deep.pgm", B("P5 2 1 65535\n\1\xff\xff\0"), 2, 1, 1, false, "\1\xff"},
    {"scaled.pgm", B("P5 4 1 15\n\0\1\xf\x10"), 4, 1, 1, false, "\0\x11\xff\xff"},
    {"odd.ppm", B("P6 1 1 1000\n\0\0\1\xf4\3\xe8"), 1, 1, 3, false, "\0\x80\xff"},
    {"deep.ppm", B("P6 1 1 65535\n\0\x80\0\x81\xff\xff"), 1, 1, 3, false, "\0\1\xff"},
    {"plain.pgm", B("P2 # words\n2 1 15 # 7\n15\n1"), 2, 1, 1, false, "\xff\x11"},
    {"plain.ppm", B("P3\n1 2\n255\n1 2 3\n4 255 6\n"), 1, 2, 3, false, "\1\2\3\4\xff\6"},
    {"plain.pbm", B("P1 3 2\n10 1\n0\n11\n"), 3, 2, 1, true, "\0\xff\0\xff\0\0"},
    {"bits.pbm", B("P4 9 1\n\xa0\x80"), 9, 1, 1, true, "\0\xff\0\xff\xff\xff\xff\xff\0"},
    {"up.bmp", B(BMP("6", "(", "\1", "\2\0\0\0", "\x18", "\0") "\1\2\3\0\4\5\6\0"),
     1, 2, 3, false, "\6\5\4\3\2\1"},
    {"down.bmp", B(BMP("6", "(", "\1", "\xfe\xff\xff\xff", "\x18", "\0") "\1\2\3\0\4\5\6\0"),
     1, 2, 3, false, "\3\2\1\6\5\4"},
    {"plain32.bmp", B(BMP("6", "(", "\1", "\1\0\0\0", "\x20", "\0") "\1\2\3\4"),
     1, 1, 3, false, "\3\2\1"},
    {"alpha.bmp",
     B(BMP("\x7a", "l", "\1", "\1\0\0\0", "\x20", "\3") "\0\0\xff\0\0\xff\0\0\xff\0\0\0\0\0\0\xff"
       "BGRs\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
       "\0\0\0\0\0\0\0\0\0\0\0"
       "\0\0\0\0" "\1\2\3\4"), 1, 1, 4, false, "\3\2\1\4"},
    {"fifths.bmp", B(BMP("6", "(", "\1", "\1\0\0\0", "\x10", "\0") "\x41\x7c"),
     1, 1, 3, false, "\xff\x10\x8"},
    {"sixths.bmp", B(BMP("B", "(", "\1", "\1\0\0\0", "\x10", "\3")
                     "\0\xf8\0\0\xe0\7\0\0\x1f\0\0\0" "\x21\xf8"),
     1, 1, 3, false, "\xff\4\x8"},
    {"masks56.bmp", B(BMP("F", "8", "\1", "\1\0\0\0", "\x20", "\3")
                      "\xff\0\0\0\0\xff\0\0\0\0\xff\0\0\0\0\xff" "\1\2\3\4"),
     1, 1, 4, false, "\1\2\3\4"},
    {"masks52.bmp", B(BMP("B", "4", "\1", "\1\0\0\0", "\x20", "\3")
                      "\xff\0\0\0\0\xff\0\0\0\0\xff\0" "\1\2\3\4"),
     1, 1, 3, false, "\1\2\3"},
    {"os2.bmp", B("BM\0\0\0\0\0\0\0\0\x20\0\0\0\xc\0\0\0\2\0\1\0\1\0\1\0"
                  "\1\2\3\4\5\6" "\x40\0\0\0"), 2, 1, 3, true, "\3\2\1\6\5\4"},
    /* The pixels begin behind a gap after the palette. */
    {"gap.bmp", B(BMP("F", "(", "\2", "\1\0\0\0", "\x4", "\0")
                  "\0\0\0\0\1\2\3\0\7\7\7\0" "gap!" "\x12\0\0\0"),
     2, 1, 3, true, "\3\2\1\7\7\7"},
    /* Two equal pixels, the end of the row; three single pixels with padding. */
    {"rle8.bmp", B(BMP("B", "(", "\3", "\2\0\0\0", "\x8", "\1")
                   "\0\0\0\0\1\2\3\0\7\7\7\0" "\2\1\0\0\0\3\2\1\2\0\0\1"),
     3, 2, 3, true, "\7\7\7\3\2\1\7\7\7\3\2\1\3\2\1\0\0\0"},
    /* One pixel, a jump of one to the right and one up, and a run of two colours in turn. */
    {"rle4.bmp", B(BMP("B", "(", "\4", "\2\0\0\0", "\x4", "\2")
                   "\0\0\0\0\1\2\3\0\7\7\7\0" "\1\x10\0\2\1\1\2\x12\0\1"),
     4, 2, 3, true, "\0\0\0\0\0\0\3\2\1\7\7\7\3\2\1\0\0\0\0\0\0\0\0\0"},
    {"palette.bmp", B(BMP("B", "(", "\2", "\1\0\0\0", "\x4", "\0")
                      "\0\0\0\0\1\2\3\0\7\7\7\0" "\x12\0\0\0"), 2, 1, 3, true, "\3\2\1\7\7\7"},
    {"ramp.bmp", B(BMP("B", "(", "\2", "\1\0\0\0", "\x4", "\0")
                   "\0\0\0\0\1\1\1\0\2\2\2\0" "\x12\0\0\0"), 2, 1, 3, false, "\1\1\1\2\2\2"},
    /* A pixel keeps its palette colour even if its index is transparent: the pixel in the frame has index 1, and the pixel outside the frame has index 2. */
    {"transparent.gif", B(GIF_HEAD "\x21\xf9\4\1\0\0\2\0" GIF_FRAME "\2\2\x4c\1\0;"),
     2, 1, 3, true, "\x14\x15\x16\1\2\3"},
    {"opaque.gif", B(GIF_HEAD "\x21\xf9\4\0\0\0\2\0" GIF_FRAME "\2\2\x4c\1\0;"),
     2, 1, 3, true, "\x0a\x0b\x0c\1\2\3"},
    {"ramp.gif", B("GIF87a\1\0\1\0\x80\0\0" "\0\0\0\1\1\1" "\x2c\0\0\0\0\1\0\1\0\0"
        "\2\2\x4c\1\0;"),
     1, 1, 3, false, "\1\1\1"},
    {"grown.gif", B("GIF89a\1\0\1\0\x81\0\0" "\x0a\x0b\x0c\1\2\3\x14\x15\x16\4\5\6" GIF_FRAME
                    "\2\2\x4c\1\0;"), 2, 1, 3, true, "\x0a\x0b\x0c\1\2\3"},
};
/* clang-format on */

#endif
