/* SPDX-License-Identifier: MIT
 *
 * Weights of 8 bits with scales beside them, and the types of many bits per block, have exactly the
 * values that the reference decoders give.
 */
#define _GNU_SOURCE
#include "base/array.h"
#include "support/scratch.h"
#include "support/sha256.h"
#include "support/weights.h"
#include "checkpoint/scales.h"
#include "checkpoint/weights.h"
#include "format/gguf.h"
#include "format/safetensors.h"

#include <jansson.h>

#define BLOCK "text_model.encoder.layers.0."
#define VIEW(name, type, rank, data, size, ...)     \
    {                                               \
        name, type, rank, {__VA_ARGS__}, data, size \
    }

/* Query, key and value have a scale each; the bias has none. */
static void check_scales(const char *scale_name, const char *input_name, bool described)
{
    static const char description[] =
        "{\"format\": \"float8_e4m3fn\", \"full_precision_matrix_mult\": true}";
    static const uint8_t codes[] = {0x38, 0x40, 0xb8, 0x30}; /* 1, 2, -1, 0.5 */
    static const float values[] = {1, 2, -1, 0.5f}, scales[] = {0.1f, 3, -0.7f};
    static const char *const names[] = {"q", "k", "v"};
    struct tensor_view views[16] = {
        VIEW("scaled_fp8", DTYPE_F8_E4M3, 1, codes, 0, 0),
        VIEW("spiece_model", DTYPE_U8, 1, codes, 4, 4),
        VIEW("text_model.final_layer_norm.weight", DTYPE_F32, 1, values, 16, 4),
    };
    size_t count = 3;
    char *folder = scratch_folder(), *path = scratch_path(folder, "scaled.safetensors");
    char *owned[12];
    for (size_t i = 0; i < 3; i++) {
        char **name = &owned[4 * i];
        name[0] = string_format(BLOCK "self_attn.%s_proj.weight", names[i]);
        name[1] = string_format(BLOCK "self_attn.%s_proj.%s", names[i], scale_name);
        name[2] = string_format(BLOCK "self_attn.%s_proj.%s", names[i], input_name);
        name[3] = string_format(BLOCK "self_attn.%s_proj.comfy_quant", names[i]);
        if (described)
            views[count++] =
                (struct tensor_view)VIEW(name[3], DTYPE_U8, 1, description, sizeof(description) - 1,
                                         sizeof(description) - 1);
        views[count++] = (struct tensor_view)VIEW(name[0], DTYPE_F8_E4M3, 2, codes, 4, 2, 2);
        views[count++] = (struct tensor_view)VIEW(name[1], DTYPE_F32, 0, &scales[i], 4, 0);
        views[count++] = (struct tensor_view)VIEW(name[2], DTYPE_F32, 0, &scales[2], 4, 0);
    }
    assert_int_equal(safetensors_write(path, views, count, NULL), 0);
    struct weights *weights;
    uint64_t found_count;
    if (weights_open(path, &weights))
        fail_msg("%s", vkclip_last_error());
    float *found =
        read_weight(weights, "transformer.resblocks.0.attn.in_proj_weight", &found_count);
    assert_int_equal(found_count, 12);
    for (size_t i = 0; i < 12; i++)
        assert_true(found[i] == values[i % 4] * scales[i / 4]);
    assert_string_equal(weights_name(weights, 0), "ln_final.weight");
    assert_null(weights_name(weights, 2));
    assert_int_equal(weights_parameters(weights), 16);
    free(found);
    weights_close(&weights);
    for (size_t i = 0; i < ARRAY_COUNT(owned); i++)
        free(owned[i]);
    free(path);
    scratch_remove(folder);
}

static void scales_each_part(void **state)
{
    (void)state;
    check_scales("scale_weight", "scale_input", false);
    check_scales("weight_scale", "input_scale", false);
    check_scales("weight_scale", "input_scale", true);
}

