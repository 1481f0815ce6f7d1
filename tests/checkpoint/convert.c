/* SPDX-License-Identifier: MIT
 *
 * Conversions of the reference models and of emoji-clip: every value is the original rounded as the
 * type defines, the configuration and the token ids stay the same, embeddings differ no more than
 * the type allows, and a model that cannot be written is refused and leaves no file. The test runs
 * on the device that the environment names.
 */
#define _GNU_SOURCE
#include "base/array.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/half.h"
#include "base/string.h"
#include "support/checkpoints.h"

#include <math.h>

#include "format/gguf.h"
#include "support/open_device.h"
#include "graph/quant.h"
#include "format/safetensors.h"

#define EMOJI "models/emoji-clip"

static void convert(const char *path, const struct vkclip_model_params *model, const char *output,
                    enum vkclip_type type, struct vkclip_conversion *conversion)
{
    struct vkclip_convert_params params = {.size = sizeof(params), .type = type};
    if (vkclip_convert_model(path, model, output, &params, conversion))
        fail_msg("%s", vkclip_last_error());
}

/* ---- Values ---------------------------------------------------------------------------------- */

/* Rounds to nearest, ties to even. */
static float round_bf16(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    uint32_t low = bits & 0xffff, odd = bits >> 16 & 1;
    bits = (bits & 0xffff0000u) + (low > 0x8000 || (low == 0x8000 && odd) ? 0x10000u : 0);
    memcpy(&value, &bits, sizeof(value));
    return value;
}

/* Rounds a block to Q8_0 as ggml defines it. */
static void round_q8(const float *values, float *defined)
{
    float most = 0;
    for (int i = 0; i < QUANT_BLOCK; i++)
        most = fmaxf(most, fabsf(values[i]));
    float scale = most / 127, inverse = most > 0 ? 1 / scale : 0;
    for (int i = 0; i < QUANT_BLOCK; i++)
        defined[i] = roundf(values[i] * inverse) * half_to_float(half_from_float(scale));
}

static void round_q4(const float *values, float *defined)
{
    struct quant_block block;
    assert_true(quant_pack(TYPE_Q4, values, QUANT_BLOCK, &block));
    for (size_t i = 0; i < QUANT_BLOCK; i++)
        defined[i] = quant_value(&block, i);
}

/* Reads a tensor by its canonical name. Projections are returned as GGUF files store them,
 * [D,width], because blocks of values with one scale lie along those rows. */
static float *read_tensor(const struct weights *weights, const char *name, uint64_t *rows,
                          uint64_t *length, unsigned *rank)
{
    uint64_t shape[TENSOR_MAX_RANK];
    assert_true(weights_shape(weights, name, shape, rank));
    *rows = *rank ? shape[0] : 1;
    *length = 1;
    for (unsigned i = 1; i < *rank; i++)
        *length *= shape[i];
    float *values = malloc(*rows * *length * sizeof(*values));
    assert_int_equal(weights_read(weights, name, 0, *rows, values), 0);
    if (strcmp(name, "text_projection") != 0 && strcmp(name, "visual.proj") != 0)
        return values;
    float *turned = malloc(*rows * *length * sizeof(*turned));
    for (uint64_t i = 0; i < *rows * *length; i++)
        turned[i % *length * *rows + i / *length] = values[i];
    free(values);
    uint64_t width = *rows;
    *rows = *length;
    *length = width;
    return turned;
}

/* Rounds the values of a tensor to those that a file of the given type has for it. */
static void round_values(enum vkclip_type type, const char *name, unsigned rank, uint64_t count,
                         uint64_t length, float *values)
{
    bool delicate = !strncmp(name, "transformer.resblocks.0.", 24) ||
                    !strcmp(name, "text_projection") || !strcmp(name, "visual.proj");
    bool packed = type == VKCLIP_TYPE_Q8 || type == VKCLIP_TYPE_Q4;
    if (rank < 2 || strstr(name, "positional_embedding") || type == VKCLIP_TYPE_F32)
        return;
    if (packed && rank == 2 && length % QUANT_BLOCK == 0) {
        float block[QUANT_BLOCK];
        for (uint64_t i = 0; i < count; i += QUANT_BLOCK) {
            memcpy(block, &values[i], sizeof(block));
            if (type == VKCLIP_TYPE_Q8 || delicate)
                round_q8(block, &values[i]);
            else
                round_q4(block, &values[i]);
        }
        return;
    }
    for (uint64_t i = 0; i < count; i++)
        values[i] = type == VKCLIP_TYPE_BF16 ? round_bf16(values[i])
                                             : half_to_float(half_from_float(values[i]));
}

