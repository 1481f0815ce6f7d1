/* SPDX-License-Identifier: MIT
 *
 * Compares the conditioning of weighted and long prompts with that of AUTOMATIC1111's webui and of
 * ComfyUI, textual inversions included, and the conditioning of encoders with LoRA with that of
 * encoders whose weights were merged.
 */
#include "support/testing.h"

#include <jansson.h>
#include <math.h>

#include "support/open_device.h"
#include "format/safetensors.h"

/* Opens a file of the reference data and the JSON beside it, or says that it is not here. */
static json_t *open_data(const char *name, struct safetensors **file)
{
    char *relative = string_format("conditioning/%s.safetensors", name);
    char *data = golden_path(relative), *text = NULL;
    json_t *json = NULL;
    if (data) {
        text = string_format("%.*s.json", (int)(strlen(data) - strlen(".safetensors")), data);
        assert_int_equal(safetensors_open(data, file), VKCLIP_OK);
        json = json_load_file(text, 0, NULL);
        assert_non_null(json);
    } else {
        printf("skipped: reference data %s is not here\n", relative);
    }
    free(relative);
    free(data);
    free(text);
    return json;
}

static struct vkclip_conditioner *open_conditioner(const char *pipeline,
                                                   const struct vkclip_conditioner_params *params)
{
    char *relative = string_format("conditioning/pipelines/%s/model_index.json", pipeline);
    char *index = golden_path(relative);
    struct vkclip_conditioner *conditioner = NULL;
    assert_non_null(index);
    index[strlen(index) - strlen("/model_index.json")] = 0;
    const char *const paths[] = {index};
    if (vkclip_open_conditioner(device, paths, 1, params, &conditioner))
        fail_msg("%s", vkclip_last_error());
    free(relative);
    free(index);
    return conditioner;
}

/* The error of the reference's own arithmetic in fp32 can be larger where the webui divides by a
 * mean near 0. */
static double find_bound(const json_t *json, const char *name)
{
    const json_t *noise = json_object_get(json_object_get(json, "tensors"), name);
    const double error = json_number_value(json_object_get(noise, "max_abs_fp32_vs_fp64"));
    const double largest = json_number_value(json_object_get(noise, "max"));
    return fmax(1e-4, 30 * error / largest);
}

static void compare(const json_t *json, const struct safetensors *file, const char *name,
                    const struct vkclip_tensor *found)
{
    const struct tensor_view *expected = safetensors_find(file, name);
    double worst = 0, largest = 0;
    if (!expected)
        return;
    assert_int_equal(found->rank, expected->rank);
    for (size_t i = 0; i < found->rank; i++)
        assert_int_equal(found->shape[i], expected->shape[i]);
    for (size_t i = 0; i < found->size / sizeof(float); i++) {
        const double value = tensor_view_value(expected, i);
        const double difference = (double)((const float *)found->data)[i] - value;
        worst = fmax(worst, isfinite(difference) ? fabs(difference) : INFINITY);
        largest = fmax(largest, fabs(value));
    }
    if (!(worst <= find_bound(json, name) * largest))
        fail_msg("%s: relative error %.3g", name, worst / largest);
}

/* ---- Syntax ---------------------------------------------------------------------------------- */

/* Texts for T5, which is the second encoder of FLUX, filled up to a length. Other families compare
 * with another empty prompt. */
