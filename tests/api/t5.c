/* SPDX-License-Identifier: MIT
 *
 * Compares encoders of T5, mT5 and UMT5 with the reference data: every hidden state, with and
 * without a mask, on the device that the environment names.
 */
#include "base/array.h"
#include "base/string.h"
#include "support/testing.h"

#include <math.h>

#include "support/open_device.h"
#include "format/safetensors.h"

/* The largest error in fp32 as a share of a tensor's largest absolute value. The reference's own
 * fp32 is within 1e-6. */
#define RELATIVE 1e-5

static const struct {
    const char *model, *inputs;
} cases[] = {
    {"single/t5xxl_fp16.safetensors", "single/t5xxl_fp16_case.safetensors"},
    {"t5-v1_1", "t5-v1_1/case_16.safetensors"},
    {"t5-v1_1", "t5-v1_1/case_77.safetensors"},
    {"t5-v1_1", "t5-v1_1/case_256.safetensors"},
    {"t5-v1_0", "t5-v1_0/case_16.safetensors"},
    {"t5-v1_0", "t5-v1_0/case_77.safetensors"},
    {"t5-v1_0", "t5-v1_0/case_256.safetensors"},
    {"mt5-bf16", "mt5-bf16/case_16.safetensors"},
    {"mt5-bf16", "mt5-bf16/case_77.safetensors"},
    {"mt5-bf16", "mt5-bf16/case_256.safetensors"},
    {"umt5-f16", "umt5-f16/case_16.safetensors"},
    {"umt5-f16", "umt5-f16/case_77.safetensors"},
    {"umt5-f16", "umt5-f16/case_256.safetensors"},
    {"t5-v1_1-full-f16", "t5-v1_1-full-f16/case_16.safetensors"},
    {"single/t5xxl_fp8_e4m3fn.safetensors", "single/t5xxl_fp8_e4m3fn_case.safetensors"},
    {"single/t5xxl_fp8_e4m3fn_scaled.safetensors",
     "single/t5xxl_fp8_e4m3fn_scaled_case.safetensors"},
    {"single/umt5_xxl_fp8_e4m3fn_scaled.safetensors",
     "single/umt5_xxl_fp8_e4m3fn_scaled_case.safetensors"},
    {"gguf/t5_f16.gguf", "gguf/t5_f16_case.safetensors"},
    {"gguf/t5_q4_k.gguf", "gguf/t5_q4_k_case.safetensors"},
    {"gguf/t5_q5_k_hfnames.gguf", "gguf/t5_q5_k_hfnames_case.safetensors"},
    {"gguf/t5_q6_k.gguf", "gguf/t5_q6_k_case.safetensors"},
    {"gguf/t5_q8_0.gguf", "gguf/t5_q8_0_case.safetensors"},
    {"gguf/umt5_q8_0.gguf", "gguf/umt5_q8_0_case.safetensors"},
};

struct comparison {
    const struct safetensors *expected;
    const char *prefix; /* of the expected tensors: "masked" or "nomask" */
    double least_cosine, largest_error;
    size_t compared; /* number of tensors */
};

/* Is a vkclip_hidden_fn. */
static int compare_hidden(void *user, const char *name, const float *data, const size_t *shape,
                          size_t rank, size_t first, size_t items)
{
    struct comparison *comparison = user;
    char *key = string_format("%s.%s", comparison->prefix, name + strlen("text."));
    const struct tensor_view *expected = safetensors_find(comparison->expected, key);
    free(key);
    if (!expected)
        return 0;
    assert_int_equal(rank, 3);
    assert_true(shape[1] == expected->shape[1] && shape[2] == expected->shape[2]);
    const uint64_t row = shape[1] * shape[2], count = items * row;
    double worst = 0, largest = 0, dot = 0, a = 0, b = 0;
    for (uint64_t i = 0; i < count; i++) {
        const double x = data[i], y = tensor_view_value(expected, first * row + i);
        worst = fmax(worst, isfinite(x) ? fabs(x - y) : INFINITY);
        largest = fmax(largest, fabs(y));
        dot += x * y, a += x * x, b += y * y;
    }
    comparison->least_cosine = fmin(comparison->least_cosine, dot / sqrt(a * b));
    comparison->largest_error = fmax(comparison->largest_error, worst / largest);
    comparison->compared += first == 0;
    return 0;
}

/* Encodes the inputs of a case with or without its mask and compares all that the case has. */
static struct comparison run_case(struct vkclip_model *model, const struct safetensors *file,
                                  bool masked)
{
    const struct tensor_view *ids = safetensors_find(file, "input_ids");
    const struct tensor_view *mask = safetensors_find(file, "attention_mask");
    struct comparison comparison = {
        .expected = file, .prefix = masked ? "masked" : "nomask", .least_cosine = 1};
    const struct vkclip_encode_params params = {.size = sizeof(params),
                                                .hidden = compare_hidden,
                                                .user = &comparison,
                                                .attention_mask = masked ? mask->data : NULL};
    struct vkclip_model_info info = {.size = sizeof(info)};
    assert_int_equal(vkclip_get_model_info(model, &info), VKCLIP_OK);
    float *embeds = calloc(ids->shape[0], info.text_embed_dim * sizeof(*embeds));
    assert_non_null(embeds);
    if (vkclip_encode_tokens(model, ids->data, ids->shape[0], ids->shape[1], &params, embeds))
        fail_msg("%s", vkclip_last_error());
    free(embeds);
    return comparison;
}