static void check_values(const struct weights *before, const struct weights *after,
                         enum vkclip_type type)
{
    const char *name;
    size_t count = 0;
    for (; (name = weights_name(before, count)); count++) {
        uint64_t rows, length, found_rows, found_length;
        unsigned rank, found_rank;
        assert_string_equal(weights_name(after, count), name);
        float *expected = read_tensor(before, name, &rows, &length, &rank);
        float *found = read_tensor(after, name, &found_rows, &found_length, &found_rank);
        assert_true(rows == found_rows && length == found_length && rank == found_rank);
        round_values(type, name, rank, rows * length, length, expected);
        for (uint64_t i = 0; i < rows * length; i++)
            if (found[i] != expected[i])
                fail_msg("%s: %s[%llu]: expected %.9g, found %.9g", weights_path(after), name,
                         (unsigned long long)i, (double)expected[i], (double)found[i]);
        free(expected), free(found);
    }
    assert_null(weights_name(after, count));
}

/* ---- Configuration and vocabulary ------------------------------------------------------------ */

static void check_tower(const struct config_tower *a, const struct config_tower *b)
{
    assert_true(a->kind == b->kind && a->projection == b->projection);
    assert_true(a->width == b->width && a->layers == b->layers && a->heads == b->heads);
    assert_true(a->mlp == b->mlp && a->activation == b->activation && a->epsilon == b->epsilon);
}

static void check_config(const struct config *a, const struct config *b, bool gguf)
{
    check_tower(&a->text, &b->text);
    check_tower(&a->image, &b->image);
    assert_true(a->image_size == b->image_size && a->patch_size == b->patch_size);
    assert_memory_equal(a->stages, b->stages, sizeof(a->stages));
    assert_true(a->context == b->context && a->vocabulary == b->vocabulary);
    assert_int_equal(a->image_embed_dim, b->image_embed_dim);
    assert_int_equal(a->text_embed_dim, b->text_embed_dim);
    assert_true(a->logit_scale == b->logit_scale);
    assert_memory_equal(a->image_mean, b->image_mean, sizeof(a->image_mean));
    assert_memory_equal(a->image_std, b->image_std, sizeof(a->image_std));
    assert_int_equal(!a->tokenizer_path, !b->tokenizer_path);
    if (gguf)
        return; /* GGUF files lack what follows, so OpenAI's values are used. */
    assert_int_equal(a->eos_token_id, b->eos_token_id);
    assert_int_equal(a->pad_token_id, b->pad_token_id);
    assert_true(a->rgb_first == b->rgb_first || !a->image.kind);
}

static void tokenize(const char *path, const struct vkclip_model_params *params, int32_t *ids,
                     size_t capacity)
{
    static const char text[] = "A photo of two caf\xc3\xa9s, 2021! <|endoftext|> \xf0\x9f\x98\x80";
    struct vkclip_model *model = NULL;
    size_t count;
    if (vkclip_open_model(NULL, path, params, &model) ||
        vkclip_tokenize(model, text, strlen(text), VKCLIP_TOKENIZE_FULL | VKCLIP_TOKENIZE_PAD, ids,
                        capacity, &count))
        fail_msg("%s", vkclip_last_error());
    vkclip_close_model(&model);
}

/* ---- Every model in every type --------------------------------------------------------------- */

static const struct source {
    const char *path; /* path in the reference data, or EMOJI */
    bool gguf;        /* whether a GGUF file can hold the model */
} sources[] = {
    {EMOJI, true},
    {"models/hf-vit", true},
    {"models/hf-vit-gelu-f16", true},
    {"models/hf-vit-sharded", true},
    {"models/openclip-vit", true},
    {"models/openai-vit/model.pt", true},
    {"models/openai-rn/model.safetensors", false},
    {"models/sd-text/text_encoder", false},
    {"models/sdxl-text2/text_encoder", true},
};