static void t5_is_weighted_as_comfyui_does(void **state)
{
    struct safetensors *file = NULL;
    json_t *json = open_data("prompts/comfyui_t5", &file), *call;
    struct vkclip_conditioner *conditioner = json ? open_conditioner("flux", NULL) : NULL;
    size_t i;
    (void)state;
    json_array_foreach (json_object_get(json, "cases"), i, call) {
        const char *const text[] = {json_string_value(json_object_get(call, "text"))};
        const struct vkclip_condition_params params = {
            .size = sizeof(params),
            .prompts = {text},
            .count = 1,
            .syntax = VKCLIP_SYNTAX_COMFY,
            .max_sequence_length =
                (uint32_t)json_integer_value(json_object_get(call, "min_length"))};
        struct vkclip_conditioning *conditioning = NULL;
        char name[32];
        if (strcmp(json_string_value(json_object_get(call, "empty")), "</s> then pads") != 0)
            continue;
        assert_int_equal(vkclip_condition(conditioner, &params, &conditioning), VKCLIP_OK);
        snprintf(name, sizeof(name), "%zu.cond", i);
        assert_non_null(safetensors_find(file, name));
        compare(json, file, name, &conditioning->tensors[0]);
        vkclip_free_conditioning(&conditioning);
    }
    vkclip_close_conditioner(&conditioner);
    json_decref(json);
    safetensors_close(&file);
}

static enum vkclip_syntax find_syntax(const json_t *call)
{
    static const struct {
        const char *emphasis;
        enum vkclip_syntax syntax;
    } rows[] = {{"Original", VKCLIP_SYNTAX_A1111},
                {"No norm", VKCLIP_SYNTAX_A1111_NO_NORM},
                {"Ignore", VKCLIP_SYNTAX_A1111_IGNORE},
                {"None", VKCLIP_SYNTAX_A1111_NONE}};
    const char *emphasis = json_string_value(json_object_get(call, "emphasis"));
    for (size_t i = 0; emphasis && i < ARRAY_COUNT(rows); i++)
        if (!strcmp(rows[i].emphasis, emphasis))
            return rows[i].syntax;
    return VKCLIP_SYNTAX_COMFY;
}

/* Returns the number that a call has for the block. The webui ignores it for SDXL unless an option
 * says otherwise. */
static uint32_t find_skip(const json_t *call, bool sdxl)
{
    const json_t *layer = json_object_get(call, "layer");
    const uint32_t skip = (uint32_t)json_integer_value(json_object_get(call, "clip_skip"));
    if (layer)
        return (uint32_t)-json_integer_value(layer);
    return sdxl && !json_is_true(json_object_get(call, "sdxl_clip_l_skip")) ? 0 : skip;
}

static void check_call(struct vkclip_conditioner *conditioner, const json_t *json,
                       const json_t *call, bool sdxl, const struct safetensors *file)
{
    const char *const text[] = {json_string_value(json_object_get(call, "text"))};
    const struct vkclip_condition_params params = {.size = sizeof(params),
                                                   .prompts = {text},
                                                   .count = 1,
                                                   .syntax = find_syntax(call),
                                                   .clip_skip = find_skip(call, sdxl)};
    const int number = (int)json_integer_value(json_object_get(call, "case"));
    struct vkclip_conditioning *conditioning = NULL;
    char name[32];
    /* A negative prompt gets as many chunks, which does not change the prompt. */
    if (vkclip_condition(conditioner, &params, &conditioning))
        fail_msg("%s: %s", *text, vkclip_last_error());
    assert_string_equal(conditioning->tensors[0].name, "prompt_embeds");
    snprintf(name, sizeof(name), "%d.cond", number);
    assert_non_null(safetensors_find(file, name));
    compare(json, file, name, &conditioning->tensors[0]);
    if (sdxl) {
        snprintf(name, sizeof(name), "%d.pooled", number);
        assert_string_equal(conditioning->tensors[1].name, "pooled_prompt_embeds");
        compare(json, file, name, &conditioning->tensors[1]);
    }
    vkclip_free_conditioning(&conditioning);
}

static void check_file(const char *name, const char *pipeline)
{
    char *folder = golden_path("conditioning/prompts/embeddings");
    const char *const embeddings[] = {folder};
    struct safetensors *file = NULL;
    json_t *json = open_data(name, &file);
    const bool sdxl = !strcmp(pipeline, "sdxl");
    size_t i;
    json_t *call;
    if (json) {
        const struct vkclip_conditioner_params params = {
            .size = sizeof(params), .embeddings = embeddings, .embedding_count = 1};
        struct vkclip_conditioner *conditioner = open_conditioner(pipeline, &params);
        json_array_foreach (json_object_get(json, "cases"), i, call)
            check_call(conditioner, json, call, sdxl, file);
        assert_true(i > 0);
        vkclip_close_conditioner(&conditioner);
    }
    json_decref(json);
    safetensors_close(&file);
    free(folder);
}

