/* SPDX-License-Identifier: MIT
 *
 * Compares features of both towers with the hidden states of the reference data: each layer, with
 * and without the last norm, the projection and the class token, and the presets.
 */
#include "support/testing.h"

#include <math.h>

#include "support/open_device.h"
#include "format/safetensors.h"
#include "support/read_floats.h"

#define RELATIVE 1e-4

/* One comparison: the features of a model for the inputs of a file, and what they must be. */
struct features_case {
    const char *features; /* as vkclip_parse_features reads them */
    const char *expected; /* a tensor of the file */
    uint32_t skip;        /* tokens of that tensor which the features leave out */
};

static void compare(const struct features_case *row, const struct tensor_view *expected,
                    const float *found, const size_t shape[2])
{
    const size_t tokens = expected->rank == 3 ? (size_t)expected->shape[1] - row->skip : 1;
    double worst = 0, largest = 0;
    assert_int_equal(shape[0], tokens);
    assert_int_equal(shape[1], expected->shape[expected->rank - 1]);
    for (size_t n = 0; n < expected->shape[0]; n++)
        for (size_t i = 0; i < tokens * shape[1]; i++) {
            const size_t item = (tokens + row->skip) * shape[1];
            const double value = tensor_view_value(expected, n * item + row->skip * shape[1] + i);
            const double difference = found[n * tokens * shape[1] + i] - value;
            worst = fmax(worst, isfinite(difference) ? fabs(difference) : INFINITY);
            largest = fmax(largest, fabs(value));
        }
    if (!(worst <= RELATIVE * largest))
        fail_msg("%s: relative error %.3g to %s", row->features, worst / largest, row->expected);
}

static void check_row(struct vkclip_model *model, const struct safetensors *file,
                      const struct features_case *row)
{
    const struct tensor_view *expected = safetensors_find(file, row->expected);
    const bool text = !strncmp(row->expected, "text", 4);
    const struct tensor_view *input = safetensors_find(file, text ? "input_ids" : "pixel_values");
    struct vkclip_features features;
    const struct vkclip_encode_params params = {.size = sizeof(params), .features = &features};
    size_t shape[2];
    assert_non_null(expected);
    assert_non_null(input);
    const size_t count = (size_t)input->shape[0];
    assert_int_equal(vkclip_parse_features(row->features, &features), VKCLIP_OK);
    assert_int_equal(vkclip_get_features_shape(model, text ? VKCLIP_TOWER_TEXT : VKCLIP_TOWER_IMAGE,
                                               &features, 0, shape),
                     VKCLIP_OK);
    float *found = malloc(count * shape[0] * shape[1] * sizeof(*found));
    int error;
    assert_non_null(found);
    if (text) {
        error = vkclip_encode_tokens(model, (const int32_t *)(const void *)input->data, count,
                                     (size_t)input->shape[1], &params, found);
    } else {
        float *pixels = read_floats(input);
        error = vkclip_encode_pixels(model, pixels, count, &params, found);
        free(pixels);
    }
    if (error)
        fail_msg("%s: %s", row->features, vkclip_last_error());
    compare(row, expected, found, shape);
    free(found);
}

/* Skips what is not there, and returns NULL then. */
static struct vkclip_model *open_case(const char *model_path, const char *file_path,
                                      struct safetensors **file)
{
    char *path = golden_path(model_path), *data = golden_path(file_path);
    const struct vkclip_model_params params = {.size = sizeof(params), .max_batch = 2};
    struct vkclip_model *model = NULL;
    if (path && data) {
        assert_int_equal(safetensors_open(data, file), VKCLIP_OK);
        if (vkclip_open_model(device, path, &params, &model))
            fail_msg("%s", vkclip_last_error());
    } else {
        printf("skipped: reference data %s is not here\n", model_path);
    }
    free(path);
    free(data);
    return model;
}