static char *source_path(const struct source *source)
{
    char *path =
        !strcmp(source->path, EMOJI) ? string_format("%s", EMOJI) : golden_path(source->path);
    if (!path)
        printf("skipped: reference data %s is not here\n", source->path);
    return path;
}

static void check_conversion(const char *path, const char *output, enum vkclip_type type)
{
    const bool gguf = strstr(output, ".gguf");
    struct config before, after;
    struct weights *original, *converted;
    struct vkclip_conversion conversion = {.size = sizeof(conversion)};
    int32_t ids[64] = {0}, found[64] = {0};
    convert(path, NULL, output, type, &conversion);
    if (checkpoint_open(path, NULL, &before, &original) ||
        checkpoint_open(output, NULL, &after, &converted))
        fail_msg("%s", vkclip_last_error());
    assert_string_equal(conversion.path, weights_path(converted));
    assert_int_equal(conversion.bytes_before, weights_bytes(original));
    assert_true(conversion.bytes_after >= weights_bytes(converted));
    check_config(&before, &after, gguf);
    check_values(original, converted, type);
    if (before.tokenizer_path) {
        tokenize(path, NULL, ids, 64);
        tokenize(output, NULL, found, 64);
        for (int i = 0; i < 64 && (!gguf || found[i]); i++) /* A GGUF model pads with 0. */
            assert_int_equal(found[i], ids[i]);
    }
    config_close(&before), config_close(&after);
    weights_close(&original), weights_close(&converted);
}

static void converts_every_type(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(sources); i++) {
        char *path = source_path(&sources[i]);
        for (enum vkclip_type type = 0; path && type <= VKCLIP_TYPE_Q4; type++) {
            char *folder = scratch_folder(), *model = scratch_path(folder, "model"),
                 *file = scratch_path(folder, "other.safetensors"),
                 *gguf = scratch_path(folder, "model.gguf");
            if (type <= VKCLIP_TYPE_BF16)
                check_conversion(path, model, type);
            if (type == VKCLIP_TYPE_F16)
                check_conversion(path, file, type);
            if (sources[i].gguf && type != VKCLIP_TYPE_BF16)
                check_conversion(path, gguf, type);
            free(model), free(file), free(gguf);
            scratch_remove(folder);
        }
        free(path);
    }
}

/* A GGUF file is converted to a folder without loss of tensors, configuration or vocabulary. */
static void converts_gguf(void **state)
{
    (void)state;
    char *folder = scratch_folder(), *gguf = scratch_path(folder, "model.gguf"),
         *back = scratch_path(folder, "back");
    convert(EMOJI, NULL, gguf, VKCLIP_TYPE_Q4, NULL);
    check_conversion(gguf, back, VKCLIP_TYPE_F32);
    check_conversion(gguf, back, VKCLIP_TYPE_F16); /* It replaces the F32 folder. */
    free(gguf), free(back);
    scratch_remove(folder);
}

/* What the caller says about a model is stored in the converted file. */
static void keeps_options(void **state)
{
    (void)state;
    char *path = golden_path("models/openai-vit/model.pt"),
         *vocab = golden_path("models/tokenizer-1026/bpe_1026.txt.gz");
    if (!path || !vocab) {
        free(path), free(vocab);
        skip();
    }
    const struct vkclip_model_params params = {.size = sizeof(params),
                                               .vocab = vocab,
                                               .activation = VKCLIP_ACTIVATION_GELU,
                                               .image_size = 64};
    for (int kind = 0; kind < 2; kind++) {
        char *folder = scratch_folder(), *output = scratch_path(folder, kind ? "m.gguf" : "m");
        struct config config;
        struct weights *weights;
        int32_t ids[64] = {0}, found[64] = {0};
        convert(path, &params, output, VKCLIP_TYPE_F16, NULL);
        assert_int_equal(checkpoint_open(output, NULL, &config, &weights), 0);
        assert_int_equal(config.image.activation, VKCLIP_ACTIVATION_GELU);
        assert_int_equal(config.image_size, 64);
        tokenize(path, &params, ids, 64);
        tokenize(output, NULL, found, 64);
        assert_memory_equal(ids, found, sizeof(ids));
        config_close(&config);
        weights_close(&weights);
        free(output);
        scratch_remove(folder);
    }
    free(path), free(vocab);
}

/* ---- Embeddings ------------------------------------------------------------------------------ */

