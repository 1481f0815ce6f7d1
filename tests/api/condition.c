/* SPDX-License-Identifier: MIT
 *
 * Compares the conditioning of every family with what diffusers' pipelines give for the same
 * prompts, from their folders and from whole models in one file.
 */
#include "support/testing.h"

#include <jansson.h>
#include <math.h>

#include "support/open_device.h"
#include "format/safetensors.h"

#define RELATIVE 1e-4
#define FOLDER "conditioning/pipelines/"

/* ---- The reference data ---------------------------------------------------------------------- */

/* One pipeline of the reference data. */
struct pipeline_case {
    const char *folder, *family;
    const char *file; /* the whole model in one file, or NULL */
};

static const struct pipeline_case pipelines[] = {
    {"sd1", "sd1", "sd1.safetensors"},
    {"sd2", "sd2", "sd2.safetensors"},
    {"sdxl", "sdxl", "sdxl.safetensors"},
    {"sdxl-refiner", "sdxl-refiner", "refiner.safetensors"},
    {"sd3", "sd3", "sd3_incl_clips_t5xxl.safetensors"},
    {"flux", "flux", NULL},
    {"stable-cascade", "cascade", NULL},
    {"pixart", "pixart", NULL},
    {"chroma", "chroma", NULL},
    {"wan", "wan", NULL},
};

enum { TEXTS = 8 };

/* Texts of one argument of a call. */
struct texts {
    const char *list[TEXTS];
    size_t count;
};

/* Reads a text or a list of texts. */
static struct texts read_texts(const json_t *call, const char *key)
{
    const json_t *value = json_object_get(call, key);
    struct texts texts = {.count = json_is_string(value) ? 1 : json_array_size(value)};
    assert_true(texts.count <= TEXTS);
    for (size_t i = 0; i < texts.count; i++)
        texts.list[i] = json_string_value(json_is_string(value) ? value : json_array_get(value, i));
    return texts;
}

/* ---- Comparing ------------------------------------------------------------------------------- */

static double value_at(const struct vkclip_tensor *tensor, size_t index)
{
    if (tensor->type == VKCLIP_TENSOR_I32)
        return ((const int32_t *)tensor->data)[index];
    return (double)((const float *)tensor->data)[index];
}

static double expected_value(const struct tensor_view *tensor, size_t index)
{
    int32_t value;
    if (tensor->dtype != DTYPE_I32)
        return tensor_view_value(tensor, index);
    memcpy(&value, tensor->data + index * sizeof(value), sizeof(value));
    return value;
}

/* Compares a tensor with one of the reference data, which may have only its first rows, and for
 * equal negative prompts only the first item. */
static void compare(const char *label, const struct vkclip_tensor *found,
                    const struct tensor_view *expected)
{
    const size_t *shape = found->shape, last = found->rank - 1;
    double worst = 0, largest = 0;
    assert_int_equal(found->rank, expected->rank);
    assert_int_equal(found->type == VKCLIP_TENSOR_I32, expected->dtype == DTYPE_I32);
    assert_true(expected->shape[0] <= shape[0]);
    assert_int_equal(expected->shape[last], shape[last]);
    const size_t rows = found->rank == 3 ? shape[1] : 1;
    const size_t stored = found->rank == 3 ? (size_t)expected->shape[1] : 1;
    assert_true(stored <= rows);
    for (size_t n = 0; n < shape[0]; n++) {
        const size_t item = n < expected->shape[0] ? n : (size_t)expected->shape[0] - 1;
        for (size_t i = 0; i < stored * shape[last]; i++) {
            const double value = expected_value(expected, item * stored * shape[last] + i);
            const double difference = value_at(found, n * rows * shape[last] + i) - value;
            worst = fmax(worst, isfinite(difference) ? fabs(difference) : INFINITY);
            largest = fmax(largest, fabs(value));
        }
    }
    if (!(worst <= (found->type == VKCLIP_TENSOR_I32 ? 0 : RELATIVE * largest)))
        fail_msg("%s.%s: relative error %.3g", label, found->name, worst / largest);
}