/* hf-vit has two blocks in each tower. */
static const struct features_case vit_cases[] = {
    {"0", "vision.hidden.0", 0},
    {"-3", "vision.hidden.0", 0},
    {"-2", "vision.hidden.1", 0},
    {"ip-adapter-plus", "vision.hidden.1", 0},
    {"llava", "vision.hidden.1", 1},
    {"2,no-class,no-norm", "vision.hidden.2", 1},
    {"-1,norm,pooled", "vision.pooled", 0},
    {"ip-adapter", "vision.projected", 0},
    {"0", "text.hidden.0", 0},
    {"1", "text.hidden.1", 0},
    {"-1", "text.hidden.2", 0},
    {"-1,norm", "text.final_norm", 0},
    {"-1,pooled,norm", "text.pooled", 0},
    {"-1,norm,pooled,projected", "text.projected", 0},
};

static void features_are_hidden_states(void **state)
{
    struct safetensors *file = NULL;
    struct vkclip_model *model =
        open_case("models/hf-vit", "models/openai-vit/case.safetensors", &file);
    (void)state;
    for (size_t i = 0; model && i < ARRAY_COUNT(vit_cases); i++)
        check_row(model, file, &vit_cases[i]);
    vkclip_close_model(&model);
    safetensors_close(&file);
}

/* These are results of transformers' LlavaModel and of diffusers' encode_image. */
static const struct features_case reference_cases[] = {
    {"llava", "llava.feature", 0},
    {"ip-adapter", "ip_adapter.image_embeds", 0},
    {"ip-adapter-plus", "ip_adapter_plus.hidden", 0},
    {"-1", "last_hidden_raw", 0},
};

static void presets_match_their_programs(void **state)
{
    struct safetensors *file = NULL;
    struct vkclip_model *model = open_case("conditioning/vision/image_encoder",
                                           "conditioning/vision/case.safetensors", &file);
    (void)state;
    for (size_t i = 0; model && i < ARRAY_COUNT(reference_cases); i++)
        check_row(model, file, &reference_cases[i]);
    vkclip_close_model(&model);
    safetensors_close(&file);
}

/* An item function gets the same features one by one, from a window that has fewer places than
 * there are pictures. */
struct taken {
    const float *expected;
    size_t size, count;
};

static int take_item(void *user, const struct vkclip_item *item)
{
    struct taken *taken = user;
    assert_int_equal(item->error, VKCLIP_OK);
    assert_int_equal(item->index, taken->count++);
    assert_memory_equal(item->embed, taken->expected, taken->size * sizeof(float));
    return 0;
}

static void items_get_features(void **state)
{
    enum { COUNT = 3 };
    struct safetensors *file = NULL;
    struct vkclip_model *model =
        open_case("models/hf-vit", "models/openai-vit/case.safetensors", &file);
    const struct vkclip_features features = {.layer = -2, .no_class = true};
    struct vkclip_encode_params params = {.size = sizeof(params), .features = &features};
    size_t shape[2];
    (void)state;
    assert_non_null(model);
    assert_int_equal(vkclip_get_features_shape(model, VKCLIP_TOWER_IMAGE, &features, 0, shape), 0);
    const size_t size = shape[0] * shape[1];
    const size_t pixels = safetensors_find(file, "pixel_values")->size /
                          safetensors_find(file, "pixel_values")->shape[0] / sizeof(float);
    float *inputs = calloc(COUNT * pixels, sizeof(*inputs));
    float *expected = calloc(COUNT * size, sizeof(*expected));
    struct taken taken = {.expected = expected, .size = size};
    assert_int_equal(vkclip_encode_pixels(model, inputs, COUNT, &params, expected), VKCLIP_OK);
    params.item = take_item;
    params.user = &taken;
    assert_int_equal(vkclip_encode_pixels(model, inputs, COUNT, &params, NULL), VKCLIP_OK);
    assert_int_equal(taken.count, COUNT);
    free(inputs);
    free(expected);
    vkclip_close_model(&model);
    safetensors_close(&file);
}

