/* SPDX-License-Identifier: MIT
 *
 * Towers from GGUF files: on the device that the environment names, hidden states and embeddings
 * are equal to the bit to those of a Hugging Face checkpoint with the same values.
 */
#define _GNU_SOURCE
#include "base/array.h"
#include "base/file.h"
#include "support/gguf_writer.h"
#include "support/hidden_hash.h"
#include "support/open_device.h"

/* Encodes the reference inputs with all towers of a checkpoint, and returns the hash of all states.
 */
static struct hidden_hash hash_states(const char *path, const struct safetensors *inputs)
{
    const struct tensor_view *pixels = safetensors_find(inputs, "pixel_values");
    const struct tensor_view *ids = safetensors_find(inputs, "input_ids");
    struct hidden_hash states = {0};
    struct vkclip_encode_params encode = {
        .size = sizeof(encode), .hidden = hidden_hash_add, .user = &states};
    struct vkclip_model *model = NULL;
    struct vkclip_model_info info = {.size = sizeof(info)};
    if (vkclip_open_model(device, path, NULL, &model))
        fail_msg("%s", vkclip_last_error());
    assert_int_equal(vkclip_get_model_info(model, &info), 0);
    float *values = malloc(pixels->size), *embeds = malloc(1 << 20);
    memcpy(values, pixels->data, pixels->size); /* A file does not align its tensors. */
    int32_t *tokens = malloc(ids->size);
    memcpy(tokens, ids->data, ids->size);
    if (info.image.width)
        assert_int_equal(vkclip_encode_pixels(model, values, pixels->shape[0], &encode, embeds), 0);
    if (info.text.width)
        assert_int_equal(
            vkclip_encode_tokens(model, tokens, ids->shape[0], ids->shape[1], &encode, embeds), 0);
    vkclip_close_model(&model);
    free(values), free(tokens), free(embeds);
    return states;
}

static void copy_config(const char *folder)
{
    char *path = golden_path("models/hf-vit/config.json"), *text;
    size_t size;
    assert_int_equal(file_read(path, 1 << 20, &text, &size), 0);
    scratch_write(folder, "config.json", text, size);
    free(text), free(path);
}

static void states_are_the_same_to_the_bit(void **state)
{
    (void)state;
    char *path = golden_path("models/openai-vit/case.safetensors"),
         *hf = golden_path("models/hf-vit");
    struct safetensors *inputs;
    assert_int_equal(safetensors_open(path, &inputs), 0);
    struct hidden_hash golden = hash_states(hf, inputs);
    for (size_t i = 0; i < ARRAY_COUNT(gguf_kinds); i++) {
        char *folder = scratch_folder(), *gguf = scratch_path(folder, "model.gguf");
        write_hf_vit(folder, &gguf_kinds[i], true, true);
        copy_config(folder);
        struct hidden_hash found = hash_states(gguf, inputs),
                           expected = hash_states(folder, inputs);
        assert_true(found.count >= 14);
        assert_int_equal(found.count, expected.count);
        assert_int_equal(found.hash, expected.hash);
        if (gguf_kinds[i].dtype == DTYPE_F32) /* Every other type rounds the values. */
            assert_int_equal(found.hash, golden.hash);
        else
            assert_int_not_equal(found.hash, golden.hash);
        free(gguf);
        scratch_remove(folder);
    }
    safetensors_close(&inputs);
    free(path), free(hf);
}

static void a_file_may_have_one_tower(void **state)
{
    (void)state;
    for (int text = 0; text < 2; text++) {
        char *folder = scratch_folder(), *gguf = scratch_path(folder, "model.gguf");
        struct vkclip_model *model = NULL;
        float out[64];
        int32_t ids[] = {1024, 1025};
        float *pixels = calloc(3 * 48 * 48, sizeof(*pixels));
        write_hf_vit(folder, &gguf_kinds[6], text, !text);
        assert_int_equal(vkclip_open_model(device, gguf, NULL, &model), 0);
        assert_failed(text ? vkclip_encode_pixels(model, pixels, 1, NULL, out)
                           : vkclip_encode_tokens(model, ids, 1, 2, NULL, out),
                      VKCLIP_EABSENT, text ? "no image tower" : "no text tower");
        assert_int_equal(text ? vkclip_encode_tokens(model, ids, 1, 2, NULL, out)
                              : vkclip_encode_pixels(model, pixels, 1, NULL, out),
                         0);
        vkclip_close_model(&model);
        free(pixels), free(gguf);
        scratch_remove(folder);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(states_are_the_same_to_the_bit),
        cmocka_unit_test(a_file_may_have_one_tower),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