static void refuses_bad_scales(void **state)
{
    (void)state;
    static const float data[4] = {1, 1, 1, 1}, infinite = INFINITY;
    static const char nvfp4[] = "{\"format\":\"nvfp4\"}", float8[] = "{\"format\":\"float8_e5m2\"}";
#define WEIGHT VIEW(BLOCK "mlp.fc1.weight", DTYPE_F8_E5M2, 1, data, 4, 4)
    const struct {
        size_t count;
        struct tensor_view views[3];
        int error;
        const char *message;
    } bad[] = {
        {1,
         {VIEW(BLOCK "mlp.fc1.scale_weight", DTYPE_F32, 0, data, 4, 0)},
         VKCLIP_EFORMAT,
         "mlp.fc1.scale_weight: the tensor that it scales is missing"},
        {2,
         {WEIGHT, VIEW(BLOCK "mlp.fc1.scale_weight", DTYPE_F32, 1, data, 8, 2)},
         VKCLIP_EFORMAT,
         "mlp.fc1.scale_weight: expected one number, found 2 of type F32"},
        {2,
         {WEIGHT, VIEW(BLOCK "mlp.fc1.scale_weight", DTYPE_U8, 0, data, 1, 0)},
         VKCLIP_EFORMAT,
         "mlp.fc1.scale_weight: expected one number, found 1 of type U8"},
        {2,
         {WEIGHT, VIEW(BLOCK "mlp.fc1.scale_weight", DTYPE_F32, 0, &infinite, 4, 0)},
         VKCLIP_EFORMAT,
         "mlp.fc1.scale_weight: expected a finite number, found inf"},
        {2,
         {WEIGHT, VIEW(BLOCK "mlp.fc1.comfy_quant", DTYPE_U8, 1, data, 4, 4)},
         VKCLIP_EUNSUPPORTED,
         "mlp.fc1.comfy_quant: weights quantised as none cannot be read, expected F8"},
        {2,
         {WEIGHT, VIEW(BLOCK "mlp.fc1.comfy_quant", DTYPE_U8, 1, nvfp4, sizeof(nvfp4) - 1,
                       sizeof(nvfp4) - 1)},
         VKCLIP_EUNSUPPORTED,
         "mlp.fc1.comfy_quant: weights quantised as nvfp4 cannot be read"},
        {2,
         {WEIGHT, VIEW(BLOCK "mlp.fc1.comfy_quant", DTYPE_U8, 1, float8, sizeof(float8) - 1,
                       sizeof(float8) - 1)},
         VKCLIP_EFORMAT,
         "mlp.fc1.comfy_quant: expected a weight and its weight_scale beside it"},
        {2,
         {WEIGHT, VIEW(BLOCK "mlp.fc1.weight_scale", DTYPE_F32, 2, data, 8, 2, 1)},
         VKCLIP_EFORMAT,
         "mlp.fc1.weight_scale: expected one number, found 2 of type F32"},
        {3,
         {WEIGHT, VIEW(BLOCK "mlp.fc1.weight_scale", DTYPE_F32, 0, data, 4, 0),
          VIEW(BLOCK "mlp.fc1.scale_weight", DTYPE_F32, 0, data, 4, 0)},
         VKCLIP_EFORMAT,
         "fc1.weight has another scale too"},
        {2,
         {WEIGHT, VIEW(BLOCK "mlp.fc1.weight_scale_inv", DTYPE_F32, 2, data, 4, 1, 1)},
         VKCLIP_EUNSUPPORTED,
         "mlp.fc1.weight_scale_inv: weights with such scales cannot be read"},
    };
    char *folder = scratch_folder(), *path = scratch_path(folder, "bad.safetensors");
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        struct weights *weights;
        assert_int_equal(safetensors_write(path, bad[i].views, bad[i].count, NULL), 0);
        assert_failed(weights_open(path, &weights), bad[i].error, bad[i].message);
        assert_null(weights);
    }
    free(path);
    scratch_remove(folder);
}

/* ---- Reference data -------------------------------------------------------------------------- */

/* Returns the path of a file of the larger reference data, or skips the test. */
static char *reference(const char *name)
{
    char *relative = string_format("conditioning/t5/%s", name), *path = golden_path(relative);
    if (!path) {
        print_message("skipped: reference data %s is not here\n", relative);
        free(relative);
        skip();
    }
    free(relative);
    return path;
}

static float *read_view(const struct tensor_view *view)
{
    float *values = calloc(tensor_view_elements(view) + 1, sizeof(*values));
    assert_non_null(values);
    assert_int_equal(tensor_view_read(view, 0, tensor_view_elements(view), values), 0);
    return values;
}

