/* SPDX-License-Identifier: MIT
 *
 * Weights by canonical name: files with OpenAI's and with Hugging Face's names give the same
 * values, in any type and in any pieces, and reading a large file keeps little of it in memory.
 */
#define _GNU_SOURCE
#include "base/array.h"
#include "support/scratch.h"
#include "support/weights.h"
#include "checkpoint/weights.h"
#include "format/safetensors.h"

#include <math.h>

static struct weights *open_golden(const char *relative)
{
    char *path = golden_path(relative);
    struct weights *weights;
    assert_non_null(path);
    assert_int_equal(weights_open(path, &weights), 0);
    assert_string_equal(weights_path(weights), path);
    free(path);
    return weights;
}

/* ---- Names ----------------------------------------------------------------------------------- */

/* Each mapping has a kind of tensor of a Hugging Face model, and the canonical tensor that
 * transformers' conversion makes it from. */
static const struct mapping {
    const char *canonical, *stored;
    unsigned rank;
    uint64_t shape[4];
    uint64_t first; /* row of the canonical tensor where the stored one begins */
    bool transposed;
} mappings[] = {
    {"token_embedding.weight", "text_model.embeddings.token_embedding.weight", 2, {1026, 72}, 0, 0},
    {"positional_embedding", "text_model.embeddings.position_embedding.weight", 2, {32, 72}, 0, 0},
    {"ln_final.weight", "text_model.final_layer_norm.weight", 1, {72}, 0, 0},
    {"ln_final.bias", "text_model.final_layer_norm.bias", 1, {72}, 0, 0},
    {"text_projection", "text_projection.weight", 2, {72, 40}, 0, true},
    {"logit_scale", "logit_scale", 0, {0}, 0, 0},
    {"visual.class_embedding", "vision_model.embeddings.class_embedding", 1, {160}, 0, 0},
    {"visual.conv1.weight",
     "vision_model.embeddings.patch_embedding.weight",
     4,
     {160, 3, 16, 16},
     0,
     0},
    {"visual.positional_embedding",
     "vision_model.embeddings.position_embedding.weight",
     2,
     {5, 160},
     0,
     0},
    {"visual.ln_pre.weight", "vision_model.pre_layrnorm.weight", 1, {160}, 0, 0},
    {"visual.ln_pre.bias", "vision_model.pre_layrnorm.bias", 1, {160}, 0, 0},
    {"visual.ln_post.weight", "vision_model.post_layernorm.weight", 1, {160}, 0, 0},
    {"visual.ln_post.bias", "vision_model.post_layernorm.bias", 1, {160}, 0, 0},
    {"visual.proj", "visual_projection.weight", 2, {160, 40}, 0, true},
    {"visual.transformer.resblocks.1.ln_1.weight",
     "vision_model.encoder.layers.1.layer_norm1.weight",
     1,
     {160},
     0,
     0},
    {"visual.transformer.resblocks.0.ln_2.bias",
     "vision_model.encoder.layers.0.layer_norm2.bias",
     1,
     {160},
     0,
     0},
    {"visual.transformer.resblocks.1.attn.in_proj_weight",
     "vision_model.encoder.layers.1.self_attn.q_proj.weight",
     2,
     {480, 160},
     0,
     0},
    {"visual.transformer.resblocks.1.attn.in_proj_weight",
     "vision_model.encoder.layers.1.self_attn.k_proj.weight",
     2,
     {480, 160},
     160,
     0},
    {"visual.transformer.resblocks.1.attn.in_proj_weight",
     "vision_model.encoder.layers.1.self_attn.v_proj.weight",
     2,
     {480, 160},
     320,
     0},
    {"transformer.resblocks.0.attn.in_proj_bias",
     "text_model.encoder.layers.0.self_attn.q_proj.bias",
     1,
     {216},
     0,
     0},
    {"transformer.resblocks.0.attn.in_proj_bias",
     "text_model.encoder.layers.0.self_attn.k_proj.bias",
     1,
     {216},
     72,
     0},
    {"transformer.resblocks.0.attn.in_proj_bias",
     "text_model.encoder.layers.0.self_attn.v_proj.bias",
     1,
     {216},
     144,
     0},
    {"transformer.resblocks.1.attn.out_proj.weight",
     "text_model.encoder.layers.1.self_attn.out_proj.weight",
     2,
     {72, 72},
     0,
     0},
    {"transformer.resblocks.1.attn.out_proj.bias",
     "text_model.encoder.layers.1.self_attn.out_proj.bias",
     1,
     {72},
     0,
     0},
    {"transformer.resblocks.0.mlp.c_fc.weight",
     "text_model.encoder.layers.0.mlp.fc1.weight",
     2,
     {144, 72},
     0,
     0},
    {"transformer.resblocks.0.mlp.c_fc.bias",
     "text_model.encoder.layers.0.mlp.fc1.bias",
     1,
     {144},
     0,
     0},
    {"visual.transformer.resblocks.0.mlp.c_proj.weight",
     "vision_model.encoder.layers.0.mlp.fc2.weight",
     2,
     {160, 200},
     0,
     0},
    {"visual.transformer.resblocks.0.mlp.c_proj.bias",
     "vision_model.encoder.layers.0.mlp.fc2.bias",
     1,
     {160},
     0,
     0},
};