static void check_zeros(const struct vkclip_tensor *tensor)
{
    for (size_t i = 0; i < tensor->size / sizeof(float); i++)
        assert_true(value_at(tensor, i) == 0);
}

/* Of Wan the rows after the text are zeros, which the reference data does not have. */
static void check_rest(const struct vkclip_tensor *found, const struct tensor_view *expected)
{
    const size_t *shape = found->shape;
    for (size_t n = 0; n < shape[0]; n++)
        for (size_t row = (size_t)expected->shape[1]; row < shape[1]; row++)
            for (size_t i = 0; i < shape[2]; i++)
                assert_true(value_at(found, (n * shape[1] + row) * shape[2] + i) == 0);
}

/* Compares all tensors that the reference data has, and returns how many it has. */
static size_t compare_call(const char *label, const struct safetensors *file, bool zeros,
                           const struct vkclip_conditioning *conditioning)
{
    size_t count = 0;
    for (size_t i = 0; i < conditioning->tensor_count; i++) {
        const struct vkclip_tensor *tensor = &conditioning->tensors[i];
        char name[128];
        snprintf(name, sizeof(name), "%s%s%s", label, *label ? "." : "", tensor->name);
        const struct tensor_view *expected = safetensors_find(file, name);
        if (!expected)
            continue;
        compare(label, tensor, expected);
        if (zeros)
            check_rest(tensor, expected);
        count++;
    }
    return count;
}

/* Returns how many tensors a call has in the reference data: all whose names end with "embeds",
 * "mask" or "pooled". */
static size_t count_tensors(const char *label, const struct safetensors *file)
{
    size_t count = 0;
    for (size_t i = 0; i < file->count; i++) {
        const char *name = file->tensors[i].name, *point = strchr(name, '.');
        const size_t length = point ? (size_t)(point - name) : 0;
        count += strlen(label) == length && !strncmp(name, label, length) &&
                 strstr(name, "prompt_") != NULL;
    }
    return count;
}

/* ---- Calls ----------------------------------------------------------------------------------- */

static void check_call(struct vkclip_conditioner *conditioner, const char *label,
                       const json_t *call, const struct safetensors *file)
{
    static const char *const keys[] = {"prompt", "prompt_2", "prompt_3"};
    static const char *const none[] = {""};
    struct texts prompts[3], negatives = read_texts(call, "negative_prompt");
    struct vkclip_conditioning *conditioning = NULL;
    struct vkclip_condition_params params = {.size = sizeof(params)};
    struct vkclip_conditioner_info info = {.size = sizeof(info)};
    for (size_t i = 0; i < 3; i++) {
        prompts[i] = read_texts(call, keys[i]);
        params.prompts[i] = prompts[i].count ? prompts[i].list : NULL;
    }
    params.count = prompts[0].count;
    params.negative_count = negatives.count;
    params.negatives[0] = negatives.count ? negatives.list : NULL;
    if (json_is_false(json_object_get(call, "force_zeros_for_empty_prompt"))) {
        params.negatives[0] = none;
        params.negative_count = 1;
    }
    params.clip_skip_diffusers = (uint32_t)json_integer_value(json_object_get(call, "clip_skip"));
    params.max_sequence_length =
        (uint32_t)json_integer_value(json_object_get(call, "max_sequence_length"));
    if (vkclip_condition(conditioner, &params, &conditioning))
        fail_msg("%s: %s", label, vkclip_last_error());
    assert_true(count_tensors(label, file) > 0);
    vkclip_get_conditioner_info(conditioner, &info);
    const bool zeros = !strcmp(info.family, "wan");
    assert_int_equal(compare_call(label, file, zeros, conditioning), count_tensors(label, file));
    if (json_object_get(call, "negative_result")) /* all zeros of the same shapes */
        for (size_t i = 0; i < conditioning->tensor_count; i++)
            if (!strncmp(conditioning->tensors[i].name, "negative_", 9))
                check_zeros(&conditioning->tensors[i]);
    vkclip_free_conditioning(&conditioning);
    assert_null(conditioning);
}

