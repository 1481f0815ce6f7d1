/* SPDX-License-Identifier: MIT
 *
 * Different devices are independent: threads that list, open, use and close devices of their own at
 * the same time do not disturb each other. The build with ThreadSanitizer runs this test to find
 * data races; the drivers there decide whether the threads' devices are of one driver or of two.
 */
#include "support/testing.h"

#include <pthread.h>

#define MODEL "models/emoji-clip"
enum { THREADS = 4, ROUNDS = 2, PICTURES = 2, TEXTS = 2, D = 128 };

struct user {
    unsigned number;
    int error;
    char message[256];
    float embeds[(PICTURES + TEXTS) * D];
};

static int encode_items(struct vkclip_model *model, float *embeds)
{
    static const char *const texts[TEXTS] = {"an owl", "a picture of a red heart"};
    static const char *const paths[PICTURES] = {MODEL "/samples/owl.png",
                                                MODEL "/samples/penguin.png"};
    int error = vkclip_encode_files(model, paths, PICTURES, NULL, embeds);
    if (!error)
        error = vkclip_encode_texts(model, texts, TEXTS, NULL, &embeds[PICTURES * D]);
    return error;
}

/* The threads take the devices in turn, so that each device is also used by several of them. */
static int use_device(struct user *user)
{
    struct vkclip_device_info infos[16] = {{.size = sizeof(infos[0])}};
    struct vkclip_device *device = NULL;
    struct vkclip_model *model = NULL;
    size_t count = 0;
    char number[16];
    int error = vkclip_list_devices(infos, ARRAY_COUNT(infos), &count);
    if (error)
        return error;
    snprintf(number, sizeof(number), "%zu", user->number % count);
    const struct vkclip_device_params params = {
        .size = sizeof(params), .device = number, .cache_dir = ""};
    error = vkclip_open_device(&params, &device);
    if (!error)
        error = vkclip_open_model(device, MODEL, NULL, &model);
    if (!error)
        error = encode_items(model, user->embeds);
    vkclip_close_model(&model);
    vkclip_close_device(&device);
    return error;
}

static void *run_user(void *argument)
{
    struct user *user = argument;
    for (int round = 0; round < ROUNDS && !user->error; round++)
        user->error = use_device(user);
    snprintf(user->message, sizeof(user->message), "%s", vkclip_last_error());
    return NULL;
}

static void devices_are_independent(void **state)
{
    static struct user users[THREADS];
    pthread_t threads[THREADS];
    (void)state;
    for (unsigned i = 0; i < THREADS; i++) {
        users[i].number = i;
        assert_int_equal(pthread_create(&threads[i], NULL, run_user, &users[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        if (users[i].error)
            fail_msg("thread %u: %s", i, users[i].message);
        for (size_t j = 0; j < ARRAY_COUNT(users[i].embeds); j++)
            assert_float_equal(users[i].embeds[j], users[0].embeds[j], 1e-4);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(devices_are_independent)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