static void names_hugging_face_tensors(void **state)
{
    (void)state;
    struct weights *weights = open_golden("models/hf-vit-gelu-f16/model.safetensors");
    struct safetensors *raw;
    assert_int_equal(safetensors_open(weights_path(weights), &raw), 0);
    assert_int_equal(weights_family(weights), VKCLIP_FAMILY_HF);
    assert_int_equal(weights_dtype(weights), DTYPE_F16);
    assert_int_equal(weights_parameters(weights), 630689);
    for (size_t i = 0; i < ARRAY_COUNT(mappings); i++) {
        const struct mapping *map = &mappings[i];
        const struct tensor_view *view = safetensors_find(raw, map->stored);
        uint64_t shape[TENSOR_MAX_RANK], count;
        unsigned rank;
        assert_non_null(view);
        assert_true(weights_shape(weights, map->canonical, shape, &rank));
        assert_int_equal(rank, map->rank);
        assert_memory_equal(shape, map->shape, rank * sizeof(*shape));
        float *all = read_weight(weights, map->canonical, &count);
        uint64_t stored = view->size / 2, row = map->rank ? count / shape[0] : 1;
        for (uint64_t j = 0; j < stored; j++) {
            uint64_t index =
                map->transposed ? j % shape[0] * shape[1] + j / shape[0] : map->first * row + j;
            assert_true(all[index] == tensor_view_value(view, j));
        }
        free(all);
    }
    safetensors_close(&raw);
    weights_close(&weights);
    assert_null(weights);
    weights_close(&weights);
}

/* Tensors of a Hugging Face model that are written under OpenAI's names give the same values. */
static void names_agree(void **state)
{
    (void)state;
    struct weights *hf = open_golden("models/hf-vit/model.safetensors"), *openai;
    char *folder = scratch_folder();
    char *path = scratch_path(folder, "openai.safetensors");
    struct tensor_view views[64] = {0};
    size_t count = 0;
    const char *name;
    for (; (name = weights_name(hf, count)); count++) {
        uint64_t number;
        assert_true(count < ARRAY_COUNT(views));
        views[count].name = name;
        views[count].data = read_weight(hf, name, &number);
        views[count].size = number * sizeof(float);
        assert_true(weights_shape(hf, name, views[count].shape, &views[count].rank));
    }
    assert_int_equal(count, 13 + 1 + 4 * 12); /* 12 tensors for each of four blocks */
    assert_int_equal(safetensors_write(path, views, count, NULL), 0);
    assert_int_equal(weights_open(path, &openai), 0);
    assert_int_equal(weights_family(openai), VKCLIP_FAMILY_OPENAI);
    assert_int_equal(weights_parameters(openai), weights_parameters(hf));
    for (size_t i = 0; i < count; i++) {
        uint64_t number;
        float *data = read_weight(openai, views[i].name, &number);
        assert_int_equal(number * sizeof(float), views[i].size);
        assert_memory_equal(data, views[i].data, views[i].size);
        free(data);
        free((void *)views[i].data);
    }
    weights_close(&openai);
    weights_close(&hf);
    free(path);
    scratch_remove(folder);
}

