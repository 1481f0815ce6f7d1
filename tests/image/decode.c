/* SPDX-License-Identifier: MIT
 *
 * Picture files: small handmade files decode to the expected pixels, a file that is cut off is
 * never accepted as complete, and every kind of broken file has its message.
 */
#define _GNU_SOURCE
#include "base/array.h"
#include "base/file.h"
#include "base/string.h"
#include "image/decode.h"
#include "image/exif.h"
#include "support/scratch.h"

#include <math.h>
#include <sys/resource.h>
#include <zlib.h>

#define B(bytes) (bytes), sizeof(bytes) - 1
#define GOLDEN "tests/golden/preprocess/images/"

struct bytes {
    uint8_t *data;
    size_t size;
};

static struct bytes read_golden(const char *name)
{
    struct bytes file = {0};
    char *path = string_format(GOLDEN "%s", name), *data;
    if (file_read(path, 1 << 24, &data, &file.size))
        fail_msg("%s", vkclip_last_error());
    file.data = malloc(file.size); /* It has no final NUL, so that ASan sees reads past the end. */
    memcpy(file.data, data, file.size);
    free(data);
    free(path);
    return file;
}

/* ---- What files decode to -------------------------------------------------------------------- */

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

static void test_samples(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(samples); i++) {
        const struct sample *s = &samples[i];
        struct vkclip_image image;
        if (vkclip_decode_image(s->data, s->size, s->name, 0, &image))
            fail_msg("%s", vkclip_last_error());
        if (image.width != s->width || image.height != s->height || image.channels != s->channels ||
            image.indexed != s->indexed ||
            memcmp(image.pixels, s->pixels, (size_t)s->width * s->height * s->channels))
            fail_msg("%s: %u x %u x %u, indexed %d, pixels %02x %02x %02x ...", s->name,
                     image.width, image.height, image.channels, image.indexed, image.pixels[0],
                     image.pixels[1], image.pixels[2]);
        vkclip_free_image(&image);
        vkclip_free_image(&image);
    }
    vkclip_free_image(NULL);
}

/* ---- PNGs to order --------------------------------------------------------------------------- */

static void put32(uint8_t *bytes, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        bytes[i] = (uint8_t)(value >> (24 - 8 * i));
}

static void add_chunk(struct bytes *file, const char *type, const void *data, size_t size)
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

