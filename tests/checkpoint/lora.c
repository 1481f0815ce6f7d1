/* SPDX-License-Identifier: MIT
 *
 * LoRA files of all forms change the matrices that they name by strength * alpha / rank * up @
 * down, whatever form the encoder's file has, and what cannot be merged is refused.
 */
#define _GNU_SOURCE
#include "base/array.h"
#include "support/scratch.h"
#include "support/weights.h"
#include "checkpoint/lora.h"
#include "format/safetensors.h"

#include <math.h>

/* ---- Files ----------------------------------------------------------------------------------- */

enum { WIDTH = 6, MLP = 8, EMBED = 5 };

/* These are the matrices of an encoder of one block, under Hugging Face's names and under
 * OpenCLIP's in which they are rows of another matrix, or a matrix that is transposed. */
static const struct matrix {
    const char *name, *canonical;
    uint64_t rows, columns, first;
    bool transposed;
} matrices[] = {
    {"encoder.layers.0.self_attn.q_proj", "transformer.resblocks.0.attn.in_proj_weight", WIDTH,
     WIDTH, 0, false},
    {"encoder.layers.0.self_attn.k_proj", "transformer.resblocks.0.attn.in_proj_weight", WIDTH,
     WIDTH, WIDTH, false},
    {"encoder.layers.0.self_attn.v_proj", "transformer.resblocks.0.attn.in_proj_weight", WIDTH,
     WIDTH, 2 * WIDTH, false},
    {"encoder.layers.0.self_attn.out_proj", "transformer.resblocks.0.attn.out_proj.weight", WIDTH,
     WIDTH, 0, false},
    {"encoder.layers.0.mlp.fc1", "transformer.resblocks.0.mlp.c_fc.weight", MLP, WIDTH, 0, false},
    {"encoder.layers.0.mlp.fc2", "transformer.resblocks.0.mlp.c_proj.weight", WIDTH, MLP, 0, false},
    {"text_projection", "text_projection", EMBED, WIDTH, 0, true},
};
enum { MATRICES = ARRAY_COUNT(matrices) };

/* Returns a value that depends on every argument, at most 1 in size. */
static float make_value(size_t matrix, uint64_t row, uint64_t column, int salt)
{
    return (float)sin((double)(1 + matrix * 131 + row * 17 + column * 5) * (1.1 + 0.37 * salt));
}

static char *matrix_name(const char *prefix, size_t matrix, const char *separator,
                         const char *ending)
{
    const bool projection = matrix == MATRICES - 1;
    char *name =
        string_format("%s%s%s%s", prefix, projection || *separator == '-' ? "" : "text_model.",
                      matrices[matrix].name, ending);
    for (char *c = name; *separator == '_' && c < name + strlen(name) - strlen(ending); c++)
        if (*c == '.')
            *c = '_';
    return name;
}

struct file {
    struct tensor_view views[64];
    size_t count;
};

static void add_view(struct file *file, char *name, uint64_t rows, uint64_t columns, float *values)
{
    file->views[file->count++] = (struct tensor_view){
        name, DTYPE_F32, 2, {rows, columns}, values, rows * columns * sizeof(*values)};
}

static void write_file(struct file *file, const char *path, const char *const *metadata)
{
    assert_int_equal(safetensors_write(path, file->views, file->count, metadata), 0);
    for (size_t i = 0; i < file->count; i++) {
        free((char *)file->views[i].name);
        free((void *)file->views[i].data);
    }
    file->count = 0;
}

static float *make_matrix(size_t matrix, uint64_t rows, uint64_t columns, int salt)
{
    float *values = malloc(rows * columns * sizeof(*values));
    for (uint64_t i = 0; i < rows * columns; i++)
        values[i] = make_value(matrix, i / columns, i % columns, salt);
    return values;
}

/* Writes the encoder with Hugging Face's names or, as OpenCLIP has it, with packed matrices. */
static void write_encoder(const char *path, bool openclip)
{
    struct file file = {{{0}}, 0};
    float *packed = calloc(3 * WIDTH * WIDTH, sizeof(*packed));
    for (size_t m = 0; m < MATRICES; m++) {
        const struct matrix *matrix = &matrices[m];
        const uint64_t rows = matrix->rows, columns = matrix->columns;
        float *values = make_matrix(m, rows, columns, 0);
        if (!openclip) {
            add_view(&file, matrix_name("", m, ".", ".weight"), rows, columns, values);
        } else if (m < 3) {
            memcpy(packed + m * rows * columns, values, rows * columns * sizeof(*values));
            free(values);
        } else if (matrix->transposed) {
            float *turned = malloc(rows * columns * sizeof(*turned));
            for (uint64_t i = 0; i < rows * columns; i++)
                turned[i % columns * rows + i / columns] = values[i];
            free(values);
            add_view(&file, string_format("%s", matrix->canonical), columns, rows, turned);
        } else {
            add_view(&file, string_format("%s", matrix->canonical), rows, columns, values);
        }
    }
    if (openclip)
        add_view(&file, string_format("%s", matrices[0].canonical), 3 * WIDTH, WIDTH, packed);
    else
        free(packed);
    write_file(&file, path, NULL);
}