static int ignore_hidden(void *user, const char *name, const float *data, const size_t *shape,
                         size_t rank, size_t first, size_t items)
{
    (void)user, (void)name, (void)data, (void)shape, (void)rank, (void)first, (void)items;
    return 0;
}

static void unknown_words_are_refused(void **state)
{
    static const char *const bad[] = {"",        "x",       "-2,",      "llava,clas", "1.5",
                                      "-2 norm", "2000000", ",no-norm", "-2,,norm"};
    struct vkclip_features features;
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        assert_int_equal(vkclip_parse_features(bad[i], &features), VKCLIP_EINVALID);
        assert_non_null(strstr(vkclip_last_error(), "expected a layer's number, llava"));
    }
    assert_int_equal(vkclip_parse_features("ip-adapter,no-norm", &features), VKCLIP_OK);
    assert_false(features.norm);
    assert_true(features.pooled && features.projected);
    assert_int_equal(features.layer, -1);
}

static void impossible_features_are_refused(void **state)
{
    static const struct {
        const char *model;
        enum vkclip_tower tower;
        struct vkclip_features features;
        int error;
        const char *message;
    } rows[] = {
        {"models/hf-vit", VKCLIP_TOWER_IMAGE, {.layer = 3}, VKCLIP_EINVALID, "expected 0 to 2"},
        {"models/hf-vit", VKCLIP_TOWER_IMAGE, {.layer = -4}, VKCLIP_EINVALID, "-3 for the first"},
        {"models/hf-vit", VKCLIP_TOWER_TEXT, {.no_class = true}, VKCLIP_EINVALID, "class token"},
        {"models/hf-vit",
         VKCLIP_TOWER_IMAGE,
         {.no_class = true, .pooled = true},
         VKCLIP_EINVALID,
         "pooled token alone"},
        {"models/openai-rn/model.safetensors",
         VKCLIP_TOWER_IMAGE,
         {.layer = -1},
         VKCLIP_EUNSUPPORTED,
         "no layers of tokens"},
        {"models/sd-text/text_encoder", VKCLIP_TOWER_IMAGE, {0}, VKCLIP_EABSENT, "no image tower"},
        {"models/sd-text/text_encoder",
         VKCLIP_TOWER_TEXT,
         {.projected = true},
         VKCLIP_EABSENT,
         "no projection"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        char *path = golden_path(rows[i].model);
        struct vkclip_model *model = NULL;
        size_t shape[2];
        assert_int_equal(vkclip_open_model(NULL, path, NULL, &model), VKCLIP_OK);
        assert_int_equal(
            vkclip_get_features_shape(model, rows[i].tower, &rows[i].features, 0, shape),
            rows[i].error);
        if (!strstr(vkclip_last_error(), rows[i].message))
            fail_msg("'%s' expected in: %s", rows[i].message, vkclip_last_error());
        vkclip_close_model(&model);
        free(path);
    }
}

static void features_exclude_hidden_states(void **state)
{
    char *path = golden_path("models/hf-vit");
    const struct vkclip_features features = {.layer = -1};
    const struct vkclip_encode_params params = {
        .size = sizeof(params), .features = &features, .hidden = ignore_hidden};
    struct vkclip_model *model = NULL;
    float pixel = 0;
    (void)state;
    assert_int_equal(vkclip_open_model(device, path, NULL, &model), VKCLIP_OK);
    assert_int_equal(vkclip_encode_pixels(model, &pixel, 1, &params, &pixel), VKCLIP_EINVALID);
    assert_non_null(strstr(vkclip_last_error(), "not both"));
    vkclip_close_model(&model);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unknown_words_are_refused),
        cmocka_unit_test(impossible_features_are_refused),
        cmocka_unit_test(features_are_hidden_states),
        cmocka_unit_test(presets_match_their_programs),
        cmocka_unit_test(items_get_features),
        cmocka_unit_test(features_exclude_hidden_states),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
