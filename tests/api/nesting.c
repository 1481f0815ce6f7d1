/* SPDX-License-Identifier: MIT
 *
 * A function of the program that vkclip calls may make calls of its own: those that need no device,
 * and all on other devices. On the same device they would wait for the call that has called them,
 * and are refused, on the library's threads, too.
 */
#include "support/testing.h"

#define MODEL "models/emoji-clip"
enum { D = 128, S = 64, COUNT = 6 };

static struct vkclip_device *device, *other_device;
static struct vkclip_model *model, *other_model;

static int open_all(void **state)
{
    const struct vkclip_device_params params = {.size = sizeof(params), .cache_dir = ""};
    (void)state;
    assert_int_equal(vkclip_open_device(&params, &device), VKCLIP_OK);
    assert_int_equal(vkclip_open_device(&params, &other_device), VKCLIP_OK);
    assert_int_equal(vkclip_open_model(device, MODEL, NULL, &model), VKCLIP_OK);
    assert_int_equal(vkclip_open_model(other_device, MODEL, NULL, &other_model), VKCLIP_OK);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    vkclip_close_model(&model);
    vkclip_close_model(&other_model);
    vkclip_close_device(&device);
    vkclip_close_device(&other_device);
    return 0;
}

static int encode_text(struct vkclip_model *used)
{
    float embed[D];
    const char *text = "an owl";
    return vkclip_encode_texts(used, &text, 1, NULL, embed);
}

static void check_refusal(int error, const char *inner, const char *outer)
{
    const char *message = vkclip_last_error();
    assert_int_equal(error, VKCLIP_EINVALID);
    if (strncmp(message, inner, strlen(inner)) || !strstr(message, outer))
        fail_msg("'%s' does not name %s and %s", message, inner, outer);
}

static int ignore_tuning(void *user, const struct vkclip_tuning *tuning)
{
    (void)user;
    (void)tuning;
    return 0;
}

/* Calls what needs the device, which the call named `outer` uses. */
static void call_refused(const char *outer)
{
    struct vkclip_model *opened = NULL, *kept = model;
    struct vkclip_device *kept_device = device;
    check_refusal(encode_text(model), "vkclip_encode_texts", outer);
    check_refusal(vkclip_open_model(device, MODEL, NULL, &opened), "vkclip_open_model", outer);
    assert_null(opened);
    check_refusal(vkclip_list_tuning(device, ignore_tuning, NULL), "vkclip_list_tuning", outer);
    vkclip_close_model(&kept);
    assert_ptr_equal(kept, model);
    vkclip_close_device(&kept_device);
    assert_ptr_equal(kept_device, device);
}

/* Calls what needs no device, or another one. */
static void call_allowed(void)
{
    static const uint8_t pixels[4 * 4 * 3];
    static float values[3 * S * S], embeds[2][D], logit;
    const struct vkclip_image image = {.pixels = pixels, .width = 4, .height = 4, .channels = 3};
    struct vkclip_model_info info = {.size = sizeof(info)};
    struct vkclip_device_info device_info = {.size = sizeof(device_info)};
    int32_t ids[16];
    size_t count = 0;
    assert_int_equal(vkclip_get_model_info(model, &info), VKCLIP_OK);
    assert_int_equal(info.image_size, S);
    assert_int_equal(vkclip_get_device_info(device, &device_info), VKCLIP_OK);
    assert_int_equal(vkclip_tokenize(model, "owl", 3, 0, ids, 16, &count), VKCLIP_OK);
    assert_int_equal(vkclip_preprocess(model, &image, NULL, values), VKCLIP_OK);
    assert_int_equal(vkclip_similarity(model, embeds[0], 1, embeds[1], 1, &logit), VKCLIP_OK);
    assert_int_equal(encode_text(other_model), VKCLIP_OK);
}

