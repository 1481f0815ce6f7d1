/* SPDX-License-Identifier: MIT
 *
 * The formats that libraries decode: every golden file gives the expected pixels, files that are
 * cut off or damaged give an error of one line or a picture, and headers that claim too much or
 * something odd are refused with a message. Formats that this build lacks are refused by name.
 */
#define _GNU_SOURCE
#include "image/decode.h"
#include "image/files.h"
#include "support/find_bytes.h"

#define GOLDEN "tests/golden/pictures/"

static bool is_readable(const char *name)
{
    const struct vkclip_image_format *format = vkclip_find_image_format(name);
    return format && format->readable;
}

/* Calls a function with every golden file of the formats in this build. */
static void visit_goldens(void (*visit)(const char *name, const struct bytes *file))
{
    static const char *const folders[] = {"webp", "tiff", "heif", "jxl"};
    for (size_t f = 0; f < ARRAY_COUNT(folders); f++) {
        char **names = NULL, *folder = string_format(GOLDEN "%s", folders[f]);
        size_t count = 0, visited = 0;
        if (folder_list(folder, &names, &count))
            fail_msg("%s", vkclip_last_error());
        for (size_t i = 0; i < count; i++) {
            if (!is_readable(names[i]))
                continue;
            char *path = string_format("%s/%s", folder, names[i]);
            struct bytes file = read_bytes(path);
            visit(names[i], &file);
            visited++;
            free(file.data);
            free(path);
        }
        print_message("%s: %zu of %zu files\n", folders[f], visited, count);
        folder_free_names(&names, count);
        free(folder);
    }
}

/* ---- What files decode to -------------------------------------------------------------------- */

static void check_pixels(const char *name, const struct bytes *file)
{
    struct vkclip_image image, expected;
    char *path = string_format(GOLDEN "expected/%.*s.png", (int)(strchr(name, '-') - name), name);
    if (vkclip_load_image(path, NULL, &expected) ||
        vkclip_decode_image(file->data, file->size, name, NULL, &image))
        fail_msg("%s", vkclip_last_error());
    if (image.width != expected.width || image.height != expected.height ||
        image.channels != expected.channels || image.indexed != expected.indexed ||
        image.cmyk != !strncmp(name, "cmyk", 4))
        fail_msg("%s: %u x %u x %u, indexed %d, cmyk %d", name, image.width, image.height,
                 image.channels, image.indexed, image.cmyk);
    /* HEIC stores YCbCr, whose conversion rounds. libyuv, which interpolates colours for libavif,
     * may do so in another way from version to version, and libheif may repeat them. */
    int tolerance = strstr(name, ".heic") ? 1 : 0;
    if (strstr(name, "-subsampled"))
        tolerance = !strcmp(vkclip_find_image_format(name)->library, "libavif") ? 2 : 128;
    size_t bytes = (size_t)image.width * image.height * image.channels;
    for (size_t i = 0; i < bytes; i++)
        if (abs(image.pixels[i] - expected.pixels[i]) > tolerance)
            fail_msg("%s: byte %zu is %d, expected %d", name, i, image.pixels[i],
                     expected.pixels[i]);
    vkclip_free_image(&image);
    vkclip_free_image(&expected);
    free(path);
}

static void test_pixels(void **state)
{
    (void)state;
    visit_goldens(check_pixels);
}

/* ---- What files say besides the pixels ------------------------------------------------------- */

/* Files of EXIF data have a date and a camera. Their orientation turns only WebP, because the other
 * formats have an orientation of their own, which their libraries apply. */
static void check_facts(const char *name, const struct bytes *file)
{
    struct vkclip_image image;
    struct image_facts facts;
    const struct image_options options = {.orient = true};
    const char *format = vkclip_find_image_format(name)->name;
    if (image_decode(file->data, file->size, name, &options, &image, &facts))
        fail_msg("%s", vkclip_last_error());
    if (strcmp(facts.format, format) || facts.width != image.width || facts.height != image.height)
        fail_msg("%s: %s, %u x %u", name, facts.format, facts.width, facts.height);
    if (strstr(name, "-exif")) {
        bool turned = !strcmp(format, "WebP") || strstr(name, "upright");
        assert_int_equal(image.width, turned ? 35 : 45);
        if (facts.taken != 1614834367 || strcmp(facts.camera, "Maker Model") ||
            facts.orientation != 6)
            fail_msg("%s: taken %lld, camera \"%s\", orientation %u", name, (long long)facts.taken,
                     facts.camera, facts.orientation);
    }
    vkclip_free_image(&image);
}