static void prompts_are_weighted_as_the_webui_does(void **state)
{
    (void)state;
    check_file("prompts/a1111_sd1", "sd1");
    check_file("prompts/a1111_sdxl", "sdxl");
}

static void prompts_are_weighted_as_comfyui_does(void **state)
{
    (void)state;
    check_file("prompts/comfyui_sd1", "sd1");
    check_file("prompts/comfyui_sdxl", "sdxl");
}

/* ---- LoRA ------------------------------------------------------------------------------------ */

enum { LORAS = 2 };

/* Lists the files of a case, whose paths are new strings. */
static size_t list_loras(const char *name, const json_t *call, struct vkclip_lora loras[LORAS])
{
    const json_t *files = json_object_get(call, "files");
    const json_t *scales = json_object_get(call, "strengths");
    const size_t count = files ? json_array_size(files) : 1;
    assert_true(count <= LORAS);
    for (size_t i = 0; i < count; i++) {
        const char *file = files ? json_string_value(json_array_get(files, i)) : name;
        char *relative = string_format("conditioning/lora/%s.safetensors", file);
        const json_t *scale =
            scales ? json_array_get(scales, i) : json_object_get(call, "strength");
        loras[i].path = golden_path(relative);
        loras[i].scale = (float)json_number_value(scale);
        assert_non_null(loras[i].path);
        free(relative);
    }
    return count;
}

static void check_lora(const char *name, const json_t *call, const json_t *json,
                       const struct safetensors *file)
{
    const char *pipeline = json_string_value(json_object_get(call, "model")) + strlen("pipelines/");
    const json_t *single = json_object_get(call, "prompt");
    struct vkclip_lora loras[LORAS];
    struct vkclip_conditioner_params params = {.size = sizeof(params), .loras = loras};
    const char *prompts[2] = {json_string_value(single)};
    struct vkclip_condition_params wanted = {
        .size = sizeof(wanted), .prompts = {prompts}, .count = single ? 1 : 2};
    struct vkclip_conditioning *conditioning = NULL;
    for (size_t i = 0; !single && i < 2; i++)
        prompts[i] = json_string_value(json_array_get(json_object_get(json, "prompts"), i));
    wanted.max_sequence_length =
        (uint32_t)json_integer_value(json_object_get(call, "max_sequence_length"));
    params.lora_count = list_loras(name, call, loras);
    struct vkclip_conditioner *conditioner = open_conditioner(pipeline, &params);
    assert_int_equal(vkclip_condition(conditioner, &wanted, &conditioning), VKCLIP_OK);
    for (size_t i = 0; i < conditioning->tensor_count; i++) {
        char expected[96];
        snprintf(expected, sizeof(expected), "%s.%s", name, conditioning->tensors[i].name);
        compare(json, file, expected, &conditioning->tensors[i]);
    }
    vkclip_free_conditioning(&conditioning);
    vkclip_close_conditioner(&conditioner);
    for (size_t i = 0; i < params.lora_count; i++)
        free((void *)loras[i].path);
}

static void loras_change_the_encoders(void **state)
{
    struct safetensors *file = NULL;
    json_t *json = open_data("lora/case", &file), *call;
    const char *name;
    (void)state;
    json_object_foreach (json_object_get(json, "cases"), name, call)
        /* checkpoint/lora refuses what it cannot apply. */
        if (strcmp(name, "sd1_locon") != 0)
            check_lora(name, call, json, file);
    json_decref(json);
    safetensors_close(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loras_change_the_encoders),
        cmocka_unit_test(prompts_are_weighted_as_the_webui_does),
        cmocka_unit_test(prompts_are_weighted_as_comfyui_does),
        cmocka_unit_test(t5_is_weighted_as_comfyui_does),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
