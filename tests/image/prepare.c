/* SPDX-License-Identifier: MIT
 *
 * Preprocessing equals the reference data, to the bit where the decoder allows it. Further tests
 * are of strides, extreme shapes, the two rules of rounding the crop, and wrong arguments. Decoding
 * has a test of its own, tests/image/decode.c.
 */
#define _GNU_SOURCE
#include "base/array.h"
#include "base/folder.h"
#include "base/string.h"
#include "support/scratch.h"
#include "image/prepare.h"
#include "format/safetensors.h"

#include <jansson.h>
#include <math.h>

static const struct image_transform clip = {
    .size = 224,
    .mean = {0.48145466f, 0.4578275f, 0.40821073f},
    .std = {0.26862954f, 0.26130258f, 0.27577711f},
};

/* A build without libjpeg-turbo decodes JPEG files by stb_image, with small differences. After the
 * resize they are at most 1 to 3 levels of 255, depending on the file. */
#ifdef VKCLIP_WITH_JPEG
#define JPEG_TOLERANCE 0
#else
#define JPEG_TOLERANCE 3
#endif

static void preprocess(const struct vkclip_image *image, uint32_t size, bool rgb_first, uint8_t *u8,
                       float *values)
{
    struct image_transform transform = clip;
    transform.size = size;
    transform.rgb_first = rgb_first;
    if (image_preprocess(image, &transform, u8, values))
        fail_msg("%s", vkclip_last_error());
}

/* The reference made u8_224_rgb_first with OpenAI's crop. Hugging Face's crop begins one pixel
 * earlier if the number of pixels that the crop removes is odd and Python rounds half of it up. */
static size_t crop_shift(uint32_t in, uint32_t shorter, uint32_t size)
{
    uint32_t rest = (uint32_t)((uint64_t)size * in / shorter) - size;
    return rest % 2 && rest / 2 % 2;
}

static int largest_difference(const uint8_t *found, const uint8_t *expected, uint32_t size,
                              size_t right, size_t down, size_t *count)
{
    int largest = 0;
    for (size_t y = 0; y + down < size; y++)
        for (size_t i = 0; i < (size - right) * 3; i++) {
            int a = found[((y + down) * size + right) * 3 + i], b = expected[y * size * 3 + i];
            largest = abs(a - b) > largest ? abs(a - b) : largest;
            *count += a != b;
        }
    return largest;
}

static void check_u8(const char *path, const struct vkclip_image *image, bool lossy,
                     const struct tensor_view *tensor)
{
    uint32_t size = (uint32_t)tensor->shape[1];
    uint32_t shorter = image->width < image->height ? image->width : image->height;
    bool rgb_first = strstr(tensor->name, "rgb_first") != NULL;
    size_t right = rgb_first ? crop_shift(image->width, shorter, size) : 0;
    size_t down = rgb_first ? crop_shift(image->height, shorter, size) : 0;
    size_t count = 0;
    assert_int_equal(tensor->dtype, DTYPE_U8);
    assert_int_equal(tensor->size, (size_t)size * size * 3);
    uint8_t *u8 = malloc(tensor->size);
    preprocess(image, size, rgb_first, u8, NULL);
    int largest = largest_difference(u8, tensor->data, size, right, down, &count);
    if (lossy)
        print_message("%s: differs by at most %d levels of 255, at %.1f %% of the values\n", path,
                      largest, 100.0 * (double)count / (double)tensor->size);
    if (largest > (lossy ? JPEG_TOLERANCE : 0))
        fail_msg("%s, %s: differs by %d levels of 255, at %zu values", path, tensor->name, largest,
                 count);
    free(u8);
}

static void check_f32(const char *path, const struct vkclip_image *image, bool lossy,
                      const struct tensor_view *tensor)
{
    uint32_t size = (uint32_t)tensor->shape[1];
    size_t count = (size_t)size * size * 3;
    float *values = malloc(count * sizeof(*values));
    preprocess(image, size, false, NULL, values);
    double tolerance = 2.4e-7 + (lossy ? JPEG_TOLERANCE / 255.0 / 0.26130258 : 0);
    for (size_t i = 0; i < count; i++)
        if (fabs((double)values[i] - tensor_view_value(tensor, i)) > tolerance)
            fail_msg("%s, %s: %g at %zu, expected %g", path, tensor->name, values[i], i,
                     tensor_view_value(tensor, i));
    free(values);
}