/* The alphas of get_alpha, as diffusers writes them. */
static const char *const peft_metadata[] = {
    "lora_adapter_metadata",
    "{\"text_encoder_2.lora_alpha\": 0.5, \"text_encoder_2.alpha_pattern\": {\"k_proj\": 1.5,"
    "\"v_proj\": 0, \"encoder.layers.0.self_attn.out_proj\": 3.5, \"mlp.fc1\": 4.5,"
    "\"fc2\": 5.5, \"text_projection\": 6.5}, \"unet.lora_alpha\": 9}",
    NULL};

/* A way to name the two matrices of a product. The separator is "." or "_" with "text_model", and
 * "-" for "." without it. */
static const struct form {
    const char *prefix, *separator, *down, *up, *alpha;
    unsigned place;
    const char *const *metadata; /* with the alphas of the matrices */
} forms[] = {
    {"lora_te_", "_", ".lora_down.weight", ".lora_up.weight", ".alpha", 1},
    {"lora_te2_", "_", ".lora_down.weight", ".lora_up.weight", NULL, 2},
    {"text_encoder.", ".", ".lora_A.weight", ".lora_B.weight", NULL, 1},
    {"text_encoder_2.", "-", ".lora_A.weight", ".lora_B.weight", NULL, 2},
    {"text_encoder_3.", ".", ".lora_linear_layer.down.weight", ".lora_linear_layer.up.weight",
     ".alpha", 3},
    {"text_encoder_2.", ".", ".lora_A.weight", ".lora_B.weight", NULL, 2, peft_metadata},
};

/* Ranks differ, and so does alpha; it is 0 for one matrix, which means none. */
static uint64_t get_rank(size_t matrix)
{
    return 1 + matrix % 3;
}

static float get_alpha(size_t matrix)
{
    return matrix == 2 ? 0 : 0.5f + (float)matrix;
}

static void write_lora(const char *path, const struct form *form)
{
    struct file file = {{{0}}, 0};
    for (size_t m = 0; m < MATRICES; m++) {
        const uint64_t rank = get_rank(m);
        add_view(&file, matrix_name(form->prefix, m, form->separator, form->down), rank,
                 matrices[m].columns, make_matrix(m, rank, matrices[m].columns, 1));
        add_view(&file, matrix_name(form->prefix, m, form->separator, form->up), matrices[m].rows,
                 rank, make_matrix(m, matrices[m].rows, rank, 2));
        if (!form->alpha)
            continue;
        float *alpha = malloc(sizeof(*alpha));
        *alpha = get_alpha(m);
        add_view(&file, matrix_name(form->prefix, m, form->separator, form->alpha), 1, 1, alpha);
    }
    add_view(&file, string_format("lora_unet_mid_block.lora_mid.weight"), 1, 2,
             make_matrix(0, 1, 2, 0));
    add_view(&file, string_format("transformer.x.lora_A.weight"), 1, 2, make_matrix(0, 1, 2, 0));
    write_file(&file, path, form->metadata);
}

/* ---- Merging --------------------------------------------------------------------------------- */

static double expected_value(size_t m, uint64_t row, uint64_t column, bool with_alpha,
                             float strength)
{
    const uint64_t rank = get_rank(m);
    double sum = 0, factor = strength;
    for (uint64_t r = 0; r < rank; r++)
        sum += (double)make_value(m, row, r, 2) * make_value(m, r, column, 1);
    if (with_alpha && get_alpha(m) != 0)
        factor *= (double)get_alpha(m) / (double)rank;
    return make_value(m, row, column, 0) + factor * sum;
}

static void check_weights(const struct weights *weights, bool with_alpha, float strength)
{
    for (size_t m = 0; m < MATRICES; m++) {
        const struct matrix *matrix = &matrices[m];
        uint64_t count;
        float *values = read_weight(weights, matrix->canonical, &count);
        for (uint64_t i = 0; i < matrix->rows * matrix->columns; i++) {
            const uint64_t row = i / matrix->columns, column = i % matrix->columns;
            const uint64_t place = matrix->transposed
                                       ? column * matrix->rows + row
                                       : (matrix->first + row) * matrix->columns + column;
            const double expected = expected_value(m, row, column, with_alpha, strength);
            if (fabs((double)values[place] - expected) > 1e-5)
                fail_msg("%s [%d,%d]: expected %g, found %g", matrix->name, (int)row, (int)column,
                         expected, (double)values[place]);
        }
        free(values);
    }
}

