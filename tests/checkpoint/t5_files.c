/* SPDX-License-Identifier: MIT
 *
 * A T5 in a GGUF file is the same model as in safetensors, with llama.cpp's and with transformers'
 * names, and values that contradict its tensors are refused. Files that have their tokenizer give
 * the ids of the reference.
 */
#define _GNU_SOURCE
#include "base/array.h"
#include "support/find_bytes.h"
#include "support/gguf_writer.h"
#include "support/weights.h"
#include "checkpoint/inputs.h"
#include "checkpoint/open.h"

#include <jansson.h>

/* ---- Files ----------------------------------------------------------------------------------- */

static char *source_path(void)
{
    char *path = golden_path("conditioning/t5/single/t5xxl_fp16.safetensors");
    assert_non_null(path);
    return path;
}

/* Returns llama.cpp's name of a tensor as a new string. */
static char *llama_name(const char *name)
{
    static const char *const parts[][2] = {
        {"shared.", "token_embd."},
        {"encoder.final_layer_norm.", "enc.output_norm."},
        {"encoder.block.", "enc.blk."},
        {"layer.0.SelfAttention.relative_attention_bias.", "attn_rel_b."},
        {"layer.0.SelfAttention.", "attn_"},
        {"layer.0.layer_norm.", "attn_norm."},
        {"layer.1.layer_norm.", "ffn_norm."},
        {"layer.1.DenseReluDense.wi_0.", "ffn_gate."},
        {"layer.1.DenseReluDense.wi_1.", "ffn_up."},
        {"layer.1.DenseReluDense.wo.", "ffn_down."},
    };
    return rename_parts(name, parts, ARRAY_COUNT(parts));
}

static void put_t5_values(struct gguf_writer *w)
{
    static const struct {
        const char *key;
        uint32_t value;
    } sizes[] = {{"embedding_length", 32},     {"feed_forward_length", 48},
                 {"block_count", 2},           {"attention.head_count", 3},
                 {"attention.key_length", 16}, {"attention.value_length", 16},
                 {"context_length", 512},      {"attention.relative_buckets_count", 32}};
    char key[64];
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        snprintf(key, sizeof(key), "t5encoder.%s", sizes[i].key);
        put_key_u32(w, key, sizes[i].value);
    }
    put_key_f32(w, "t5encoder.attention.layer_norm_rms_epsilon", 1e-5f);
}

/* Files have llama.cpp's names with all values, the same without the gate, or transformers' names
 * with no value but the architecture. Whole models have a decoder too. */
enum form { LLAMA, LLAMA_PLAIN, TRANSFORMERS };

static bool has_tensor(enum form form, const char *name)
{
    if (form == TRANSFORMERS)
        return true;
    return strcmp(name, "encoder.embed_tokens.weight") &&
           (form == LLAMA || !strstr(name, ".wi_0."));
}

static void put_tensor(struct gguf_writer *w, struct gguf_writer *data, const char *name,
                       const struct tensor_view *view)
{
    put_text(w, name);
    put_u32(w, view->rank);
    for (unsigned d = view->rank; d--;)
        put_u64(w, view->shape[d]);
    put_u32(w, 1); /* F16 */
    put_u64(w, data->size);
    put(data, view->data, view->size);
    pad_to(data, 32);
}

static char *write_t5(const char *folder, enum form form)
{
    char *source = source_path();
    struct safetensors *file;
    struct gguf_writer header = {0}, info = {0}, data = {0};
    uint64_t count = 1;
    assert_int_equal(safetensors_open(source, &file), 0);
    put_key_text(&info, "general.architecture", form == TRANSFORMERS ? "t5" : "t5encoder");
    if (form != TRANSFORMERS)
        put_t5_values(&info);
    for (size_t i = 0; i < file->count; i++) {
        const struct tensor_view *view = &file->tensors[i];
        if (!has_tensor(form, view->name))
            continue;
        char *name =
            form == TRANSFORMERS ? string_format("%s", view->name) : llama_name(view->name);
        put_tensor(&info, &data, name, view);
        free(name);
        count++;
    }
    put_tensor(&info, &data, form == TRANSFORMERS ? "decoder.block.0.x" : "dec.blk.0.attn_k.weight",
               safetensors_find(file, "encoder.final_layer_norm.weight"));
    put(&header, "GGUF", 4);
    put_u32(&header, 3);
    put_u64(&header, count);
    put_u64(&header, form == TRANSFORMERS ? 1 : 10);
    put(&header, info.data, info.size);
    pad_to(&header, 32);
    put(&header, data.data, data.size);
    scratch_write(folder, "t5.gguf", header.data, header.size);
    free(header.data), free(info.data), free(data.data);
    safetensors_close(&file);
    free(source);
    return scratch_path(folder, "t5.gguf");
}

