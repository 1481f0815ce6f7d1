/* SPDX-License-Identifier: MIT
 *
 * Text encoders inside single-file Stable Diffusion checkpoints: they are found by the prefix of
 * their tensors' names. On the device that the environment names, hidden states and embeddings are
 * equal to the bit to those of the same weights in a Hugging Face folder.
 */
#define _GNU_SOURCE
#include "base/array.h"
#include "base/hash.h"
#include "base/string.h"
#include "support/hidden_hash.h"
#include "support/scratch.h"

#include "checkpoint/open.h"
#include "support/open_device.h"
#include "format/safetensors.h"

enum { CONTEXT = 8, VOCABULARY = 32 };

/* ---- Files ----------------------------------------------------------------------------------- */

/* Stable Diffusion uses three encoders, which have only one block here. In the file of SD 3, clip_l
 * has a projection. */
struct encoder {
    const char *name, *activation;
    uint32_t width, heads;
    bool projection;
};
static const struct encoder clip_l = {"clip_l", "quick_gelu", 768, 12, false},
                            clip_l_of_sd3 = {"clip_l", "quick_gelu", 768, 12, true},
                            clip_h = {"clip_h", "gelu", 1024, 16, true},
                            clip_g = {"clip_g", "gelu", 1280, 20, true};

struct tensors {
    struct tensor_view views[80];
    size_t count;
};

static void add_tensor(struct tensors *tensors, char *name, enum dtype dtype, unsigned rank,
                       const uint64_t *shape, void *data)
{
    struct tensor_view *view = &tensors->views[tensors->count++];
    assert_true(tensors->count <= ARRAY_COUNT(tensors->views));
    *view = (struct tensor_view){.name = name, .dtype = dtype, .rank = rank, .data = data};
    view->size = dtype_size(dtype);
    for (unsigned i = 0; i < rank; i++) {
        view->shape[i] = shape[i];
        view->size *= shape[i];
    }
}

static void free_tensors(struct tensors *tensors)
{
    for (size_t i = 0; i < tensors->count; i++) {
        free((void *)tensors->views[i].name);
        free((void *)tensors->views[i].data);
    }
    tensors->count = 0;
}

/* Makes random values for an encoder, under Hugging Face's names. */
static void make_encoder(const struct encoder *encoder, struct tensors *tensors)
{
    const uint64_t w = encoder->width, m = 4 * w;
    const struct {
        const char *name;
        uint64_t rows, columns;
    } shapes[] = {
        {"embeddings.token_embedding.weight", VOCABULARY, w},
        {"embeddings.position_embedding.weight", CONTEXT, w},
        {"final_layer_norm.weight", w, 0},
        {"final_layer_norm.bias", w, 0},
        {"encoder.layers.0.layer_norm1.weight", w, 0},
        {"encoder.layers.0.layer_norm1.bias", w, 0},
        {"encoder.layers.0.layer_norm2.weight", w, 0},
        {"encoder.layers.0.layer_norm2.bias", w, 0},
        {"encoder.layers.0.self_attn.q_proj.weight", w, w},
        {"encoder.layers.0.self_attn.k_proj.weight", w, w},
        {"encoder.layers.0.self_attn.v_proj.weight", w, w},
        {"encoder.layers.0.self_attn.out_proj.weight", w, w},
        {"encoder.layers.0.self_attn.q_proj.bias", w, 0},
        {"encoder.layers.0.self_attn.k_proj.bias", w, 0},
        {"encoder.layers.0.self_attn.v_proj.bias", w, 0},
        {"encoder.layers.0.self_attn.out_proj.bias", w, 0},
        {"encoder.layers.0.mlp.fc1.weight", m, w},
        {"encoder.layers.0.mlp.fc1.bias", m, 0},
        {"encoder.layers.0.mlp.fc2.weight", w, m},
        {"encoder.layers.0.mlp.fc2.bias", w, 0},
        {"text_projection.weight", w, w},
    };
    uint32_t random = encoder->width;
    for (size_t i = 0; i + !encoder->projection < ARRAY_COUNT(shapes); i++) {
        uint64_t count = shapes[i].rows * (shapes[i].columns ? shapes[i].columns : 1);
        float *values = malloc(count * sizeof(*values));
        for (uint64_t j = 0; j < count; j++) {
            random = random * 1664525 + 1013904223;
            values[j] = (float)(int32_t)random / 2147483648.0f * 0.1f;
        }
        bool projection = !strcmp(shapes[i].name, "text_projection.weight");
        add_tensor(tensors, string_format("%s%s", projection ? "" : "text_model.", shapes[i].name),
                   DTYPE_F32, shapes[i].columns ? 2 : 1, &shapes[i].rows, values);
    }
}