/* Writes numbers from the lowest byte on. */
struct writer {
    uint8_t *next;
    unsigned wide; /* bytes of an offset: 4, or 8 in a BigTIFF */
};

static void put_number(struct writer *writer, uint64_t value, unsigned bytes)
{
    while (bytes--) {
        *writer->next++ = (uint8_t)value;
        value >>= 8;
    }
}

static void put_field(struct writer *writer, unsigned tag, unsigned type, uint64_t count,
                      uint64_t value)
{
    put_number(writer, tag, 2);
    put_number(writer, type, 2);
    put_number(writer, count, writer->wide);
    put_number(writer, value, writer->wide);
}

/* Many programs write the directories of a TIFF behind its pixels, where libexif does not look. */
static void check_far_directories(unsigned wide)
{
    enum { PIXELS = 16, TEXTS = 70000, FIRST = 71000, EXIF = 72000, GPS = 73000, SIZE = 74000 };
    enum { ASCII = 2, SHORT = 3, LONG = 4, RATIONAL = 5 };
    uint8_t *data = calloc(1, SIZE);
    struct writer writer = {data, wide};
    memcpy(data, wide == 8 ? "II+\0\x8\0\0\0" : "II*\0", wide);
    writer.next = data + wide;
    put_number(&writer, FIRST, wide);
    memcpy(data + TEXTS, "Maker Works", 12);
    memcpy(data + TEXTS + 16, "Model Number 1", 15);
    memcpy(data + TEXTS + 32, "2024:02:29 12:34:56", 20);
    static const uint32_t place[] = {48, 1, 30, 1, 0, 1, 2, 1, 30, 1, 0, 1};
    writer.next = data + TEXTS + 64;
    for (size_t i = 0; i < ARRAY_COUNT(place); i++)
        put_number(&writer, place[i], 4);

    writer.next = data + FIRST;
    put_number(&writer, 13, wide == 8 ? 8 : 2);
    put_field(&writer, 256, SHORT, 1, 16);
    put_field(&writer, 257, SHORT, 1, 16);
    put_field(&writer, 258, SHORT, 1, 8);
    put_field(&writer, 259, SHORT, 1, 1);
    put_field(&writer, 262, SHORT, 1, 1);
    put_field(&writer, 271, ASCII, 12, TEXTS);
    put_field(&writer, 272, ASCII, 15, TEXTS + 16);
    put_field(&writer, 273, LONG, 1, PIXELS);
    put_field(&writer, 274, SHORT, 1, 3);
    put_field(&writer, 278, SHORT, 1, 16);
    put_field(&writer, 279, LONG, 1, 256);
    put_field(&writer, 34665, LONG, 1, EXIF);
    put_field(&writer, 34853, LONG, 1, GPS);
    writer.next = data + EXIF;
    put_number(&writer, 1, wide == 8 ? 8 : 2);
    put_field(&writer, 36867, ASCII, 20, TEXTS + 32);
    writer.next = data + GPS;
    put_number(&writer, 4, wide == 8 ? 8 : 2);
    put_field(&writer, 1, ASCII, 2, 'N');
    put_field(&writer, 2, RATIONAL, 3, TEXTS + 64);
    put_field(&writer, 3, ASCII, 2, 'W');
    put_field(&writer, 4, RATIONAL, 3, TEXTS + 88);

    struct vkclip_image image;
    struct image_facts facts;
    if (image_decode(data, SIZE, "far.tif", NULL, &image, &facts))
        fail_msg("%s", vkclip_last_error());
    assert_int_equal(facts.orientation, 3);
    assert_int_equal(facts.taken, 1709210096);
    assert_string_equal(facts.camera, "Maker Works Model Number 1");
    assert_true(facts.latitude == 48.5 && facts.longitude == -2.5);
    vkclip_free_image(&image);
    free(data);
}

