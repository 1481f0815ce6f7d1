/* SPDX-License-Identifier: MIT
 *
 * Compares models of CLIP's descendants with the outputs of their reference implementations: every
 * state of the tokens that the reference data has, and the embeddings; in fp32, with weights of 8
 * bits, and in fp16 if the device supports it.
 */
#define _GNU_SOURCE
#include "support/compare_towers.h"
#include "support/scratch.h"

#include <jansson.h>

static const char *const cases[] = {
    "clip-text-noprefix-hf",
    "clip-text-proj-hf5",
    "clip-vision-noprefix-hf",
    "longclip-hf",
    "tinyclip-hf",
    "dfn-openclip-quickgelu",
    "metaclip2-hf",
    "metaclip2-openclip",
    "clipa-openclip",
    "openclip-layerscale",
    "openclip-attnpool",
    "xlmr-openclip",
    "xlmr-cls-openclip",
    "mclip",
    "altclip-hf",
    "chineseclip-hf",
    "convnext-openclip",
    "convnext-d-openclip",
    "eva02-openclip",
    "eva02e-openclip-postnorm",
    "pe-openclip",
    "pe-g-openclip",
    "siglip-hf",
    "siglip-openclip",
    "siglip-so400m-hf-bf16",
    "siglip2-hf",
    "siglip2-openclip",
    "siglip2-gopt-hf",
    "siglip2-gopt-openclip",
};

/* Checks one of `every` cases. */
static void check_cases(const struct vkclip_model_params *params, struct bounds bounds,
                        size_t every)
{
    for (size_t i = 0; i < ARRAY_COUNT(cases); i += every) {
        char *model = string_format("family/%s", cases[i]);
        char *expected = string_format("family/%s/case.safetensors", cases[i]);
        check_case(model, expected, expected, params, bounds);
        free(model);
        free(expected);
    }
}

static void fp32_matches_the_reference(void **state)
{
    (void)state;
    check_cases(&(struct vkclip_model_params){.size = sizeof(struct vkclip_model_params),
                                              .precision = VKCLIP_PRECISION_F32},
                fp32, 1);
}

/* Weights of 8 bits are checked with one of so many cases. */
static size_t every_with_8_bits = 1;

static void weights_of_8_bits_keep_directions(void **state)
{
    (void)state;
    check_cases(&(struct vkclip_model_params){.size = sizeof(struct vkclip_model_params),
                                              .precision = VKCLIP_PRECISION_F32,
                                              .weights = VKCLIP_WEIGHTS_Q8},
                rounded, every_with_8_bits);
}

static void fp16_keeps_directions(void **state)
{
    (void)state;
    if (has_f16)
        check_cases(&(struct vkclip_model_params){.size = sizeof(struct vkclip_model_params),
                                                  .precision = VKCLIP_PRECISION_F16},
                    rounded, 1);
}

/* Texts that a case has, of which the first ones are not cut in its ids. */
static const struct {
    const char *name, *vocabulary; /* NULL: the one that is found */
    size_t count;
} worded[] = {
    {"xlmr-openclip", NULL, 4},      {"mclip", "sentencepiece.bpe.model", 5},
    {"altclip-hf", NULL, 4},         {"chineseclip-hf", NULL, 4},
    {"metaclip2-openclip", NULL, 5}, {"metaclip2-hf", "sentencepiece.bpe.model", 5},
};

/* Words give the same embeddings as ids: they are split, padded and masked as in the reference. */
static void check_words(const char *name, const char *vocabulary, size_t count)
{
    char *folder = string_format("family/%s", name);
    char *path = golden_path(folder);
    char *description = string_format("%s/case.json", path ? path : "");
    char *file = string_format("%s/case.safetensors", path ? path : "");
    char *vocab = string_format("%s/%s", path ? path : "", vocabulary ? vocabulary : "");
    const struct vkclip_model_params params = {.size = sizeof(params),
                                               .vocab = vocabulary ? vocab : NULL};
    const char *texts[8];
    struct safetensors *expected = NULL;
    struct vkclip_model *model = NULL;
    struct vkclip_model_info info = {.size = sizeof(info)};
    if (path) {
        json_t *root = json_load_file(description, 0, NULL);
        assert_non_null(root);
        for (size_t i = 0; i < count; i++)
            texts[i] = json_string_value(json_array_get(json_object_get(root, "texts"), i));
        assert_int_equal(safetensors_open(file, &expected), VKCLIP_OK);
        if (vkclip_open_model(device, path, &params, &model))
            fail_msg("%s: %s", name, vkclip_last_error());
        assert_int_equal(vkclip_get_model_info(model, &info), VKCLIP_OK);
        float *found = malloc(count * info.text_embed_dim * sizeof(*found));
        if (vkclip_encode_texts(model, texts, count, NULL, found))
            fail_msg("%s", vkclip_last_error());
        compare("text.normalized", found, safetensors_find(expected, "text.normalized"), 0, count,
                fp32);
        free(found);
        vkclip_close_model(&model);
        safetensors_close(&expected);
        json_decref(root);
    } else {
        printf("skipped: reference data %s is not here\n", folder);
    }
    free(vocab);
    free(file);
    free(description);
    free(path);
    free(folder);
}

