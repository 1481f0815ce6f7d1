/* SPDX-License-Identifier: MIT
 *
 * Pictures in images and buffers of the application have the embeddings of the same pixels from the
 * host, in every layout, part and order of submits, and are left as they were. The validation layer
 * tells a layout, an owner or an order that is wrong.
 */
#include "support/own_pictures.h"

#include <stdlib.h>
#include <string.h>

#define MODEL "models/emoji-clip"
enum { PICTURES = 5, D = 128, WIDTH = 150, HEIGHT = 110 };

static struct own_vulkan own;
static struct own_pictures pictures;
static struct vkclip_device *device;
static struct vkclip_model *model;
static struct own_buffer buffers[PICTURES]; /* four bytes per pixel */
static float expected[PICTURES * D];

/* The pictures have the host's embeddings `expected`. */
static void make_pictures(void)
{
    static uint8_t rgb[PICTURES][WIDTH * HEIGHT * 3], bytes[WIDTH * HEIGHT * 4];
    struct vkclip_image images[PICTURES];
    for (size_t i = 0; i < PICTURES; i++) {
        for (size_t j = 0; j < sizeof(*rgb); j++)
            rgb[i][j] = (uint8_t)((j / 3 % WIDTH * (i + 1) + j / 3 / WIDTH * 2 + j % 3 * 80) ^
                                  (j * 2654435761u >> 27));
        for (size_t j = 0; j < WIDTH * HEIGHT; j++)
            for (unsigned c = 0; c < 4; c++)
                bytes[4 * j + c] = c < 3 ? rgb[i][3 * j + c] : (uint8_t)(j * 7);
        buffers[i] = own_buffer_create(&pictures, bytes, sizeof(bytes));
        images[i] = (struct vkclip_image){
            .pixels = rgb[i], .width = WIDTH, .height = HEIGHT, .channels = 3};
    }
    if (vkclip_encode_images(model, images, PICTURES, NULL, expected))
        fail_msg("%s", vkclip_last_error());
}

static int open_all(void **state)
{
    const struct vkclip_device_params params = {.size = sizeof(params), .cache_dir = ""};
    const struct vkclip_model_params small = {.size = sizeof(small), .max_batch = 2};
    (void)state;
    own_open(&own, ENABLED_VERSIONS);
    pictures_open(&pictures, &own);
    if (vkclip_open_vulkan_device(&params, &own.lent, &device) ||
        vkclip_open_model(device, MODEL, &small, &model))
        fail_msg("%s", vkclip_last_error());
    make_pictures();
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    vkclip_close_model(&model);
    vkclip_close_device(&device);
    own.vk.DeviceWaitIdle(own.lent.device);
    for (int i = 0; i < PICTURES; i++)
        own_buffer_destroy(&pictures, &buffers[i]);
    pictures_close(&pictures);
    own_close(&own);
    return 0;
}

static void assert_embeddings(const float *embeds, size_t first, size_t count)
{
    for (size_t i = 0; i < count * D; i++)
        assert_float_equal(embeds[i], expected[first * D + i], 1e-6);
}

static struct vkclip_vulkan_image describe_image(VkImageLayout layout)
{
    return (struct vkclip_vulkan_image){.size = sizeof(struct vkclip_vulkan_image),
                                        .format = VK_FORMAT_R8G8B8A8_UNORM,
                                        .width = WIDTH,
                                        .height = HEIGHT,
                                        .layout = layout,
                                        .queue_family = own.lent.queue_family};
}

/* Encodes images that each have a picture of the host's, and then again, in the layouts in which
 * the first call left them. */
static void encode_images(const struct vkclip_vulkan_image *described)
{
    struct vkclip_vulkan_image images[PICTURES];
    struct own_image own_images[PICTURES];
    float embeds[PICTURES * D];
    for (int i = 0; i < PICTURES; i++) {
        images[i] = *described;
        own_images[i] = own_image_create(&pictures, &buffers[i], described, VK_NULL_HANDLE);
        images[i].image = own_images[i].image;
    }
    for (int round = 0; round < 2; round++) {
        memset(embeds, 0, sizeof(embeds));
        if (vkclip_encode_vulkan_images(model, images, PICTURES, NULL, embeds))
            fail_msg("%s", vkclip_last_error());
        assert_embeddings(embeds, 0, PICTURES);
    }
    for (int i = 0; i < PICTURES; i++)
        own_image_destroy(&pictures, &own_images[i]);
}