static void test_far_directories(void **state)
{
    (void)state;
#ifndef VKCLIP_WITH_EXIF
    skip();
#endif
    if (!is_readable("a.tif"))
        skip();
    check_far_directories(4);
    check_far_directories(8);
}

static void test_facts(void **state)
{
    (void)state;
#ifndef VKCLIP_WITH_EXIF
    skip(); /* Without libexif a file that may have to be turned is refused. */
#endif
    visit_goldens(check_facts);
}

/* ---- Cut and damaged files ------------------------------------------------------------------- */

static void check_message(const char *name)
{
    const char *message = vkclip_last_error();
    if (strncmp(message, name, strlen(name)) || strchr(message, '\n') || strlen(message) < 20)
        fail_msg("\"%s\" is no message about %s", message, name);
}

/* A file that is cut off is refused, unless the picture needs nothing of the missing part. */
static void check_cuts(const char *name, const struct bytes *file)
{
    struct vkclip_image whole, image;
    size_t step = file->size / 64 + 1;
    assert_int_equal(vkclip_decode_image(file->data, file->size, name, NULL, &whole), 0);
    for (size_t cut = 0; cut<file->size; cut += file->size - cut> 24 ? step : 1) {
        uint8_t *part = malloc(cut + !cut);
        memcpy(part, file->data, cut);
        if (vkclip_decode_image(part, cut, name, NULL, &image)) {
            check_message(name);
        } else {
            size_t bytes = (size_t)whole.width * whole.height * whole.channels;
            if (image.width != whole.width || image.height != whole.height ||
                memcmp(image.pixels, whole.pixels, bytes))
                fail_msg("%s: %zu of %zu bytes give another picture", name, cut, file->size);
            vkclip_free_image(&image);
        }
        free(part);
    }
    vkclip_free_image(&whole);
}

/* A damaged file gives an error, or a picture within the limit. */
static void check_damage(const char *name, const struct bytes *file)
{
    struct vkclip_image_params params = {.size = sizeof(params), .max_pixels = 1 << 16};
    uint8_t *damaged = malloc(file->size);
    uint32_t random = 7;
    for (int round = 0; round < 40; round++) {
        struct vkclip_image image;
        memcpy(damaged, file->data, file->size);
        for (int i = 0; i <= round % 4; i++) {
            random = random * 1664525 + 1013904223;
            size_t offset = round % 2 ? random >> 8 : (random >> 8) % 200;
            damaged[offset % file->size] ^= (uint8_t)(1u << (random >> 5 & 7));
        }
        if (vkclip_decode_image(damaged, file->size, name, &params, &image)) {
            check_message(name);
        } else {
            assert_true((uint64_t)image.width * image.height <= params.max_pixels);
            vkclip_free_image(&image);
        }
    }
    free(damaged);
}

static void test_cuts(void **state)
{
    (void)state;
    visit_goldens(check_cuts);
}

static void test_damage(void **state)
{
    (void)state;
    visit_goldens(check_damage);
}

/* ---- The messages ---------------------------------------------------------------------------- */

static void check_refused(const char *name, const void *data, size_t size, int error,
                          const char *message)
{
    struct vkclip_image image;
    struct bytes file = {malloc(size + !size), size}; /* ASan sees reads past the end. */
    memcpy(file.data, data, size);
    int found = vkclip_decode_image(file.data, file.size, name, NULL, &image);
    if (!found)
        fail_msg("%s is accepted, expected \"%s\"", name, message);
    check_message(name);
    if (!is_readable(name)) {
        error = VKCLIP_EUNSUPPORTED;
        message = "built without lib";
    }
    if (found != error || !strstr(vkclip_last_error(), message))
        fail_msg("%s: error %d, \"%s\", expected %d and \"%s\"", name, found, vkclip_last_error(),
                 error, message);
    free(file.data);
}

struct field {
    uint16_t tag;
    uint32_t value;
};

/* Makes the one directory of a TIFF without pixels. `fields`, in the order of their tags, replace
 * those of a grey picture of 16 x 16. */