static void buffers_are_no_weights(void **state)
{
    (void)state;
    struct weights *weights = open_golden("models/sd-text/text_encoder/model.safetensors");
    const char *name;
    for (size_t i = 0; (name = weights_name(weights, i)); i++)
        assert_null(strstr(name, "position_ids"));
    assert_int_equal(weights_parameters(weights), 166128);
    weights_close(&weights);
}

/* ---- Rows and types -------------------------------------------------------------------------- */

static void reads_any_rows(void **state)
{
    (void)state;
    static const char *const names[] = {
        "visual.transformer.resblocks.0.attn.in_proj_weight", /* q, k and v are stored apart */
        "transformer.resblocks.1.attn.in_proj_bias",
        "visual.proj", /* stored transposed */
        "text_projection",
        "visual.conv1.weight",
        "ln_final.weight",
        "logit_scale",
    };
    struct weights *weights = open_golden("models/hf-vit-gelu-f16/model.safetensors");
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        uint64_t rows, count;
        float *all = read_weight(weights, names[i], &count);
        count_elements(weights, names[i], &rows);
        uint64_t row = count / rows, step = rows < 7 ? 1 : rows / 7;
        for (uint64_t first = 0; first <= rows; first += step)
            for (uint64_t number = 0; first + number <= rows; number += number ? step : 1) {
                float *part = malloc((size_t)(number * row + 1) * sizeof(*part));
                part[number * row] = 42; /* The value after the rows must stay. */
                assert_int_equal(weights_read(weights, names[i], first, number, part), 0);
                if (number)
                    assert_memory_equal(part, all + first * row,
                                        (size_t)(number * row) * sizeof(*part));
                assert_true(part[number * row] == 42);
                free(part);
            }
        float value;
        assert_failed(weights_read(weights, names[i], rows, 1, &value), VKCLIP_EINVALID, names[i]);
        assert_failed(weights_read(weights, names[i], 0, rows + 1, &value), VKCLIP_EINVALID,
                      "rows");
        assert_failed(weights_read(weights, names[i], 1, UINT64_MAX, &value), VKCLIP_EINVALID,
                      "rows");
        free(all);
    }
    float value;
    assert_failed(weights_read(weights, "visual.none", 0, 1, &value), VKCLIP_EABSENT,
                  "tensor visual.none is missing");
    weights_close(&weights);
}

/* Reads a file with every type, in which the size of the first tensor leaves the others unaligned.
 */
static void converts_every_type(void **state)
{
    (void)state;
    static const uint16_t f16[5] = {0x3c00, 0x0001, 0xfc00, 0x7bff, 0x8400};
    static const float from_f16[5] = {1, 0x1p-24f, -INFINITY, 65504, -0x1p-14f};
    static const uint16_t bf16[3] = {0x3f80, 0x0001, 0xc2f7};
    static const float from_bf16[3] = {1, 0x1p-133f, -123.5f};
    static const float f32[3] = {1e-45f, -3.25f, 3.4e38f};
    static const double f64[2] = {0.1, -1e300};
    static const float from_f64[2] = {0.1f, -INFINITY};
    const struct tensor_view views[] = {
        {"visual.a", DTYPE_F16, 1, {5}, f16, sizeof(f16)},
        {"visual.b", DTYPE_F32, 2, {3, 1}, f32, sizeof(f32)}, /* unaligned at offset 10 */
        {"visual.c", DTYPE_BF16, 1, {3}, bf16, sizeof(bf16)},
        {"visual.d", DTYPE_F64, 1, {2}, f64, sizeof(f64)},
        {"visual.e", DTYPE_F32, 2, {4, 0}, NULL, 0},
    };
    const float *const expected[] = {from_f16, f32, from_bf16, from_f64};
    char *folder = scratch_folder();
    char *path = scratch_path(folder, "types.safetensors");
    struct weights *weights;
    assert_int_equal(safetensors_write(path, views, ARRAY_COUNT(views), NULL), 0);
    assert_int_equal(weights_open(path, &weights), 0);
    assert_int_equal(weights_dtype(weights), DTYPE_F64);
    for (size_t i = 0; i < ARRAY_COUNT(expected); i++) {
        uint64_t count;
        float *data = read_weight(weights, views[i].name, &count);
        assert_memory_equal(data, expected[i], (size_t)count * sizeof(*data));
        free(data);
    }
    float none = 42;
    assert_int_equal(weights_read(weights, "visual.e", 1, 3, &none), 0);
    assert_true(none == 42);
    weights_close(&weights);
    free(path);
    scratch_remove(folder);
}