/* ---- Tests ----------------------------------------------------------------------------------- */

static void open_model(const char *path, struct config *config, struct weights **weights)
{
    if (checkpoint_open(path, NULL, config, weights))
        fail_msg("%s", vkclip_last_error());
}

static void is_the_model_of_safetensors(void **state)
{
    (void)state;
    char *source = source_path();
    struct config expected;
    struct weights *expected_weights;
    open_model(source, &expected, &expected_weights);
    for (enum form form = LLAMA; form <= TRANSFORMERS; form++) {
        char *folder = scratch_folder(), *path = write_t5(folder, form);
        struct config config;
        struct weights *weights;
        const char *name;
        uint64_t count;
        open_model(path, &config, &weights);
        assert_int_equal(config.family, VKCLIP_FAMILY_HF);
        assert_int_equal(config.text.kind, KIND_T5);
        assert_int_equal(config.text.width, 32);
        assert_int_equal(config.text.heads, 3);
        assert_int_equal(config.text.head_width, 16);
        assert_int_equal(config.text.layers, 2);
        assert_int_equal(config.text.mlp, 48);
        assert_int_equal(config.vocabulary, expected.vocabulary);
        assert_int_equal(config.text.gated, form != LLAMA_PLAIN);
        assert_int_equal(config.text.activation, form == LLAMA_PLAIN ? VKCLIP_ACTIVATION_RELU
                                                                     : VKCLIP_ACTIVATION_GELU_TANH);
        assert_true(config.text.epsilon == (form == TRANSFORMERS ? 1e-6f : 1e-5f));
        for (size_t i = 0; (name = weights_name(expected_weights, i)); i++) {
            assert_string_equal(weights_name(weights, i), name);
            if (form != LLAMA_PLAIN || !strstr(name, "mlp.c_fc"))
                assert_same_weight(weights, expected_weights, name, false);
        }
        float *found = read_weight(weights, "encoder.block.1.mlp.c_fc.weight", &count);
        float *whole = read_weight(expected_weights, "encoder.block.1.mlp.c_fc.weight", &count);
        if (form == LLAMA_PLAIN)
            assert_memory_equal(found, whole + count / 2, count / 2 * sizeof(*found));
        free(found), free(whole);
        weights_close(&weights);
        config_close(&config);
        free(path);
        scratch_remove(folder);
    }
    weights_close(&expected_weights);
    config_close(&expected);
    free(source);
}

/* The file may be named as the text encoder that it is, but not as another one. */
static void is_one_text_encoder(void **state)
{
    (void)state;
    char *folder = scratch_folder(), *path = write_t5(folder, LLAMA), *source = source_path();
    for (int gguf = 0; gguf < 2; gguf++)
        for (int clip = 0; clip < 2; clip++) {
            const struct vkclip_model_params params = {.size = sizeof(params),
                                                       .text_encoder = clip ? "clip_l" : "t5xxl"};
            struct config config;
            struct weights *weights;
            int error = checkpoint_open(gguf ? path : source, &params, &config, &weights);
            if (clip)
                assert_failed(error, VKCLIP_EABSENT,
                              "expected the text encoder clip_l, found a T5");
            else
                assert_int_equal(error, 0);
            weights_close(&weights);
            config_close(&config);
        }
    free(path), free(source);
    scratch_remove(folder);
}

