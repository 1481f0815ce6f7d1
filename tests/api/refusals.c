/* SPDX-License-Identifier: MIT
 *
 * Holds that no function of the public headers takes a wrong argument for another one: NULL where
 * something is expected, also among strings, numbers that an enum does not have, unknown bits of
 * flags, and structs that do not tell their size. Each is EINVALID, with a message that names it.
 */
#define _GNU_SOURCE
#include "api/declarations.h"
#include "support/scratch.h"
#include "support/testing.h"
#include "vkclip_vulkan.h"

#include <math.h>

#define MODEL "models/emoji-clip"
#define CONDITIONER "tests/golden/conditioning/pipelines/chroma"
#define PICTURE MODEL "/samples/owl.png"
enum { CALLS = 400, D = 128 };

static struct vkclip_device *device;
static struct vkclip_model *model;
static char *folder;

/* The calls that were refused, as they are written here. */
static const char *calls[CALLS];
static size_t call_count;

static void refused(const char *call, int error, const char *expected)
{
    assert_true(call_count < CALLS);
    calls[call_count++] = call;
    if (error != VKCLIP_EINVALID)
        fail_msg("%s gave %d, expected EINVALID", call, error);
    if (!strstr(vkclip_last_error(), expected))
        fail_msg("%s says '%s', expected '%s'", call, vkclip_last_error(), expected);
}

/* Checks that a call is refused, and that its message has a text. */
#define REFUSED(call, expected) refused(#call, call, expected)

/* A struct with its size and one or more members. */
#define WITH(type, ...) (&(struct type){.size = sizeof(struct type), __VA_ARGS__})
/* A struct that does not tell its size. */
#define WITHOUT_SIZE(type) (&(struct type){0})
#define SIZE_OF(type) "`size` of struct " #type " is 0: set it to sizeof"

static int open_all(void **state)
{
    struct vkclip_device_params params = {.size = sizeof(params), .cache_dir = ""};
    (void)state;
    folder = scratch_folder();
    assert_int_equal(vkclip_open_device(&params, &device), VKCLIP_OK);
    assert_int_equal(vkclip_open_model(device, MODEL, NULL, &model), VKCLIP_OK);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    vkclip_close_model(&model);
    vkclip_close_device(&device);
    scratch_remove(folder);
    return 0;
}

static int ignore_check(void *user, const struct vkclip_check *check)
{
    (void)user, (void)check;
    return 0;
}

static void devices(void **state)
{
    (void)state;
    struct vkclip_device *made = NULL;
    size_t count;
    REFUSED(vkclip_set_allocator(WITHOUT_SIZE(vkclip_allocator)), SIZE_OF(vkclip_allocator));
    REFUSED(vkclip_set_allocator(WITH(vkclip_allocator, .user = NULL)), "`allocate`");
    REFUSED(vkclip_set_allocator(NULL), "while the library has");
    REFUSED(vkclip_get_kernel_caps(NULL, 3), "caps");
    REFUSED(vkclip_list_devices(NULL, 1, &count), "infos");
    REFUSED(vkclip_list_devices(WITHOUT_SIZE(vkclip_device_info), 1, &count),
            SIZE_OF(vkclip_device_info));
    REFUSED(vkclip_open_device(NULL, NULL), "device");
    REFUSED(vkclip_open_device(WITHOUT_SIZE(vkclip_device_params), &made),
            SIZE_OF(vkclip_device_params));
    REFUSED(vkclip_open_device(WITH(vkclip_device_params, .tune = 4), &made), "`tune` is 4");
    REFUSED(vkclip_open_device(WITH(vkclip_device_params, .timeout = -1), &made),
            "`timeout` is -1");
    REFUSED(vkclip_open_device(WITH(vkclip_device_params, .timeout = NAN), &made), "`timeout`");
    REFUSED(vkclip_open_device(WITH(vkclip_device_params, .threads = 65), &made),
            "`threads` is 65: expected 1 to 64, or 0");
    REFUSED(
        vkclip_open_device(&(struct vkclip_device_params){.size = 8}, &made),
        "`size` of struct vkclip_device_params is 8: set it to sizeof, more than 8 and at most");
    assert_null(made);
    REFUSED(vkclip_get_device_info(device, NULL), "info");
    REFUSED(vkclip_get_device_info(device, WITHOUT_SIZE(vkclip_device_info)),
            SIZE_OF(vkclip_device_info));
    REFUSED(vkclip_get_device_infos(device, NULL, 1, &count), "infos");
    REFUSED(vkclip_get_device_infos(device, WITHOUT_SIZE(vkclip_device_info), 1, &count),
            SIZE_OF(vkclip_device_info));
    REFUSED(vkclip_measure_peaks(device, NULL, NULL, NULL), "peaks");
    REFUSED(vkclip_measure_peaks(device, NULL, NULL, WITHOUT_SIZE(vkclip_peaks)),
            SIZE_OF(vkclip_peaks));
    REFUSED(vkclip_check_device(device, "NOTHING", ignore_check, NULL, &count), "name of an op");
    REFUSED(vkclip_check_device(device, NULL, NULL, NULL, &count), "check");
    REFUSED(vkclip_list_tuning(device, NULL, NULL), "tuning");
}