static size_t count_expected(const struct safetensors *file, const char *prefix)
{
    size_t count = 0;
    for (size_t i = 0; i < file->count; i++)
        count += string_begins_with(file->tensors[i].name, prefix);
    return count;
}

/* Opens a model and the inputs of a case; false where the reference data is not here. */
static bool open_case(size_t number, const struct vkclip_model_params *params,
                      struct vkclip_model **model, struct safetensors **inputs)
{
    char name[96], inputs_name[96];
    snprintf(name, sizeof(name), "conditioning/t5/%s", cases[number].model);
    snprintf(inputs_name, sizeof(inputs_name), "conditioning/t5/%s", cases[number].inputs);
    char *path = golden_path(name), *inputs_path = golden_path(inputs_name);
    const bool found = path && inputs_path;
    if (!found)
        printf("skipped: reference data %s is not here\n", inputs_name);
    if (found && vkclip_open_model(device, path, params, model))
        fail_msg("%s", vkclip_last_error());
    if (found)
        assert_int_equal(safetensors_open(inputs_path, inputs), VKCLIP_OK);
    free(path);
    free(inputs_path);
    return found;
}

/* Batches of two leave the last one half empty. */
static void fp32_matches_the_reference(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        const struct vkclip_model_params params = {.size = sizeof(params),
                                                   .max_batch = i % 2 ? 2 : 8};
        struct vkclip_model *model = NULL;
        struct safetensors *inputs = NULL;
        if (!open_case(i, &params, &model, &inputs))
            continue;
        for (int masked = 0; masked < 2; masked++) {
            const struct comparison result = run_case(model, inputs, masked);
            assert_int_equal(result.compared, count_expected(inputs, result.prefix));
            if (result.largest_error > RELATIVE)
                fail_msg("%s, %s: relative error %.3g, expected at most %g", cases[i].inputs,
                         result.prefix, result.largest_error, RELATIVE);
        }
        vkclip_close_model(&model);
        safetensors_close(&inputs);
    }
}

/* Is a vkclip_hidden_fn that keeps a tensor. */
static int keep_final_norm(void *user, const char *name, const float *data, const size_t *shape,
                           size_t rank, size_t first, size_t items)
{
    (void)rank;
    (void)first;
    if (!strcmp(name, "text.final_norm"))
        memcpy(user, data, items * shape[1] * shape[2] * sizeof(*data));
    return 0;
}

/* Blocks that take turns in two slots give the same bits as blocks that stay on the device, also
 * where two runs follow each other and for a run that ends at an earlier block. */
static void streamed_blocks_give_the_same_bits(void **state)
{
    (void)state;
    const size_t numbers[] = {0, 1,
                              10}; /* of two and three blocks, with shared and own positions */
    for (size_t i = 0; i < ARRAY_COUNT(numbers); i++) {
        float *found[2] = {NULL, NULL}, *early[2] = {NULL, NULL};
        size_t bytes = 0;
        struct safetensors *inputs = NULL;
        for (int stream = 0; stream < 2; stream++) {
            const struct vkclip_model_params params = {
                .size = sizeof(params), .stream = stream, .max_batch = 2};
            const struct vkclip_features features = {.layer = 1};
            struct vkclip_model *model = NULL;
            safetensors_close(&inputs);
            if (!open_case(numbers[i], &params, &model, &inputs))
                break;
            const struct tensor_view *ids = safetensors_find(inputs, "input_ids");
            const struct tensor_view *like = safetensors_find(inputs, "masked.final_norm");
            const size_t rows = ids->shape[0], length = ids->shape[1];
            bytes = tensor_view_elements(like) * sizeof(float);
            found[stream] = malloc(bytes);
            early[stream] = malloc(bytes);
            float *embeds = malloc(bytes);
            assert_true(found[stream] && early[stream] && embeds);
            const struct vkclip_encode_params whole = {
                .size = sizeof(whole), .hidden = keep_final_norm, .user = found[stream]};
            const struct vkclip_encode_params part = {.size = sizeof(part), .features = &features};
            for (int run = 0; run < 2; run++) {
                /* Only the first two rows are kept, because the last batch overwrites them. */
                assert_int_equal(vkclip_encode_tokens(model, ids->data, rows < 2 ? rows : 2, length,
                                                      &whole, embeds),
                                 0);
                assert_int_equal(
                    vkclip_encode_tokens(model, ids->data, rows, length, &part, early[stream]), 0);
            }
            bytes = bytes / rows * (rows < 2 ? rows : 2);
            free(embeds);
            vkclip_close_model(&model);
        }
        if (found[1]) {
            assert_memory_equal(found[0], found[1], bytes);
            assert_memory_equal(early[0], early[1], bytes);
        }
        for (int stream = 0; stream < 2; stream++) {
            free(found[stream]);
            free(early[stream]);
        }
        safetensors_close(&inputs);
    }
}