/* Writes a Hugging Face folder with one encoder. */
static char *write_folder(const struct encoder *encoder, const struct tensors *tensors)
{
    char *folder = scratch_folder(), *path = scratch_path(folder, "model.safetensors");
    char *config = string_format(
        "{\"model_type\":\"clip_text_model\",\"hidden_size\":%u,\"intermediate_size\":%u,"
        "\"num_hidden_layers\":1,\"num_attention_heads\":%u,\"max_position_embeddings\":%d,"
        "\"vocab_size\":%d,\"projection_dim\":%u,\"hidden_act\":\"%s\",\"eos_token_id\":2}",
        encoder->width, 4 * encoder->width, encoder->heads, CONTEXT, VOCABULARY, encoder->width,
        encoder->activation);
    assert_int_equal(safetensors_write(path, tensors->views, tensors->count, NULL), 0);
    scratch_text(folder, "config.json", config);
    free(config), free(path);
    return folder;
}

/* The names of a folder are followed, those of newer versions of transformers, which leave out
 * "text_model.", or OpenCLIP's, which are the canonical ones. */
enum names { FOLDER, NEWER, OPENCLIP };

/* Adds the tensors of a folder's encoder to those of a single file, under a prefix. */
static void add_encoder(struct tensors *all, const char *folder, const char *prefix,
                        enum names names)
{
    static const char tower[] = "text_model.";
    char *path = scratch_path(folder, "model.safetensors");
    struct safetensors *file;
    struct weights *weights;
    const char *name;
    assert_int_equal(safetensors_open(path, &file), 0);
    assert_int_equal(weights_open(path, &weights), 0);
    for (size_t i = 0; names != OPENCLIP && i < file->count; i++) {
        const struct tensor_view *view = &file->tensors[i];
        const bool shorter = names == NEWER && string_begins_with(view->name, tower);
        void *copy = malloc(view->size);
        memcpy(copy, view->data, view->size);
        add_tensor(all, string_format("%s%s", prefix, view->name + (shorter ? strlen(tower) : 0)),
                   view->dtype, view->rank, view->shape, copy);
    }
    for (size_t i = 0; names == OPENCLIP && (name = weights_name(weights, i)); i++) {
        uint64_t shape[TENSOR_MAX_RANK];
        unsigned rank;
        assert_true(weights_shape(weights, name, shape, &rank));
        float *values = malloc(shape[0] * (rank > 1 ? shape[1] : 1) * sizeof(*values));
        assert_int_equal(weights_read(weights, name, 0, shape[0], values), 0);
        add_tensor(all, string_format("%s%s", prefix, name), DTYPE_F32, rank, shape, values);
    }
    safetensors_close(&file);
    weights_close(&weights);
    free(path);
}

/* Adds tensors of other models, as such files have them, with types and shapes that no encoder has.
 */
static void add_others(struct tensors *all)
{
    static const uint64_t shape[] = {2, 2};
    static const struct {
        const char *name;
        enum dtype dtype;
    } others[] = {{"model.diffusion_model.input_blocks.0.0.weight", DTYPE_F8_E4M3},
                  {"first_stage_model.encoder.conv_in.weight", DTYPE_F32},
                  {"text_encoders.t5xxl.transformer.shared.weight", DTYPE_F8_E5M2},
                  {"cond_stage_model.logit_scale", DTYPE_F32},
                  {"model_ema.num_updates", DTYPE_I32}};
    for (size_t i = 0; i < ARRAY_COUNT(others); i++)
        add_tensor(all, string_format("%s", others[i].name), others[i].dtype, 2, shape,
                   calloc(4, 4));
}

/* ---- The towers ------------------------------------------------------------------------------ */

/* Encodes two texts. Without a device it only opens and describes the model. */
static struct hidden_hash encode_texts(struct vkclip_device *run_on, const char *path,
                                       const char *name, struct vkclip_model_info *info)
{
    static const int32_t ids[2][CONTEXT] = {{30, 1, 2, 3, 31, 31, 31, 31},
                                            {30, 9, 8, 7, 6, 5, 4, 31}};
    struct vkclip_model_params params = {.size = sizeof(params), .text_encoder = name};
    struct hidden_hash states = {0};
    struct vkclip_encode_params encode = {
        .size = sizeof(encode), .hidden = hidden_hash_add, .user = &states};
    struct vkclip_model *model = NULL;
    float embeds[2 * 1280];
    if (vkclip_open_model(run_on, path, &params, &model))
        fail_msg("%s", vkclip_last_error());
    assert_int_equal(vkclip_get_model_info(model, info), 0);
    if (run_on) {
        assert_int_equal(vkclip_encode_tokens(model, ids[0], 2, CONTEXT, &encode, embeds), 0);
        states.hash = hash_bytes(states.hash, embeds, 2 * info->text_embed_dim * sizeof(*embeds));
    }
    vkclip_close_model(&model);
    return states;
}