static void models(void **state)
{
    (void)state;
    struct vkclip_model *made = NULL;
    struct vkclip_comparison found = {.size = sizeof(found)};
    struct vkclip_cost cost = {.size = sizeof(cost)};
    char *output = scratch_path(folder, "output");
    REFUSED(vkclip_open_model(device, NULL, NULL, &made), "a path");
    REFUSED(vkclip_open_model(device, MODEL, NULL, NULL), "expected");
    REFUSED(vkclip_open_model(device, MODEL, WITHOUT_SIZE(vkclip_model_params), &made),
            SIZE_OF(vkclip_model_params));
    REFUSED(vkclip_open_model(device, MODEL, WITH(vkclip_model_params, .precision = 77), &made),
            "`precision` is 77: expected a value of enum vkclip_precision, 0 to 1");
    REFUSED(vkclip_open_model(device, MODEL, WITH(vkclip_model_params, .weights = 4), &made),
            "`weights` is 4: expected a value of enum vkclip_weights, 0 to 3");
    REFUSED(vkclip_open_model(device, MODEL, WITH(vkclip_model_params, .compute = 2), &made),
            "`compute` is 2: expected a value of enum vkclip_compute, 0 to 1");
    REFUSED(vkclip_open_model(NULL, MODEL, WITH(vkclip_model_params, .activation = -1), &made),
            "`activation` is -1: expected a value of enum vkclip_activation, 0 to 5");
    REFUSED(vkclip_open_model_file(NULL, -1, 0, 0, NULL, &made), "descriptor");
    REFUSED(vkclip_open_model_file(NULL, 0, 0, 0, NULL, NULL), "model");
    REFUSED(vkclip_open_model_file(NULL, 0, 0, 0, WITHOUT_SIZE(vkclip_model_params), &made),
            SIZE_OF(vkclip_model_params));
    REFUSED(vkclip_open_model_memory(NULL, NULL, 1, NULL, &made), "data");
    REFUSED(vkclip_open_model_memory(NULL, MODEL, 1, NULL, NULL), "model");
    REFUSED(vkclip_open_model_memory(NULL, MODEL, 1, WITHOUT_SIZE(vkclip_model_params), &made),
            SIZE_OF(vkclip_model_params));
    assert_null(made);
    REFUSED(vkclip_get_model_info(NULL, NULL), "model");
    REFUSED(vkclip_get_model_info(model, WITHOUT_SIZE(vkclip_model_info)),
            SIZE_OF(vkclip_model_info));
    REFUSED(vkclip_init_model(NULL, 1, output, NULL, NULL), "arch");
    REFUSED(vkclip_convert_model(NULL, NULL, output, NULL, NULL), "path");
    REFUSED(vkclip_convert_model(MODEL, WITHOUT_SIZE(vkclip_model_params), output, NULL, NULL),
            SIZE_OF(vkclip_model_params));
    REFUSED(vkclip_convert_model(MODEL, NULL, output, WITHOUT_SIZE(vkclip_convert_params), NULL),
            SIZE_OF(vkclip_convert_params));
    REFUSED(vkclip_convert_model(MODEL, NULL, output, NULL, WITHOUT_SIZE(vkclip_conversion)),
            SIZE_OF(vkclip_conversion));
    REFUSED(vkclip_convert_model(MODEL, NULL, output, WITH(vkclip_convert_params, .type = 5), NULL),
            "`type` is 5: expected a value of enum vkclip_type, 0 to 4");
    REFUSED(
        vkclip_convert_model(MODEL, WITH(vkclip_model_params, .activation = 6), output, NULL, NULL),
        "`activation` is 6");
    REFUSED(vkclip_compare_models(device, MODEL, NULL, NULL, NULL, NULL, NULL, &found),
            "two paths");
    REFUSED(vkclip_compare_models(device, MODEL, NULL, MODEL, WITHOUT_SIZE(vkclip_model_params),
                                  NULL, NULL, &found),
            SIZE_OF(vkclip_model_params));
    REFUSED(vkclip_compare_models(device, MODEL, NULL, MODEL, NULL, NULL, NULL,
                                  WITHOUT_SIZE(vkclip_comparison)),
            SIZE_OF(vkclip_comparison));
    REFUSED(vkclip_compare_models(device, MODEL, NULL, MODEL,
                                  WITH(vkclip_model_params, .weights = 9), NULL, NULL, &found),
            "`weights` is 9");
    REFUSED(vkclip_profile(model, VKCLIP_TOWER_TEXT, 1, NULL, NULL, NULL), "cost");
    REFUSED(vkclip_profile(model, VKCLIP_TOWER_TEXT, 1, NULL, NULL, WITHOUT_SIZE(vkclip_cost)),
            SIZE_OF(vkclip_cost));
    REFUSED(vkclip_profile(model, 2, 1, NULL, NULL, &cost),
            "`tower` is 2: expected a value of enum vkclip_tower, 0 to 1");
    assert_false(file_exists(output) || folder_exists(output));
    free(output);
}

