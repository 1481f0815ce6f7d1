/* SPDX-License-Identifier: MIT
 *
 * Towers out of GGUF files: every hidden state and embedding is that of a Hugging Face checkpoint
 * which holds the same values, to the bit, on the device that the environment names.
 */
#define _GNU_SOURCE
#include "base/array.h"
#include "base/file.h"
#include "base/hash.h"
#include "support/gguf_writer.h"
#include "support/open_device.h"

struct states {
    uint64_t hash;
    size_t count;
};

static int add_state(void *user, const char *name, const float *data, const size_t *shape,
                     size_t rank, size_t first, size_t items)
{
    struct states *states = user;
    size_t size = items;
    (void)first;
    for (size_t i = 1; i < rank; i++)
        size *= shape[i];
    states->hash = hash_bytes(states->hash, name, strlen(name));
    states->hash = hash_bytes(states->hash, data, size * sizeof(*data));
    states->count++;
    return 0;
}

/* All that a checkpoint computes of the golden inputs. */
static struct states run(const char *path, const struct safetensors *inputs)
{
    const struct tensor_view *pixels = safetensors_find(inputs, "pixel_values");
    const struct tensor_view *ids = safetensors_find(inputs, "input_ids");
    struct states states = {0};
    struct vkclip_encode_params encode = {.hidden = add_state, .user = &states};
    struct vkclip_model *model = NULL;
    struct vkclip_model_info info;
    if (vkclip_open_model(device, path, NULL, &model))
        fail_msg("%s", vkclip_last_error());
    assert_int_equal(vkclip_get_model_info(model, &info), 0);
    float *values = malloc(pixels->size), *embeds = malloc(1 << 20);
    memcpy(values, pixels->data, pixels->size); /* the file promises no alignment */
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

static void same_states(void **state)
{
    (void)state;
    char *path = golden_path("models/openai-vit/case.safetensors"),
         *hf = golden_path("models/hf-vit");
    struct safetensors *inputs;
    assert_int_equal(safetensors_open(path, &inputs), 0);
    struct states golden = run(hf, inputs);
    for (size_t i = 0; i < ARRAY_COUNT(gguf_kinds); i++) {
        char *folder = scratch_folder(), *gguf = scratch_path(folder, "model.gguf");
        write_hf_vit(folder, &gguf_kinds[i], true, true);
        copy_config(folder);
        struct states found = run(gguf, inputs), expected = run(folder, inputs);
        assert_true(found.count >= 14);
        assert_int_equal(found.count, expected.count);
        assert_int_equal(found.hash, expected.hash);
        if (gguf_kinds[i].dtype == DTYPE_F32) /* nothing is lost */
            assert_int_equal(found.hash, golden.hash);
        else
            assert_int_not_equal(found.hash, golden.hash);
        free(gguf);
        scratch_remove(folder);
    }
    safetensors_close(&inputs);
    free(path), free(hf);
}

static void one_tower(void **state)
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
        cmocka_unit_test(same_states),
        cmocka_unit_test(one_tower),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