static void keeps_embeddings(void **state)
{
    (void)state;
    static const struct {
        enum vkclip_type type;
        const char *output;
        double least;
    } cases[] = {{VKCLIP_TYPE_F32, "f32", 0.9999999}, {VKCLIP_TYPE_F16, "f16", 0.9999999},
                 {VKCLIP_TYPE_BF16, "bf16", 0.9999},  {VKCLIP_TYPE_F16, "f16.gguf", 0.9999999},
                 {VKCLIP_TYPE_Q8, "q8.gguf", 0.999},  {VKCLIP_TYPE_Q4, "q4.gguf", 0.97}};
    char *folder = scratch_folder();
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) { /* The weights of emoji-clip are fp16. */
        char *output = scratch_path(folder, cases[i].output);
        struct vkclip_comparison found = {.size = sizeof(found)};
        convert(EMOJI, NULL, output, cases[i].type, NULL);
        if (vkclip_compare_models(device, EMOJI, NULL, output, NULL, NULL, NULL, &found))
            fail_msg("%s", vkclip_last_error());
        printf("%-9s images %.7f %.7f, texts %.7f %.7f\n", cases[i].output, found.image_min,
               found.image_mean, found.text_min, found.text_mean);
        assert_true(found.images >= 8 && found.texts >= 8);
        assert_true(found.image_min >= cases[i].least && found.text_min >= cases[i].least);
        assert_true(found.image_mean >= found.image_min && found.image_mean <= 1);
        assert_true(found.text_mean >= found.text_min && found.text_mean <= 1);
        free(output);
    }
    scratch_remove(folder);
}

/* Encodes texts with ids from all parts of the token table. */
static void encode_ids(const char *path, const struct vkclip_model_params *params, float *embeds)
{
    struct vkclip_model *model = NULL;
    struct vkclip_model_info info = {.size = sizeof(info)};
    int32_t ids[4 * 12];
    if (vkclip_open_model(device, path, params, &model))
        fail_msg("%s", vkclip_last_error());
    assert_int_equal(vkclip_get_model_info(model, &info), 0);
    for (int i = 0; i < 4 * 12; i++)
        ids[i] = (int32_t)(i % 12 == 11 ? info.vocabulary - 1
                                        : (uint32_t)(i * 7919 + 13) % (info.vocabulary - 1));
    if (vkclip_encode_tokens(model, ids, 4, 12, NULL, embeds))
        fail_msg("%s", vkclip_last_error());
    vkclip_close_model(&model);
}

/* A packed file has the values that the original gets if it is packed at load, and its text tower
 * gives the same embeddings to the bit. The image tower's differ, because the patch embedding is
 * packed at load but stored in fp16: clip.cpp cannot read blocks there. */
static void packs_as_at_load(void **state)
{
    (void)state;
    static const struct {
        enum vkclip_type type;
        enum vkclip_weights weights;
        double least; /* the smallest cosine of the images */
    } cases[] = {{VKCLIP_TYPE_Q8, VKCLIP_WEIGHTS_Q8, 0.9999},
                 {VKCLIP_TYPE_Q4, VKCLIP_WEIGHTS_Q4, 0.97}};
    char *folder = scratch_folder(), *gguf = scratch_path(folder, "model.gguf");
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        const struct vkclip_model_params packed = {.size = sizeof(packed),
                                                   .weights = cases[i].weights};
        struct vkclip_comparison found = {.size = sizeof(found)};
        float expected[4 * 128], again[4 * 128];
        convert(EMOJI, NULL, gguf, cases[i].type, NULL);
        encode_ids(EMOJI, &packed, expected);
        encode_ids(gguf, &packed, again);
        assert_memory_equal(expected, again, sizeof(expected));
        assert_int_equal(
            vkclip_compare_models(device, EMOJI, &packed, gguf, NULL, NULL, NULL, &found), 0);
        printf("1 - cosine: images %.2g, texts %.2g\n", 1 - found.image_min, 1 - found.text_min);
        assert_true(found.image_min > cases[i].least && found.text_min > 0.999999);
    }
    free(gguf);
    scratch_remove(folder);
}

/* ---- What is refused ------------------------------------------------------------------------- */