static void ignore_bytes(void *user, const void *data, size_t size)
{
    (void)user, (void)data, (void)size;
}

static void texts(void **state)
{
    (void)state;
    static const char *const with_null[] = {"a", "b", NULL, "d"}, *const none[] = {NULL};
    const char *path = MODEL "/labels.txt";
    struct vkclip_prompt prompt = {.size = sizeof(prompt)};
    char *output = scratch_path(folder, "tokenizer"), text[8];
    int32_t ids[32];
    size_t count;
    REFUSED(vkclip_tokenize(model, NULL, 3, 0, ids, 32, &count), "text");
    REFUSED(vkclip_tokenize(model, "a", 1, 8, ids, 32, &count),
            "`flags` is 0x8: expected bits of 0x7 only");
    REFUSED(vkclip_detokenize(model, NULL, 1, text, 8, &count), "ids");
    REFUSED(vkclip_train_tokenizer(NULL, 1, NULL, output, NULL), "`paths` is NULL");
    REFUSED(vkclip_train_tokenizer(&path, 1, NULL, NULL, NULL), "folder");
    REFUSED(vkclip_train_tokenizer(none, 1, NULL, output, NULL),
            "`paths` has 1 strings, of which number 0 is NULL");
    REFUSED(vkclip_train_tokenizer(&path, 1, WITHOUT_SIZE(vkclip_tokenizer_params), output, NULL),
            SIZE_OF(vkclip_tokenizer_params));
    REFUSED(vkclip_train_tokenizer(&path, 1, NULL, output, WITHOUT_SIZE(vkclip_tokenizer_result)),
            SIZE_OF(vkclip_tokenizer_result));
    REFUSED(vkclip_tokenize_prompt(model, NULL, 2, NULL, &prompt), "text");
    REFUSED(vkclip_tokenize_prompt(model, "a", 1, WITHOUT_SIZE(vkclip_prompt_params), &prompt),
            SIZE_OF(vkclip_prompt_params));
    REFUSED(vkclip_tokenize_prompt(model, "a", 1, NULL, WITHOUT_SIZE(vkclip_prompt)),
            SIZE_OF(vkclip_prompt));
    REFUSED(vkclip_tokenize_prompt(model, "a", 1, WITH(vkclip_prompt_params, .syntax = 6), &prompt),
            "`syntax` is 6: expected a value of enum vkclip_syntax, 0 to 5");
    REFUSED(vkclip_tokenize_prompt(model, "a", 1, WITH(vkclip_prompt_params, .embedding_count = 2),
                                   &prompt),
            "`embeddings` has 2 entries, of which number 0 has no name");
    vkclip_free_prompt(&prompt);
    vkclip_free_prompt(NULL);
    float embeds[4 * D];
    REFUSED(vkclip_encode_texts(model, NULL, 4, NULL, embeds), "`texts` is NULL");
    REFUSED(vkclip_encode_texts(model, with_null, 4, NULL, embeds),
            "`texts` has 4 strings, of which number 2 is NULL");
    REFUSED(vkclip_encode_texts(model, with_null, 2, WITHOUT_SIZE(vkclip_encode_params), embeds),
            SIZE_OF(vkclip_encode_params));
    REFUSED(vkclip_encode_tokens(model, NULL, 1, 32, NULL, embeds), "expected");
    REFUSED(vkclip_encode_labels(model, with_null, 4, NULL, 0, NULL, embeds),
            "`labels` has 4 strings, of which number 2 is NULL");
    REFUSED(vkclip_encode_labels(model, with_null, 2, none, 1, NULL, embeds),
            "`templates` has 1 strings, of which number 0 is NULL");
    REFUSED(vkclip_encode_labels(model, with_null, 2, NULL, 1, NULL, embeds),
            "`templates` is NULL: expected 1 strings");
    assert_false(folder_exists(output));
    free(output);
}

static int count_item(void *user, const struct vkclip_item *item)
{
    size_t *counts = user; /* of good items, and of those that are NULL */
    counts[0] += !item->error;
    counts[1] += item->error == VKCLIP_EINVALID && strstr(item->message, "NULL");
    return 0;
}

/* A call that goes on after an item that fails goes on after one that is NULL. */
static void null_among_items_is_an_items_error(void **state)
{
    (void)state;
    static const char *const words[] = {"a", NULL, "b"}, *const files[] = {NULL, PICTURE, NULL};
    size_t counts[2] = {0, 0};
    const struct vkclip_encode_params params = {
        .size = sizeof(params), .item = count_item, .user = counts};
    assert_int_equal(vkclip_encode_texts(model, words, 3, &params, NULL), VKCLIP_OK);
    assert_int_equal(counts[0], 2);
    assert_int_equal(counts[1], 1);
    assert_int_equal(vkclip_encode_files(model, files, 3, &params, NULL), VKCLIP_OK);
    assert_int_equal(counts[0], 3);
}