/* Compares the picture that is turned as its EXIF data say. A build without libexif refuses it. */
static void check_oriented(const char *path, bool lossy, const struct tensor_view *tensor)
{
    const struct vkclip_image_params params = {.size = sizeof(params), .orient = true};
    struct vkclip_image image;
#ifdef VKCLIP_WITH_EXIF
    if (vkclip_load_image(path, &params, &image))
        fail_msg("%s", vkclip_last_error());
    check_u8(path, &image, lossy, tensor);
    vkclip_free_image(&image);
#else
    (void)lossy;
    (void)tensor;
    assert_failed(vkclip_load_image(path, &params, &image), VKCLIP_EUNSUPPORTED, "libexif");
#endif
}

/* Returns the channels that a picture of one of Pillow's modes has. */
static uint32_t mode_channels(const char *mode)
{
    if (!strcmp(mode, "LA"))
        return 2;
    if (!strcmp(mode, "RGBA"))
        return 4;
#ifdef VKCLIP_WITH_JPEG
    if (!strcmp(mode, "CMYK"))
        return 4;
#endif
    return strchr("LI1", mode[0]) ? 1 : 3;
}

static size_t check_case(const char *folder, const json_t *entry)
{
    const char *image_name = json_string_value(json_object_get(entry, "image"));
    const char *mode = json_string_value(json_object_get(entry, "mode"));
    char *path = string_format("%s/%s", folder, image_name);
    char *expected =
        string_format("%s/%s", folder, json_string_value(json_object_get(entry, "expected")));
    bool lossy = strstr(image_name, ".jpg");
    struct vkclip_image image;
    struct safetensors *file = NULL;
    size_t checked = 0;
#ifndef VKCLIP_WITH_JPEG
    if (json_object_get(entry, "needs")) { /* stb_image refuses it, or has pixels of its own. */
        free(expected);
        free(path);
        return 0;
    }
#endif
    if (vkclip_load_image(path, 0, &image) || safetensors_open(expected, &file))
        fail_msg("%s", vkclip_last_error());
    assert_int_equal(image.width, json_integer_value(json_object_get(entry, "width")));
    assert_int_equal(image.height, json_integer_value(json_object_get(entry, "height")));
    assert_int_equal(image.indexed, !strcmp(mode, "P") || !strcmp(mode, "1"));
    assert_int_equal(image.channels, mode_channels(mode));
    for (size_t i = 0; i < file->count; i++) {
        const char *name = file->tensors[i].name;
        /* Pillow's resize of 16-bit grey, which makes all pixels white, is not imitated. */
        if (!strcmp(mode, "I;16") && !strstr(name, "high_byte"))
            continue;
        if (strstr(name, "exif_applied"))
            check_oriented(path, lossy, &file->tensors[i]);
        else if (name[0] == 'f')
            check_f32(path, &image, lossy, &file->tensors[i]);
        else
            check_u8(path, &image, lossy, &file->tensors[i]);
        checked++;
    }
    assert_true(checked > 0);
    safetensors_close(&file);
    vkclip_free_image(&image);
    free(expected);
    free(path);
    return checked;
}

static size_t check_folder(const char *root)
{
    char *folder = string_format("%s/preprocess", root);
    char *path = string_format("%s/manifest.jsonl", folder), line[4096];
    FILE *manifest = fopen(path, "r");
    size_t checked = 0;
    while (manifest && fgets(line, sizeof(line), manifest)) {
        json_t *entry = json_loads(line, 0, NULL);
        assert_non_null(entry);
        checked += check_case(folder, entry);
        json_decref(entry);
    }
    print_message("%s: %zu tensors\n", path, checked);
    if (manifest)
        fclose(manifest);
    free(path);
    free(folder);
    return checked;
}

static void test_goldens_in_tree(void **state)
{
    (void)state;
    assert_true(check_folder("tests/golden") > 0);
}

static void test_goldens(void **state)
{
    (void)state;
    const char *root = getenv("VKCLIP_GOLDEN");
    root = root ? root : "../shared/golden";
    if (!folder_exists(root)) {
        print_message("skipped: the larger reference pictures in %s are not here\n", root);
        skip();
    }
    assert_true(check_folder(root) > 0);
}

/* Fills pixels with values that differ from place to place and are the same in every run. */
static uint8_t *make_pixels(uint32_t width, uint32_t height, uint32_t channels, size_t stride)
{
    uint8_t *pixels = malloc(stride * height);
    assert_non_null(pixels);
    memset(pixels, 0xa5, stride * height);
    for (uint32_t y = 0; y < height; y++)
        for (uint32_t i = 0; i < width * channels; i++)
            pixels[y * stride + i] = (uint8_t)((y * 131 + i * 29 + y * i / 7) * 40503u >> 7);
    return pixels;
}