/* Reads all weights of an encoder. */
static uint64_t hash_weights(const char *path, const char *encoder)
{
    struct weights *weights;
    const char *name;
    uint64_t hash = 0;
    if (weights_open_encoder(path, encoder, &weights))
        fail_msg("%s", vkclip_last_error());
    for (size_t i = 0; (name = weights_name(weights, i)); i++) {
        uint64_t shape[TENSOR_MAX_RANK], size = 1;
        unsigned rank;
        assert_true(weights_shape(weights, name, shape, &rank));
        for (unsigned d = 0; d < rank; d++)
            size *= shape[d];
        float *values = malloc(size * sizeof(*values));
        assert_int_equal(weights_read(weights, name, 0, shape[0], values), 0);
        hash = hash_bytes(hash_bytes(hash, name, strlen(name)), values, size * sizeof(*values));
        free(values);
    }
    weights_close(&weights);
    return hash;
}

/* Each file has its encoders in order. The first one is used if the caller names none. */
static const struct file {
    const char *title;
    struct {
        const struct encoder *encoder;
        const char *prefix;
        enum names names;
    } encoders[2];
    bool hidden; /* whether hidden states are compared; each encoder once, to save time */
} files[] = {
    {"SD 1", {{&clip_l, "cond_stage_model.transformer."}}},
    {"SD 2", {{&clip_h, "cond_stage_model.model.", OPENCLIP}}, true},
    {"SDXL",
     {{&clip_l, "conditioner.embedders.0.transformer."},
      {&clip_g, "conditioner.embedders.1.model.", OPENCLIP}},
     true},
    {"SDXL refiner", {{&clip_g, "conditioner.embedders.0.model.", OPENCLIP}}},
    {"SD 3",
     {{&clip_l_of_sd3, "text_encoders.clip_l.transformer."},
      {&clip_g, "text_encoders.clip_g.transformer."}}},
    {"FLUX", {{&clip_l, "text_encoders.clip_l.transformer.", NEWER}}},
};

static void states_are_those_of_a_folder(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(files); i++) {
        struct tensors all = {0}, single = {0};
        struct hidden_hash expected[2] = {{0}}, found;
        uint64_t hashes[2];
        struct vkclip_model_info info = {.size = sizeof(info)};
        char *folder = scratch_folder(), *path = scratch_path(folder, "sd.safetensors");
        size_t count = files[i].encoders[1].encoder ? 2 : 1;
        for (size_t e = 0; e < count; e++) {
            make_encoder(files[i].encoders[e].encoder, &single);
            char *hf = write_folder(files[i].encoders[e].encoder, &single);
            free_tensors(&single);
            char *weights = scratch_path(hf, "model.safetensors");
            hashes[e] = hash_weights(weights, NULL);
            free(weights);
            if (files[i].hidden) {
                expected[e] = encode_texts(device, hf, NULL, &info);
                assert_true(expected[e].count > 4);
            }
            add_encoder(&all, hf, files[i].encoders[e].prefix, files[i].encoders[e].names);
            scratch_remove(hf);
        }
        add_others(&all);
        assert_int_equal(safetensors_write(path, all.views, all.count, NULL), 0);
        free_tensors(&all);
        printf("%s\n", files[i].title);
        for (size_t e = 0; e < count; e++)
            for (int named = e > 0; named < 2; named++) {
                const struct encoder *encoder = files[i].encoders[e].encoder;
                assert_int_equal(hash_weights(path, named ? encoder->name : NULL), hashes[e]);
                found = encode_texts(files[i].hidden ? device : NULL, path,
                                     named ? encoder->name : NULL, &info);
                assert_int_equal(found.count, expected[e].count);
                assert_int_equal(found.hash, expected[e].hash);
                assert_int_equal(info.text.heads, encoder->heads);
                assert_int_equal(info.text.projection, encoder->projection);
                assert_int_equal(info.image.width, 0);
                assert_int_equal(info.family,
                                 encoder->width == 768 ? VKCLIP_FAMILY_HF : VKCLIP_FAMILY_OPENCLIP);
            }
        free(path);
        scratch_remove(folder);
    }
}