/* A text of no bytes may be NULL where its length is given. */
static void empty_texts_are_texts(void **state)
{
    (void)state;
    const char *const empty[] = {"a", NULL}, *const same[] = {"a", ""};
    const size_t lengths[] = {1, 0};
    float found[2 * D], expected[2 * D];
    assert_int_equal(
        vkclip_encode_texts(model, empty, 2, WITH(vkclip_encode_params, .lengths = lengths), found),
        VKCLIP_OK);
    assert_int_equal(vkclip_encode_texts(model, same, 2, NULL, expected), VKCLIP_OK);
    assert_memory_equal(found, expected, sizeof(found));
}

static void ignore_done(void *user, int error, const char *message)
{
    (void)user, (void)error, (void)message;
}

static void pictures(void **state)
{
    (void)state;
    static const char *const with_null[] = {PICTURE, NULL};
    static const struct vkclip_features features = {.layer = -1};
    struct vkclip_archive *archive = NULL;
    struct vkclip_image image = {0};
    struct vkclip_features read;
    struct vkclip_grid grid;
    float embeds[2 * D], values[3 * 64 * 64] = {0};
    size_t shape[2];
    REFUSED(vkclip_load_image(NULL, NULL, &image), "path");
    REFUSED(vkclip_load_image(PICTURE, WITHOUT_SIZE(vkclip_image_params), &image),
            SIZE_OF(vkclip_image_params));
    REFUSED(vkclip_decode_image(NULL, 3, NULL, NULL, &image), "data");
    REFUSED(vkclip_decode_image("P6", 2, NULL, WITHOUT_SIZE(vkclip_image_params), &image),
            SIZE_OF(vkclip_image_params));
    REFUSED(vkclip_make_thumbnail(&image, 0, ignore_bytes, NULL), "side");
    REFUSED(vkclip_make_thumbnail(&image, 8, NULL, NULL), "function");
    REFUSED(vkclip_make_thumbnail(&image, 8, ignore_bytes, NULL), "no picture");
    REFUSED(vkclip_open_archive(NULL, &archive), "path");
    REFUSED(vkclip_open_tar("a.tar", WITHOUT_SIZE(vkclip_archive_params), &archive),
            SIZE_OF(vkclip_archive_params));
    REFUSED(vkclip_load_archived(NULL, 0, NULL, &image), "no such picture");
    REFUSED(vkclip_preprocess(model, NULL, NULL, NULL), "image");
    REFUSED(vkclip_parse_features(NULL, &read), "text");
    REFUSED(vkclip_get_features_shape(model, VKCLIP_TOWER_TEXT, NULL, 0, shape), "features");
    REFUSED(vkclip_get_features_shape(model, -1, &features, 0, shape), "`tower` is -1");
    REFUSED(vkclip_encode_files(model, NULL, 1, NULL, embeds), "`paths` is NULL");
    REFUSED(vkclip_encode_files(model, with_null, 2, NULL, embeds),
            "`paths` has 2 strings, of which number 1 is NULL");
    REFUSED(vkclip_encode_files(model, with_null, 1, WITHOUT_SIZE(vkclip_encode_params), embeds),
            SIZE_OF(vkclip_encode_params));
    REFUSED(vkclip_encode_images(model, NULL, 1, NULL, embeds), "expected");
    REFUSED(vkclip_encode_images(model, &image, 1, NULL, embeds), "");
    REFUSED(vkclip_encode_pixels(model, values, 1, NULL, NULL), "expected");
    REFUSED(vkclip_encode_source(model, NULL, 1, NULL, embeds), "expected");
    REFUSED(vkclip_similarity(model, NULL, 1, embeds, 1, values), "embeddings");
    REFUSED(vkclip_classify(model, &image, 1, NULL, 1, NULL, NULL, NULL), "label_embeds");
    REFUSED(vkclip_classify(model, &image, 1, embeds, 1, WITHOUT_SIZE(vkclip_encode_params), NULL,
                            values),
            SIZE_OF(vkclip_encode_params));
    REFUSED(vkclip_get_grid(model, 64, 64, NULL), "grid");
    REFUSED(vkclip_get_grid(NULL, 64, 64, &grid), "model");
    REFUSED(vkclip_explain(model, NULL, embeds, 1, NULL, values, NULL), "image");
    REFUSED(
        vkclip_explain(model, &image, embeds, 1, WITHOUT_SIZE(vkclip_explain_params), values, NULL),
        SIZE_OF(vkclip_explain_params));
    static float unusable[D] = {[D - 1] = NAN};
    REFUSED(vkclip_explain(model, &image, unusable, 1, NULL, values, NULL),
            "`text_embeds`: row 0 has nan at 127");
}

static void jobs(void **state)
{
    (void)state;
    static const char *const texts[] = {"a"};
    struct vkclip_job *job = NULL;
    float embeds[2 * D];
    const struct vkclip_encode_params *params = WITH(vkclip_encode_params, .job = &job);
    REFUSED(vkclip_encode_texts(NULL, texts, 1, params, embeds), "model expected");
    REFUSED(vkclip_encode_texts(model, NULL, 1, params, embeds), "`texts` is NULL");
    REFUSED(vkclip_encode_texts(model, texts, 1, WITH(vkclip_encode_params, .done = ignore_done),
                                embeds),
            "`done` is set: expected `job`, too");
    REFUSED(vkclip_encode_labels(model, texts, 1, NULL, 0, params, embeds), "has no jobs");
    REFUSED(vkclip_classify(model, NULL, 0, embeds, 1, params, embeds, NULL), "has no jobs");
    REFUSED(vkclip_wait_job(NULL, 0, NULL), "job");
    REFUSED(vkclip_cancel_job(NULL), "job");
    assert_null(job);
    vkclip_close_job(NULL);
    vkclip_close_job(&job);
}

