/* SPDX-License-Identifier: MIT
 *
 * vkclip runs on a device that the application created, with nothing enabled and with all that it
 * wants, uses nothing else, and leaves the device as it was. The validation layer tells whatever is
 * used without being enabled. What cannot be used is refused with a reason.
 */
#define _GNU_SOURCE
#include "support/own_vulkan.h"

#include <string.h>

#define MODEL "models/emoji-clip"
enum { PICTURES = 2, D = 128 };

static const char *const paths[PICTURES] = {MODEL "/samples/owl.png", MODEL "/samples/penguin.png"};
static const struct vkclip_device_params params = {
    .size = sizeof(params), .cache_dir = "", .threads = 1};

static void encode(struct vkclip_device *device, float *embeds)
{
    struct vkclip_model *model = NULL;
    int error = vkclip_open_model(device, MODEL, NULL, &model);
    if (!error)
        error = vkclip_encode_files(model, paths, PICTURES, NULL, embeds);
    if (error)
        fail_msg("%s", vkclip_last_error());
    vkclip_close_model(&model);
}

/* A single thread of the host does everything. */
static struct vkclip_device *open_lent(const struct own_vulkan *own)
{
    struct vkclip_device *device = NULL;
    if (vkclip_open_vulkan_device(&params, &own->lent, &device))
        fail_msg("%s", vkclip_last_error());
    return device;
}

/* Opens the device as vkclip does by itself, in the background, and encodes the pictures there. */
static void encode_alone(float *embeds, struct vkclip_device_info *info)
{
    struct vkclip_device *device = NULL;
    const struct vkclip_device_params first = {
        .size = sizeof(first), .cache_dir = "", .device = "0", .background = true};
    assert_int_equal(vkclip_open_device(&first, &device), VKCLIP_OK);
    assert_int_equal(vkclip_get_device_info(device, info), VKCLIP_OK);
    encode(device, embeds);
    vkclip_close_device(&device);
}

/* Removes a capability from a list of names. */
static void remove_cap(char *caps, const char *name)
{
    char *found = strstr(caps, name);
    if (!found)
        return;
    const size_t length = strlen(name) + (found[strlen(name)] == ' ');
    memmove(found, found + length, strlen(found + length) + 1);
    if (*caps && caps[strlen(caps) - 1] == ' ')
        caps[strlen(caps) - 1] = 0;
}

static void encodes_with_what_is_enabled(void **state)
{
    static float alone[PICTURES * D], embeds[PICTURES * D];
    struct vkclip_device_info expected = {.size = sizeof(expected)};
    (void)state;
    encode_alone(alone, &expected);
    remove_cap(expected.caps, "copies"); /* An application lends one queue. */
    for (enum enabled enabled = ENABLED_NOTHING; enabled <= ENABLED_VERSIONS; enabled++) {
        struct own_vulkan own;
        struct vkclip_device_info info = {.size = sizeof(info)};
        own_open(&own, enabled);
        struct vkclip_device *device = open_lent(&own);
        assert_int_equal(vkclip_get_device_info(device, &info), VKCLIP_OK);
        assert_string_equal(info.name, expected.name);
        assert_int_equal(info.index, 0);
        if (enabled == ENABLED_NOTHING)
            assert_true(!*info.caps || !strcmp(info.caps, "texel"));
        else
            assert_string_equal(info.caps, expected.caps);
        memset(embeds, 0, sizeof(embeds));
        if (enabled != ENABLED_VERSIONS) /* It would run what ENABLED_WANTS runs. */
            encode(device, embeds);
        for (int i = 0; i < PICTURES * D && enabled != ENABLED_VERSIONS; i++)
            assert_float_equal(embeds[i], alone[i], 1e-4);
        vkclip_close_device(&device);
        assert_int_equal(own.vk.DeviceWaitIdle(own.lent.device), VK_SUCCESS);
        own_close(&own);
    }
}

/* A device may be lent again, and vkclip's own instance may be open at the same time. */
static void instances_do_not_disturb_each_other(void **state)
{
    static float alone[PICTURES * D], embeds[PICTURES * D];
    struct own_vulkan own;
    struct vkclip_device_info info = {.size = sizeof(info)};
    (void)state;
    own_open(&own, ENABLED_WANTS);
    for (int round = 0; round < 2; round++) {
        struct vkclip_device *device = open_lent(&own);
        encode_alone(alone, &info);
        encode(device, embeds);
        for (int i = 0; i < PICTURES * D; i++)
            assert_float_equal(embeds[i], alone[i], 1e-4);
        vkclip_close_device(&device);
    }
    own_close(&own);
}

struct locks {
    int depth, most, count;
};

static void lock_queue(void *user)
{
    struct locks *locks = user;
    locks->count++;
    locks->depth++;
    locks->most = locks->depth > locks->most ? locks->depth : locks->most;
}

static void unlock_queue(void *user)
{
    struct locks *locks = user;
    locks->depth--;
}

