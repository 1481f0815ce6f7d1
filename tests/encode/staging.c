/* SPDX-License-Identifier: MIT
 *
 * Pictures that the device prepares have the bits of those that the host prepares, for every way
 * of resizing, for sizes above and below the result's, and for every format.
 */
#include "encode/staging.h"
#include "base/settings.h"
#include "support/own_pictures.h"

#include <stdlib.h>
#include <string.h>

enum { SIZE = 28, MOST = 400 * 400 };

static struct own_vulkan own;
static struct own_pictures pictures;
static struct gpu *gpu;
static struct tuner *tuner;
static struct gpu_buffer *target;

static int open_all(void **state)
{
    const struct vkclip_device_params params = {.size = sizeof(params), .cache_dir = ""};
    struct settings settings;
    (void)state;
    own_open(&own, ENABLED_NOTHING);
    pictures_open(&pictures, &own);
    assert_int_equal(settings_read(&params, &settings), 0);
    assert_int_equal(gpu_open_lent(&settings, &own.lent, &gpu), 0);
    assert_int_equal(tune_open(gpu, &settings, &tuner), 0);
    settings_free(&settings);
    assert_int_equal(gpu_buffer_create(gpu, GPU_INPUT, 3 * SIZE * SIZE * sizeof(float), &target),
                     0);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    gpu_buffer_destroy(gpu, &target);
    tune_close(&tuner);
    gpu_close(&gpu);
    pictures_close(&pictures);
    own_close(&own);
    return 0;
}

static const struct {
    VkFormat format;
    unsigned stride;
    bool swapped;
} formats[] = {
    {VK_FORMAT_R8G8B8A8_UNORM, 4, false},
    {VK_FORMAT_B8G8R8A8_SRGB, 4, true},
    {VK_FORMAT_R8G8B8_UNORM, 3, false},
    {VK_FORMAT_B8G8R8_UNORM, 3, true},
};

/* Writes pixels [H,W,3] in a format, with rows of `pitch` bytes. */
static void write_format(const uint8_t *rgb, uint32_t width, uint32_t height, size_t number,
                         size_t pitch, uint8_t *bytes)
{
    const unsigned stride = formats[number].stride;
    for (uint32_t y = 0; y < height; y++)
        for (uint32_t x = 0; x < width; x++)
            for (unsigned c = 0; c < 3; c++)
                bytes[y * pitch + x * stride + (formats[number].swapped ? 2 - c : c)] =
                    rgb[3 * ((size_t)y * width + x) + c];
}

/* Compares what the device and the host make of one picture. */
static void compare(struct staging *staging, const struct image_transform *transform,
                    const uint8_t *rgb, uint32_t width, uint32_t height, size_t format)
{
    static uint8_t bytes[MOST * 4 + 4096];
    static float expected[3 * SIZE * SIZE];
    const struct vkclip_image image = {
        .pixels = rgb, .width = width, .height = height, .channels = 3};
    const size_t pitch = (size_t)width * formats[format].stride + 5, offset = 7;
    struct vkclip_vulkan_buffer picture = {.size = sizeof(picture),
                                           .offset = offset,
                                           .pitch = pitch,
                                           .format = formats[format].format,
                                           .width = width,
                                           .height = height,
                                           .queue_family = VK_QUEUE_FAMILY_IGNORED};
    const struct gpu_range range = {target, 0, sizeof(expected)};
    struct gpu_picture read;
    assert_true(offset + pitch * height <= sizeof(bytes));
    write_format(rgb, width, height, format, pitch, bytes + offset);
    struct own_buffer buffer = own_buffer_create(&pictures, bytes, offset + pitch * height);
    picture.buffer = buffer.buffer;
    assert_int_equal(image_preprocess(&image, transform, NULL, expected), 0);
    memset(gpu_buffer_map(target), 0, sizeof(expected));
    assert_int_equal(gpu_picture_read(gpu, NULL, &picture, 0, &read), 0);
    if (staging_prepare(staging, &read, range))
        fail_msg("%u x %u: %s", width, height, vkclip_last_error());
    staging_release(staging, 1);
    const float *values = gpu_buffer_map(target);
    for (size_t i = 0; i < ARRAY_COUNT(expected); i++)
        if (memcmp(&values[i], &expected[i], sizeof(*values)) != 0)
            fail_msg("%u x %u, format %d, value %zu: %g on the device, %g on the host", width,
                     height, (int)formats[format].format, i, (double)values[i],
                     (double)expected[i]);
    own_buffer_destroy(&pictures, &buffer);
}

static void device_and_host_agree(void **state)
{
    static const struct image_resize resizes[] = {
        {0},
        {.filter = FILTER_BILINEAR},
        {.filter = FILTER_LANCZOS, .fit = FIT_SQUASH},
        {.filter = FILTER_BOX, .shortest = 32},
        {.filter = FILTER_NEAREST},
        {.fit = FIT_LONGEST, .fill = 128},
        {.fit = FIT_SQUASH, .width = 20, .height = 26},
        {.fit = FIT_BETWEEN, .shortest = 30, .longest = 50},
    };
    /* The third one loses more pixels along columns, which are resized first then. */
    static const uint32_t sizes[][2] = {{28, 28},   {100, 75}, {60, 399}, {399, 60},
                                        {301, 173}, {13, 9},   {28, 57},  {1, 1}};
    static uint8_t rgb[MOST * 3];
    (void)state;
    for (size_t i = 0; i < sizeof(rgb); i++)
        rgb[i] = (uint8_t)(i * 2654435761u >> 13 ^ i / 97);
    for (size_t r = 0; r < ARRAY_COUNT(resizes); r++)
        for (int first = 0; first < 2; first++) {
            const struct image_transform transform = {.size = SIZE,
                                                      .mean = {0.48f, 0.46f, 0.41f},
                                                      .std = {0.27f, 0.26f, 0.28f},
                                                      .rgb_first = first,
                                                      .resize = resizes[r]};
            struct staging *staging;
            assert_int_equal(staging_open(gpu, tuner, &transform, &staging), 0);
            for (size_t s = 0; s < ARRAY_COUNT(sizes); s++)
                compare(staging, &transform, rgb, sizes[s][0], sizes[s][1],
                        (r + s) % ARRAY_COUNT(formats));
            staging_close(&staging);
        }
}

/* A picture may be so thin that it has no pixel after the resize. */
static void thin_pictures_are_refused(void **state)
{
    const struct image_transform transform = {
        .size = SIZE, .std = {1, 1, 1}, .resize = {.fit = FIT_LONGEST}};
    const struct gpu_picture picture = {.width = 1000, .height = 1, .stride = 4};
    const struct gpu_range range = {target, 0, 3 * SIZE * SIZE * sizeof(float)};
    struct staging *staging;
    (void)state;
    assert_int_equal(staging_open(gpu, tuner, &transform, &staging), 0);
    assert_int_equal(staging_prepare(staging, &picture, range), VKCLIP_EUNSUPPORTED);
    assert_non_null(strstr(vkclip_last_error(), "too thin"));
    staging_close(&staging);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(device_and_host_agree),
        cmocka_unit_test(thin_pictures_are_refused),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