static void probes(void **state)
{
    (void)state;
    static const float features[] = {1, 0};
    static const uint32_t labels[] = {0, 1};
    float weights[2], biases[2], probs[2];
    REFUSED(vkclip_fit_probe(NULL, labels, 2, 1, 2, NULL, weights, biases, NULL), "features");
    REFUSED(vkclip_fit_probe(features, labels, 2, 1, 2, WITHOUT_SIZE(vkclip_probe_params), weights,
                             biases, NULL),
            SIZE_OF(vkclip_probe_params));
    REFUSED(vkclip_fit_probe(features, labels, 2, 1, 2, NULL, weights, biases,
                             WITHOUT_SIZE(vkclip_probe_result)),
            SIZE_OF(vkclip_probe_result));
    REFUSED(vkclip_fit_probe(features, labels, 2, 1, 2,
                             WITH(vkclip_probe_params, .tolerance = INFINITY), weights, biases,
                             NULL),
            "`tolerance` inf: expected finite");
    REFUSED(vkclip_fit_probe(features, labels, 2, 1, 2, WITH(vkclip_probe_params, .c = INFINITY),
                             weights, biases, NULL),
            "`c` is inf");
    REFUSED(vkclip_apply_probe(features, 2, 1, NULL, biases, 2, probs), "weights");
}

static void conditioners(void **state)
{
    (void)state;
    static const char *const paths[] = {CONDITIONER, NULL}, *const none[] = {NULL};
    const char *prompt = "a";
    struct vkclip_conditioner *conditioner = NULL;
    struct vkclip_conditioning *made = NULL;
    struct vkclip_prompt places = {.size = sizeof(places)};
    REFUSED(vkclip_open_conditioner(device, paths, 0, NULL, &conditioner), "at least one path");
    REFUSED(vkclip_open_conditioner(device, paths, 2, NULL, &conditioner),
            "`paths` has 2 strings, of which number 1 is NULL");
    REFUSED(vkclip_open_conditioner(device, paths, 1, WITHOUT_SIZE(vkclip_conditioner_params),
                                    &conditioner),
            SIZE_OF(vkclip_conditioner_params));
    REFUSED(vkclip_open_conditioner(device, paths, 1,
                                    WITH(vkclip_conditioner_params, .precision = 2), &conditioner),
            "`precision` is 2");
    REFUSED(vkclip_open_conditioner(device, paths, 1,
                                    WITH(vkclip_conditioner_params, .embedding_count = 1),
                                    &conditioner),
            "`embeddings` is NULL");
    REFUSED(vkclip_open_conditioner(
                device, paths, 1, WITH(vkclip_conditioner_params, .vocabs = none, .vocab_count = 1),
                &conditioner),
            "`vocabs` has 1 strings, of which number 0 is NULL");
    REFUSED(vkclip_open_conditioner(device, paths, 1,
                                    WITH(vkclip_conditioner_params, .lora_count = 1), &conditioner),
            "`loras` has 1 entries, of which number 0 has no path");
    assert_null(conditioner);
    assert_int_equal(vkclip_open_conditioner(device, paths, 1, NULL, &conditioner), VKCLIP_OK);
    REFUSED(vkclip_get_conditioner_info(conditioner, NULL), "info");
    REFUSED(vkclip_get_conditioner_info(conditioner, WITHOUT_SIZE(vkclip_conditioner_info)),
            SIZE_OF(vkclip_conditioner_info));
    REFUSED(vkclip_tokenize_condition(conditioner, 0, NULL, NULL, &places), "text");
    REFUSED(vkclip_tokenize_condition(conditioner, 0, "a", NULL, WITHOUT_SIZE(vkclip_prompt)),
            SIZE_OF(vkclip_prompt));
    REFUSED(vkclip_tokenize_condition(conditioner, 0, "a", WITH(vkclip_prompt_params, .syntax = 7),
                                      &places),
            "`syntax` is 7");
    REFUSED(vkclip_condition(conditioner, NULL, &made), "params");
    REFUSED(vkclip_condition(conditioner, WITHOUT_SIZE(vkclip_condition_params), &made),
            SIZE_OF(vkclip_condition_params));
    REFUSED(vkclip_condition(
                conditioner,
                WITH(vkclip_condition_params, .prompts = {&prompt}, .count = 1, .syntax = 6),
                &made),
            "`syntax` is 6");
    REFUSED(vkclip_condition(conditioner,
                             WITH(vkclip_condition_params, .prompts = {none}, .count = 1), &made),
            "`prompts` has 1 strings, of which number 0 is NULL");
    REFUSED(vkclip_condition(conditioner,
                             WITH(vkclip_condition_params, .prompts = {&prompt}, .count = 1,
                                  .negatives = {none}, .negative_count = 1),
                             &made),
            "`negatives` has 1 strings, of which number 0 is NULL");
    assert_null(made);
    vkclip_close_conditioner(&conditioner);
}