/* The last layer after the norm, which is what diffusion models take, without all others. */
static void features_are_the_last_norm(void **state)
{
    (void)state;
    const struct vkclip_features features = {.layer = -1, .norm = true};
    struct vkclip_model *model = NULL;
    struct safetensors *inputs = NULL;
    if (!open_case(0, NULL, &model, &inputs))
        return;
    const struct tensor_view *ids = safetensors_find(inputs, "input_ids");
    const struct tensor_view *expected = safetensors_find(inputs, "nomask.final_norm");
    const struct vkclip_encode_params params = {.size = sizeof(params), .features = &features};
    const uint64_t count = tensor_view_elements(expected);
    float *found = calloc(count, sizeof(*found));
    assert_non_null(found);
    if (vkclip_encode_tokens(model, ids->data, ids->shape[0], ids->shape[1], &params, found))
        fail_msg("%s", vkclip_last_error());
    double worst = 0, largest = 0;
    for (uint64_t i = 0; i < count; i++) {
        const double y = tensor_view_value(expected, i);
        worst = fmax(worst, fabs((double)found[i] - y));
        largest = fmax(largest, fabs(y));
    }
    assert_true(largest > 0 && worst <= RELATIVE * largest);
    free(found);
    vkclip_close_model(&model);
    safetensors_close(&inputs);
}

/* Smaller weights stay close to the reference. With f16 asked for, only the weights are f16. */
static void smaller_weights_are_close(void **state)
{
    (void)state;
    struct {
        struct vkclip_model_params params;
        double cosine;
    } kinds[] = {{{.weights = VKCLIP_WEIGHTS_F16}, 0.99999},
                 {{.precision = VKCLIP_PRECISION_F16}, 0.99999},
                 {{.weights = VKCLIP_WEIGHTS_Q8}, 0.998},
                 {{.weights = VKCLIP_WEIGHTS_Q4}, 0.9}};
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        struct vkclip_model *model = NULL;
        struct safetensors *inputs = NULL;
        struct vkclip_model_info info = {.size = sizeof(info)};
        kinds[i].params.size = sizeof(kinds[i].params);
        if (!open_case(0, &kinds[i].params, &model, &inputs))
            continue;
        assert_int_equal(vkclip_get_model_info(model, &info), VKCLIP_OK);
        assert_int_equal(info.precision, VKCLIP_PRECISION_F32);
        const struct comparison result = run_case(model, inputs, true);
        if (!(result.least_cosine >= kinds[i].cosine))
            fail_msg("kind %zu: cosine %.6f, expected at least %g", i, result.least_cosine,
                     kinds[i].cosine);
        vkclip_close_model(&model);
        safetensors_close(&inputs);
    }
}

static void what_t5_refuses(void **state)
{
    (void)state;
    struct vkclip_model *model = NULL;
    struct safetensors *inputs = NULL;
    int32_t ids[513] = {0};
    float embeds[2][32], image[3] = {0};
    if (!open_case(0, NULL, &model, &inputs))
        return;
    assert_int_equal(vkclip_encode_tokens(model, ids, 1, 513, NULL, embeds[0]), VKCLIP_ETOOLONG);
    ids[3] = 1120;
    assert_int_equal(vkclip_encode_tokens(model, ids, 1, 5, NULL, embeds[0]), VKCLIP_EINVALID);
    assert_non_null(strstr(vkclip_last_error(), "token id 1120 at position 3, expected 0 to 1119"));
    assert_int_equal(vkclip_encode_pixels(model, image, 1, NULL, embeds[0]), VKCLIP_EABSENT);
    /* A mask without any token leaves every key with the same weight, as in transformers. */
    const int32_t masks[10] = {0};
    const struct vkclip_encode_params params = {.size = sizeof(params), .attention_mask = masks};
    memset(ids, 0, sizeof(ids));
    ids[1] = ids[6] = 7;
    assert_int_equal(vkclip_encode_tokens(model, ids, 2, 5, &params, embeds[0]), VKCLIP_OK);
    assert_memory_equal(embeds[0], embeds[1], sizeof(embeds[0]));
    assert_true(isfinite(embeds[0][0]));
    vkclip_close_model(&model);
    safetensors_close(&inputs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fp32_matches_the_reference),
        cmocka_unit_test(features_are_the_last_norm),
        cmocka_unit_test(streamed_blocks_give_the_same_bits),
        cmocka_unit_test(smaller_weights_are_close),
        cmocka_unit_test(what_t5_refuses),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
