/* SPDX-License-Identifier: MIT
 *
 * What EXIF data say of a picture: orientation, date, camera and place. Damaged data are no error.
 */
#include "image/decode.h"
#include "image/exif.h"
#include "image/files.h"

#include <math.h>

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
    const struct vkclip_image_params orient = {.size = sizeof(orient), .orient = true};
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

/* A block of whatever size may begin with its entries. */
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_orientation),
        cmocka_unit_test(test_facts),
        cmocka_unit_test(test_large_exif),
        cmocka_unit_test(test_damaged_exif),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