static int ignore_folder(void *user, const char *path)
{
    (void)user, (void)path;
    return 0;
}

static int ignore_hit(void *user, const struct vkclip_hit *hit)
{
    (void)user, (void)hit;
    return 0;
}

static int ignore_picture(void *user, const struct vkclip_hit *hit, const float *embed)
{
    (void)user, (void)hit, (void)embed;
    return 0;
}

static int ignore_group(void *user, const struct vkclip_group *group)
{
    (void)user, (void)group;
    return 0;
}

static void indexes(void **state)
{
    (void)state;
    static const char *const with_null[] = {MODEL "/samples", NULL};
    struct vkclip_query_part part = {.kind = VKCLIP_QUERY_TEXT};
    struct vkclip_index *index = NULL;
    struct vkclip_image image;
    char *path = scratch_path(folder, "index.db");
    size_t count;
    bool changed;
    REFUSED(vkclip_open_index(NULL, NULL), "index");
    REFUSED(vkclip_open_index(WITHOUT_SIZE(vkclip_index_params), &index),
            SIZE_OF(vkclip_index_params));
    assert_null(index);
    assert_int_equal(vkclip_open_index(WITH(vkclip_index_params, .path = path), &index), VKCLIP_OK);
    REFUSED(vkclip_get_index_info(index, NULL), "info");
    REFUSED(vkclip_get_index_info(index, WITHOUT_SIZE(vkclip_index_info)),
            SIZE_OF(vkclip_index_info));
    REFUSED(vkclip_list_index_models(index, NULL, 1, &count), "models");
    REFUSED(vkclip_list_index_models(index, WITHOUT_SIZE(vkclip_index_model), 1, &count),
            SIZE_OF(vkclip_index_model));
    REFUSED(vkclip_list_index_folders(NULL, ignore_folder, NULL), "index");
    REFUSED(vkclip_list_index_failures(index, NULL, NULL), "failure");
    REFUSED(vkclip_index_paths(index, NULL, with_null, 1, NULL, NULL), "model");
    REFUSED(vkclip_index_paths(index, model, with_null, 2, NULL, NULL),
            "`paths` has 2 strings, of which number 1 is NULL");
    REFUSED(
        vkclip_index_paths(index, model, with_null, 1, WITHOUT_SIZE(vkclip_update_params), NULL),
        SIZE_OF(vkclip_update_params));
    REFUSED(
        vkclip_index_paths(index, model, with_null, 1, NULL, WITHOUT_SIZE(vkclip_update_result)),
        SIZE_OF(vkclip_update_result));
    REFUSED(vkclip_watch_index(NULL, 0, &changed), "index");
    REFUSED(vkclip_watch_index(index, NAN, &changed), "a number of seconds");
    REFUSED(vkclip_remove_indexed(index, with_null, 2, NULL),
            "`paths` has 2 strings, of which number 1 is NULL");
    REFUSED(vkclip_prune_index(NULL, NULL), "index");
    REFUSED(vkclip_add_hnsw_index(NULL), "index");
    REFUSED(vkclip_export_index(index, model, NULL, NULL), "folder");
    REFUSED(vkclip_import_rclip(index, model, NULL, NULL, NULL, NULL), "database");
    REFUSED(vkclip_import_rclip(index, model, path, NULL, NULL, WITHOUT_SIZE(vkclip_import_result)),
            SIZE_OF(vkclip_import_result));
    REFUSED(vkclip_search(index, model, WITHOUT_SIZE(vkclip_search_params), ignore_hit, NULL),
            SIZE_OF(vkclip_search_params));
    REFUSED(vkclip_search(index, model, WITH(vkclip_search_params, .top = 1), ignore_hit, NULL),
            "no part");
    REFUSED(
        vkclip_search(index, model, WITH(vkclip_search_params, .part_count = 1), ignore_hit, NULL),
        "`parts` is NULL");
    REFUSED(vkclip_search(index, model, WITH(vkclip_search_params, .parts = &part, .part_count = 1),
                          ignore_hit, NULL),
            "part 0 of the query has no value");
    part = (struct vkclip_query_part){.kind = 4, .value = "a"};
    REFUSED(vkclip_search(index, model, WITH(vkclip_search_params, .parts = &part, .part_count = 1),
                          ignore_hit, NULL),
            "`kind` is 4: expected a value of enum vkclip_query_kind, 0 to 3");
    part.kind = VKCLIP_QUERY_TEXT;
    REFUSED(vkclip_search(index, model,
                          WITH(vkclip_search_params, .parts = &part, .part_count = 1, .sort = 2),
                          ignore_hit, NULL),
            "`sort` is 2: expected a value of enum vkclip_sort, 0 to 1");
    REFUSED(vkclip_upload_index(index, NULL), "model");
    REFUSED(
        vkclip_list_indexed(index, model, WITHOUT_SIZE(vkclip_search_params), ignore_picture, NULL),
        SIZE_OF(vkclip_search_params));
    REFUSED(vkclip_list_indexed(index, model, WITH(vkclip_search_params, .sort = 3), ignore_picture,
                                NULL),
            "`sort` is 3");
    REFUSED(vkclip_load_thumbnail(index, 1, NULL), "image");
    REFUSED(vkclip_load_thumbnail(NULL, 1, &image), "index");
    REFUSED(vkclip_read_thumbnail(index, 1, NULL, NULL), "function");
    REFUSED(vkclip_read_embedding(index, model, 1, NULL), "embedding");
    REFUSED(vkclip_find_indexed(index, 1, NULL, NULL), "hit function");
    REFUSED(vkclip_open_indexed(index, 1, NULL, NULL), "file");
    REFUSED(vkclip_find_duplicates(index, NULL, WITHOUT_SIZE(vkclip_duplicates_params),
                                   ignore_group, NULL),
            SIZE_OF(vkclip_duplicates_params));
    REFUSED(vkclip_find_duplicates(index, NULL, NULL, NULL, NULL), "group");
    REFUSED(vkclip_forget_duplicates(index, "a", NULL), "two pictures");
    vkclip_close_index(&index);
    free(path);
}

