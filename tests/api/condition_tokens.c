/* SPDX-License-Identifier: MIT
 *
 * Compares the token ids that each encoder of a diffusion model is given with those of the
 * pipeline in diffusers. Needs no device.
 */
#define _GNU_SOURCE
#include "format/safetensors.h"
#include "support/scratch.h"

#include <jansson.h>

static const char *const pipelines[] = {
    "chroma", "flux",         "pixart",         "sd1", "sd2", "sd3",
    "sdxl",   "sdxl-refiner", "stable-cascade", "wan"};

/* The ids of the first call's prompts, by encoder. */
static const char *const tensors[] = {"input_ids", "input_ids_2", "t5_input_ids"};

/* Returns the index of the encoder that a tensor's ids are for: the second CLIP, or T5. */
static size_t find_encoder(const struct vkclip_conditioner_info *info, size_t tensor)
{
    size_t index = tensor == 1;
    while (tensor == 2 && index < info->encoder_count && !info->encoders[index]->variable)
        index++;
    return index;
}

/* Returns the text of a row: the prompts are one text or a list. */
static const char *find_prompt(const json_t *json, size_t row)
{
    const json_t *prompt = json_object_get(json, "prompt");
    if (!prompt) /* There are several calls, of which the first has the ids. */
        prompt = json_object_get(
            json_object_iter_value(json_object_iter(json_object_get(json, "calls"))), "prompt");
    return json_string_value(json_is_array(prompt) ? json_array_get(prompt, row) : prompt);
}

static void check_row(const struct vkclip_conditioner *conditioner, size_t encoder,
                      const char *text, const struct tensor_view *ids, uint64_t row)
{
    const uint64_t length = ids->shape[1];
    const struct vkclip_prompt_params params = {.size = sizeof(params), .length = (uint32_t)length};
    struct vkclip_prompt prompt = {.size = sizeof(prompt)};
    if (vkclip_tokenize_condition(conditioner, encoder, text, &params, &prompt))
        fail_msg("%s: %s", text, vkclip_last_error());
    assert_int_equal(prompt.chunks, 1);
    assert_int_equal(prompt.length, length);
    for (uint64_t i = 0; i < length; i++) {
        int32_t expected;
        assert_int_equal(tensor_view_copy(ids, (row * length + i) * sizeof(expected), 4, &expected),
                         0);
        if (prompt.places[i].id != expected)
            fail_msg("%s: id %d at place %d, expected %d", text, prompt.places[i].id, (int)i,
                     expected);
    }
    vkclip_free_prompt(&prompt);
}

static struct vkclip_conditioner *open_conditioner(const char *folder)
{
    const char *const paths[] = {folder};
    struct vkclip_conditioner *conditioner;
    if (vkclip_open_conditioner(NULL, paths, 1, NULL, &conditioner))
        fail_msg("%s: %s", folder, vkclip_last_error());
    return conditioner;
}

static void check_pipeline(const char *folder)
{
    char *data = scratch_path(folder, "case.safetensors"),
         *text = scratch_path(folder, "case.json");
    struct vkclip_conditioner *conditioner = open_conditioner(folder);
    struct vkclip_conditioner_info info = {.size = sizeof(info)};
    struct safetensors *file;
    json_t *json = json_load_file(text, 0, NULL);
    size_t checked = 0;
    assert_int_equal(safetensors_open(data, &file), 0);
    assert_int_equal(vkclip_get_conditioner_info(conditioner, &info), 0);
    for (size_t i = 0; i < ARRAY_COUNT(tensors); i++) {
        const struct tensor_view *ids = safetensors_find(file, tensors[i]);
        for (uint64_t row = 0; ids && row < ids->shape[0]; row++, checked++)
            check_row(conditioner, find_encoder(&info, i), find_prompt(json, row), ids, row);
    }
    assert_true(checked > 0);
    vkclip_close_conditioner(&conditioner);
    safetensors_close(&file);
    json_decref(json);
    free(text);
    free(data);
}

/* Returns the folder of a pipeline of the reference data, or says that it is not here. */
static char *find_pipeline(const char *name)
{
    char *index = string_format("conditioning/pipelines/%s/model_index.json", name);
    char *path = golden_path(index);
    if (path)
        path[strlen(path) - strlen("/model_index.json")] = 0;
    else
        print_message("skipped: reference data %s is not here\n", index);
    free(index);
    return path;
}

static void ids_are_those_of_the_pipelines(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(pipelines); i++) {
        char *folder = find_pipeline(pipelines[i]);
        if (folder)
            check_pipeline(folder);
        free(folder);
    }
}

static void wrong_arguments(void **state)
{
    char *folder = find_pipeline("chroma");
    struct vkclip_conditioner *conditioner = open_conditioner(folder);
    struct vkclip_prompt prompt = {.size = sizeof(prompt)};
    (void)state;
    assert_failed(vkclip_tokenize_condition(conditioner, 1, "a", NULL, &prompt), VKCLIP_EINVALID,
                  "encoder 1, but chroma has 1");
    assert_failed(vkclip_tokenize_condition(conditioner, 0, NULL, NULL, &prompt), VKCLIP_EINVALID,
                  "text and prompt expected");
    assert_int_equal(vkclip_tokenize_condition(conditioner, 0, "a", NULL, &prompt), 0);
    assert_int_equal(prompt.length, 512);
    vkclip_free_prompt(&prompt);
    vkclip_close_conditioner(&conditioner);
    free(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_those_of_the_pipelines),
        cmocka_unit_test(wrong_arguments),
    };
    return cmocka_run_group_tests_name("condition_tokens", tests, NULL, NULL);
}