static struct bytes begin_png(uint32_t width, uint32_t height, unsigned depth, unsigned color)
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
static struct bytes make_png(uint32_t width, uint32_t height, unsigned depth, unsigned color,
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

static void test_png(void **state)
{
    (void)state;
    const struct {
        uint32_t width;
        unsigned depth, color;
        const char *type;
        const void *chunk;
        size_t chunk_size;
        const void *rows;
        size_t size;
        uint32_t channels;
        bool indexed;
        const char *pixels;
    } cases[] = {
        {2, 8, 0, "tRNS", B("\0\1"), B("\0\1\2"), 1, false, "\1\2"},
        {1, 8, 2, "tRNS", B("\0\1\0\2\0\3"), B("\0\1\2\3"), 3, false, "\1\2\3"},
        {1, 16, 2, "tRNS", B("\0\1\0\2\0\3"), B("\0\1\xff\2\xff\3\xff"), 3, false, "\1\2\3"},
        {1, 16, 0, NULL, NULL, 0, B("\0\xfe\xff"), 1, false, "\xfe"},
        {1, 16, 4, NULL, NULL, 0, B("\0\xfe\xff\7\xff"), 2, false, "\xfe\7"},
        {1, 16, 6, NULL, NULL, 0, B("\0\1\xff\2\xff\3\xff\4\xff"), 4, false, "\1\2\3\4"},
        {4, 2, 0, NULL, NULL, 0, B("\0\x1b"), 1, false, "\0\x55\xaa\xff"},
        {2, 1, 0, NULL, NULL, 0, B("\0\x40"), 1, true, "\0\xff"},
        {2, 8, 3, "PLTE", B("\1\2\3\4\5\6"), B("\0\1\0"), 3, true, "\4\5\6\1\2\3"},
        {2, 8, 3, "PLTE", B("\1\2\3\4\5\6"), B("\0\xff\1"), 3, true, "\0\0\0\4\5\6"},
        {4, 4, 3, "PLTE", B("\1\2\3\4\5\6"), B("\0\1\xf2"), 3, true, "\1\2\3\4\5\6\0\0\0\0\0\0"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct vkclip_image image;
        struct bytes file =
            make_png(cases[i].width, 1, cases[i].depth, cases[i].color, cases[i].type,
                     cases[i].chunk, cases[i].chunk_size, cases[i].rows, cases[i].size);
        if (vkclip_decode_image(file.data, file.size, NULL, 0, &image))
            fail_msg("case %zu: %s", i, vkclip_last_error());
        if (image.width != cases[i].width || image.channels != cases[i].channels ||
            image.indexed != cases[i].indexed ||
            memcmp(image.pixels, cases[i].pixels, (size_t)image.width * image.channels))
            fail_msg("case %zu: %u channels, indexed %d, pixels %02x %02x %02x", i, image.channels,
                     image.indexed, image.pixels[0], image.pixels[1], image.pixels[2]);
        vkclip_free_image(&image);
        free(file.data);
    }
}

/* ---- EXIF ------------------------------------------------------------------------------------ */

#ifdef VKCLIP_WITH_EXIF
/* This TIFF block says: orientation 6 at byte 18, camera "Maker Model", taken at
 * 2024-02-29 12:34:56, 48.5 degrees north, 2 degrees 30 minutes west. */
static const uint8_t exif[] = "MM\0*\0\0\0\x8"
                              "\0\5"                                   /* 8: IFD 0 */
                              "\1\x12\0\3\0\0\0\1\0\6\0\0"             /* 10: orientation */
                              "\1\x0f\0\2\0\0\0\6\0\0\0\x4a"           /* 22: maker, at 74 */
                              "\1\x10\0\2\0\0\0\6\0\0\0\x50"           /* 34: model, at 80 */
                              "\x87\x69\0\4\0\0\0\1\0\0\0\x56"         /* 46: IFD of EXIF, at 86 */
                              "\x88\x25\0\4\0\0\0\1\0\0\0\x7c"         /* 58: IFD of GPS, at 124 */
                              "\0\0\0\0"                               /* 70: no further IFD */
                              "Maker\0Model\0"                         /* 74, 80 */
                              "\0\1"                                   /* 86: IFD of EXIF */
                              "\x90\3\0\2\0\0\0\x14\0\0\0\x68\0\0\0\0" /* 88: date, at 104 */
                              "2024:02:29 12:34:56\0"                  /* 104 */
                              "\0\4"                                   /* 124: IFD of GPS */
                              "\0\1\0\2\0\0\0\2N\0\0\0"                /* 126: north */
                              "\0\2\0\5\0\0\0\3\0\0\0\xb2"             /* 138: latitude, at 178 */
                              "\0\3\0\2\0\0\0\2W\0\0\0"                /* 150: west */
                              "\0\4\0\5\0\0\0\3\0\0\0\xca"             /* 162: longitude, at 202 */
                              "\0\0\0\0"                               /* 174 */
                              "\0\0\0a\0\0\0\2\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\1"
                              "\0\0\0\2\0\0\0\1\0\0\0\x1e\0\0\0\1\0\0\0\0\0\0\0\1";

/* Makes a PNG of 3 x 2 grey pixels, 1 to 6, with EXIF data of that orientation. */
static struct bytes make_oriented(unsigned orientation)
{
    uint8_t data[sizeof(exif) - 1];
    memcpy(data, exif, sizeof(data));
    data[19] = (uint8_t)orientation;
    return make_png(3, 2, 8, 0, "eXIf", data, sizeof(data), B("\0\1\2\3\0\4\5\6"));
}

static void test_orientation(void **state)
{
    (void)state;
    /* what ImageOps.exif_transpose of Pillow makes of it */
    static const struct {
        uint32_t width, height;
        const char *pixels;
    } expected[] = {
        {3, 2, "\1\2\3\4\5\6"}, {3, 2, "\1\2\3\4\5\6"}, {3, 2, "\3\2\1\6\5\4"},
        {3, 2, "\6\5\4\3\2\1"}, {3, 2, "\4\5\6\1\2\3"}, {2, 3, "\1\4\2\5\3\6"},
        {2, 3, "\4\1\5\2\6\3"}, {2, 3, "\6\3\5\2\4\1"}, {2, 3, "\3\6\2\5\1\4"},
        {3, 2, "\1\2\3\4\5\6"},
    };
    const struct vkclip_image_params orient = {.orient = true};
    for (unsigned i = 0; i < ARRAY_COUNT(expected); i++) {
        struct vkclip_image image;
        struct bytes file = make_oriented(i);
        assert_int_equal(vkclip_decode_image(file.data, file.size, "a.png", &orient, &image), 0);
        assert_int_equal(image.width, expected[i].width);
        assert_int_equal(image.height, expected[i].height);
        assert_memory_equal(image.pixels, expected[i].pixels, 6);
        vkclip_free_image(&image);
        assert_int_equal(vkclip_decode_image(file.data, file.size, "a.png", NULL, &image), 0);
        assert_memory_equal(image.pixels, expected[0].pixels, 6);
        vkclip_free_image(&image);
        free(file.data);
    }
}

static void test_facts(void **state)
{
    (void)state;
    const struct image_options orient = {.orient = true};
    struct image_facts facts;
    struct vkclip_image image;
    struct bytes file = make_oriented(6);
    assert_int_equal(image_decode(file.data, file.size, "a.png", &orient, &image, &facts), 0);
    image_free(&image);
    assert_string_equal(facts.format, "PNG");
    assert_int_equal(facts.width, 2);
    assert_int_equal(facts.height, 3);
    assert_int_equal(facts.orientation, 6);
    assert_int_equal(facts.taken, 1709210096);
    assert_string_equal(facts.camera, "Maker Model");
    assert_true(facts.latitude == 48.5 && facts.longitude == -2.5);
    free(file.data);

    file = make_png(1, 1, 8, 0, NULL, NULL, 0, B("\0\1"));
    assert_int_equal(image_decode(file.data, file.size, "a.png", NULL, &image, &facts), 0);
    image_free(&image);
    assert_int_equal(facts.orientation, 1);
    assert_true(facts.taken == INT64_MIN && !*facts.camera);
    assert_true(isnan(facts.latitude) && isnan(facts.longitude));
    free(file.data);
}

/* The block of a TIFF is the whole file, of whatever size. */
static void test_large_exif(void **state)
{
    (void)state;
    const size_t size = 17 << 20;
    struct image_facts facts = {.orientation = 1};
    uint8_t *data = calloc(1, size);
    memcpy(data, exif, sizeof(exif) - 1);
    exif_read(data, size, &facts);
    free(data);
    assert_int_equal(facts.orientation, 6);
    assert_string_equal(facts.camera, "Maker Model");
}

/* Damaged EXIF data are no error: what they say is missing, or something else. */
static void test_damaged_exif(void **state)
{
    (void)state;
    uint8_t data[sizeof(exif) - 1];
    uint32_t random = 3;
    for (size_t round = 0; round < 4000; round++) {
        const size_t size = round < sizeof(data) ? round + 1 : sizeof(data);
        struct image_facts facts = {.orientation = 1, .latitude = NAN, .longitude = NAN};
        memcpy(data, exif, sizeof(data));
        for (size_t i = 0; i < round / 1000; i++) {
            random = random * 1664525 + 1013904223;
            data[(random >> 8) % size] ^= (uint8_t)(1u << (random >> 5 & 7));
        }
        uint8_t *copy = malloc(size); /* ASan sees reads past its end. */
        memcpy(copy, data, size);
        exif_read(copy, size, &facts);
        assert_in_range(facts.orientation, 1, 8);
        assert_true(isnan(facts.latitude) || fabs(facts.latitude) <= 90);
        assert_true(isnan(facts.longitude) || fabs(facts.longitude) <= 180);
        assert_true(strlen(facts.camera) < sizeof(facts.camera));
        free(copy);
    }
}
#endif

/* ---- A GIF whose code table fills up and stays, as gifsicle makes them ----------------------- */

struct gif_writer {
    struct bytes file;
    size_t block; /* offset of the length of the current sub-block */
    uint32_t bits;
    unsigned count;
};

static void add_byte(struct gif_writer *writer, uint8_t byte)
{
    if (writer->file.data[writer->block] == 255) {
        writer->block = writer->file.size++;
        writer->file.data[writer->block] = 0;
    }
    writer->file.data[writer->block]++;
    writer->file.data[writer->file.size++] = byte;
}

static void add_code(struct gif_writer *writer, unsigned code, unsigned width)
{
    writer->bits |= code << writer->count;
    for (writer->count += width; writer->count >= 8; writer->count -= 8, writer->bits >>= 8)
        add_byte(writer, (uint8_t)writer->bits);
}

static void test_gif_full_table(void **state)
{
    (void)state;
    enum { SIZE = 250 };
    static uint16_t child[4096][4];
    static uint8_t indices[SIZE * SIZE];
    struct gif_writer writer = {{malloc(SIZE * SIZE * 2), 0}, 0, 0, 0};
    uint32_t random = 1;
    for (size_t i = 0; i < sizeof(indices); i++) {
        random = random * 1664525 + 1013904223;
        indices[i] = (uint8_t)(random >> 30);
    }
    memcpy(writer.file.data,
           "GIF89a\xfa\0\xfa\0\x81\0\0"
           "\x0a\x0b\x0c\1\2\3\x14\x15\x16\4\5\6"
           "\x2c\0\0\0\0\xfa\0\xfa\0\0\2\0",
           37);
    writer.file.size = 37;
    writer.block = 36;
    unsigned next = 6, width = 3, string = indices[0];
    add_code(&writer, 4, width);
    for (size_t i = 1; i < sizeof(indices); i++) {
        if (child[string][indices[i]]) {
            string = child[string][indices[i]];
            continue;
        }
        add_code(&writer, string, width);
        if (next < 4096) {
            if (next == 1u << width)
                width++;
            child[string][indices[i]] = (uint16_t)next++;
        }
        string = indices[i];
    }
    add_code(&writer, string, width);
    add_code(&writer, 5, width);
    add_code(&writer, 0, 7);
    assert_int_equal(next, 4096);
    memcpy(writer.file.data + writer.file.size, "\0;", 2);
    writer.file.size += 2;

    struct vkclip_image image;
    if (vkclip_decode_image(writer.file.data, writer.file.size, "full.gif", 0, &image))
        fail_msg("%s", vkclip_last_error());
    for (size_t i = 0; i < sizeof(indices); i++)
        assert_memory_equal(image.pixels + i * 3, writer.file.data + 13 + indices[i] * 3, 3);
    vkclip_free_image(&image);
    free(writer.file.data);
}

/* ---- Cut and damaged files ------------------------------------------------------------------- */

/* A file that is cut off is refused, unless the picture needs nothing of the missing part. */
static void check_cuts(const char *name, const uint8_t *data, size_t size)
{
    struct vkclip_image whole, image;
    size_t accepted = 0, step = size / 500 + 1;
    assert_int_equal(vkclip_decode_image(data, size, name, 0, &whole), 0);
    size_t bytes = (size_t)whole.width * whole.height * whole.channels;
    for (size_t cut = 0; cut<size; cut += size - cut> 64 ? step : 1) {
        uint8_t *part = malloc(cut ? cut : 1); /* ASan sees reads past its end. */
        memcpy(part, data, cut);
        if (!vkclip_decode_image(part, cut, name, 0, &image)) {
            assert_int_equal(image.width, whole.width);
            assert_int_equal(image.height, whole.height);
            assert_memory_equal(image.pixels, whole.pixels, bytes);
            vkclip_free_image(&image);
            accepted++;
        } else if (!strstr(vkclip_last_error(), name)) {
            fail_msg("cut at %zu: \"%s\" lacks %s", cut, vkclip_last_error(), name);
        }
        free(part);
    }
    /* A GIF's later frames and end, a BMP's last padding, a PSD's fifth channel, a PNG's checksums
     * and end, and white space after the last number of a PNM may be missing. */
    if (accepted && !strstr(name, ".gif") && !strstr(name, ".bmp") && !strstr(name, ".psd") &&
        !strstr(name, ".png") && strncmp(name, "plain.p", 7))
        fail_msg("%s: %zu cut files were accepted", name, accepted);
    vkclip_free_image(&whole);
}

/* A damaged file gives an error, or a picture of the size that its header says. */
static void check_damage(const char *name, const uint8_t *data, size_t size)
{
    const struct vkclip_image_params small = {.max_pixels = 1 << 20};
    uint8_t *damaged = malloc(size);
    uint32_t random = 7;
    for (int round = 0; round < 300; round++) {
        struct vkclip_image image;
        memcpy(damaged, data, size);
        for (int i = 0; i <= round % 4; i++) {
            random = random * 1664525 + 1013904223;
            size_t offset = round % 2 ? random >> 8 : (random >> 8) % 64;
            damaged[offset % size] ^= (uint8_t)(1u << (random >> 5 & 7));
        }
        if (!vkclip_decode_image(damaged, size, name, &small, &image)) {
            assert_true((uint64_t)image.width * image.height <= 1 << 20);
            vkclip_free_image(&image);
        }
    }
    free(damaged);
}

static const char *const goldens[] = {"small_17x31.png",     "rgba.png",     "palette_4bit.png",
                                      "bilevel.png",         "animated.gif", "palette.bmp",
                                      "jpeg_420_restart.jpg"};

static void test_cut_and_damaged(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(samples); i++) {
        check_cuts(samples[i].name, samples[i].data, samples[i].size);
        check_damage(samples[i].name, samples[i].data, samples[i].size);
    }
    for (size_t i = 0; i < ARRAY_COUNT(goldens); i++) {
        struct bytes file = read_golden(goldens[i]);
        check_cuts(goldens[i], file.data, file.size);
        check_damage(goldens[i], file.data, file.size);
        free(file.data);
    }
}

/* ---- The messages ---------------------------------------------------------------------------- */

enum repair { AS_IS, REPAIR }; /* REPAIR corrects a PNG's checksums after the change. */

/* clang-format off */
/* A broken file consists of the first `keep` bytes of a golden file or a sample (0: all bytes;
 * negative: all but the last ones). At `offset` (negative: from the end) `bytes` overwrite it. If
 * there is no source, `bytes` are the whole file. */
static const struct broken {
    const char *name, *source;
    long keep, offset;
    const void *bytes;
    size_t size;
    enum repair repair;
    int error;
    const char *message;
} broken[] = {
    {"empty.png", NULL, 0, 0, B(""), AS_IS, VKCLIP_EFORMAT, "empty file, expected PNG"},
    {"text.png", NULL, 0, 0, B("no picture\n"), AS_IS, VKCLIP_EUNSUPPORTED, ": text, expected PNG"},
    {"page.jpg", NULL, 0, 0, B("<!DOCTYPE html>\n<HTML>"), AS_IS, VKCLIP_EUNSUPPORTED, "HTML page"},
    {"drawing.svg", NULL, 0, 0, B("<?xml?><svg>"), AS_IS, VKCLIP_EUNSUPPORTED, "SVG drawing"},
    {"a.mp4", NULL, 0, 0, B("\0\0\0 ftypisom\0\0\0\0"), AS_IS, VKCLIP_EUNSUPPORTED, ": video"},
    {"a.pdf", NULL, 0, 0, B("%PDF-1.7\n"), AS_IS, VKCLIP_EUNSUPPORTED, "PDF document"},
    {"a.zip", NULL, 0, 0, B("PK\3\4\0\0"), AS_IS, VKCLIP_EUNSUPPORTED, "ZIP archive"},
    {"unknown.png", NULL, 0, 0, B("\1\2\3\4\5\6"), AS_IS, VKCLIP_EFORMAT,
     "begins with 01 02 03 04"},
    {"short.bin", NULL, 0, 0, B("\7"), AS_IS, VKCLIP_EFORMAT, "begins with 07 00 00 00"},

    {"magic.png", "bilevel.png", 7, 0, B(""), AS_IS, VKCLIP_EFORMAT, "unknown kind of file"},
    {"only_magic.png", "bilevel.png", 8, 0, B(""), AS_IS, VKCLIP_EFORMAT,
     "truncated PNG: 8 bytes, expected at least 20"},
    {"header.png", "bilevel.png", 30, 0, B(""), AS_IS, VKCLIP_EFORMAT, "truncated PNG: 30 bytes"},
    {"data.png", "bilevel.png", 900, 0, B(""), AS_IS, VKCLIP_EFORMAT, "truncated PNG: 900 bytes"},
    {"data2.png", "bilevel.png", -40, 0, B(""), AS_IS, VKCLIP_EFORMAT, "truncated PNG"},
    {"crc_header.png", "bilevel.png", 0, 16, B("\0\0\1"), AS_IS, VKCLIP_EFORMAT,
     "checksum of chunk IHDR at byte 8"},
    {"crc_data.png", "bilevel.png", 0, 500, B("\x55\xaa"), AS_IS, VKCLIP_EFORMAT,
     "checksum of chunk IDAT"},
    {"deflate.png", "bilevel.png", 0, 43, B("\xff\xff\xff\xff"), REPAIR, VKCLIP_EFORMAT,
     "corrupt PNG: "},
    {"zlib.png", "bilevel.png", 0, 41, B("\x78\0"), REPAIR, VKCLIP_EFORMAT,
     "corrupt PNG: "},
    {"zero.png", "bilevel.png", 0, 16, B("\0\0\0\0"), REPAIR, VKCLIP_EFORMAT, "0 x 140 pixels"},
    {"color.png", "bilevel.png", 0, 25, B("\5"), REPAIR, VKCLIP_EFORMAT, "colour type"},
    {"depth.png", "bilevel.png", 0, 24, B("\7"), REPAIR, VKCLIP_EFORMAT, "a bit depth"},
    {"interlace.png", "bilevel.png", 0, 28, B("\2"), REPAIR, VKCLIP_EFORMAT, "interlace"},
    {"wide.png", "bilevel.png", 0, 16, B("\0\0\1\0"), REPAIR, VKCLIP_EFORMAT, "corrupt PNG: "},
    {"first.png", "bilevel.png", 0, 12, B("IDAT"), REPAIR, VKCLIP_EFORMAT, "first chunk"},
    {"critical.png", "bilevel.png", 0, 37, B("QDAT"), REPAIR, VKCLIP_EFORMAT,
     "unknown critical chunk QDAT at byte 33"},
    {"no_palette.png", "bilevel.png", 0, 25, B("\3"), REPAIR, VKCLIP_EFORMAT, "no PLTE"},
    {"chunk_size.png", "bilevel.png", 0, 8, B("\xff\xff\xff\xff"), AS_IS, VKCLIP_EFORMAT,
     "truncated PNG"},
    {"bomb1.png", "bilevel.png", 0, 16, B("\0\1\x86\xa0\0\1\x86\xa0"), REPAIR, VKCLIP_EUNSUPPORTED,
     "100000 x 100000 pixels, expected at most 89478485 (`max_pixels`"},
    {"bomb2.png", "bilevel.png", 0, 16, B("\0\0\x27\x10\0\0\x27\x10"), REPAIR, VKCLIP_EUNSUPPORTED,
     "10000 x 10000 pixels, expected at most 89478485 (`max_pixels`"},
    {"bomb3.png", "bilevel.png", 0, 16, B("\xff\xff\xff\xff\xff\xff\xff\xff"), REPAIR,
     VKCLIP_EUNSUPPORTED, "4294967295 x 4294967295 pixels"},
    {"starved.png", "bilevel.png", 0, 16, B("\0\0\x23\x28\0\0\x23\x28"), REPAIR, VKCLIP_EFORMAT,
     "cannot hold 9000 x 9000 pixels"},

    {"start.jpg", "jpeg_420_restart.jpg", 3, 0, B(""), AS_IS, VKCLIP_EFORMAT, "truncated JPEG"},
    {"tables.jpg", "jpeg_420_restart.jpg", 100, 0, B(""), AS_IS, VKCLIP_EFORMAT, "truncated JPEG"},
    {"half.jpg", "jpeg_420_restart.jpg", 3600, 0, B(""), AS_IS, VKCLIP_EFORMAT,
     "truncated JPEG: 3600 bytes without the end-of-image marker"},
    {"end.jpg", "jpeg_420_restart.jpg", -2, 0, B(""), AS_IS, VKCLIP_EFORMAT, "truncated JPEG"},
    {"early_end.jpg", NULL, 0, 0, B("\xff\xd8\xff\xe0\0\4ab\xff\xd9"), AS_IS, VKCLIP_EFORMAT,
     "corrupt JPEG: "},
    {"segment.jpg", NULL, 0, 0, B("\xff\xd8\xff\xe0\0\1ab\xff\xd9"), AS_IS, VKCLIP_EFORMAT,
     "corrupt JPEG: "},
    {"huffman.jpg", NULL, 0, 0, B("\xff\xd8\xff\xc4\0\x15\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
                                  "\xff\xff\xff\xff\xff\xff\1\2\xff\xd9"), AS_IS, VKCLIP_EFORMAT,
     "Huffman table"},
#ifndef VKCLIP_WITH_JPEG
    {"arithmetic.jpg", NULL, 0, 0, B("\xff\xd8\xff\xc9\0\xb\x8\0\x8\0\x8\1\1\x11\0\xff\xd9"), AS_IS,
     VKCLIP_EUNSUPPORTED, "arithmetic coding"},
#endif
    {"twelve.jpg", NULL, 0, 0, B("\xff\xd8\xff\xc1\0\xb\xc\0\x8\0\x8\1\1\x11\0"
                                 "\xff\xda\0\x8\1\1\0\0\x3f\0\xff\xd9"), AS_IS,
     VKCLIP_EUNSUPPORTED, "12"},
    {"bomb.jpg", NULL, 0, 0, B("\xff\xd8\xff\xc0\0\xb\x8\xff\xff\xff\xff\1\1\x11\0"
                               "\xff\xda\0\x8\1\1\0\0\x3f\0\xff\xd9"), AS_IS,
     VKCLIP_EUNSUPPORTED, "65535 x 65535 pixels, expected at most"},
    {"bomb2.jpg", NULL, 0, 0, B("\xff\xd8\xff\xc0\0\xb\x8\xea\x60\xea\x60\1\1\x11\0"
                                "\xff\xda\0\x8\1\1\0\0\x3f\0\xff\xd9"), AS_IS,
     VKCLIP_EUNSUPPORTED, "60000 x 60000 pixels, expected at most"},
    {"zero.jpg", NULL, 0, 0, B("\xff\xd8\xff\xc0\0\xb\x8\0\0\0\x8\1\1\x11\0\xff\xd9"), AS_IS,
     VKCLIP_EFORMAT, "8 x 0 pixels"},
    {"no_scan.jpg", NULL, 0, 0, B("\xff\xd8\xff\xc0\0\xb\x8\0\x8\0\x8\1\1\x11\0\xff\xd9"), AS_IS,
     VKCLIP_EFORMAT, "corrupt JPEG: "},
    {"starved.jpg", NULL, 0, 0, B("\xff\xd8\xff\xc2\0\xb\x8\x20\0\x20\0\1\1\x11\0"
                                  "\xff\xda\0\x8\1\1\0\0\0\0\xff\xd9"), AS_IS, VKCLIP_EFORMAT,
     "cannot hold 8192 x 8192 pixels"},
#ifndef VKCLIP_WITH_JPEG
    {"cmyk.jpg", NULL, 0, 0, B("\xff\xd8\xff\xc0\0\x14\x8\0\x8\0\x8\4"
                               "\1\x11\0\2\x11\0\3\x11\0\4\x11\0"
                               "\xff\xda\0\xe\4\1\0\2\0\3\0\4\0\0\0\0\xff\xd9"), AS_IS,
     VKCLIP_EUNSUPPORTED, "four components without Adobe's marker"},
#else
    {"two.jpg", NULL, 0, 0, B("\xff\xd8\xff\xc0\0\xe\x8\0\x8\0\x8\2\1\x11\0\2\x11\0"
                              "\xff\xda\0\xa\2\1\0\2\0\0\x3f\0\xff\xd9"), AS_IS,
     VKCLIP_EUNSUPPORTED, "expected 1, 3 or 4 components"},
    {"lossless.jpg", NULL, 0, 0, B("\xff\xd8\xff\xc5\0\xb\x8\0\x8\0\x8\1\1\x11\0"
                                   "\xff\xda\0\x8\1\1\0\0\x3f\0\xff\xd9"), AS_IS,
     VKCLIP_EUNSUPPORTED, "SOF type"},
#endif

    {"header.gif", "animated.gif", 10, 0, B(""), AS_IS, VKCLIP_EFORMAT, "truncated GIF: 10 bytes"},
    {"palette.gif", "animated.gif", 40, 0, B(""), AS_IS, VKCLIP_EFORMAT, "truncated GIF: 40 bytes"},
    {"data.gif", "animated.gif", 1500, 0, B(""), AS_IS, VKCLIP_EFORMAT,
     "truncated GIF: 1500 bytes"},
    {"bomb.gif", "transparent.gif", 0, 6, B("\xff\xff\xff\xff"), AS_IS, VKCLIP_EUNSUPPORTED,
     "65535 x 65535 pixels"},
    {"frame.gif", "transparent.gif", 0, 34, B("\xff\xff\xff\xff\xff\xff\xff\xff"), AS_IS,
     VKCLIP_EUNSUPPORTED, "131070 x 131070 pixels"},
    {"none.gif", NULL, 0, 0, B("GIF89a\1\0\1\0\0\0\0;"), AS_IS, VKCLIP_EFORMAT, "holds no picture"},
    {"codes.gif", "transparent.gif", 0, 43, B("\xd"), AS_IS, VKCLIP_EFORMAT, "wrong code size"},
    {"lzw.gif", "transparent.gif", 0, 45, B("\xff\xff"), AS_IS, VKCLIP_EFORMAT,
     "data ends after 0 of 1 pixels"},
    {"few.gif", "transparent.gif", 0, 38, B("\1\0\2\0"), AS_IS, VKCLIP_EFORMAT,
     "data ends after 1 of 2 pixels"},

    {"header.bmp", "palette.bmp", 40, 0, B(""), AS_IS, VKCLIP_EFORMAT, "truncated BMP: 40 bytes"},
    {"data.bmp", "palette.bmp", 9000, 0, B(""), AS_IS, VKCLIP_EFORMAT, "truncated BMP: 9000 bytes"},
    {"thirteen.bmp", "palette.bmp", 0, 14, B("\xd"), AS_IS, VKCLIP_EUNSUPPORTED, "unknown header"},
    {"rle.bmp", "palette.bmp", 0, 30, B("\2"), AS_IS, VKCLIP_EUNSUPPORTED, "does not fit its bits"},
    {"png.bmp", "palette.bmp", 0, 30, B("\5"), AS_IS, VKCLIP_EUNSUPPORTED, "does not fit its bits"},
    {"mask.bmp", "sixths.bmp", 0, 54, B("\1\xf8"), AS_IS, VKCLIP_EUNSUPPORTED, "one run of bits"},
    {"runs.bmp", "rle8.bmp", 0, -8, B("\0\1"), AS_IS, VKCLIP_EFORMAT, "before its last row"},
    {"cut.bmp", "rle8.bmp", -5, 0, B(""), AS_IS, VKCLIP_EFORMAT, "truncated BMP"},
    {"depth.bmp", "palette.bmp", 0, 28, B("\7"), AS_IS, VKCLIP_EFORMAT, "bits per pixel"},
    {"offset.bmp", "palette.bmp", 0, 10, B("\1\0\0\0"), AS_IS, VKCLIP_EFORMAT,
     "before its header ends"},
    {"offset2.bmp", "palette.bmp", 0, 10, B("\xff\xff\xff\xff"), AS_IS, VKCLIP_EFORMAT,
     "truncated BMP"},
    {"bomb.bmp", "palette.bmp", 0, 18, B("\xff\xff\xff\x7f\0\0\0\x80"), AS_IS, VKCLIP_EUNSUPPORTED,
     "2147483647 x 2147483648 pixels"},
    {"zero.bmp", "palette.bmp", 0, 22, B("\0\0\0\0"), AS_IS, VKCLIP_EFORMAT, "227 x 0 pixels"},
    {"tall.bmp", "palette.bmp", 0, 22, B("\0\1\0\0"), AS_IS, VKCLIP_EFORMAT, "truncated BMP"},
    {"index.bmp", "palette.bmp", 0, -4, B("\xf0"), AS_IS, VKCLIP_EFORMAT, "beyond the palette"},

    {"data.tga", "raw.tga", 25, 0, B(""), AS_IS, VKCLIP_EFORMAT,
     "truncated TGA: 25 bytes, expected at least 30"},
    {"packed.tga", "packed.tga", -1, 0, B(""), AS_IS, VKCLIP_EFORMAT, "truncated TGA"},
    {"bomb.tga", "raw.tga", 0, 12, B("\xff\xff\xff\xff"), AS_IS, VKCLIP_EUNSUPPORTED,
     "65535 x 65535 pixels"},
    {"claim.tga", "raw.tga", 0, 12, B("\0\x20\0\x20"), AS_IS, VKCLIP_EFORMAT, "truncated TGA"},
    {"zero.tga", "raw.tga", 0, 12, B("\0\0"), AS_IS, VKCLIP_EFORMAT, "0 x 2 pixels"},
    {"palette.tga", "palette.tga", 22, 0, B(""), AS_IS, VKCLIP_EFORMAT, "truncated TGA"},

    {"header.psd", "raw.psd", 20, 0, B(""), AS_IS, VKCLIP_EFORMAT, "truncated PSD: 20 bytes"},
    {"data.psd", "raw.psd", -1, 0, B(""), AS_IS, VKCLIP_EFORMAT, "truncated PSD"},
    {"packed.psd", "packed.psd", -1, 0, B(""), AS_IS, VKCLIP_EFORMAT, "truncated PSD"},
    {"section.psd", "raw.psd", 0, 26, B("\xff\xff\xff\xff"), AS_IS, VKCLIP_EFORMAT,
     "truncated PSD"},
    {"bomb.psd", "raw.psd", 0, 14, B("\xff\xff\xff\xff\xff\xff\xff\xff"), AS_IS,
     VKCLIP_EUNSUPPORTED, "4294967295 x 4294967295 pixels"},
    {"cmyk.psd", "raw.psd", 0, 24, B("\0\4"), AS_IS, VKCLIP_EUNSUPPORTED, "expected version 1"},
    {"channels.psd", "raw.psd", 0, 12, B("\0\2"), AS_IS, VKCLIP_EFORMAT,
     "fewer channels than its colours"},
    {"zip.psd", "raw.psd", 0, 41, B("\0\2"), AS_IS, VKCLIP_EUNSUPPORTED, "ZIP compression"},
    {"rows.psd", "packed.psd", 0, 49, B("\x83"), AS_IS, VKCLIP_EFORMAT, "PackBits"},

    {"header.pgm", NULL, 0, 0, B("P5 2 "), AS_IS, VKCLIP_EFORMAT, "truncated PNM"},
    {"data.pgm", NULL, 0, 0, B("P5 2 2 255\n\1\2\3"), AS_IS, VKCLIP_EFORMAT,
     "truncated PNM: 14 bytes, expected at least 15"},
    {"words.pgm", NULL, 0, 0, B("P5 two 2 255\n"), AS_IS, VKCLIP_EFORMAT, "no width, height"},
    {"maximum.pgm", NULL, 0, 0, B("P5 1 1 65536\n\1\2"), AS_IS, VKCLIP_EFORMAT, "1 to 65535"},
    {"bomb.pgm", NULL, 0, 0, B("P5 99999 99999 255\n\1"), AS_IS, VKCLIP_EUNSUPPORTED,
     "99999 x 99999 pixels"},
    {"overflow.pgm", NULL, 0, 0, B("P5 99999999999999999999 1 255\n\1"), AS_IS,
     VKCLIP_EUNSUPPORTED, "999999999 x 999999999 pixels"},
    {"plain.pgm", NULL, 0, 0, B("P2 2 1 255\n7\n"), AS_IS, VKCLIP_EFORMAT,
     "truncated PNM: 1 of 2 samples"},
    {"large.pgm", NULL, 0, 0, B("P2 2 1 255\n7 256\n"), AS_IS, VKCLIP_EFORMAT, "no number up to"},
    {"letter.pbm", NULL, 0, 0, B("P1 2 1\n0x\n"), AS_IS, VKCLIP_EFORMAT, "no number up to"},
    {"pam.pam", NULL, 0, 0, B("P7\nWIDTH 1\n"), AS_IS, VKCLIP_EUNSUPPORTED, "PAM picture"},
};
/* clang-format on */

static void repair_checksums(struct bytes *file)
{
    for (size_t begin = 8; begin + 12 <= file->size;) {
        const uint8_t *p = file->data + begin;
        size_t length = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
        if (length > file->size - begin - 12)
            break;
        put32(file->data + begin + 8 + length, (uint32_t)crc32(0, p + 4, (uInt)length + 4));
        begin += length + 12;
    }
}

static struct bytes make_broken(const struct broken *b)
{
    struct bytes file = {0};
    for (size_t i = 0; b->source && i < ARRAY_COUNT(samples); i++)
        if (!strcmp(b->source, samples[i].name)) {
            file = (struct bytes){malloc(samples[i].size), samples[i].size};
            memcpy(file.data, samples[i].data, file.size);
        }
    for (size_t i = 0; b->source && i < ARRAY_COUNT(goldens); i++)
        if (!strcmp(b->source, goldens[i])) {
            free(file.data); /* A golden file takes precedence over a sample of the same name. */
            file = read_golden(goldens[i]);
        }
    if (!b->source)
        file = (struct bytes){calloc(1, b->size + 1), b->size};
    assert_non_null(file.data);
    size_t begin = b->offset < 0 ? file.size - (size_t)-b->offset : (size_t)b->offset;
    assert_true(begin + b->size <= file.size);
    memcpy(file.data + begin, b->bytes, b->size);
    if (b->keep)
        file.size = b->keep < 0 ? file.size - (size_t)-b->keep : (size_t)b->keep;
    if (b->repair == REPAIR)
        repair_checksums(&file);
    return file;
}

static void test_messages(void **state)
{
    (void)state;
    struct vkclip_image image;
    char *folder = scratch_folder();
    for (size_t i = 0; i < ARRAY_COUNT(broken); i++) {
        struct bytes file = make_broken(&broken[i]);
        scratch_write(folder, broken[i].name, file.data, file.size);
        char *path = scratch_path(folder, broken[i].name);
        assert_failed(vkclip_load_image(path, 0, &image), broken[i].error, broken[i].message);
        if (strncmp(vkclip_last_error(), path, strlen(path)) || image.pixels)
            fail_msg("\"%s\" does not begin with %s", vkclip_last_error(), path);
        free(path);
        free(file.data);
    }
    print_message("%zu broken files\n", ARRAY_COUNT(broken));
    assert_failed(vkclip_load_image(folder, 0, &image), VKCLIP_EIO, folder);
    char *absent = scratch_path(folder, "absent.png");
    assert_failed(vkclip_load_image(absent, 0, &image), VKCLIP_EIO, "absent.png");
    assert_failed(vkclip_load_image(NULL, 0, &image), VKCLIP_EINVALID, "no path");
    assert_failed(vkclip_load_image(absent, 0, NULL), VKCLIP_EINVALID, "no place");
    assert_failed(vkclip_decode_image(NULL, 5, NULL, 0, &image), VKCLIP_EINVALID, "no data");
    free(absent);
    scratch_remove(folder);
}

/* The caller's limit may be smaller or larger than the default. */
static void test_max_pixels(void **state)
{
    (void)state;
    struct vkclip_image image;
    struct bytes file = read_golden("bilevel.png"); /* 190 x 140 */
    struct vkclip_image_params params = {.max_pixels = 26599};
    assert_failed(vkclip_decode_image(file.data, file.size, "a.png", &params, &image),
                  VKCLIP_EUNSUPPORTED, "a.png: 190 x 140 pixels, expected at most 26599");
    params.max_pixels = 26600;
    assert_int_equal(vkclip_decode_image(file.data, file.size, "a.png", &params, &image), 0);
    vkclip_free_image(&image);
    put32(file.data + 16, 100000);
    put32(file.data + 20, 100000);
    repair_checksums(&file);
    params.max_pixels = UINT64_MAX;
    assert_failed(vkclip_decode_image(file.data, file.size, "a.png", &params, &image),
                  VKCLIP_EUNSUPPORTED, "at most 268435456 pixels, which is all");
    free(file.data);
}

/* Makes a PNG of one pixel whose data unpacks to 256 MiB. */
static struct bytes make_deflate_bomb(void)
{
    static uint8_t zeros[1 << 16], packed[1 << 19];
    struct bytes file = begin_png(1, 1, 8, 0);
    z_stream stream = {.next_out = packed, .avail_out = sizeof(packed)};
    assert_int_equal(deflateInit(&stream, 9), Z_OK);
    for (int i = 0; i < 1 << 12; i++) {
        stream.next_in = zeros;
        stream.avail_in = sizeof(zeros);
        deflate(&stream, i < (1 << 12) - 1 ? Z_NO_FLUSH : Z_FINISH);
    }
    assert_int_equal(stream.total_in, 1 << 28);
    add_chunk(&file, "IDAT", packed, stream.total_out);
    add_chunk(&file, "IEND", NULL, 0);
    deflateEnd(&stream);
    return file;
}

/* A small file makes the decoder allocate neither what its header claims nor what its data unpacks
 * to. */
static void test_bounded_memory(void **state)
{
    (void)state;
    struct rusage before, after;
    struct vkclip_image image;
    struct bytes bomb = make_deflate_bomb();
    getrusage(RUSAGE_SELF, &before);
#ifdef VKCLIP_WITH_PNG
    /* What is unpacked beyond the last pixel is left alone, as Pillow does. */
    assert_int_equal(vkclip_decode_image(bomb.data, bomb.size, "bomb.png", 0, &image), 0);
    vkclip_free_image(&image);
#else
    assert_failed(vkclip_decode_image(bomb.data, bomb.size, "bomb.png", 0, &image), VKCLIP_EFORMAT,
                  "corrupt PNG: data that unpacks to more than its pixels");
#endif
    for (size_t i = 0; i < ARRAY_COUNT(broken); i++) {
        struct bytes file = make_broken(&broken[i]);
        assert_int_equal(vkclip_decode_image(file.data, file.size, "bomb", 0, &image),
                         broken[i].error);
        free(file.data);
    }
    getrusage(RUSAGE_SELF, &after);
#ifdef __linux__
    assert_true(after.ru_maxrss - before.ru_maxrss < 16 << 10); /* KiB */
#endif
    free(bomb.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* It runs first, because it needs a low peak of memory. */
        cmocka_unit_test(test_bounded_memory),
        cmocka_unit_test(test_samples),
        cmocka_unit_test(test_png),
#ifdef VKCLIP_WITH_EXIF
        cmocka_unit_test(test_orientation),
        cmocka_unit_test(test_facts),
        cmocka_unit_test(test_large_exif),
        cmocka_unit_test(test_damaged_exif),
#endif
        cmocka_unit_test(test_gif_full_table),
        cmocka_unit_test(test_cut_and_damaged),
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_max_pixels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