#define SMALL 32
static const struct {
    uint32_t width, height;
} shapes[] = {{50, 41}, {41, 50}, {32, 32}, {32, 57}, {57, 32}, {7, 5}, {1, 1}, {300, 11}};

static void test_strides(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(shapes); i++)
        for (unsigned variant = 0; variant < 16; variant++) {
            uint32_t channels = variant % 4 + 1;
            size_t dense = (size_t)shapes[i].width * channels;
            struct vkclip_image image = {.width = shapes[i].width,
                                         .height = shapes[i].height,
                                         .channels = channels,
                                         .indexed = variant / 4 % 2};
            uint8_t out[3][SMALL * SMALL * 3];
            size_t strides[3] = {0, dense, dense + 13};
            for (int k = 0; k < 3; k++) {
                image.stride = strides[k];
                image.pixels =
                    make_pixels(image.width, image.height, channels, dense + (k == 2) * 13);
                preprocess(&image, SMALL, variant / 8, out[k], NULL);
                free((void *)image.pixels);
            }
            assert_memory_equal(out[0], out[1], sizeof(out[0]));
            assert_memory_equal(out[0], out[2], sizeof(out[0]));
        }
}

/* A grey picture gives the pixels of RGB with equal channels, an opaque one those of a picture
 * without alpha, and the float values follow from the bytes. */
static void test_channels(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(shapes); i++)
        for (unsigned variant = 0; variant < 4; variant++) {
            uint32_t width = shapes[i].width, height = shapes[i].height;
            size_t count = (size_t)width * height;
            bool grey = variant % 2, rgb_first = variant / 2;
            uint8_t *pixels = make_pixels(width, height, 3, (size_t)width * 3);
            uint8_t *opaque = malloc(count * 4), *single = malloc(count),
                    *pairs = malloc(count * 2);
            for (size_t p = 0; p < count; p++) {
                if (grey)
                    memset(pixels + p * 3, pixels[p * 3], 3);
                memcpy(opaque + p * 4, pixels + p * 3, 3);
                opaque[p * 4 + 3] = pairs[p * 2 + 1] = 255;
                single[p] = pairs[p * 2] = pixels[p * 3];
            }
            const uint8_t *forms[] = {pixels, opaque, single, pairs};
            const uint32_t channels[] = {3, 4, 1, 2};
            uint8_t out[4][SMALL * SMALL * 3];
            float values[3 * SMALL * SMALL];
            for (int k = 0; k < (grey ? 4 : 2); k++) {
                struct vkclip_image image = {forms[k], width, height, channels[k], 0, false};
                preprocess(&image, SMALL, rgb_first, out[k], values);
                assert_memory_equal(out[k], out[0], sizeof(out[0]));
            }
            for (size_t p = 0; p < SMALL * SMALL * 3; p++) {
                size_t c = p / (SMALL * SMALL);
                double value = out[0][p % (SMALL * SMALL) * 3 + c] / 255.0;
                assert_true(fabs((value - (double)clip.mean[c]) / (double)clip.std[c] -
                                 (double)values[p]) <= 2.4e-7);
            }
            free(pixels);
            free(opaque);
            free(single);
            free(pairs);
        }
}

/* The colour of fully transparent pixels does not change their neighbours, unless RGB comes first.
 */
static void test_alpha(void **state)
{
    (void)state;
    uint8_t pixels[64 * 64 * 4], premultiplied[SMALL * SMALL * 3], first[SMALL * SMALL * 3];
    for (size_t i = 0; i < 64 * 64; i++)
        memcpy(pixels + i * 4, i % 2 ? "\377\0\0\0" : "\0\310\0\377", 4);
    struct vkclip_image image = {pixels, 64, 64, 4, 0, false};
    preprocess(&image, SMALL, false, premultiplied, NULL);
    preprocess(&image, SMALL, true, first, NULL);
    for (size_t i = 0; i < SMALL * SMALL; i++) {
        assert_int_equal(premultiplied[i * 3], 0);
        assert_in_range(premultiplied[i * 3 + 1], 198, 202);
        assert_in_range(first[i * 3], 100, 155);
    }
}

