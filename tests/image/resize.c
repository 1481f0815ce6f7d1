/* SPDX-License-Identifier: MIT
 *
 * Every way to choose the size of a picture, and every filter, gives Pillow's pixels: those of
 * tests/golden/preprocess/make_resize.py.
 */
#define _GNU_SOURCE
#include "base/array.h"
#include "base/string.h"
#include "format/safetensors.h"
#include "image/prepare.h"
#include "support/scratch.h"
#include "support/testing.h"

enum { SIZE = 16 };

static const struct {
    const char *name;
    struct image_resize resize;
} fits[] = {
    {"shortest", {.fit = FIT_SHORTEST}},
    {"shortest20", {.fit = FIT_SHORTEST, .shortest = 20}},
    {"squash", {.fit = FIT_SQUASH}},
    {"squash24x20", {.fit = FIT_SQUASH, .width = 24, .height = 20}},
    {"longest", {.fit = FIT_LONGEST, .fill = 77}},
    {"between16-20", {.fit = FIT_BETWEEN, .longest = 20}},
};

static const char *const filters[] = {
    [FILTER_BICUBIC] = "bicubic", [FILTER_BILINEAR] = "bilinear", [FILTER_LANCZOS] = "lanczos",
    [FILTER_BOX] = "box",         [FILTER_HAMMING] = "hamming",   [FILTER_NEAREST] = "nearest",
};

static struct image_transform make_transform(const char *order, const char *fit, const char *filter)
{
    struct image_transform transform = {
        .size = SIZE, .std = {1, 1, 1}, .rgb_first = !strcmp(order, "rgb")};
    size_t f = 0, k = 0;
    while (f < ARRAY_COUNT(fits) && strcmp(fits[f].name, fit))
        f++;
    while (k < ARRAY_COUNT(filters) && strcmp(filters[k], filter))
        k++;
    assert_true(f < ARRAY_COUNT(fits) && k < ARRAY_COUNT(filters));
    transform.resize = fits[f].resize;
    transform.resize.filter = (enum image_filter)k;
    return transform;
}

/* Compares one tensor, which is called PICTURE|ORDER|FIT|FILTER. Of the picture NAME:40 only the
 * first 40 columns are taken. */
static void check_tensor(const struct tensor_view *tensor)
{
    char name[128], *rest = name, *words[4], *path;
    uint8_t found[SIZE * SIZE * 3];
    struct vkclip_image image;
    snprintf(name, sizeof(name), "%s", tensor->name);
    for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
        words[i] = rest;
        rest += strcspn(rest, "|");
        if (*rest)
            *rest++ = 0;
    }
    const struct image_transform transform = make_transform(words[1], words[2], words[3]);
    char *columns = strchr(words[0], ':');
    path =
        string_format("tests/golden/preprocess/images/%.*s", (int)strcspn(words[0], ":"), words[0]);
    assert_int_equal(vkclip_load_image(path, NULL, &image), 0);
    image.stride = (size_t)image.width * image.channels;
    if (columns)
        image.width = (uint32_t)atoi(columns + 1);
    if (image_prepare(&image, &transform, NULL, found))
        fail_msg("%s: %s", tensor->name, vkclip_last_error());
    assert_int_equal(tensor->size, sizeof(found));
    for (size_t i = 0; i < sizeof(found); i++)
        if (found[i] != ((const uint8_t *)tensor->data)[i])
            fail_msg("%s: %u at %zu, expected %u", tensor->name, found[i], i,
                     ((const uint8_t *)tensor->data)[i]);
    vkclip_free_image(&image);
    free(path);
}

static void gives_the_pixels_of_pillow(void **state)
{
    struct safetensors *expected = NULL;
    (void)state;
    assert_int_equal(
        safetensors_open("tests/golden/preprocess/expected/resize.safetensors", &expected), 0);
    assert_int_equal(expected->count, 136);
    for (size_t i = 0; i < expected->count; i++)
        check_tensor(&expected->tensors[i]);
    safetensors_close(&expected);
}

static void refuses_what_has_no_size(void **state)
{
    static const uint8_t pixels[3 * 100];
    const struct vkclip_image thin = {
        .width = 100, .height = 1, .channels = 3, .pixels = (uint8_t *)pixels};
    const struct vkclip_image indexed = {
        .width = 10, .height = 5, .channels = 3, .pixels = (uint8_t *)pixels, .indexed = true};
    struct image_transform transform = {.size = SIZE, .resize = {.fit = FIT_LONGEST}};
    uint8_t rgb[SIZE * SIZE * 3];
    (void)state;
    assert_failed(image_prepare(&thin, &transform, NULL, rgb), VKCLIP_EUNSUPPORTED, "too thin");
    assert_failed(image_prepare(&indexed, &transform, NULL, rgb), VKCLIP_EUNSUPPORTED, "palette");
    transform.resize = (struct image_resize){.fit = FIT_BETWEEN, .longest = 20};
    assert_failed(image_prepare(&thin, &transform, NULL, rgb), VKCLIP_EUNSUPPORTED, "too thin");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_the_pixels_of_pillow),
        cmocka_unit_test(refuses_what_has_no_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