/* The log's last line. */
static char logged[2048];

static void take_line(void *user, enum vkclip_log_level level, const char *line)
{
    (void)user;
    snprintf(logged, sizeof(logged), "%d %s", level, line);
}

static void merges_all_forms(void **state)
{
    (void)state;
    char *folder = scratch_folder(), *lora_path = scratch_path(folder, "lora.safetensors");
    char *model = scratch_path(folder, "model.safetensors");
    for (size_t f = 0; f < 2 * ARRAY_COUNT(forms); f++) {
        const struct form *form = &forms[f / 2];
        struct weights *weights;
        struct lora *lora;
        write_encoder(model, f % 2);
        write_lora(lora_path, form);
        assert_int_equal(weights_open(model, &weights), 0);
        assert_int_equal(lora_open(lora_path, 0.8f, &lora), 0);
        assert_int_equal(lora_merge(lora, form->place == 3 ? 1 : 3, weights), 0);
        check_weights(weights, false, 0); /* The file has nothing for an encoder at that place. */
        if (lora_merge(lora, form->place, weights))
            fail_msg("%s: %s", form->prefix, vkclip_last_error());
        vkclip_set_log(take_line, NULL);
        lora_report(lora);
        vkclip_set_log(NULL, NULL);
        assert_non_null(strstr(logged, "changes 7 matrices of text encoders with strength 0.8, and "
                                       "leaves alone 1 of lora_unet, 1 of transformer"));
        lora_close(&lora);
        check_weights(weights, form->alpha || form->metadata, 0.8f);
        weights_close(&weights);
    }
    free(lora_path), free(model);
    scratch_remove(folder);
}

/* Two files add up, and strengths may be negative: what one adds, the other takes away. */
static void adds_several_files(void **state)
{
    (void)state;
    char *folder = scratch_folder(), *path = scratch_path(folder, "lora.safetensors");
    char *model = scratch_path(folder, "model.safetensors");
    struct weights *weights;
    struct lora *first, *second;
    write_encoder(model, true);
    write_lora(path, &forms[0]);
    assert_int_equal(weights_open(model, &weights), 0);
    assert_int_equal(lora_open(path, 1.5f, &first), 0);
    assert_int_equal(lora_open(path, -0.7f, &second), 0);
    assert_int_equal(lora_merge(first, 1, weights), 0);
    assert_int_equal(lora_merge(second, 1, weights), 0);
    check_weights(weights, true, 1.5f - 0.7f);
    lora_close(&first), lora_close(&second);
    weights_close(&weights);
    free(path), free(model);
    scratch_remove(folder);
}

/* With use_rslora, alpha is divided by the square root of the rank. */
static void reads_the_values_of_peft(void **state)
{
    (void)state;
    static const float down[4 * WIDTH] = {1}, up[4 * WIDTH] = {1};
    static const struct {
        const char *json;
        double factor;
    } cases[] = {
        {"{}", 1},
        {"{\"text_encoder.lora_alpha\": 8}", 2},
        {"{\"text_encoder.lora_alpha\": 8, \"text_encoder.use_rslora\": true}", 4},
        {"{\"text_encoder_2.lora_alpha\": 8}", 1},
    };
    const struct tensor_view views[] = {
        {"text_encoder.encoder.layers.0.self_attn.q_proj.lora_A.weight",
         DTYPE_F32,
         2,
         {4, WIDTH},
         down,
         sizeof(down)},
        {"text_encoder.encoder.layers.0.self_attn.q_proj.lora_B.weight",
         DTYPE_F32,
         2,
         {WIDTH, 4},
         up,
         sizeof(up)},
    };
    char *folder = scratch_folder(), *path = scratch_path(folder, "lora.safetensors");
    char *model = scratch_path(folder, "model.safetensors");
    struct lora *lora;
    write_encoder(model, true);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        const char *const metadata[] = {"lora_adapter_metadata", cases[i].json, NULL};
        struct weights *weights;
        float value;
        assert_int_equal(safetensors_write(path, views, 2, metadata), 0);
        assert_int_equal(weights_open(model, &weights), 0);
        assert_int_equal(lora_open(path, 1, &lora), 0);
        assert_int_equal(lora_merge(lora, 1, weights), 0);
        float row[WIDTH];
        assert_int_equal(weights_read(weights, matrices[0].canonical, 0, 1, row), 0);
        value = row[0] - make_value(0, 0, 0, 0);
        assert_true(fabs((double)value - cases[i].factor) < 1e-5);
        lora_close(&lora);
        weights_close(&weights);
    }
    const char *const broken[] = {"lora_adapter_metadata", "[]", NULL};
    assert_int_equal(safetensors_write(path, views, 2, broken), 0);
    assert_failed(lora_open(path, 1, &lora), VKCLIP_EFORMAT,
                  "lora_adapter_metadata in its metadata: expected a JSON object");
    free(path), free(model);
    scratch_remove(folder);
}