static void refuses_contradictions(void **state)
{
    (void)state;
    /* The first occurrence of some bytes is replaced by others of the same length. */
    static const struct {
        const char *good, *bad;
        size_t length;
        const char *message;
    } cases[] = {
        {"t5encoder.embedding_length\4\0\0\0\40", "t5encoder.embedding_length\4\0\0\0\41", 31,
         "t5encoder.embedding_length: expected 32, found 33"},
        {"t5encoder.block_count\4\0\0\0\2", "t5encoder.block_count\4\0\0\0\3", 26,
         "t5encoder.block_count: expected 2, found 3"},
        {"attention.head_count\4", "attention.head_count\6", 21,
         "t5encoder.attention.head_count: expected 3, found 0"},
        {"attention.relative_buckets_count\4\0\0\0\40",
         "attention.relative_buckets_count\4\0\0\0\20", 37,
         "t5encoder.attention.relative_buckets_count: expected 32, found 16"},
        {"layer_norm_rms_epsilon\6", "layer_norm_rms_epsilon\4", 23,
         "layer_norm_rms_epsilon: expected a number between 0 and 1"},
        {"t5encoder", "t6encoder", 9, "general.architecture is not clip, t5 or t5encoder"},
        {"enc.blk.1.ffn_down.weight", "enc.blk.1.ffn_dawn.weight", 25,
         "tensor encoder.block.1.mlp.c_proj.weight: expected shape [32,48], found none"},
        {"enc.blk.1.ffn_gate.weight", "enc.blk.1.ffn_gade.weight", 25,
         "enc.blk.1.ffn_up.weight: expected gate and value of one shape beside it"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        char *folder = scratch_folder(), *path = write_t5(folder, LLAMA), *data;
        size_t size;
        struct config config;
        struct weights *weights;
        assert_int_equal(file_read(path, 1 << 26, &data, &size), 0);
        char *found = find_bytes(data, size, cases[i].good, cases[i].length);
        assert_non_null(found);
        memcpy(found, cases[i].bad, cases[i].length);
        scratch_write(folder, "t5.gguf", data, size);
        int error = checkpoint_open(path, NULL, &config, &weights);
        assert_true(error == VKCLIP_EFORMAT || error == VKCLIP_EUNSUPPORTED);
        assert_failed(error, error, cases[i].message);
        free(path), free(data);
        scratch_remove(folder);
    }
}

/* ---- Tokenizers ------------------------------------------------------------------------------ */

/* Compares the ids of a text with a row of the expected ids, which ends with pads. */
static void check_ids(const struct tokenizer *tokenizer, const char *text, const int32_t *expected,
                      size_t length)
{
    int32_t ids[64];
    size_t count;
    assert_int_equal(tokenizer_encode(tokenizer, text, strlen(text), ids, ARRAY_COUNT(ids), &count),
                     0);
    assert_true(count > 3 && count <= length);
    assert_memory_equal(ids, expected, count * sizeof(*ids));
    assert_true(ids[count - 1] == 1 && (count == length || expected[count] == 0));
}

static void has_its_tokenizer(void **state)
{
    (void)state;
    static const struct {
        const char *model, *inputs;
    } cases[] = {
        {"gguf/t5_f16.gguf", "gguf/t5_f16_case"},
        {"gguf/umt5_q8_0.gguf", "gguf/umt5_q8_0_case"},
        {"single/umt5_xxl_fp8_e4m3fn_scaled.safetensors", "single/umt5_xxl_fp8_e4m3fn_scaled_case"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        char *model_name = string_format("conditioning/t5/%s", cases[i].model);
        char *inputs_name = string_format("conditioning/t5/%s.safetensors", cases[i].inputs);
        char *json_name = string_format("conditioning/t5/%s.json", cases[i].inputs);
        char *path = golden_path(model_name), *inputs_path = golden_path(inputs_name);
        char *json_path = golden_path(json_name);
        free(model_name), free(inputs_name), free(json_name);
        if (!path || !inputs_path || !json_path) {
            free(path), free(inputs_path), free(json_path);
            print_message("skipped: reference data %s is not here\n", cases[i].model);
            skip();
        }
        struct config config;
        struct weights *weights;
        struct tokenizer *tokenizer;
        struct safetensors *inputs;
        json_t *root = json_load_file(json_path, 0, NULL);
        const json_t *texts = json_object_get(root, "texts");
        open_model(path, &config, &weights);
        assert_string_equal(config.tokenizer_path, path);
        if (checkpoint_open_vocabulary(&config, path, &tokenizer))
            fail_msg("%s", vkclip_last_error());
        assert_int_equal(safetensors_open(inputs_path, &inputs), 0);
        const struct tensor_view *ids = safetensors_find(inputs, "input_ids");
        assert_int_equal(json_array_size(texts), ids->shape[0]);
        for (size_t row = 0; row < ids->shape[0]; row++)
            check_ids(tokenizer, json_string_value(json_array_get(texts, row)),
                      (const int32_t *)ids->data + row * ids->shape[1], ids->shape[1]);
        tokenizer_close(&tokenizer);
        weights_close(&weights);
        config_close(&config);
        safetensors_close(&inputs);
        json_decref(root);
        free(path), free(inputs_path), free(json_path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_the_model_of_safetensors),
        cmocka_unit_test(is_one_text_encoder),
        cmocka_unit_test(refuses_contradictions),
        cmocka_unit_test(has_its_tokenizer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