static void images_of_every_layout(void **state)
{
    static const VkImageLayout layouts[] = {VK_IMAGE_LAYOUT_GENERAL,
                                            VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL,
                                            VK_IMAGE_LAYOUT_SHADER_READ_ONLY_OPTIMAL};
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(layouts); i++) {
        const struct vkclip_vulkan_image image = describe_image(layouts[i]);
        encode_images(&image);
    }
}

static void parts_of_images(void **state)
{
    struct vkclip_vulkan_image image = describe_image(VK_IMAGE_LAYOUT_GENERAL);
    (void)state;
    image.x = 13;
    image.y = 7;
    image.mip_level = 1;
    image.array_layer = 2;
    image.queue_family = VK_QUEUE_FAMILY_IGNORED;
    image.format = VK_FORMAT_R8G8B8A8_SRGB;
    encode_images(&image);
}

static void pictures_in_buffers(void **state)
{
    struct vkclip_vulkan_buffer described[PICTURES];
    float embeds[PICTURES * D];
    (void)state;
    for (int i = 0; i < PICTURES; i++)
        described[i] = (struct vkclip_vulkan_buffer){.size = sizeof(*described),
                                                     .buffer = buffers[i].buffer,
                                                     .format = VK_FORMAT_R8G8B8A8_UNORM,
                                                     .width = WIDTH,
                                                     .height = HEIGHT,
                                                     .queue_family = VK_QUEUE_FAMILY_IGNORED};
    if (vkclip_encode_vulkan_buffers(model, described, PICTURES, NULL, embeds))
        fail_msg("%s", vkclip_last_error());
    assert_embeddings(embeds, 0, PICTURES);
}

/* The application's commands run as late as vkclip's wait for them, and its next ones wait for
 * vkclip. */
static void semaphores_order(void **state)
{
    const VkSemaphoreTypeCreateInfo timeline = {.sType =
                                                    VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO,
                                                .semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE};
    VkSemaphoreCreateInfo info = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO};
    struct vkclip_vulkan_image image = describe_image(VK_IMAGE_LAYOUT_GENERAL);
    VkSemaphore ready, done;
    uint64_t value = 0;
    float embeds[D];
    (void)state;
    assert_int_equal(own.vk.CreateSemaphore(own.lent.device, &info, NULL, &ready), VK_SUCCESS);
    info.pNext = &timeline;
    assert_int_equal(own.vk.CreateSemaphore(own.lent.device, &info, NULL, &done), VK_SUCCESS);
    struct own_image filled = own_image_create(&pictures, &buffers[3], &image, ready);
    image.image = filled.image;
    image.wait = ready;
    image.signal = done;
    const PFN_vkGetSemaphoreCounterValue get =
        (PFN_vkGetSemaphoreCounterValue)own.instance.GetDeviceProcAddr(
            own.lent.device, "vkGetSemaphoreCounterValue");
    for (image.signal_value = 41; image.signal_value < 43; image.signal_value++) {
        if (image.signal_value > 41) /* This is an error unless the first call has waited. */
            own_submit(&pictures, own_begin(&pictures), ready);
        if (vkclip_encode_vulkan_images(model, &image, 1, NULL, embeds))
            fail_msg("%s", vkclip_last_error());
        assert_embeddings(embeds, 3, 1);
        assert_int_equal(get(own.lent.device, done, &value), VK_SUCCESS);
        assert_int_equal(value, image.signal_value);
    }
    own_image_destroy(&pictures, &filled);
    own.vk.DestroySemaphore(own.lent.device, ready, NULL);
    own.vk.DestroySemaphore(own.lent.device, done, NULL);
}

struct results {
    size_t good, bad;
};

static int take_result(void *user, const struct vkclip_item *item)
{
    struct results *results = user;
    results->good += !item->error;
    results->bad += item->error == VKCLIP_EUNSUPPORTED && strstr(item->message, "VkFormat");
    return 0;
}