/* Writes a LoRA of rank 1 that adds 1 to all values of a matrix. */
static void write_ones(const char *path, const char *down, const char *up, uint64_t rows,
                       uint64_t columns)
{
    float ones[64];
    for (size_t i = 0; i < ARRAY_COUNT(ones); i++)
        ones[i] = 1;
    const struct tensor_view views[] = {
        {down, DTYPE_F32, 2, {1, columns}, ones, columns * sizeof(*ones)},
        {up, DTYPE_F32, 2, {rows, 1}, ones, rows * sizeof(*ones)}};
    assert_int_equal(safetensors_write(path, views, 2, NULL), 0);
}

/* The parts of T5's packed matrices, and the names that diffusers wrote first. T5 has the number 3
 * in files of kohya's trainer, although it is the second encoder of FLUX. */
static void finds_parts_of_matrices(void **state)
{
    (void)state;
    static const struct {
        bool t5;
        unsigned place;
        const char *down, *up, *canonical;
        uint64_t first, rows, columns, all_rows;
    } cases[] = {
        {true, 2, "lora_te3_encoder_block_1_layer_0_SelfAttention_k.lora_down.weight",
         "lora_te3_encoder_block_1_layer_0_SelfAttention_k.lora_up.weight",
         "encoder.block.1.attn.in_proj_weight", 48, 48, 32, 144},
        {true, 2, "text_encoder_2.encoder.block.0.layer.1.DenseReluDense.wi_1.lora_A.weight",
         "text_encoder_2.encoder.block.0.layer.1.DenseReluDense.wi_1.lora_B.weight",
         "encoder.block.0.mlp.c_fc.weight", 48, 48, 32, 96},
        {true, 1, "lora_te3_encoder_block_0_layer_1_DenseReluDense_wi_0.lora_down.weight",
         "lora_te3_encoder_block_0_layer_1_DenseReluDense_wi_0.lora_up.weight",
         "encoder.block.0.mlp.c_fc.weight", 0, 48, 32, 96},
        {false, 1, "text_encoder.text_model.encoder.layers.0.self_attn.to_v_lora.down.weight",
         "text_encoder.text_model.encoder.layers.0.self_attn.to_v_lora.up.weight",
         "transformer.resblocks.0.attn.in_proj_weight", 2 * WIDTH, WIDTH, WIDTH, 3 * WIDTH},
        {false, 1, "text_encoder.text_model.encoder.layers.0.self_attn.to_out_lora.down.weight",
         "text_encoder.text_model.encoder.layers.0.self_attn.to_out_lora.up.weight",
         "transformer.resblocks.0.attn.out_proj.weight", 0, WIDTH, WIDTH, WIDTH},
    };
    char *folder = scratch_folder(), *path = scratch_path(folder, "lora.safetensors");
    char *clip = scratch_path(folder, "model.safetensors");
    char *t5 = golden_path("conditioning/t5/single/t5xxl_fp16.safetensors");
    write_encoder(clip, false);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct weights *weights;
        struct lora *lora;
        uint64_t count;
        write_ones(path, cases[i].down, cases[i].up, cases[i].rows, cases[i].columns);
        assert_int_equal(weights_open(cases[i].t5 ? t5 : clip, &weights), 0);
        float *before = read_weight(weights, cases[i].canonical, &count);
        assert_int_equal(count, cases[i].all_rows * cases[i].columns);
        assert_int_equal(lora_open(path, 0.5f, &lora), 0);
        if (lora_merge(lora, cases[i].place, weights))
            fail_msg("%s", vkclip_last_error());
        float *after = read_weight(weights, cases[i].canonical, &count);
        for (uint64_t j = 0; j < count; j++) {
            const uint64_t row = j / cases[i].columns, end = cases[i].first + cases[i].rows;
            const bool changed = row >= cases[i].first && row < end;
            assert_true(after[j] == before[j] + (changed ? 0.5f : 0));
        }
        lora_close(&lora);
        weights_close(&weights);
        free(before), free(after);
    }
    free(path), free(clip), free(t5);
    scratch_remove(folder);
}