/* A file that is one text encoder needs no configuration: its width tells which encoder it is, or
 * the caller does. A folder of newer versions of transformers is read like an older one. */
static void opens_encoders_alone(void **state)
{
    (void)state;
    static const struct encoder small = {"clip_g", "gelu", 64, 1, true};
    static const struct {
        const struct encoder *encoder;
        enum names names;
    } cases[] = {{&clip_l, NEWER}, {&clip_h, FOLDER},  {&clip_g, NEWER},
                 {&small, FOLDER}, {&small, OPENCLIP}, {&small, NEWER}};
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        const struct encoder *encoder = cases[i].encoder;
        const enum names names = cases[i].names;
        struct tensors all = {0}, single = {0};
        struct vkclip_model_info info = {.size = sizeof(info)};
        struct vkclip_model *model = NULL;
        char *folder = scratch_folder(), *path = scratch_path(folder, "encoder.safetensors");
        make_encoder(encoder, &single);
        char *hf = write_folder(encoder, &single);
        char *weights = scratch_path(hf, "model.safetensors");
        const uint64_t hash = hash_weights(weights, NULL);
        const bool named = encoder == &small || names == OPENCLIP;
        add_encoder(&all, hf, "", names);
        assert_int_equal(safetensors_write(path, all.views, all.count, NULL), 0);
        assert_int_equal(hash_weights(path, NULL), hash);
        encode_texts(NULL, path, named ? encoder->name : NULL, &info);
        assert_int_equal(info.text.heads, encoder->heads);
        assert_int_equal(info.text.projection, encoder->projection);
        assert_int_equal(info.text.activation, strcmp(encoder->activation, "gelu")
                                                   ? VKCLIP_ACTIVATION_QUICK_GELU
                                                   : VKCLIP_ACTIVATION_GELU);
        if (names != OPENCLIP && encoder == &small)
            assert_failed(vkclip_open_model(NULL, path, NULL, &model), VKCLIP_EUNSUPPORTED,
                          "expected a width of 768, 1024 or 1280, found 64: say whether");
        if (names == NEWER) {
            assert_int_equal(safetensors_write(weights, all.views, all.count, NULL), 0);
            assert_int_equal(hash_weights(weights, NULL), hash);
            encode_texts(NULL, hf, "clip_h", &info);
            assert_int_equal(info.text.heads, encoder->heads);
        }
        free_tensors(&all), free_tensors(&single);
        free(path), free(weights);
        scratch_remove(folder), scratch_remove(hf);
    }
}

static void refuses_other_files(void **state)
{
    (void)state;
    static const struct encoder odd = {"odd", "gelu", 72, 1, false};
    struct tensors all = {0}, single = {0};
    struct vkclip_model *model = NULL;
    struct vkclip_model_params params = {.size = sizeof(params), .text_encoder = "clip_g"};
    char *folder = scratch_folder(), *path = scratch_path(folder, "sd.safetensors");
    char *golden = golden_path("models/hf-vit");
    make_encoder(&odd, &single);
    char *hf = write_folder(&odd, &single);
    free_tensors(&single);
    add_encoder(&all, hf, "cond_stage_model.transformer.", FOLDER);
    assert_int_equal(safetensors_write(path, all.views, all.count, NULL), 0);
    assert_failed(vkclip_open_model(NULL, path, NULL, &model), VKCLIP_EUNSUPPORTED,
                  "text encoder clip_l: expected a width of a multiple of 64, found 72");
    assert_failed(vkclip_open_model(NULL, path, &params, &model), VKCLIP_EABSENT,
                  "has no text encoder called clip_g, found clip_l");
    assert_failed(vkclip_open_model(NULL, golden, &params, &model), VKCLIP_EABSENT,
                  "has no text encoder called clip_g, found none by name");
    free_tensors(&all);
    add_others(&all);
    assert_int_equal(safetensors_write(path, all.views, all.count, NULL), 0);
    assert_failed(vkclip_open_model(NULL, path, NULL, &model), VKCLIP_EUNSUPPORTED,
                  "neither CLIP nor T5");
    free_tensors(&all);
    free(path), free(golden);
    scratch_remove(folder), scratch_remove(hf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(states_are_those_of_a_folder),
        cmocka_unit_test(opens_encoders_alone),
        cmocka_unit_test(refuses_other_files),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