/* The reference model hf-vit-bf16 is hf-vit rounded to nearest. */
static void bf16_is_f32_rounded(void **state)
{
    (void)state;
    struct weights *full = open_golden("models/hf-vit/model.safetensors");
    struct weights *half = open_golden("models/hf-vit-bf16/model.safetensors");
    const char *name;
    assert_int_equal(weights_dtype(half), DTYPE_BF16);
    for (size_t i = 0; (name = weights_name(full, i)); i++) {
        uint64_t count, same;
        float *a = read_weight(full, name, &count), *b = read_weight(half, name, &same);
        assert_int_equal(count, same);
        for (uint64_t j = 0; j < count; j++)
            assert_true(fabsf(a[j] - b[j]) <= fabsf(a[j]) / 256);
        free(a);
        free(b);
    }
    weights_close(&full);
    weights_close(&half);
}

/* ---- What is refused ------------------------------------------------------------------------- */

#define Q "text_model.encoder.layers.0.self_attn.q_proj.weight"
#define K "text_model.encoder.layers.0.self_attn.k_proj.weight"
#define V "text_model.encoder.layers.0.self_attn.v_proj.weight"

static void refuses_what_it_cannot_name(void **state)
{
    (void)state;
    static const float data[16] = {0};
#define VIEW(name, rank, ...)                          \
    {                                                  \
        name, DTYPE_F32, rank, {__VA_ARGS__}, data, 16 \
    }
    const struct {
        size_t count;
        struct tensor_view views[4];
        int error;
        const char *message;
    } bad[] = {
        {0, {{0}}, VKCLIP_EUNSUPPORTED, "neither CLIP nor T5"},
        {1, {VIEW("model.embed.weight", 1, 4)}, VKCLIP_EUNSUPPORTED, "found model.embed.weight"},
        {1,
         {{Q, DTYPE_I32, 1, {4}, data, 16}},
         VKCLIP_EUNSUPPORTED,
         "q_proj.weight: expected F32, F16, BF16, F64, F8_E4M3 or F8_E5M2, found I32"},
        {2, {VIEW(Q, 2, 2, 2), VIEW(K, 2, 2, 2)}, VKCLIP_EFORMAT, "expected query, key and value"},
        {1, {VIEW(V, 2, 2, 2)}, VKCLIP_EFORMAT, "v_proj.weight: expected query"},
        {3, {VIEW(Q, 2, 2, 2), VIEW(K, 2, 2, 2), VIEW(V, 2, 4, 1)}, VKCLIP_EFORMAT, "of one shape"},
        {3,
         {{Q, DTYPE_F32, 0, {0}, data, 4},
          {K, DTYPE_F32, 0, {0}, data, 4},
          {V, DTYPE_F32, 0, {0}, data, 4}},
         VKCLIP_EFORMAT,
         "of one shape"},
        {4,
         {VIEW(Q, 2, 2, 2), VIEW(K, 2, 2, 2), VIEW(V, 2, 2, 2),
          VIEW("transformer.resblocks.0.attn.in_proj_weight", 2, 2, 2)},
         VKCLIP_EFORMAT,
         "twice"},
        {2,
         {VIEW("text_model.final_layer_norm.bias", 1, 4), VIEW("ln_final.bias", 1, 4)},
         VKCLIP_EFORMAT,
         "ln_final.bias is there twice"},
        {2,
         {VIEW("text_model.x", 1, 4), VIEW("text_projection.weight", 1, 4)},
         VKCLIP_EFORMAT,
         "text_projection.weight: expected 2 dimensions, found 1"},
    };
    char *folder = scratch_folder();
    char *path = scratch_path(folder, "bad.safetensors");
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        struct weights *weights;
        assert_int_equal(safetensors_write(path, bad[i].views, bad[i].count, NULL), 0);
        assert_failed(weights_open(path, &weights), bad[i].error, bad[i].message);
        assert_null(weights);
    }
    free(path);
    scratch_remove(folder);
}

