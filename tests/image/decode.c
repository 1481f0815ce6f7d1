/* SPDX-License-Identifier: MIT
 *
 * Picture files: small handmade files decode to the expected pixels, a file that is cut off is
 * never accepted as complete, and a damaged one gives an error or a picture of its size.
 */
#include "image/decode.h"
#include "image/prepare.h"
#include "image/samples.h"

/* ---- What files decode to -------------------------------------------------------------------- */

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

/* ---- Thumbnails ------------------------------------------------------------------------------ */

/* Is a vkclip_bytes_fn. */
static void decode_thumbnail(void *user, const void *data, size_t size)
{
    if (vkclip_decode_image(data, size, "thumbnail", NULL, user))
        fail_msg("%s", vkclip_last_error());
}

/* Uniform pictures survive JPEG nearly unchanged. Rows may have padding, alpha is over white, and
 * inks become colours. */
static void test_thumbnails(void **state)
{
    (void)state;
    static const struct {
        uint32_t channels;
        bool cmyk;
        uint8_t pixel[4], expected[3];
    } cases[] = {{1, false, {100}, {100, 100, 100}},
                 {2, false, {0, 255}, {0, 0, 0}},
                 {2, false, {0, 0}, {255, 255, 255}},
                 {3, false, {200, 100, 50}, {200, 100, 50}},
                 {4, false, {200, 100, 50, 0}, {255, 255, 255}},
                 {4, true, {255, 0, 0, 0}, {0, 255, 255}},
                 {4, true, {0, 0, 0, 255}, {0, 0, 0}}};
    enum { WIDTH = 40, HEIGHT = 20, SIDE = 16 };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        uint8_t pixels[HEIGHT][WIDTH * 4 + 3] = {{0}};
        struct vkclip_image image = {.pixels = pixels[0],
                                     .width = WIDTH,
                                     .height = HEIGHT,
                                     .channels = cases[i].channels,
                                     .stride = sizeof(pixels[0]),
                                     .cmyk = cases[i].cmyk};
        struct vkclip_image small = {0};
        for (size_t y = 0; y < HEIGHT; y++)
            for (size_t x = 0; x < WIDTH * cases[i].channels; x++)
                pixels[y][x] = cases[i].pixel[x % cases[i].channels];
        if (vkclip_make_thumbnail(&image, SIDE, decode_thumbnail, &small))
            fail_msg("%s", vkclip_last_error());
        assert_int_equal(small.width, SIDE);
        assert_int_equal(small.height, SIDE / 2);
        for (size_t c = 0; c < 3; c++)
            if (abs(small.pixels[c] - cases[i].expected[c]) > 3)
                fail_msg("case %zu: channel %zu is %u, expected %u", i, c, small.pixels[c],
                         cases[i].expected[c]);
        vkclip_free_image(&small);
    }
}

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
    const struct vkclip_image_params small = {.size = sizeof(small), .max_pixels = 1 << 20};
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

/* ---- Libraries ------------------------------------------------------------------------------- */

#ifdef VKCLIP_WITH_EXIF
#define HAS_EXIF true
#else
#define HAS_EXIF false
#endif

/* A message tells by what was lacking whether a file may be tried again. */
static void test_what_was_lacking(void **state)
{
    (void)state;
    static const struct {
        const char *message;
        bool expected;
    } cases[] = {
        {"PNG picture, which this build of vkclip cannot read because it was built without a",
         true},
        {"QOI picture, which this build of vkclip cannot read because it was built without a",
         false},
        {"QOI picture, expected PNG or JPEG", false},
        {"truncated PNG: 500 bytes, expected at least 3250", false},
        {"its EXIF orientation cannot be read, because this build of vkclip has no libexif",
         HAS_EXIF},
        {"HEIC picture, but libheif has no decoder of VVC; install the package a", false},
        {"", false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
        if (image_has_library_now(cases[i].message) != cases[i].expected)
            fail_msg("%s", cases[i].message);
}

#ifdef VKCLIP_WITH_JPEG
#define OWN_READERS true
#else
#define OWN_READERS false
#endif

/* A thread that decodes and prepares pictures of one size allocates for the first one only, except
 * for their pixels where a reader or its library allocates these. */
static void test_kept_memory(void **state)
{
    (void)state;
    static const char *const names[] = {"animated.gif", "small_17x31.png", "jpeg_420_restart.jpg"};
    const struct image_transform transform = {.size = 24, .std = {1, 1, 1}};
    struct image_memory memory = {0};
    const struct image_options options = {.memory = &memory};
    struct scratch scratch = {0};
    uint8_t rgb[2][24 * 24 * 3];
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        char *path = string_format("tests/golden/preprocess/images/%s", names[i]);
        const void *blocks[2][3];
        for (int round = 0; round < 2; round++) {
            struct vkclip_image image;
            assert_int_equal(image_load(path, &options, &image, NULL), 0);
            assert_int_equal(image_prepare(&image, &transform, &scratch, rgb[round]), 0);
            image_keep(&image, &memory);
            assert_null(image.pixels);
            blocks[round][0] = memory.file.memory;
            blocks[round][1] = scratch.memory;
            blocks[round][2] = memory.pixels.memory;
        }
        assert_memory_equal(rgb[0], rgb[1], sizeof(rgb[0]));
        assert_memory_equal(blocks[0], blocks[1], (i && OWN_READERS ? 3 : 2) * sizeof(void *));
        free(path);
    }
    scratch_free(&memory.file);
    scratch_free(&memory.pixels);
    scratch_free(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_samples),
        cmocka_unit_test(test_thumbnails),
        cmocka_unit_test(test_png),
        cmocka_unit_test(test_gif_full_table),
        cmocka_unit_test(test_cut_and_damaged),
        cmocka_unit_test(test_what_was_lacking),
        cmocka_unit_test(test_kept_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