static size_t make_tiff(uint8_t *out, const struct field *changes)
{
    struct field fields[16] = {{256, 16}, {257, 16}, {258, 8},  {259, 1},  {262, 1},
                               {273, 8},  {277, 1},  {278, 16}, {279, 256}};
    size_t count = 9;
    for (; changes->tag; changes++) {
        size_t i = 0;
        while (i < count && fields[i].tag != changes->tag)
            i++;
        count += i == count;
        fields[i] = *changes;
    }
    memcpy(out, "II*\0\x8\0\0\0", 8);
    uint8_t *next = out + 8;
    *next++ = (uint8_t)count;
    *next++ = 0;
    for (size_t i = 0; i < count; i++, next += 12) {
        memcpy(next, "\0\0\4\0\1\0\0\0", 8);
        next[0] = (uint8_t)fields[i].tag;
        next[1] = (uint8_t)(fields[i].tag >> 8);
        for (int byte = 0; byte < 4; byte++)
            next[8 + byte] = (uint8_t)(fields[i].value >> 8 * byte);
    }
    memset(next, 0, 4);
    return (size_t)(next + 4 - out);
}

static void test_tiff_messages(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct field changes[6];
        int error;
        const char *message;
    } cases[] = {
        {"bomb.tif", {{256, 100000}, {257, 100000}}, VKCLIP_EUNSUPPORTED, "100000 x 100000 pixels"},
        {"starved.tif",
         {{256, 9000}, {257, 9000}},
         VKCLIP_EFORMAT,
         "bytes of data cannot hold 9000 x 9000 pixels"},
        {"tile.tif",
         {{322, 16384}, {323, 16384}, {324, 8}, {325, 256}},
         VKCLIP_EUNSUPPORTED,
         "16384 x 16384 pixels"},
        {"empty.tif", {{256, 0}}, VKCLIP_EFORMAT, "corrupt TIFF"},
        {"palette.tif", {{262, 3}}, VKCLIP_EFORMAT, "it lacks its palette"},
        {"lab.tif", {{262, 8}, {277, 3}}, VKCLIP_EUNSUPPORTED, "photometric interpretation 8"},
        {"float.tif", {{258, 32}, {339, 3}}, VKCLIP_EUNSUPPORTED, "sample format 3"},
        {"wide.tif", {{258, 32}}, VKCLIP_EUNSUPPORTED, "samples of 32 bits, expected 1, 2, 4"},
        {"old_jpeg.tif", {{259, 6}}, VKCLIP_EUNSUPPORTED, "compression 6"},
        {"unknown.tif", {{259, 9999}}, VKCLIP_EUNSUPPORTED, "compression 9999"},
        {"many.tif", {{277, 9}}, VKCLIP_EUNSUPPORTED, "9 samples per pixel, expected at most 8"},
        {"few.tif", {{262, 2}, {277, 2}}, VKCLIP_EFORMAT, "fewer samples than its colours"},
        {"short.tif", {{0}}, VKCLIP_EFORMAT, "corrupt TIFF"},
    };
    uint8_t data[256] = {0};
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        size_t size = make_tiff(data, cases[i].changes);
        check_refused(cases[i].name, data, size, cases[i].error, cases[i].message);
    }
}

/* All strips of a picture have the same megabyte as their data. */
static void test_tiff_shared_strips(void **state)
{
    (void)state;
    enum { ROWS = 4000, OFFSETS = 1024, COUNTS = OFFSETS + 4 * ROWS, DATA = COUNTS + 4 * ROWS };
    static uint8_t data[DATA + 1000000];
    static const struct field changes[] = {{256, 1},       {257, ROWS},   {259, 5}, {278, 1},
                                           {273, OFFSETS}, {279, COUNTS}, {0}};
    make_tiff(data, changes);
    for (size_t i = 0; i < 9; i++) { /* Offsets and lengths are arrays of ROWS. */
        uint8_t *field = data + 10 + 12 * i;
        if (field[1] == 1 && (field[0] == 273 - 256 || field[0] == 279 - 256))
            memcpy(field + 4, "\xa0\x0f\0\0", 4);
    }
    for (size_t i = 0; i < ROWS; i++) {
        memcpy(data + OFFSETS + 4 * i, "\0\x81\0\0", 4); /* 33024 */
        memcpy(data + COUNTS + 4 * i, "\0\0\xf\0", 4);   /* 983040 */
    }
    check_refused("shared.tif", data, sizeof(data), VKCLIP_EFORMAT,
                  "its strips or tiles share the same bytes");
}