/* Bits are compared, so that zeros have their sign; any two values that are no number are alike. */
static bool same_values(const float *a, const float *b, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        if (memcmp(&a[i], &b[i], sizeof(*a)) && !(isnan(a[i]) && isnan(b[i])))
            return false;
    return true;
}

static void has_the_values_of_all_codes(void **state)
{
    (void)state;
    char *path = reference("single/fp8_codes.safetensors");
    struct safetensors *file;
    uint8_t codes[256];
    assert_int_equal(safetensors_open(path, &file), 0);
    for (int i = 0; i < 256; i++)
        codes[i] = (uint8_t)i;
    for (int five = 0; five < 2; five++) {
        const struct tensor_view view = {
            .dtype = five ? DTYPE_F8_E5M2 : DTYPE_F8_E4M3, .data = codes, .size = sizeof(codes)};
        const struct tensor_view *expected = safetensors_find(file, five ? "e5m2" : "e4m3fn");
        float *expected_values = read_view(expected), *values = read_view(&view);
        assert_true(same_values(values, expected_values, 256));
        free(expected_values), free(values);
    }
    safetensors_close(&file);
    free(path);
}

/* The decoded tensors are called FILE:TENSOR. */
static void decodes_files_of_eight_bits(void **state)
{
    (void)state;
    char *path = reference("single/decoded.safetensors");
    struct safetensors *decoded, *file;
    assert_int_equal(safetensors_open(path, &decoded), 0);
    assert_true(decoded->count > 3);
    for (size_t i = 0; i < decoded->count; i++) {
        const struct tensor_view *expected = &decoded->tensors[i];
        const int length = (int)strcspn(expected->name, ":");
        char *name = string_format("single/%.*s.safetensors", length, expected->name);
        char *stored = reference(name);
        assert_int_equal(safetensors_open(stored, &file), 0);
        assert_int_equal(scales_apply(stored, file->tensors, &file->count), 0);
        const struct tensor_view *view = safetensors_find(file, expected->name + length + 1);
        assert_non_null(view);
        assert_int_equal(tensor_view_elements(view), tensor_view_elements(expected));
        float *expected_values = read_view(expected), *values = read_view(view);
        if (!same_values(values, expected_values, tensor_view_elements(view)))
            fail_msg("%s: differs from the reference", expected->name);
        free(expected_values), free(values);
        safetensors_close(&file);
        free(stored), free(name);
    }
    safetensors_close(&decoded);
    free(path);
}

static void decodes_all_types_of_gguf(void **state)
{
    (void)state;
    static const char *const names[] = {"t5_f16",  "t5_q4_k", "t5_q5_k_hfnames",
                                        "t5_q6_k", "t5_q8_0", "umt5_q8_0"};
    for (size_t f = 0; f < ARRAY_COUNT(names); f++) {
        char gguf_name[64], case_name[64], hash[65];
        snprintf(gguf_name, sizeof(gguf_name), "gguf/%s.gguf", names[f]);
        snprintf(case_name, sizeof(case_name), "gguf/%s_case.json", names[f]);
        char *path = reference(gguf_name), *case_path = reference(case_name);
        json_t *root = json_load_file(case_path, 0, NULL);
        const json_t *hashes = json_object_get(root, "sha256_of_f32_values");
        struct gguf *file;
        assert_int_equal(gguf_open(path, &file), 0);
        assert_true(file->count >= 12 && file->count == json_object_size(hashes));
        for (size_t i = 0; i < file->count; i++) {
            const struct tensor_view *view = &file->tensors[i];
            float *values = read_view(view);
            sha256(values, tensor_view_elements(view) * sizeof(*values), hash);
            const char *expected = json_string_value(json_object_get(hashes, view->name));
            if (!expected || strcmp(hash, expected))
                fail_msg("%s: %s: differs from the reference", path, view->name);
            free(values);
        }
        gguf_close(&file);
        json_decref(root);
        free(path), free(case_path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scales_each_part),
        cmocka_unit_test(refuses_bad_scales),
        cmocka_unit_test(has_the_values_of_all_codes),
        cmocka_unit_test(decodes_files_of_eight_bits),
        cmocka_unit_test(decodes_all_types_of_gguf),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