/* If the crop removes 3, 7, ... pixels of a side, the two rules differ by one row or column. */
static void test_crop_rounding(void **state)
{
    (void)state;
    for (uint32_t rest = 0; rest < 9; rest++) {
        uint8_t python[SMALL * SMALL * 3], lower[SMALL * SMALL * 3];
        struct vkclip_image image = {.width = SMALL + rest, .height = SMALL, .channels = 3};
        image.pixels = make_pixels(image.width, image.height, 3, (size_t)image.width * 3);
        preprocess(&image, SMALL, false, python, NULL);
        preprocess(&image, SMALL, true, lower, NULL);
        static const uint32_t rounded[] = {0, 0, 1, 2, 2, 2, 3, 4, 4};
        for (size_t y = 0; y < SMALL; y++) {
            const uint8_t *row = image.pixels + y * image.width * 3;
            assert_memory_equal(python + y * SMALL * 3, row + rounded[rest] * 3, SMALL * 3);
            assert_memory_equal(lower + y * SMALL * 3, row + rest / 2 * 3, SMALL * 3);
        }
        free((void *)image.pixels);
    }
}

/* The crop of a picture of one colour has that colour, even in the thinnest shapes. */
static void test_thin(void **state)
{
    (void)state;
    static const struct {
        uint32_t width, height;
    } thin[] = {{1, 60000}, {60000, 1}, {2, 9000000}, {9000000, 1}, {500, 3}, {1, 2}};
    uint8_t *u8 = malloc(224 * 224 * 3);
    for (size_t i = 0; i < ARRAY_COUNT(thin); i++)
        for (unsigned variant = 0; variant < 4; variant++) {
            struct vkclip_image image = {.width = thin[i].width,
                                         .height = thin[i].height,
                                         .channels = 1,
                                         .indexed = variant % 2};
            uint8_t *pixels = malloc((size_t)image.width * image.height);
            memset(pixels, 77, (size_t)image.width * image.height);
            image.pixels = pixels;
            preprocess(&image, 224, variant / 2, u8, NULL);
            for (size_t k = 0; k < 224 * 224 * 3; k++)
                assert_int_equal(u8[k], 77);
            free(pixels);
        }
    free(u8);
}

static void test_arguments(void **state)
{
    (void)state;
    uint8_t pixels[64] = {0}, u8[SMALL * SMALL * 3];
    const struct {
        struct vkclip_image image;
        uint32_t size;
        int error;
        const char *message;
    } cases[] = {
        {{NULL, 4, 4, 3, 0, false}, SMALL, VKCLIP_EINVALID, "no picture"},
        {{pixels, 4, 4, 3, 0, false}, 0, VKCLIP_EINVALID, "no size"},
        {{pixels, 0, 4, 3, 0, false}, SMALL, VKCLIP_EINVALID, "0 x 4 pixels"},
        {{pixels, 4, 0, 3, 0, false}, SMALL, VKCLIP_EINVALID, "4 x 0 pixels"},
        {{pixels, 4, 4, 0, 0, false}, SMALL, VKCLIP_EINVALID, "0 channels, expected 1 to 4"},
        {{pixels, 4, 4, 5, 0, false}, SMALL, VKCLIP_EINVALID, "5 channels, expected 1 to 4"},
        {{pixels, 4, 4, 3, 11, false}, SMALL, VKCLIP_EINVALID, "11 bytes, expected at least 12"},
        {{pixels, UINT32_MAX, 1, 1, 0, false}, SMALL, VKCLIP_EINVALID, "4294967295 x 1"},
        {{pixels, 1, 0x7fffffff, 1, 0, false}, SMALL, VKCLIP_EUNSUPPORTED, "too thin"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct image_transform transform = clip;
        transform.size = cases[i].size;
        assert_int_equal(image_preprocess(&cases[i].image, &transform, u8, NULL), cases[i].error);
        if (!strstr(vkclip_last_error(), cases[i].message))
            fail_msg("case %zu: \"%s\" lacks \"%s\"", i, vkclip_last_error(), cases[i].message);
    }
    assert_int_equal(image_preprocess(NULL, &clip, u8, NULL), VKCLIP_EINVALID);
    assert_int_equal(image_preprocess(&cases[6].image, NULL, u8, NULL), VKCLIP_EINVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goldens_in_tree),
        cmocka_unit_test(test_goldens),
        cmocka_unit_test(test_strides),
        cmocka_unit_test(test_channels),
        cmocka_unit_test(test_alpha),
        cmocka_unit_test(test_crop_rounding),
        cmocka_unit_test(test_thin),
        cmocka_unit_test(test_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