/* Writes a table of pairs, and opens a run that begins with it, without a device. */
static struct vkclip_trainer *open_trainer(const char *output, const char *data)
{
    struct vkclip_trainer *trainer = NULL;
    char *samples = realpath(MODEL "/samples", NULL);
    FILE *file = fopen(data, "w");
    assert_true(samples && file);
    fprintf(file, "filepath\ttitle\n%s/owl.png\ta\n%s/pizza.png\tb\n", samples, samples);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(
        vkclip_open_trainer(NULL,
                            WITH(vkclip_trainer_params, .model = MODEL, .data = &data,
                                 .data_count = 1, .output = output, .batch_size = 2, .steps = 1),
                            &trainer),
        VKCLIP_OK);
    free(samples);
    return trainer;
}

static void trainers(void **state)
{
    (void)state;
    char *output = scratch_path(folder, "run"), *data = scratch_path(folder, "pairs.tsv");
    static const char *const none[] = {NULL};
    struct vkclip_trainer *trainer = NULL;
    REFUSED(vkclip_open_trainer(device, NULL, &trainer), "params");
    REFUSED(vkclip_open_trainer(device, WITHOUT_SIZE(vkclip_trainer_params), &trainer),
            SIZE_OF(vkclip_trainer_params));
    REFUSED(vkclip_open_trainer(
                device, WITH(vkclip_trainer_params, .output = output, .precision = 5), &trainer),
            "`precision` is 5");
    REFUSED(vkclip_open_trainer(
                device, WITH(vkclip_trainer_params, .output = output, .activation = 6), &trainer),
            "`activation` is 6");
    REFUSED(vkclip_open_trainer(device, WITH(vkclip_trainer_params, .output = output, .loss = 3),
                                &trainer),
            "`loss` is 3: expected a value of enum vkclip_loss, 0 to 2");
    REFUSED(vkclip_open_trainer(
                device, WITH(vkclip_trainer_params, .output = output, .lr_scheduler = 3), &trainer),
            "`lr_scheduler` is 3: expected a value of enum vkclip_lr_scheduler, 0 to 2");
    REFUSED(vkclip_open_trainer(
                device,
                WITH(vkclip_trainer_params, .output = output, .data = none, .data_count = 1),
                &trainer),
            "`data` has 1 strings, of which number 0 is NULL");
    REFUSED(vkclip_open_trainer(device,
                                WITH(vkclip_trainer_params, .output = output, .template_count = 2),
                                &trainer),
            "`templates` is NULL: expected 2 strings");
    assert_null(trainer);
    assert_false(folder_exists(output));
    trainer = open_trainer(output, data);
    REFUSED(vkclip_get_trainer_info(trainer, NULL), "info");
    REFUSED(vkclip_get_trainer_info(trainer, WITHOUT_SIZE(vkclip_trainer_info)),
            SIZE_OF(vkclip_trainer_info));
    REFUSED(vkclip_measure_trainer(trainer, true, NULL), "memory");
    REFUSED(vkclip_measure_trainer(trainer, true, WITHOUT_SIZE(vkclip_trainer_memory)),
            SIZE_OF(vkclip_trainer_memory));
    REFUSED(vkclip_check_trainer_memory(trainer, NULL), "device");
    REFUSED(vkclip_train_step(trainer, NULL), "device");
    REFUSED(vkclip_validate_trainer(trainer, NULL), "device");
    REFUSED(vkclip_save_trainer(NULL, NULL, 0), "device");
    REFUSED(vkclip_save_trained_model(NULL), "device");
    vkclip_close_trainer(&trainer);
    free(output);
    free(data);
}