static int try(const char *path, const char *output, enum vkclip_type type)
{
    struct vkclip_convert_params params = {.size = sizeof(params), .type = type};
    return vkclip_convert_model(path, NULL, output, &params, NULL);
}

static void assert_empty(const char *folder)
{
    char **names;
    size_t count;
    assert_int_equal(folder_list(folder, &names, &count), 0);
    if (count)
        fail_msg("%s: found %s", folder, names[0]);
    folder_free_names(&names, count);
}

static void refuses_outputs(void **state)
{
    (void)state;
    static const struct {
        const char *path, *output;
        enum vkclip_type type;
        int error;
        const char *message;
    } cases[] = {
        {EMOJI, "m", VKCLIP_TYPE_Q8, VKCLIP_EINVALID, "q8 and q4 are types of .gguf files"},
        {EMOJI, "m.safetensors", VKCLIP_TYPE_Q4, VKCLIP_EINVALID, "types of .gguf files"},
        {EMOJI, "m.gguf", VKCLIP_TYPE_BF16, VKCLIP_EINVALID, "a type of .safetensors files"},
        {EMOJI, "m.pt", VKCLIP_TYPE_F16, VKCLIP_EINVALID, "m.pt: cannot be written"},
        {EMOJI, "a/m.gguf", VKCLIP_TYPE_F16, VKCLIP_EIO, "m.gguf: cannot be written: No such"},
        {EMOJI, "a/m.safetensors", VKCLIP_TYPE_F16, VKCLIP_EIO, "cannot be written: No such"},
        {EMOJI, "a/b", VKCLIP_TYPE_F16, VKCLIP_EIO, "a/b: No such file"},
        {"none", "m", VKCLIP_TYPE_F16, VKCLIP_EIO, "none: no such file or folder"},
        {"models/openai-rn/model.safetensors", "m.gguf", VKCLIP_TYPE_F16, VKCLIP_EUNSUPPORTED,
         "have no ModifiedResNet: write safetensors"},
        {"models/sd-text/text_encoder", "m.gguf", VKCLIP_TYPE_Q8, VKCLIP_EUNSUPPORTED,
         "have no tower without a projection"},
    };
    char *folder = scratch_folder();
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        char *output = scratch_path(folder, cases[i].output), *path = golden_path(cases[i].path);
        if (path || strncmp(cases[i].path, "models/", 7) != 0 || !strcmp(cases[i].path, EMOJI))
            assert_failed(try(path ? path : cases[i].path, output, cases[i].type), cases[i].error,
                          cases[i].message);
        assert_empty(folder);
        free(output), free(path);
    }
    assert_int_equal(vkclip_convert_model(NULL, NULL, "m", NULL, NULL), VKCLIP_EINVALID);
    assert_int_equal(vkclip_convert_model(EMOJI, NULL, "", NULL, NULL), VKCLIP_EINVALID);
    scratch_remove(folder);
}

/* An output that is also the input is not replaced, however its path is spelled, and neither are
 * files beside the output that have other content. */
static void replaces_nothing_foreign(void **state)
{
    (void)state;
    char *folder = scratch_folder(), *model = scratch_path(folder, "model"),
         *same = scratch_path(folder, "model/../model/model.safetensors"),
         *other = scratch_path(model, "other.safetensors"), *plain = scratch_path(folder, "plain");
    convert(EMOJI, NULL, model, VKCLIP_TYPE_F16, NULL);
    assert_failed(try(model, model, VKCLIP_TYPE_F16), VKCLIP_EINVALID, "is read from");
    assert_failed(try(model, same, VKCLIP_TYPE_F16), VKCLIP_EINVALID, "is read from");
    scratch_text(folder, "plain", "x");
    assert_failed(try(EMOJI, plain, VKCLIP_TYPE_F16), VKCLIP_EINVALID, "plain: is a file");
    assert_int_equal(try(EMOJI, other, VKCLIP_TYPE_BF16), 0); /* The configuration is the same. */
    remove(other);
    scratch_text(model, "preprocessor_config.json", "{}");
    assert_failed(try(EMOJI, other, VKCLIP_TYPE_BF16), VKCLIP_EIO,
                  "preprocessor_config.json: is there already with other content");
    assert_false(file_exists(other));
    free(model), free(same), free(other), free(plain);
    scratch_remove(folder);
}