static void test_messages(void **state)
{
    (void)state;
    check_refused("bomb.webp", B("RIFF\x12\0\0\0WEBPVP8L\5\0\0\0\x2f\xff\xff\xff\xf\0"),
                  VKCLIP_EUNSUPPORTED, "16384 x 16384 pixels");
    check_refused("cut.webp", B("RIFF\x12\0\0\0WEBPVP8L\5\0\0\0\x2f"), VKCLIP_EFORMAT,
                  "truncated WebP: 21 bytes, expected at least 26");
    check_refused("empty.webp", B("RIFF\4\0\0\0WEBP"), VKCLIP_EFORMAT, "do not form a picture");
    check_refused("a.tif", B("II*\0\x8\0\0\0"), VKCLIP_EFORMAT, "corrupt TIFF: ");
    check_refused("b.tiff", B("MM\0*\0\0\0\x8"), VKCLIP_EFORMAT, "corrupt TIFF: ");
    check_refused("big.tif", B("MM\0+\0\x8\0\0\0\0\0\0\0\0\0\x10"), VKCLIP_EFORMAT, "corrupt TIFF");
    check_refused("a.jxl", B("\xff\x0a\1\2"), VKCLIP_EFORMAT, "JPEG XL");
    /* A picture of 2^30 x 2^30 pixels: each side takes a selector of 2 bits and 30 bits. */
    check_refused("bomb.jxl", B("\xff\x0a\xfe\xff\xff\xff\xf1\xff\xff\xff\x1f\1\1\1\1\1\1\1\1"),
                  VKCLIP_EUNSUPPORTED, "1073741824 x 1073741824 pixels");
    check_refused("a.avif",
                  B("\0\0\0\x18"
                    "ftypavif\0\0\0\0avifmif1"),
                  VKCLIP_EFORMAT, "AVIF");
    check_refused("a.heic",
                  B("\0\0\0\x18"
                    "ftypheic\0\0\0\0heicmif1"),
                  VKCLIP_EFORMAT, "HEIC");
    check_refused("a.heif",
                  B("\0\0\0\x14"
                    "ftypmif1\0\0\0\0mif1"),
                  VKCLIP_EFORMAT, "HEIF");
    check_refused("b.avif",
                  B("\0\0\0\x18"
                    "ftypmif1\0\0\0\0mif1avif"),
                  VKCLIP_EFORMAT, "AVIF");
    check_refused("b.heic",
                  B("\0\0\0\x18"
                    "ftypmif1\0\0\0\0mif1heic"),
                  VKCLIP_EFORMAT, "HEIC");
    /* The version, a brand after the box, and a cut brand do not count. */
    check_refused("c.heif",
                  B("\0\0\0\x14"
                    "ftypmif1avifmif1avif"),
                  VKCLIP_EFORMAT, "HEIF");
    check_refused("d.heif",
                  B("\xff\0\0\x18"
                    "ftypmif1\0\0\0\0mif1avi"),
                  VKCLIP_EFORMAT, "HEIF");
}

/* A picture whose box of properties claims another size than its data have is not allocated. */
static void test_heif_bomb(void **state)
{
    (void)state;
    struct bytes file = read_bytes(GOLDEN "heif/rgb-lossless.avif");
    uint8_t *box = find_bytes(file.data, file.size, "ispe", 4);
    assert_non_null(box);
    memcpy(box + 8, "\0\0\x3a\x98\0\0\x3a\x98", 8);
    check_refused("bomb.avif", file.data, file.size, VKCLIP_EUNSUPPORTED, "15000 x 15000 pixels");
    free(file.data);
}

/* A sequence parameter set of HEVC for frames of 40000 x 40000. */
#define LARGE_FRAMES "\x42" AFTER_FIRST
#define AFTER_FIRST                                                                            \
    "\x01\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xa0\x00\x13\x88\x20\x00\x27\x10" \
    "\x7f\x80"