static void words_give_the_embeddings_of_their_ids(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(worded); i++)
        check_words(worded[i].name, worded[i].vocabulary, worded[i].count);
}

/* A token that the caller's mask leaves out changes no embedding, also between two others. */
static void masks_may_have_holes(void **state)
{
    (void)state;
    enum { LENGTH = 9, HOLE = 3, MOST = 64 };
    int32_t ids[2 * LENGTH] = {0, 5, 14, 6, 5, 385, 2, 1, 1}, mask[2 * LENGTH];
    float found[2 * MOST], open[MOST];
    char *path = golden_path("family/altclip-hf");
    struct vkclip_model *model = NULL;
    struct vkclip_model_info info = {.size = sizeof(info)};
    if (!path) {
        printf("skipped: reference data family/altclip-hf is not here\n");
        return;
    }
    if (vkclip_open_model(device, path, NULL, &model))
        fail_msg("%s", vkclip_last_error());
    free(path);
    assert_int_equal(vkclip_get_model_info(model, &info), VKCLIP_OK);
    assert_true(info.text_embed_dim <= MOST);
    for (size_t i = 0; i < LENGTH; i++) {
        ids[LENGTH + i] = i == HOLE ? 77 : ids[i];
        mask[i] = mask[LENGTH + i] = i != HOLE && ids[i] != 1;
    }
    const struct vkclip_encode_params params = {.size = sizeof(params), .attention_mask = mask};
    assert_int_equal(vkclip_encode_tokens(model, ids, 2, LENGTH, &params, found), VKCLIP_OK);
    assert_int_equal(vkclip_encode_tokens(model, ids, 1, LENGTH, NULL, open), VKCLIP_OK);
    const size_t size = info.text_embed_dim * sizeof(*found);
    assert_memory_equal(found, found + info.text_embed_dim, size);
    assert_memory_not_equal(found, open, size);
    vkclip_close_model(&model);
}

/* Makes a tiny model whose vocabulary has `rows` tokens. The values of a new table do not depend on
 * the number of its rows. */
static struct vkclip_model *make_model(const char *folder, unsigned rows,
                                       struct vkclip_model_info *info)
{
    struct vkclip_model *model = NULL;
    char *arch = scratch_path(folder, "config.json"), *path = string_format("%s/%u", folder, rows);
    char *text = string_format("{\"model_type\": \"clip_text_model\", \"vocab_size\": %u, "
                               "\"hidden_size\": 32, \"intermediate_size\": 64, "
                               "\"num_hidden_layers\": 2, \"num_attention_heads\": 2, "
                               "\"max_position_embeddings\": 12}",
                               rows);
    scratch_text(folder, "config.json", text);
    if (vkclip_init_model(arch, 1, path, NULL, NULL) ||
        vkclip_open_model(device, path, NULL, &model))
        fail_msg("%s", vkclip_last_error());
    assert_int_equal(vkclip_get_model_info(model, info), VKCLIP_OK);
    free(arch);
    free(path);
    free(text);
    return model;
}

/* The host looks up the tokens of a large vocabulary, so that the device does not hold its table:
 * the embeddings are those of a small one with the same rows. */