static void check_model(const char *path, const struct pipeline_case *row, const json_t *json,
                        const struct safetensors *file)
{
    const char *const paths[] = {path};
    struct vkclip_conditioner *conditioner = NULL;
    struct vkclip_conditioner_info info = {.size = sizeof(info)};
    const json_t *calls = json_object_get(json, "calls");
    const char *label;
    json_t *call;
    if (vkclip_open_conditioner(device, paths, 1, NULL, &conditioner))
        fail_msg("%s: %s", path, vkclip_last_error());
    assert_int_equal(vkclip_get_conditioner_info(conditioner, &info), VKCLIP_OK);
    assert_string_equal(info.family, row->family);
    printf("%s\n", path);
    if (!calls)
        check_call(conditioner, "", json, file);
    json_object_foreach ((json_t *)calls, label, call)
        check_call(conditioner, label, call, file);
    vkclip_close_conditioner(&conditioner);
    assert_null(conditioner);
}

static void check_pipeline(const struct pipeline_case *row)
{
    char *name = string_format(FOLDER "%s/case.safetensors", row->folder);
    char *data = golden_path(name);
    const int length = data ? (int)(strlen(data) - strlen("/case.safetensors")) : 0;
    char *folder = string_format("%.*s", length, data ? data : "");
    char *text = string_format("%s/case.json", folder);
    char *whole = string_format("%s/%s", folder, row->file ? row->file : "");
    struct safetensors *file = NULL;
    if (data) {
        json_t *json = json_load_file(text, 0, NULL);
        assert_non_null(json);
        assert_int_equal(safetensors_open(data, &file), VKCLIP_OK);
        check_model(folder, row, json, file);
        if (row->file && file_exists(whole))
            check_model(whole, row, json, file);
        json_decref(json);
        safetensors_close(&file);
    } else {
        printf("skipped: reference data %s is not here\n", name);
    }
    free(name);
    free(folder);
    free(data);
    free(text);
    free(whole);
}

static void conditioning_is_that_of_the_pipelines(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(pipelines); i++)
        check_pipeline(&pipelines[i]);
}

static void what_is_null_is_refused(void **state)
{
    (void)state;
    static const char *const paths[] = {"tests/golden/conditioning/pipelines/chroma"};
    static const char *const nothing[] = {NULL};
    static const struct vkclip_lora lora = {.path = NULL};
    struct vkclip_conditioner_params params[] = {
        {.vocab_count = 1},     {.vocabs = nothing, .vocab_count = 1},
        {.embedding_count = 1}, {.embeddings = nothing, .embedding_count = 1},
        {.lora_count = 1},      {.loras = &lora, .lora_count = 1},
    };
    struct vkclip_conditioner *none = NULL;
    assert_int_equal(vkclip_open_conditioner(device, NULL, 1, NULL, &none), VKCLIP_EINVALID);
    assert_int_equal(vkclip_open_conditioner(device, nothing, 1, NULL, &none), VKCLIP_EINVALID);
    assert_int_equal(vkclip_open_conditioner(device, paths, 0, NULL, &none), VKCLIP_EINVALID);
    assert_int_equal(vkclip_open_conditioner(device, paths, 1, NULL, NULL), VKCLIP_EINVALID);
    for (size_t i = 0; i < ARRAY_COUNT(params); i++) {
        params[i].size = sizeof(params[i]);
        assert_int_equal(vkclip_open_conditioner(device, paths, 1, &params[i], &none),
                         VKCLIP_EINVALID);
        assert_null(strstr(vkclip_last_error(), "sizeof"));
    }
    assert_null(none);
    vkclip_close_conditioner(&none);
    vkclip_close_conditioner(NULL);
    vkclip_free_conditioning(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_null_is_refused),
        cmocka_unit_test(conditioning_is_that_of_the_pipelines),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