static int take_item(void *user, const struct vkclip_item *item)
{
    assert_int_equal(item->error, VKCLIP_OK);
    ++*(size_t *)user;
    call_refused("vkclip_encode_source");
    call_allowed();
    return 0;
}

/* Runs on the library's threads, which cannot fail a test. */
static int refused_elsewhere(void *user, size_t index, float *pixel_values)
{
    (void)user;
    (void)index;
    memset(pixel_values, 0, 3 * S * S * sizeof(*pixel_values));
    const int error = encode_text(model);
    return error == VKCLIP_EINVALID && strstr(vkclip_last_error(), "vkclip_encode_source")
               ? 0
               : VKCLIP_EIO;
}

static void encoding(void **state)
{
    size_t items = 0;
    const struct vkclip_encode_params params = {
        .size = sizeof(params), .item = take_item, .user = &items};
    (void)state;
    assert_int_equal(vkclip_encode_source(model, refused_elsewhere, COUNT, &params, NULL),
                     VKCLIP_OK);
    assert_int_equal(items, COUNT);
    assert_int_equal(encode_text(model), VKCLIP_OK);
}

static int progress(void *user, uint64_t done, uint64_t total)
{
    (void)done;
    (void)total;
    call_refused(user);
    call_allowed();
    return 0;
}

static void labels(void **state)
{
    static const char *const names[] = {"owl", "heart"};
    static float embeds[2 * D];
    char outer[] = "vkclip_encode_labels";
    const struct vkclip_encode_params params = {
        .size = sizeof(params), .progress = progress, .user = outer};
    (void)state;
    assert_int_equal(vkclip_encode_labels(model, names, 2, NULL, 0, &params, embeds), VKCLIP_OK);
}

/* Reading a model's files needs no turn, but the function is called within the call until all is
 * done, when the device was given back. */
static int opening_progress(void *user, uint64_t done, uint64_t total)
{
    if (done < total)
        return progress(user, done, total);
    assert_int_equal(encode_text(model), VKCLIP_OK);
    return 0;
}

static void opening(void **state)
{
    char outer[] = "vkclip_open_model";
    const struct vkclip_model_params params = {
        .size = sizeof(params), .progress = opening_progress, .user = outer};
    struct vkclip_model *opened = NULL;
    (void)state;
    assert_int_equal(vkclip_open_model(device, MODEL, &params, &opened), VKCLIP_OK);
    vkclip_close_model(&opened);
}

static int node(void *user, const struct vkclip_node *told)
{
    assert_true(told->operations >= 0);
    if (!(*(size_t *)user)++)
        call_refused("vkclip_profile");
    return 0;
}

static void profile(void **state)
{
    size_t nodes = 0;
    struct vkclip_cost cost = {.size = sizeof(cost)};
    (void)state;
    assert_int_equal(vkclip_profile(model, VKCLIP_TOWER_TEXT, 1, node, &nodes, &cost), VKCLIP_OK);
    assert_true(nodes > 0);
}

/* A refusal within the log function must not be logged, which would call that function again. */
static void log_nested(void *user, enum vkclip_log_level level, const char *message)
{
    (void)level;
    (void)message;
    ++*(size_t *)user;
    vkclip_close_model(&model);
    (void)encode_text(model);
}

static void logging(void **state)
{
    static char text[4096];
    float embed[D];
    const char *const texts[] = {text};
    size_t lines = 0;
    (void)state;
    for (size_t i = 0; i + 1 < sizeof(text); i++)
        text[i] = i % 2 ? ' ' : 'a';
    vkclip_set_log(log_nested, &lines);
    assert_int_equal(vkclip_encode_texts(model, texts, 1, NULL, embed), VKCLIP_OK);
    vkclip_set_log(NULL, NULL);
    assert_true(lines > 0 && lines < 8);
    assert_non_null(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encoding), cmocka_unit_test(labels),  cmocka_unit_test(opening),
        cmocka_unit_test(profile),  cmocka_unit_test(logging),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