static int stop_late(void *user, uint64_t done, uint64_t total)
{
    uint64_t *seen = user;
    assert_true(done > *seen && done <= total);
    *seen = done;
    return done > total / 2;
}

static void stops(void **state)
{
    (void)state;
    static const char *const outputs[] = {"m", "m.safetensors", "m.gguf"};
    char *folder = scratch_folder();
    for (size_t i = 0; i < ARRAY_COUNT(outputs); i++) {
        uint64_t seen = 0;
        char *output = scratch_path(folder, outputs[i]);
        struct vkclip_convert_params params = {
            .size = sizeof(params), .progress = stop_late, .user = &seen};
        assert_failed(vkclip_convert_model(EMOJI, NULL, output, &params, NULL), VKCLIP_ECANCELLED,
                      "stopped by the caller");
        assert_true(seen > 0);
        assert_empty(folder);
        free(output);
    }
    scratch_remove(folder);
}

/* One weight of 1e5 does not fit into fp16. Exchanging the last two merges makes a vocabulary whose
 * merges do not follow from its tokens, which a GGUF file cannot hold. */
static void refuses_values_and_vocabularies(void **state)
{
    (void)state;
    char *path = golden_path("models/hf-vit/merges.txt"),
         *model = golden_path("models/hf-vit/model.safetensors");
    if (!path || !model) {
        free(path), free(model);
        skip();
    }
    char *folder = scratch_folder(), *out = scratch_path(folder, "out"),
         *gguf = scratch_path(folder, "out.gguf"), *in = scratch_path(folder, "model.safetensors"),
         *merges;
    struct safetensors *file;
    size_t size;
    assert_int_equal(safetensors_open(model, &file), 0);
    for (size_t i = 0; i < file->count; i++)
        if (!strcmp(file->tensors[i].name, "text_model.encoder.layers.0.mlp.fc1.weight")) {
            float *copy = malloc(file->tensors[i].size);
            memcpy(copy, file->tensors[i].data, file->tensors[i].size);
            copy[33] = 1e5f;
            file->tensors[i].data = copy;
            file->tensors[i].map = NULL;
            assert_int_equal(safetensors_write(in, file->tensors, file->count, NULL), 0);
            free(copy);
        }
    safetensors_close(&file);
    const char *const links[] = {"config.json", "preprocessor_config.json", "vocab.json"};
    for (size_t i = 0; i < ARRAY_COUNT(links); i++)
        link_golden(folder, "models/hf-vit", links[i], NULL);
    assert_int_equal(file_read(path, 1 << 24, &merges, &size), 0);
    scratch_text(folder, "merges.txt", merges);
    assert_failed(try(folder, out, VKCLIP_TYPE_F16), VKCLIP_EUNSUPPORTED,
                  "mlp.c_fc.weight has values that F16 does not hold: use f32 or bf16");
    assert_false(folder_exists(out));
    assert_failed(try(folder, gguf, VKCLIP_TYPE_F16), VKCLIP_EUNSUPPORTED,
                  "does not hold: use f32");
    assert_int_equal(try(folder, out, VKCLIP_TYPE_BF16), 0);
    assert_int_equal(try(folder, gguf, VKCLIP_TYPE_F32), 0);
    remove(gguf);
    while (size && merges[size - 1] == '\n')
        merges[--size] = 0;
    char *last = strrchr(merges, '\n');
    *last = 0;
    char *before = strrchr(merges, '\n');
    *before = 0;
    char *text = string_format("%s\n%s\n%s\n", merges, last + 1, before + 1);
    scratch_text(folder, "merges.txt", text);
    assert_failed(try(folder, gguf, VKCLIP_TYPE_F32), VKCLIP_EUNSUPPORTED,
                  "its merges do not follow from its tokens");
    assert_false(file_exists(gguf));
    free(path), free(model), free(out), free(gguf), free(in), free(merges), free(text);
    scratch_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(converts_every_type),
        cmocka_unit_test(converts_gguf),
        cmocka_unit_test(keeps_options),
        cmocka_unit_test(keeps_embeddings),
        cmocka_unit_test(packs_as_at_load),
        cmocka_unit_test(refuses_outputs),
        cmocka_unit_test(replaces_nothing_foreign),
        cmocka_unit_test(stops),
        cmocka_unit_test(refuses_values_and_vocabularies),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