static void large_tables_stay_on_the_host(void **state)
{
    (void)state;
    enum { TEXTS = 3, LENGTH = 12, WIDTH = 32 };
    int32_t ids[TEXTS][LENGTH] = {{1, 5, 999, 2}, {998, 999, 3, 4}, {7, 6, 5, 4, 3, 2, 1, 999}};
    float small[TEXTS * WIDTH], large[TEXTS * WIDTH];
    char *folder = scratch_folder();
    struct vkclip_model_info small_info = {.size = sizeof(small_info)},
                             large_info = {.size = sizeof(large_info)};
    struct vkclip_model *model = make_model(folder, 1000, &small_info);
    assert_int_equal(vkclip_encode_tokens(model, ids[0], TEXTS, LENGTH, NULL, small), 0);
    vkclip_close_model(&model);
    model = make_model(folder, 140000, &large_info);
    assert_int_equal(vkclip_encode_tokens(model, ids[0], TEXTS, LENGTH, NULL, large), 0);
    vkclip_close_model(&model);
    assert_true(large_info.weights_bytes < small_info.weights_bytes);
    for (size_t i = 0; i < TEXTS * WIDTH; i++)
        assert_true(fabsf(large[i] - small[i]) < 1e-6f);
    scratch_remove(folder);
}

/* A RoBERTa's texts are split as GPT-2 does it, begin with <s>, and are padded with id 1.
 * OpenCLIP removes the space at the beginning. */
static void words_of_a_roberta(void **state)
{
    (void)state;
    enum { TEXTS = 3, LENGTH = 12, WIDTH = 12 };
    static const char *const texts[TEXTS] = {"a dog", " it's", ""};
    static const int32_t expected[LENGTH] = {0, 279, 326, 2, 1, 1, 1, 1, 1, 1, 1, 1};
    int32_t ids[TEXTS][LENGTH];
    size_t count;
    float by_words[TEXTS * WIDTH], by_ids[TEXTS * WIDTH];
    char *folder = scratch_folder(), *arch = scratch_path(folder, "open_clip_config.json");
    char *path = scratch_path(folder, "model");
    char *vocab = golden_path("tokenizer-roberta/vocab.json");
    const struct vkclip_model_params params = {.size = sizeof(params), .vocab = vocab};
    struct vkclip_model *model = NULL;
    scratch_text(
        folder, "open_clip_config.json",
        "{\"model_cfg\": {\"embed_dim\": 12, \"vision_cfg\": {\"image_size\": 32, \"layers\": 1, "
        "\"width\": 64, \"patch_size\": 16}, \"text_cfg\": {\"hf_model_name\": \"roberta-base\", "
        "\"hf_tokenizer_name\": \"roberta-base\", \"hf_model_config\": {\"hidden_size\": 16, "
        "\"intermediate_size\": 32, \"num_hidden_layers\": 1, \"num_attention_heads\": 2, "
        "\"max_position_embeddings\": 14, \"vocab_size\": 701}}}, \"preprocess_cfg\": {}}");
    if (vkclip_init_model(arch, 1, path, NULL, NULL) ||
        vkclip_open_model(device, path, &params, &model))
        fail_msg("%s", vkclip_last_error());
    for (size_t i = 0; i < TEXTS; i++)
        assert_int_equal(vkclip_tokenize(model, texts[i], strlen(texts[i]), VKCLIP_TOKENIZE_PAD,
                                         ids[i], LENGTH, &count),
                         0);
    assert_memory_equal(ids[1], expected, sizeof(expected));
    assert_int_equal(vkclip_encode_texts(model, texts, TEXTS, NULL, by_words), 0);
    assert_int_equal(vkclip_encode_tokens(model, ids[0], TEXTS, LENGTH, NULL, by_ids), 0);
    for (size_t i = 0; i < TEXTS * WIDTH; i++)
        assert_true(fabsf(by_words[i] - by_ids[i]) < 1e-5f);
    vkclip_close_model(&model);
    free(vocab);
    free(path);
    free(arch);
    scratch_remove(folder);
}

/* The argument tells with one of how many cases weights of 8 bits are checked. */
int main(int argc, char **argv)
{
    if (argc > 1)
        every_with_8_bits = strtoul(argv[1], NULL, 10);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_of_a_roberta),
        cmocka_unit_test(fp32_matches_the_reference),
        cmocka_unit_test(weights_of_8_bits_keep_directions),
        cmocka_unit_test(fp16_keeps_directions),
        cmocka_unit_test(words_give_the_embeddings_of_their_ids),
        cmocka_unit_test(masks_may_have_holes),
        cmocka_unit_test(large_tables_stay_on_the_host),
    };
    return cmocka_run_group_tests(tests, open_and_describe, close_device);
}