/* ---- Refusals -------------------------------------------------------------------------------- */

static void refuses_what_cannot_be_merged(void **state)
{
    (void)state;
    static const float data[64] = {1};
#define VIEW(name, rows, columns)                                       \
    {                                                                   \
        name, DTYPE_F32, 2, {rows, columns}, data, (rows) * (columns)*4 \
    }
#define Q "lora_te_text_model_encoder_layers_0_self_attn_q_proj"
    static const struct {
        size_t count;
        struct tensor_view views[3];
        int error;
        const char *message;
    } bad[] = {
        {1, {VIEW(Q ".hada_w1_a", 2, 2)}, VKCLIP_EUNSUPPORTED, "hada_w1_a: LoHa cannot be merged"},
        {1, {VIEW(Q ".lokr_w1", 2, 2)}, VKCLIP_EUNSUPPORTED, "lokr_w1: LoKr cannot be merged"},
        {1, {VIEW(Q ".dora_scale", 2, 2)}, VKCLIP_EUNSUPPORTED, "dora_scale: DoRA cannot"},
        {1,
         {VIEW("text_encoder.x.weight", 2, 2)},
         VKCLIP_EUNSUPPORTED,
         "text_encoder.x.weight: expected a name that ends in lora_down.weight"},
        {1,
         {{Q ".lora_up.weight", DTYPE_I32, 2, {2, 2}, data, 16}},
         VKCLIP_EUNSUPPORTED,
         "lora_up.weight: expected numbers, found I32"},
        {1, {VIEW(Q ".lora_up.weight", 6, 2)}, VKCLIP_EFORMAT, "q_proj: has no lora_down"},
        {1, {VIEW(Q ".lora_down.weight", 2, 6)}, VKCLIP_EFORMAT, "q_proj: has no lora_up"},
        {1, {VIEW(Q ".alpha", 1, 1)}, VKCLIP_EFORMAT, "q_proj: has no lora_down"},
        {2,
         {VIEW(Q ".lora_up.weight", 6, 2), VIEW(Q ".lora_down.weight", 3, 6)},
         VKCLIP_EFORMAT,
         "q_proj: expected lora_down of [rank,columns] and lora_up of [rows,rank]"},
        {3,
         {VIEW(Q ".lora_up.weight", 6, 2), VIEW(Q ".lora_down.weight", 2, 6),
          VIEW(Q ".alpha", 1, 2)},
         VKCLIP_EFORMAT,
         "q_proj.alpha: expected one number, found 2"},
        {3,
         {VIEW(Q ".lora_up.weight", 6, 2), VIEW(Q ".lora_down.weight", 2, 6),
          VIEW(Q ".lora_A.weight", 2, 6)},
         VKCLIP_EFORMAT,
         "q_proj: is there twice, as "},
        {2,
         {VIEW(Q ".lora_up.weight", 7, 2), VIEW(Q ".lora_down.weight", 2, 6)},
         VKCLIP_EFORMAT,
         "q_proj: changes a matrix of [7,6], but text_model.encoder.layers.0.self_attn.q_proj"},
        {2,
         {VIEW("lora_te1_text_model_encoder_layers_11_mlp_fc1.lora_up.weight", 8, 2),
          VIEW("lora_te1_text_model_encoder_layers_11_mlp_fc1.lora_down.weight", 2, 6)},
         VKCLIP_EABSENT,
         "layers_11_mlp_fc1: the text encoder of "},
    };
    char *folder = scratch_folder(), *path = scratch_path(folder, "bad.safetensors");
    char *model = scratch_path(folder, "model.safetensors");
    struct weights *weights;
    write_encoder(model, false);
    assert_int_equal(weights_open(model, &weights), 0);
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        struct lora *lora;
        assert_int_equal(safetensors_write(path, bad[i].views, bad[i].count, NULL), 0);
        int error = lora_open(path, 1, &lora);
        assert_true(!error || !lora);
        if (!error)
            error = lora_merge(lora, 1, weights);
        assert_failed(error, bad[i].error, bad[i].message);
        lora_close(&lora);
    }
    weights_close(&weights);
    free(path), free(model);
    scratch_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merges_all_forms),
        cmocka_unit_test(adds_several_files),
        cmocka_unit_test(reads_the_values_of_peft),
        cmocka_unit_test(finds_parts_of_matrices),
        cmocka_unit_test(refuses_what_cannot_be_merged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