/* The device is not the application's, and nothing is lent. */
static void lent_devices_and_pictures(void **state)
{
    struct vkclip_vulkan_wants wants = {.size = sizeof(wants)};
    struct vkclip_device *made = NULL;
    const struct vkclip_vulkan_device *nothing =
        WITH(vkclip_vulkan_device, .api_version = VK_API_VERSION_1_1);
    float embeds[D];
    (void)state;
    REFUSED(vkclip_get_vulkan_wants(NULL, &wants), "device and wants expected");
    REFUSED(vkclip_get_vulkan_wants(nothing, NULL), "device and wants expected");
    REFUSED(vkclip_get_vulkan_wants(nothing, &wants), "`instance`");
    REFUSED(vkclip_get_vulkan_wants(nothing, WITHOUT_SIZE(vkclip_vulkan_wants)),
            SIZE_OF(vkclip_vulkan_wants));
    REFUSED(vkclip_get_vulkan_wants(WITHOUT_SIZE(vkclip_vulkan_device), &wants),
            SIZE_OF(vkclip_vulkan_device));
    REFUSED(vkclip_open_vulkan_device(NULL, nothing, NULL), "device expected");
    REFUSED(vkclip_open_vulkan_device(NULL, NULL, &made), "lent and device expected");
    REFUSED(vkclip_open_vulkan_device(NULL, nothing, &made), "`instance`");
    REFUSED(vkclip_open_vulkan_device(NULL, WITHOUT_SIZE(vkclip_vulkan_device), &made),
            SIZE_OF(vkclip_vulkan_device));
    REFUSED(vkclip_open_vulkan_device(WITHOUT_SIZE(vkclip_device_params), nothing, &made),
            SIZE_OF(vkclip_device_params));
    assert_null(made);
    REFUSED(vkclip_encode_vulkan_images(NULL, WITH(vkclip_vulkan_image, .x = 1), 1, NULL, embeds),
            "model");
    REFUSED(vkclip_encode_vulkan_images(model, NULL, 1, NULL, embeds), "expected");
    REFUSED(vkclip_encode_vulkan_images(model, WITHOUT_SIZE(vkclip_vulkan_image), 1, NULL, embeds),
            SIZE_OF(vkclip_vulkan_image));
    REFUSED(vkclip_encode_vulkan_images(model, WITH(vkclip_vulkan_image, .x = 1), 1, NULL, embeds),
            "vkclip_open_vulkan_device");
    REFUSED(
        vkclip_encode_vulkan_buffers(NULL, WITH(vkclip_vulkan_buffer, .width = 1), 1, NULL, embeds),
        "model");
    REFUSED(vkclip_encode_vulkan_buffers(model, NULL, 1, NULL, embeds), "expected");
    REFUSED(
        vkclip_encode_vulkan_buffers(model, WITHOUT_SIZE(vkclip_vulkan_buffer), 1, NULL, embeds),
        SIZE_OF(vkclip_vulkan_buffer));
    REFUSED(vkclip_encode_vulkan_buffers(model, WITH(vkclip_vulkan_buffer, .width = 1), 1, NULL,
                                         embeds),
            "vkclip_open_vulkan_device");
}

/* What finds models by name has no errors: a name that is none, also NULL, finds nothing. */
static void unknown_names_find_nothing(void **state)
{
    static const char *const names[] = {NULL, "",        ":", "@", "/", "nothing:at-all",
                                        "..", "a/../b@c"};
    (void)state;
    assert_null(vkclip_get_hub_model(SIZE_MAX));
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        assert_null(vkclip_find_hub_model(names[i]));
        assert_false(vkclip_has_cached_model(names[i], NULL));
        assert_false(vkclip_has_cached_model(names[i], folder));
        assert_false(vkclip_has_cached_model(names[i], "/nothing/there"));
    }
    assert_false(vkclip_has_cached_model("openai/clip-vit-base-patch32", folder));
}

/* The tests above call every function that can refuse an argument. */
static void every_function_was_called(void **state)
{
    (void)state;
    for (const struct declaration *entry = declarations_today; entry->kind; entry++) {
        const size_t length = strlen(entry->name);
        bool called = false;
        if (entry->kind != DECLARATION_FUNCTION || strncmp(entry->type, "int (", 5) ||
            !strcmp(entry->type, "int (void)") ||
            (length > 3 && !strcmp(entry->name + length - 3, "_fn")))
            continue;
        for (size_t i = 0; i < call_count && !called; i++)
            called = !strncmp(calls[i], entry->name, length) && calls[i][length] == '(';
        if (!called)
            fail_msg("no test calls %s", entry->name);
    }
    assert_true(call_count > 120);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(null_among_items_is_an_items_error),
        cmocka_unit_test(devices),
        cmocka_unit_test(models),
        cmocka_unit_test(texts),
        cmocka_unit_test(empty_texts_are_texts),
        cmocka_unit_test(pictures),
        cmocka_unit_test(jobs),
        cmocka_unit_test(probes),
        cmocka_unit_test(conditioners),
        cmocka_unit_test(indexes),
        cmocka_unit_test(trainers),
        cmocka_unit_test(lent_devices_and_pictures),
        cmocka_unit_test(unknown_names_find_nothing),
        cmocka_unit_test(every_function_was_called),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