/* Families that the device does not have are no owners. */
static void refuse_families(const struct vkclip_vulkan_image *good)
{
    static const uint32_t families[] = {1000, INT32_MAX, VK_QUEUE_FAMILY_FOREIGN_EXT - 1};
    struct vkclip_vulkan_image image = *good;
    struct vkclip_vulkan_buffer buffer = {.size = sizeof(buffer),
                                          .buffer = buffers[0].buffer,
                                          .format = VK_FORMAT_R8G8B8A8_UNORM,
                                          .width = WIDTH,
                                          .height = HEIGHT};
    float embed[D];
    for (size_t i = 0; i < ARRAY_COUNT(families); i++) {
        image.queue_family = buffer.queue_family = families[i];
        assert_int_equal(vkclip_encode_vulkan_images(model, &image, 1, NULL, embed),
                         VKCLIP_EINVALID);
        assert_non_null(strstr(vkclip_last_error(), "`queue_family`"));
        assert_int_equal(vkclip_encode_vulkan_buffers(model, &buffer, 1, NULL, embed),
                         VKCLIP_EINVALID);
        assert_non_null(strstr(vkclip_last_error(), "`queue_family`"));
    }
}

/* A picture that is refused does not stop the others where the caller wants to hear of each. */
static void refusals(void **state)
{
    struct vkclip_vulkan_image images[3], image = describe_image(VK_IMAGE_LAYOUT_GENERAL);
    struct results results = {0};
    const struct vkclip_encode_params params = {
        .size = sizeof(params), .item = take_result, .user = &results};
    struct vkclip_device *other = NULL;
    struct vkclip_model *wrong = NULL;
    float embeds[3 * D];
    (void)state;
    struct own_image filled = own_image_create(&pictures, &buffers[0], &image, VK_NULL_HANDLE);
    image.image = filled.image;
    for (int i = 0; i < 3; i++)
        images[i] = image;
    images[1].format = VK_FORMAT_R16G16B16A16_SFLOAT;
    assert_int_equal(vkclip_encode_vulkan_images(model, images, 3, NULL, embeds),
                     VKCLIP_EUNSUPPORTED);
    assert_non_null(strstr(vkclip_last_error(), "R8G8B8A8"));
    assert_int_equal(vkclip_encode_vulkan_images(model, images, 3, &params, NULL), 0);
    assert_int_equal(results.good, 2);
    assert_int_equal(results.bad, 1);
    const struct vkclip_vulkan_buffer buffer = {.size = sizeof(buffer)};
    struct vkclip_job *job = NULL;
    const struct vkclip_encode_params as_job = {.size = sizeof(as_job), .job = &job};
    assert_int_equal(vkclip_encode_vulkan_images(model, images, 1, &as_job, embeds),
                     VKCLIP_EINVALID);
    assert_non_null(strstr(vkclip_last_error(), "has no jobs"));
    assert_int_equal(vkclip_encode_vulkan_buffers(model, &buffer, 1, &as_job, embeds),
                     VKCLIP_EINVALID);
    assert_non_null(strstr(vkclip_last_error(), "has no jobs"));
    assert_null(job);
    refuse_families(&image);
    images[0].layout = VK_IMAGE_LAYOUT_UNDEFINED;
    assert_int_equal(vkclip_encode_vulkan_images(model, images, 1, NULL, embeds), VKCLIP_EINVALID);
    images[0] = image;
    images[0].image = VK_NULL_HANDLE;
    assert_int_equal(vkclip_encode_vulkan_images(model, images, 1, NULL, embeds), VKCLIP_EINVALID);
    assert_int_equal(vkclip_encode_vulkan_images(model, NULL, 1, NULL, embeds), VKCLIP_EINVALID);
    const struct vkclip_device_params alone = {
        .size = sizeof(alone), .cache_dir = "", .device = "0"};
    assert_int_equal(vkclip_open_device(&alone, &other), 0);
    assert_int_equal(vkclip_open_model(other, MODEL, NULL, &wrong), 0);
    assert_int_equal(vkclip_encode_vulkan_images(wrong, &image, 1, NULL, embeds), VKCLIP_EINVALID);
    assert_non_null(strstr(vkclip_last_error(), "vkclip_open_vulkan_device"));
    vkclip_close_model(&wrong);
    vkclip_close_device(&other);
    own_image_destroy(&pictures, &filled);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(images_of_every_layout),
        cmocka_unit_test(parts_of_images),
        cmocka_unit_test(pictures_in_buffers),
        cmocka_unit_test(semaphores_order),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