/* ---- Memory ---------------------------------------------------------------------------------- */

/* Returns how many bytes of a file's mappings are in this process's memory, or SIZE_MAX if the
 * system does not tell. Other memory is not counted, because a sanitizer's shadow memory grows with
 * every byte that is accessed. */
static size_t resident(const char *path)
{
    char line[4096];
    bool mapped = false, found = false;
    unsigned long kib, total = 0;
    FILE *file = fopen("/proc/self/smaps", "r");
    if (!file)
        return SIZE_MAX;
    while (fgets(line, sizeof(line), file)) {
        if (strchr(line, '/') || strchr(line, '-'))
            mapped = strstr(line, path) != NULL;
        if (mapped && sscanf(line, "Rss: %lu", &kib) == 1) {
            total += kib;
            found = true;
        }
    }
    fclose(file);
    return found ? total * 1024 : SIZE_MAX;
}

/* Pages of a file do not stay in memory after they are read. The file has 192 MiB, but is sparse.
 */
static void reading_keeps_little_in_memory(void **state)
{
    (void)state;
    enum { ROWS = 49152, WIDTH = 1024, STEP = 512 };
    char *folder = scratch_folder();
    char *path = scratch_path(folder, "large.safetensors");
    char header[256], padded[257];
    snprintf(
        header, sizeof(header),
        "{\"token_embedding.weight\":{\"dtype\":\"F32\",\"shape\":[%d,%d],\"data_offsets\":[0,%d]},"
        "\"visual.x\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}",
        ROWS, WIDTH, ROWS * WIDTH * 4);
    snprintf(padded, sizeof(padded), "%-256s", header);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite("\0\1\0\0\0\0\0\0", 1, 8, file), 8);
    assert_int_equal(fwrite(padded, 1, 256, file), 256);
    fclose(file);
    scratch_cut(path, 8 + 256 + (uint64_t)ROWS * WIDTH * 4);
    struct weights *weights;
    float *piece = calloc(STEP * WIDTH, sizeof(*piece));
    assert_non_null(piece);
    memset(piece, 1, STEP * WIDTH * sizeof(*piece));
    assert_int_equal(weights_open(path, &weights), 0);
    size_t peak = 0;
    for (uint64_t row = 0; row < ROWS; row += STEP) {
        assert_int_equal(weights_read(weights, "token_embedding.weight", row, STEP, piece), 0);
        size_t now = resident(path);
        peak = now > peak ? now : peak;
        assert_true(piece[0] == 0 && piece[STEP * WIDTH - 1] == 0);
    }
    if (peak == SIZE_MAX)
        print_message("resident memory is not checked: this system does not tell it\n");
    else /* A step reads 2 MiB, and the system may map more around it. */
        assert_in_range(peak, 0, 8 << 20);
#ifndef _WIN32
    /* Another program makes the file shorter while the model is open. */
    scratch_cut(path, 1 << 20);
    assert_int_equal(weights_read(weights, "token_embedding.weight", 0, 1, piece), 0);
    assert_failed(weights_read(weights, "token_embedding.weight", ROWS - 1, 1, piece), VKCLIP_EIO,
                  "large.safetensors: became shorter while it was read");
#endif
    weights_close(&weights);
    free(piece);
    free(path);
    scratch_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_hugging_face_tensors),
        cmocka_unit_test(names_agree),
        cmocka_unit_test(buffers_are_no_weights),
        cmocka_unit_test(reads_any_rows),
        cmocka_unit_test(converts_every_type),
        cmocka_unit_test(bf16_is_f32_rounded),
        cmocka_unit_test(refuses_what_it_cannot_name),
        cmocka_unit_test(reading_keeps_little_in_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