/* Frames that are larger than what the container claims are refused before they are decoded, where
 * ever their parameter set is. */
static void test_heif_frames(void **state)
{
    (void)state;
    static const struct {
        const void *bytes;
        size_t size;
    } additions[] = {
        /* a box of configuration with either form of its size */
        {B("\0\0\0\x2ahvcC\xa1\0\1\0\x19" LARGE_FRAMES "\0\0\0\0")},
        {B("\0\0\0\1hvcC\0\0\0\0\0\0\0\x32\xa1\0\1\0\x19" LARGE_FRAMES "\0\0\0\0")},
        /* data of a picture, and such whose first bit is wrong */
        {B("\0\0\0\x19" LARGE_FRAMES)},
        {B("\0\0\0\x19\xc2" AFTER_FIRST)},
    };
    struct bytes file = read_bytes(GOLDEN "heif/rgb-lossless.heic");
    for (size_t i = 0; i < ARRAY_COUNT(additions); i++) {
        uint8_t *data = malloc(file.size + additions[i].size);
        memcpy(data, file.data, file.size);
        memcpy(data + file.size, additions[i].bytes, additions[i].size);
        check_refused("frames.heic", data, file.size + additions[i].size, VKCLIP_EUNSUPPORTED,
                      "40000 x 40000 pixels");
        free(data);
    }
    free(file.data);
}

/* libavif hands the limit to its decoder, which then refuses larger frames. */
static void test_avif_frames(void **state)
{
    (void)state;
    const struct vkclip_image_params params = {.size = sizeof(params), .max_pixels = 45 * 35 - 1};
    struct vkclip_image image;
    if (!is_readable("a.avif") || strcmp(vkclip_find_image_format("a.avif")->library, "libavif"))
        skip();
    struct bytes file = read_bytes(GOLDEN "heif/rgb-lossless.avif");
    uint8_t *box = find_bytes(file.data, file.size, "ispe", 4);
    memcpy(box + 8, "\0\0\0\x10\0\0\0\x10", 8);
    assert_int_equal(vkclip_decode_image(file.data, file.size, "a.avif", &params, &image),
                     VKCLIP_EFORMAT);
    check_message("a.avif: corrupt AVIF");
    free(file.data);
}

/* ---- The list of formats --------------------------------------------------------------------- */

static void test_names(void **state)
{
    (void)state;
    static const struct {
        const char *path, *format;
    } cases[] = {
        {"a.jpg", "JPEG"},
        {"a/b.JPE", "JPEG"},
        {"scan.Jfif", "JPEG"},
        {"x.tar.webp", "WebP"},
        {"IMG_1.HEIC", "HEIC"},
        {"a.hif", "HEIF"},
        {"a.avif", "AVIF"},
        {"a.TIF", "TIFF"},
        {"a.jxl", "JPEG XL"},
        {"a.pgm", "PNM"},
        {"a.dib", "BMP"},
        {"tiff", NULL},
        {"a.", NULL},
        {"a.tif tiff", NULL},
        {"a.ti", NULL},
        {"a.nef", NULL},
        {"", NULL},
        {NULL, NULL},
        {"a.photograph", NULL},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        const struct vkclip_image_format *format = vkclip_find_image_format(cases[i].path);
        if (!format != !cases[i].format || (format && strcmp(format->name, cases[i].format)))
            fail_msg("%s: %s", cases[i].path, format ? format->name : "no format");
    }
    size_t count = 0;
    while (vkclip_get_image_format(count))
        count++;
    assert_true(count >= 12);
    assert_null(vkclip_get_image_format(SIZE_MAX));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pixels),          cmocka_unit_test(test_facts),
        cmocka_unit_test(test_far_directories), cmocka_unit_test(test_cuts),
        cmocka_unit_test(test_damage),          cmocka_unit_test(test_tiff_messages),
        cmocka_unit_test(test_messages),        cmocka_unit_test(test_tiff_shared_strips),
        cmocka_unit_test(test_heif_frames),     cmocka_unit_test(test_avif_frames),
        cmocka_unit_test(test_heif_bomb),       cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
