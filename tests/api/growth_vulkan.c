/* SPDX-License-Identifier: MIT
 *
 * Holds that programs which lend their device and pictures, and the library, may have different
 * versions of vkclip_vulkan.h. The same program is compiled against tests/api/old/vkclip_vulkan.h,
 * against today's header, and against one in which every struct has grown.
 */
#include "api/growth_vulkan_caller.h"
#include "support/own_pictures.h"

enum { WIDTH = 50, HEIGHT = 40, OFFSET = 64, PITCH = 4 * WIDTH + 24, WAIT_VALUE = 7 };

static struct own_vulkan own;
static struct own_pictures pictures;

/* A picture in the three forms in which it is lent. */
struct lent_picture {
    uint8_t rgb[WIDTH * HEIGHT * 3];
    struct own_image image;
    struct own_buffer tight, padded;
};

static void make_picture(struct lent_picture *picture, unsigned number,
                         const struct vkclip_vulkan_image *place)
{
    uint8_t tight[WIDTH * HEIGHT * 4], padded[OFFSET + HEIGHT * PITCH] = {0};
    for (unsigned i = 0; i < WIDTH * HEIGHT; i++) {
        const unsigned x = i % WIDTH, y = i / WIDTH;
        uint8_t *pixel = &tight[4 * i];
        for (unsigned c = 0; c < 3; c++)
            pixel[c] = picture->rgb[3 * i + c] = (uint8_t)(x * (number + 1) * 5 + y * 3 + c * 80);
        pixel[3] = (uint8_t)(i * 7);
        memcpy(&padded[OFFSET + y * PITCH + 4 * x], pixel, 4);
    }
    picture->tight = own_buffer_create(&pictures, tight, sizeof(tight));
    picture->padded = own_buffer_create(&pictures, padded, sizeof(padded));
    picture->image = own_image_create(&pictures, &picture->tight, place, VK_NULL_HANDLE);
}

static void destroy_picture(struct lent_picture *picture)
{
    own_image_destroy(&pictures, &picture->image);
    own_buffer_destroy(&pictures, &picture->tight);
    own_buffer_destroy(&pictures, &picture->padded);
}

static VkSemaphore make_timeline(uint64_t value)
{
    const VkSemaphoreTypeCreateInfo timeline = {.sType =
                                                    VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO,
                                                .semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE,
                                                .initialValue = value};
    const VkSemaphoreCreateInfo info = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO,
                                        .pNext = &timeline};
    VkSemaphore semaphore;
    assert_int_equal(own.vk.CreateSemaphore(own.lent.device, &info, NULL, &semaphore), VK_SUCCESS);
    return semaphore;
}

/* Makes a device with pictures, and lets a program lend them. */
static void run_caller(const char *(*call)(const struct growth_vulkan *made))
{
    static struct lent_picture lent[LENT_PICTURES];
    const struct vkclip_vulkan_image place = {.format = VK_FORMAT_R8G8B8A8_UNORM,
                                              .x = 13,
                                              .y = 7,
                                              .width = WIDTH,
                                              .height = HEIGHT,
                                              .mip_level = 1,
                                              .array_layer = 2,
                                              .layout = VK_IMAGE_LAYOUT_SHADER_READ_ONLY_OPTIMAL};
    own_open(&own, ENABLED_VERSIONS);
    pictures_open(&pictures, &own);
    struct growth_vulkan made = {
        .get_instance_proc_addr = functions_find_loader(),
        .get_counter = (PFN_vkGetSemaphoreCounterValue)own.instance.GetDeviceProcAddr(
            own.lent.device, "vkGetSemaphoreCounterValue"),
        .instance = own.lent.instance,
        .api_version = own.lent.api_version,
        .physical_device = own.lent.physical_device,
        .device = own.lent.device,
        .queue = own.lent.queue,
        .queue_family = own.lent.queue_family,
        .features = own.lent.features,
        .width = WIDTH,
        .height = HEIGHT,
        .format = place.format,
        .x = place.x,
        .y = place.y,
        .mip_level = place.mip_level,
        .array_layer = place.array_layer,
        .layout = place.layout,
        .offset = OFFSET,
        .pitch = PITCH,
        .wait = make_timeline(WAIT_VALUE),
        .signal = make_timeline(0),
        .wait_value = WAIT_VALUE,
    };
    for (unsigned i = 0; i < LENT_PICTURES; i++) {
        make_picture(&lent[i], i, &place);
        made.pixels[i] = lent[i].rgb;
        made.images[i] = lent[i].image.image;
        made.buffers[i] = lent[i].padded.buffer;
    }
    const char *failure = call(&made);
    own.vk.DeviceWaitIdle(own.lent.device);
    for (unsigned i = 0; i < LENT_PICTURES; i++)
        destroy_picture(&lent[i]);
    own.vk.DestroySemaphore(own.lent.device, made.wait, NULL);
    own.vk.DestroySemaphore(own.lent.device, made.signal, NULL);
    pictures_close(&pictures);
    own_close(&own);
    if (failure)
        fail_msg("%s", failure);
}

static void an_old_program_works(void **state)
{
    (void)state;
    run_caller(growth_vulkan_call_old);
}

static void a_program_of_today_works(void **state)
{
    (void)state;
    run_caller(growth_vulkan_call_today);
}

static void a_newer_program_works(void **state)
{
    (void)state;
    run_caller(growth_vulkan_call_newer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_program_of_today_works),
        cmocka_unit_test(an_old_program_works),
        cmocka_unit_test(a_newer_program_works),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