static void submits_are_locked(void **state)
{
    static float embeds[PICTURES * D];
    struct own_vulkan own;
    struct locks locks = {0};
    (void)state;
    own_open(&own, ENABLED_NOTHING);
    own.lent.queue = VK_NULL_HANDLE; /* vkclip finds it by its family and its number. */
    own.lent.lock_queue = lock_queue;
    own.lent.unlock_queue = unlock_queue;
    own.lent.user = &locks;
    struct vkclip_device *device = open_lent(&own);
    encode(device, embeds);
    vkclip_close_device(&device);
    assert_true(locks.count > 0);
    assert_int_equal(locks.most, 1);
    assert_int_equal(locks.depth, 0);
    own_close(&own);
}

static void refuse(const struct vkclip_vulkan_device *lent, int error, const char *part)
{
    struct vkclip_device *device = NULL;
    assert_int_equal(vkclip_open_vulkan_device(&params, lent, &device), error);
    if (!strstr(vkclip_last_error(), part))
        fail_msg("\"%s\" lacks \"%s\"", vkclip_last_error(), part);
    assert_null(device);
}

static PFN_vkVoidFunction VKAPI_CALL find_nothing(VkInstance instance, const char *name)
{
    (void)instance, (void)name;
    return NULL;
}

static void refusals(void **state)
{
    struct own_vulkan own;
    struct vkclip_vulkan_device bad;
    (void)state;
    own_open(&own, ENABLED_NOTHING);
    assert_int_equal(vkclip_open_vulkan_device(&params, NULL, NULL), VKCLIP_EINVALID);
    assert_int_equal(vkclip_get_vulkan_wants(&own.lent, NULL), VKCLIP_EINVALID);
    bad = own.lent;
    bad.api_version = VK_API_VERSION_1_0;
    refuse(&bad, VKCLIP_EUNSUPPORTED, "Vulkan 1.0");
    bad = own.lent;
    bad.instance = VK_NULL_HANDLE;
    refuse(&bad, VKCLIP_EINVALID, "`instance`");
    bad = own.lent;
    bad.device = VK_NULL_HANDLE;
    refuse(&bad, VKCLIP_EINVALID, "`device`");
    bad = own.lent;
    bad.physical_device = (VkPhysicalDevice)(uintptr_t)&bad;
    refuse(&bad, VKCLIP_EINVALID, "`physical_device`");
    bad = own.lent;
    bad.queue_family = 1000;
    refuse(&bad, VKCLIP_EINVALID, "`queue_family`");
    bad = own.lent;
    bad.lock_queue = lock_queue;
    refuse(&bad, VKCLIP_EINVALID, "`unlock_queue`");
    bad = own.lent;
    bad.extension_count = 1;
    refuse(&bad, VKCLIP_EINVALID, "`extensions`");
    bad = own.lent;
    bad.get_instance_proc_addr = find_nothing;
    refuse(&bad, VKCLIP_EINVALID, "`get_instance_proc_addr`");
    own_close(&own);
}

/* A model in fp16 needs a feature that the application has to enable. */
static void missing_feature_is_named(void **state)
{
    const struct vkclip_model_params half = {.size = sizeof(half),
                                             .precision = VKCLIP_PRECISION_F16};
    struct vkclip_model *model = NULL;
    struct own_vulkan own;
    (void)state;
    own_open(&own, ENABLED_NOTHING);
    struct vkclip_device *device = open_lent(&own);
    assert_int_equal(vkclip_open_model(device, MODEL, &half, &model), VKCLIP_EUNSUPPORTED);
    if (!strstr(vkclip_last_error(), "storageBuffer16BitAccess"))
        fail_msg("%s", vkclip_last_error());
    vkclip_close_model(&model);
    vkclip_close_device(&device);
    own_close(&own);
}

/* The application's device is not opened again when it is lost, and everything closes. */
static void lost_device(void **state)
{
    static float embeds[PICTURES * D];
    struct own_vulkan own;
    struct vkclip_model *model = NULL;
    (void)state;
    setenv("VKCLIP_FAULT_LOSE", "1-", 1);
    own_open(&own, ENABLED_NOTHING);
    struct vkclip_device *device = open_lent(&own);
    assert_int_equal(vkclip_open_model(device, MODEL, NULL, &model), VKCLIP_OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(vkclip_encode_files(model, paths, PICTURES, NULL, embeds), VKCLIP_ELOST);
        if (!strstr(vkclip_last_error(), "application"))
            fail_msg("%s", vkclip_last_error());
    }
    vkclip_close_model(&model);
    vkclip_close_device(&device);
    unsetenv("VKCLIP_FAULT_LOSE");
    own_close(&own);
}

/* With an argument the program leaves out what does not depend on the driver. */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encodes_with_what_is_enabled),
        cmocka_unit_test(refusals),
        cmocka_unit_test(missing_feature_is_named),
    };
    const struct CMUnitTest others[] = {
        cmocka_unit_test(instances_do_not_disturb_each_other),
        cmocka_unit_test(submits_are_locked),
    };
    const struct CMUnitTest faulty[] = {cmocka_unit_test(lost_device)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)argv;
    if (argc < 2)
        failed += cmocka_run_group_tests(others, NULL, NULL);
    if (argc < 2 && getenv("VK_LAYER_PATH")) /* The fault layer is loaded. */
        failed += cmocka_run_group_tests(faulty, NULL, NULL);
    return failed;
}
