/* SPDX-License-Identifier: MIT
 *
 * Opening checkpoints: every form opens with its sizes; missing files, wrong tensors and state
 * dicts that do not say enough are refused with a message that names them. Values of configuration
 * files are tested in config_values.c.
 */
#define _GNU_SOURCE
#include "base/array.h"
#include "base/file.h"
#include "base/string.h"
#include "support/checkpoints.h"
#include "format/safetensors.h"

static char last_log[2048]; /* the last message that is not an error */

static void keep_log(void *user, enum vkclip_log_level level, const char *message)
{
    (void)user;
    if (level != VKCLIP_LOG_ERROR)
        snprintf(last_log, sizeof(last_log), "%s", message);
}

/* ---- Reference models ------------------------------------------------------------------------ */

static const struct reference {
    const char *path;
    enum vkclip_family family;
    struct config_tower image, text;
    uint32_t image_size, patch_size, context, vocabulary, image_embed_dim, text_embed_dim;
    int32_t eos_token_id, pad_token_id;
    double logit_scale;
    bool rgb_first;
} references[] = {
#define QUICK VKCLIP_ACTIVATION_QUICK_GELU
#define ERF VKCLIP_ACTIVATION_GELU
#define HF_VIT                                                    \
    VKCLIP_FAMILY_HF, {KIND_VIT, 1, 64, 2, 1, 256, QUICK, 1e-5f}, \
        {KIND_TEXT, 1, 64, 2, 1, 256, QUICK, 1e-5f}, 48, 8, 77, 1026, 64, 64, 1025, 1
#define OPENCLIP_VIT                                                  \
    VKCLIP_FAMILY_OPENCLIP, {KIND_VIT, 1, 80, 3, 2, 188, ERF, 1e-5f}, \
        {KIND_TEXT, 1, 48, 2, 2, 192, ERF, 1e-5f}, 32, 8, 20, 1026, 56, 56, -1, 0
    /* clang-format off */
    {"models/hf-vit", HF_VIT, 26.7994, true},
    {"models/hf-vit/model.safetensors", HF_VIT, 26.7994, true},
    {"models/hf-vit-bf16/", HF_VIT, 26.6090, true},
    {"models/hf-vit-gelu-f16", VKCLIP_FAMILY_HF, {KIND_VIT, 1, 160, 2, 2, 200, ERF, 1e-5f},
     {KIND_TEXT, 1, 72, 2, 3, 144, ERF, 1e-5f}, 32, 16, 32, 1026, 40, 40, 1025, 1, 22.0596, true},
    {"models/openclip-vit", OPENCLIP_VIT, 26.3969, false},
    {"models/openclip-vit/open_clip_model.safetensors", OPENCLIP_VIT, 26.3969, false},
    {"models/sd-text/text_encoder", VKCLIP_FAMILY_HF, {0}, {KIND_TEXT, 0, 48, 4, 2, 192, QUICK, 1e-5f},
     0, 0, 77, 1026, 0, 48, -1, 1, 1, false},
    {"models/sdxl-text2/text_encoder", VKCLIP_FAMILY_HF, {0}, {KIND_TEXT, 1, 80, 3, 2, 320, ERF, 1e-5f},
     0, 0, 77, 1026, 0, 48, -1, 1, 1, false},
    {"models/hf-fullvocab-f16", VKCLIP_FAMILY_HF, {KIND_VIT, 1, 32, 2, 2, 128, QUICK, 1e-5f},
     {KIND_TEXT, 1, 32, 2, 2, 128, QUICK, 1e-5f}, 32, 8, 77, 49408, 32, 32, 49407, 1, 25.5397, true},
    {"models/openai-rn/model.safetensors", VKCLIP_FAMILY_OPENAI,
     {KIND_RESNET, 1, 4, 5, 2, 128, QUICK, 1e-5f}, {KIND_TEXT, 1, 64, 2, 1, 256, QUICK, 1e-5f},
     64, 32, 16, 1026, 48, 48, -1, 0, 28.1653, false},
    /* clang-format on */
};

static void opens_reference_models(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(references); i++) {
        const struct reference *expected = &references[i];
        char *path = golden_path(expected->path);
        struct config config;
        struct weights *weights;
        if (!path) {
            print_message("skipped: reference data %s is not here\n", expected->path);
            continue;
        }
        assert_int_equal(checkpoint_open(path, NULL, &config, &weights), 0);
        assert_int_equal(config.family, expected->family);
        assert_tower(&config.image, &expected->image);
        assert_tower(&config.text, &expected->text);
        assert_int_equal(config.image_size, expected->image_size);
        assert_int_equal(config.patch_size, expected->patch_size);
        assert_int_equal(config.context, expected->context);
        assert_int_equal(config.vocabulary, expected->vocabulary);
        assert_int_equal(config.image_embed_dim, expected->image_embed_dim);
        assert_int_equal(config.text_embed_dim, expected->text_embed_dim);
        assert_int_equal(config.eos_token_id, expected->eos_token_id);
        assert_int_equal(config.pad_token_id, expected->pad_token_id);
        assert_float_equal(config.logit_scale, expected->logit_scale, 1e-3);
        assert_int_equal(config.rgb_first, expected->rgb_first);
        assert_true(config.image_mean[0] == 0.48145466f && config.image_std[2] == 0.27577711f);
        config_close(&config);
        weights_close(&weights);
        free(path);
    }
}

/* ---- Tensors --------------------------------------------------------------------------------- */

enum damage { DROP, RENAME, FLATTEN, RETYPE, RENAME_RETYPE, DROP_ALL };

/* The damage to the tensor `name`, or with DROP_ALL to all tensors whose names begin with it, and
 * the result of opening the damaged model. */
struct damaged_model {
    const char *name;
    enum damage damage;
    const char *new_name;
    int error;
    const char *message;
};

/* Damages a tensor, and returns false if it is to be left out of the file. */
static bool damage_view(const struct damaged_model *model, struct tensor_view *view)
{
    if (model->damage == DROP_ALL)
        return strncmp(view->name, model->name, strlen(model->name)) != 0;
    if (strcmp(view->name, model->name))
        return true;
    switch (model->damage) {
    case RENAME:
        view->name = model->new_name;
        return true;
    case RENAME_RETYPE:
        view->name = model->new_name;
        view->dtype = DTYPE_I16;
        return true;
    case RETYPE:
        view->dtype = DTYPE_I16;
        return true;
    case FLATTEN:
        *view = (struct tensor_view){view->name,       view->dtype, 1,
                                     {view->size / 2}, view->data,  view->size};
        return true;
    default:
        return false;
    }
}

static void refuses_wrong_tensors(void **state)
{
    (void)state;
    static const struct damaged_model bad[] = {
        {"text_projection.weight", DROP, NULL, FORMAT,
         "tensor text_projection: expected shape [64,64], found none: it is missing"},
        {"visual_projection.weight", DROP, NULL, FORMAT, "tensor visual.proj: expected"},
        {"text_model.embeddings.token_embedding.weight", DROP, NULL, FORMAT,
         "tensor token_embedding.weight: expected shape [1026,64], found none"},
        {"text_model.encoder.layers.1.mlp.fc2.bias", DROP, NULL, FORMAT,
         "tensor transformer.resblocks.1.mlp.c_proj.bias: expected shape [64], found none"},
        {"text_model.encoder.layers.1.self_attn.k_proj.bias", DROP, NULL, FORMAT,
         "q_proj.bias: expected query, key and value"},
        {"vision_model.pre_layrnorm.weight", RENAME, "vision_model.pre_layernorm.weight", FORMAT,
         "tensor visual.ln_pre.weight: expected"},
        {"vision_model.embeddings.patch_embedding.weight", FLATTEN, NULL, FORMAT,
         "visual.conv1.weight: expected shape [64,3,8,8], found [12288]"},
        {"text_model.final_layer_norm.bias", RETYPE, NULL, UNSUPPORTED,
         "text_model.final_layer_norm.bias: expected F32, F16, BF16, F64, F8_E4M3 or F8_E5M2, "
         "found I16"},
        {"text_projection.weight", FLATTEN, NULL, FORMAT, "expected 2 dimensions, found 1"},
        {"logit_scale", RENAME, "logit_bias", UNSUPPORTED, "tensor logit_bias: not part of CLIP"},
        {"logit_scale", RENAME, "text.logit_scale", UNSUPPORTED,
         "tensor text.logit_scale: not part of"},
        {"vis", DROP_ALL, NULL, 0, "has no image tower, although its configuration has one"},
        {"text_", DROP_ALL, NULL, 0, "has no text tower, although its configuration has one"},
        {"logit_scale", DROP, NULL, 0,
         "has no logit_scale: similarities are scaled by the value with which training begins"},
        {"logit_scale", RENAME, "classifier.weight", 0, "has no logit_scale"},
        {"logit_scale", RENAME_RETYPE, "num_updates", 0, "has no logit_scale"},
        {"logit_scale", RENAME, "visual_projection.bias", UNSUPPORTED,
         "tensor visual_projection.bias: not part of a CLIP tower of 2 layers"},
        {"logit_scale", RENAME, "text_model.tail.weight", UNSUPPORTED,
         "tensor text_model.tail.weight: not part of CLIP, whose results it would change"},
        {"logit_scale", FLATTEN, NULL, 0, NULL},
    };
    char *path = golden_file(HF, "model.safetensors");
    struct safetensors *file;
    assert_int_equal(safetensors_open(path, &file), 0);
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        char *folder = good_folder(HF), *damaged = scratch_path(folder, "model.safetensors");
        struct tensor_view views[128];
        size_t count = 0;
        for (size_t j = 0; j < file->count; j++) {
            views[count] = file->tensors[j];
            count += damage_view(&bad[i], &views[count]);
        }
        remove(damaged);
        assert_int_equal(safetensors_write(damaged, views, count, NULL), 0);
        if (bad[i].error)
            assert_failed(open_close(folder, NULL), bad[i].error, bad[i].message);
        else
            assert_int_equal(open_close(folder, NULL), 0);
        if (!bad[i].error && bad[i].message)
            assert_non_null(strstr(last_log, bad[i].message));
        free(damaged);
        scratch_remove(folder);
    }
    safetensors_close(&file);
    free(path);
}

static void refuses_wrong_tensors_of_a_resnet(void **state)
{
    (void)state;
    static const struct {
        const char *intact, *damaged; /* names of a tensor, before and after the damage */
        bool copy;                    /* whether the tensor is stored under both names */
        int error;
        const char *message;
    } bad[] = {
        {"visual.bn2.running_var", "visual.bn2.other", false, FORMAT,
         "tensor visual.bn2.running_var: expected shape [2], found none: it is missing"},
        {"visual.layer1.0.conv1.weight", "visual.layer1.0.conv4.weight", true, UNSUPPORTED,
         "tensor visual.layer1.0.conv4.weight: not part of a CLIP tower of 5 layers"},
        {"positional_embedding", "positional_embedding_res", true, UNSUPPORTED,
         "tensor positional_embedding_res: not part of a CLIP tower of 2 layers"},
        {"ln_final.bias", "ln_final.gain", true, UNSUPPORTED,
         "tensor ln_final.gain: not part of a CLIP tower of 2 layers"},
    };
    char *path = golden_file(RESNET, "model.safetensors");
    struct safetensors *file;
    assert_int_equal(safetensors_open(path, &file), 0);
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        char *folder = scratch_folder(), *damaged = scratch_path(folder, "model.safetensors");
        struct tensor_view views[256];
        size_t count = 0;
        for (size_t j = 0; j < file->count; j++) {
            const bool hit = !strcmp(file->tensors[j].name, bad[i].intact);
            assert_true(count + 2 <= ARRAY_COUNT(views));
            if (!hit || bad[i].copy)
                views[count++] = file->tensors[j];
            if (hit) {
                views[count] = file->tensors[j];
                views[count++].name = bad[i].damaged;
            }
        }
        assert_int_equal(safetensors_write(damaged, views, count, NULL), 0);
        assert_failed(open_close(folder, NULL), bad[i].error, bad[i].message);
        free(damaged);
        scratch_remove(folder);
    }
    safetensors_close(&file);
    free(path);
}

static void refuses_a_truncated_model(void **state)
{
    (void)state;
    char *folder = good_folder(HF), *path = scratch_path(folder, "model.safetensors"), *data;
    size_t size;
    assert_int_equal(file_read(path, 1 << 30, &data, &size), 0);
    remove(path);
    for (size_t cut = 1; cut < size; cut *= 3) {
        scratch_write(folder, "model.safetensors", data, size - cut);
        assert_failed(open_close(folder, NULL), VKCLIP_EFORMAT, "model.safetensors: ");
    }
    free(data);
    free(path);
    scratch_remove(folder);
}

/* ---- Finding files --------------------------------------------------------------------------- */

static void refuses_folders_without_a_checkpoint(void **state)
{
    (void)state;
    static const struct {
        const char *files[4];
        int error;
        const char *message;
    } bad[] = {
        {{NULL}, VKCLIP_EIO, "found no checkpoint, expected config.json with model.safetensors"},
        {{"config.json"},
         VKCLIP_EIO,
         "found config.json, expected config.json with model.safetensors"},
        {{"config.json", "pytorch_model.bin"},
         FORMAT,
         "pytorch_model.bin: expected a PyTorch checkpoint"},
        {{"open_clip_config.json", "open_clip_pytorch_model.bin"},
         FORMAT,
         "open_clip_pytorch_model.bin: expected a PyTorch checkpoint"},
        {{"ViT-B-32.pt"}, FORMAT, "ViT-B-32.pt: expected a PyTorch checkpoint"},
        {{"a.pt", "b.pt"}, VKCLIP_EINVALID, "found 2 weight files (a.pt, b.pt): name one"},
        {{"open_clip_config.json", "epoch_1.pt", "epoch_2.pt", "epoch_latest.pt"},
         VKCLIP_EINVALID,
         "found 3 weight files (epoch_1.pt, epoch_2.pt, epoch_latest.pt): name one"},
        {{"config.json", "last.ckpt", "optimizer.bin", "training_args.bin"},
         FORMAT,
         "last.ckpt: expected a PyTorch checkpoint"},
        {{"config.json", "pytorch_model.fp16.bin"},
         FORMAT,
         "pytorch_model.fp16.bin: expected a PyTorch checkpoint"},
        {{"model.onnx"}, UNSUPPORTED, "found model.onnx (ONNX), which is not supported yet"},
        {{"a.gguf", "b.gguf"}, VKCLIP_EINVALID, "found 2 weight files ("},
        {{"config.json", "model.safetensors.index.json", "model-00001-of-00002.safetensors",
          "model-00002-of-00002.safetensors"},
         FORMAT,
         "model.safetensors.index.json: expected an object \"weight_map\""},
        {{"a.safetensors", "b.safetensors"}, VKCLIP_EINVALID, "found 2 weight files ("},
        {{".a.safetensors"}, VKCLIP_EIO, "found no checkpoint"},
        {{"a.safetensors"}, FORMAT, "a.safetensors: expected a safetensors header"},
        {{"config.json", "model.safetensors"},
         FORMAT,
         "model.safetensors: expected a safetensors header"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        char *folder = scratch_folder();
        for (size_t j = 0; j < 4 && bad[i].files[j]; j++)
            scratch_text(folder, bad[i].files[j], "{}");
        assert_failed(open_close(folder, NULL), bad[i].error, bad[i].message);
        assert_non_null(strstr(vkclip_last_error(), folder));
        scratch_remove(folder);
    }
}

/* A model of sentence-transformers lies in the folder that its list of modules names. */
static void finds_modules(void **state)
{
    (void)state;
#define MODULE(path) "{\"path\":" path ",\"type\":\"sentence_transformers.models.CLIPModel\"}"
    static const struct {
        const char *list;
        int error;
        const char *message;
    } cases[] = {
        {"[" MODULE("\"0_CLIPModel\"") "]", 0, NULL},
        {"[]", UNSUPPORTED, "expected CLIPModel as the only module, found 0 modules, none first"},
        {"[" MODULE("\"0_CLIPModel\"") ",{\"type\":\"sentence_transformers.models.Dense\"}]",
         UNSUPPORTED, "found 2 modules, sentence_transformers.models.CLIPModel first"},
        {"[{\"path\":\"\",\"type\":\"sentence_transformers.models.Transformer\"}]", UNSUPPORTED,
         "found 1 modules, sentence_transformers.models.Transformer first"},
        {"[" MODULE("\"../0_CLIPModel\"") "]", FORMAT,
         "path: expected a folder's name, found ../0_"},
        {"[" MODULE("7") "]", FORMAT, "path: expected a folder's name, found none"},
        {"[" MODULE("\"\"") "]", VKCLIP_EIO, "found no checkpoint"},
        {"[" MODULE("\"1_CLIPModel\"") "]", VKCLIP_EIO, "1_CLIPModel"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        char *parent = scratch_folder(), *made = good_folder(HF);
        char *folder = scratch_path(parent, "0_CLIPModel");
        assert_int_equal(rename(made, folder), 0);
        scratch_text(parent, "modules.json", cases[i].list);
        if (cases[i].error)
            assert_failed(open_close(parent, NULL), cases[i].error, cases[i].message);
        else if (open_close(parent, NULL))
            fail_msg("%s", vkclip_last_error());
        free(folder), free(made);
        scratch_remove(parent);
    }
}

/* Repositories of timm on the hub have OpenCLIP's files, and beside them timm's own files, whose
 * names are those of Hugging Face's files. */
static void leaves_timm_files_alone(void **state)
{
    (void)state;
    char *folder = good_folder(OPENCLIP);
    struct config config;
    struct weights *weights;
    scratch_text(folder, "config.json", "{\"architecture\":\"vit_base_patch32_clip_224\"}");
    scratch_text(folder, "model.safetensors", "{}");
    assert_int_equal(checkpoint_open(folder, NULL, &config, &weights), 0);
    assert_non_null(strstr(weights_path(weights), "/open_clip_model.safetensors"));
    weights_close(&weights);
    config_close(&config);
    /* A config.json that describes a CLIP model takes precedence. */
    scratch_text(folder, "config.json", "{\"model_type\":\"clip\"}");
    assert_failed(open_close(folder, NULL), FORMAT, "/model.safetensors: ");
    scratch_remove(folder);
}

static void refuses_paths_that_are_no_checkpoint(void **state)
{
    (void)state;
    char *folder = good_folder(HF), *path = scratch_path(folder, "none");
    char *lengthy = calloc(1, 10001);
    memset(lengthy, 'x', 10000);
    assert_failed(open_close(path, NULL), VKCLIP_EIO, "none: no such file or folder");
    assert_failed(open_close("", NULL), VKCLIP_EIO, "no such file or folder");
    assert_failed(open_close(lengthy, NULL), VKCLIP_EINVALID, "path longer than");
    free(path);
    path = scratch_path(folder, "config.json");
    assert_failed(open_close(path, NULL), UNSUPPORTED, "a configuration alone cannot be opened");
    free(path);
    path = scratch_path(folder, "model.pt");
    scratch_text(folder, "model.pt", "PK");
    assert_failed(open_close(path, NULL), FORMAT, "model.pt: zip archive: ");
    free(path);
    assert_int_equal(open_close(folder, NULL), 0); /* Other files in the folder do not matter. */
    path = scratch_path(folder, "config.json");
    remove(path);
    assert_failed(open_close(folder, NULL), VKCLIP_EIO, "expected config.json beside it");
    free(path);
    path = scratch_path(folder, "model.safetensors");
    remove(path);
    assert_failed(open_close(folder, NULL), FORMAT, "model.pt: zip archive: ");
    free(path);
    free(lengthy);
    scratch_remove(folder);
}

static enum vkclip_family open_family(const char *path)
{
    struct config config;
    struct weights *weights;
    assert_int_equal(checkpoint_open(path, NULL, &config, &weights), 0);
    enum vkclip_family family = config.family;
    config_close(&config);
    weights_close(&weights);
    return family;
}

static void chooses_between_families(void **state)
{
    (void)state;
    char *folder = good_folder(HF), *path;
    link_golden(folder, OPENCLIP, "open_clip_config.json", NULL);
    link_golden(folder, OPENCLIP, "open_clip_model.safetensors", NULL);
    assert_int_equal(open_family(folder), VKCLIP_FAMILY_HF);
    path = scratch_path(folder, "open_clip_model.safetensors");
    assert_int_equal(open_family(path), VKCLIP_FAMILY_OPENCLIP);
    free(path);
    path = scratch_path(folder, "config.json");
    remove(path);
    assert_int_equal(open_family(folder), VKCLIP_FAMILY_OPENCLIP);
    free(path);
    scratch_remove(folder);

    folder = scratch_folder(); /* It has OpenCLIP's weights under Hugging Face's file name. */
    link_golden(folder, OPENCLIP, "open_clip_config.json", NULL);
    link_golden(folder, OPENCLIP, "open_clip_model.safetensors", "model.safetensors");
    assert_int_equal(open_family(folder), VKCLIP_FAMILY_OPENCLIP);
    scratch_remove(folder);
}

/* Opens a checkpoint and checks which vocabulary it found. `expected` is NULL if there is none. */
static void check_vocabulary(const char *path, const char *expected)
{
    struct config config;
    struct weights *weights;
    assert_int_equal(checkpoint_open(path, NULL, &config, &weights), 0);
    if (expected) {
        assert_non_null(config.tokenizer_path);
        assert_non_null(strstr(config.tokenizer_path, file_name(expected)));
        assert_true(file_is_same(config.tokenizer_path, expected));
    } else {
        assert_null(config.tokenizer_path);
    }
    config_close(&config);
    weights_close(&weights);
}

static void finds_the_vocabulary(void **state)
{
    (void)state;
    static const struct {
        const char *golden, *weights_folder;
        const char *files[4]; /* paths in the folder above the checkpoint's */
        const char *found;
    } cases[] = {
        {HF, "m", {NULL}, NULL},
        {HF, "m", {"m/tokenizer.json", "m/vocab.json", "m/merges.txt"}, "m/tokenizer.json"},
        {HF, "m", {"m/vocab.json", "m/merges.txt"}, "m/vocab.json"},
        {HF, "m", {"m/vocab.json"}, NULL}, /* A vocab.json is useless without merges.txt. */
        {HF, "m", {"m/bpe_simple_vocab_16e6.txt.gz"}, NULL},
        {HF, "m", {"tokenizer/tokenizer.json"}, NULL},
        {OPENCLIP,
         "m",
         {"m/bpe_simple_vocab_16e6.txt.gz", "m/tokenizer.json"},
         "m/bpe_simple_vocab_16e6.txt.gz"},
        {OPENCLIP, "m", {"m/tokenizer.json", "m/vocab.json", "m/merges.txt"}, "m/tokenizer.json"},
        {TEXT_ONLY,
         "text_encoder",
         {"tokenizer/vocab.json", "tokenizer/merges.txt", "tokenizer_2/vocab.json",
          "tokenizer_2/merges.txt"},
         "tokenizer/vocab.json"},
        {TEXT_ONLY,
         "text_encoder_2",
         {"tokenizer/vocab.json", "tokenizer/merges.txt", "tokenizer_2/vocab.json",
          "tokenizer_2/merges.txt"},
         "tokenizer_2/vocab.json"},
        {TEXT_ONLY,
         "text_encoder",
         {"text_encoder/vocab.json", "text_encoder/merges.txt", "tokenizer/vocab.json",
          "tokenizer/merges.txt"},
         "text_encoder/vocab.json"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        char *parent = scratch_folder(), *made = good_folder(cases[i].golden);
        char *folder = scratch_path(parent, cases[i].weights_folder);
        const char *const others[] = {"tokenizer", "tokenizer_2"};
        for (size_t j = 0; j < ARRAY_COUNT(others); j++) {
            char *other = scratch_path(parent, others[j]);
            assert_int_equal(folder_make(other), 0);
            free(other);
        }
        assert_int_equal(rename(made, folder), 0);
        for (size_t j = 0; j < 4 && cases[i].files[j]; j++)
            scratch_text(parent, cases[i].files[j], "x");
        char *expected = cases[i].found ? scratch_path(parent, cases[i].found) : NULL;
        for (int slashes = 0; slashes < 3; slashes++) {
            char *path = string_format("%s%.*s", folder, slashes, "//");
            check_vocabulary(path, expected);
            free(path);
        }
        free(expected);
        free(made);
        free(folder);
        scratch_remove(parent);
    }
}

static void finds_a_named_vocabulary(void **state)
{
    (void)state;
    char *folder = good_folder(HF), *vocab = scratch_path(folder, "mine.json");
    struct vkclip_model_params params = {.size = sizeof(params), .vocab = vocab};
    struct config config;
    struct weights *weights;
    assert_failed(open_close(folder, &params), VKCLIP_EIO, "mine.json: no such vocabulary file");
    scratch_text(folder, "mine.json", "{}");
    scratch_text(folder, "tokenizer.json", "{}");
    assert_int_equal(checkpoint_open(folder, &params, &config, &weights), 0);
    assert_string_equal(config.tokenizer_path, vocab);
    config_close(&config);
    weights_close(&weights);
    free(vocab);
    scratch_remove(folder);
}

/* ---- Values that are read -------------------------------------------------------------------- */

static void reads_the_values(void **state)
{
    (void)state;
    struct config config;
    struct weights *weights;
    char *folder = good_folder(HF), *path = scratch_path(folder, "preprocessor_config.json");
    edit_json(folder, "preprocessor_config.json", "image_mean", "[0.5,0.25,0]");
    edit_json(folder, "preprocessor_config.json", "image_std", "[1,2,0.5]");
    edit_json(folder, "preprocessor_config.json", "do_convert_rgb", "false");
    edit_json(folder, "config.json", "text_config.eos_token_id", "2");
    edit_json(folder, "config.json", "text_config.layer_norm_eps", "1e-6");
    edit_json(folder, "config.json", "vision_config.hidden_act", "\"gelu\"");
    assert_int_equal(checkpoint_open(folder, NULL, &config, &weights), 0);
    assert_true(config.image_mean[1] == 0.25f && config.image_std[1] == 2 && !config.rgb_first);
    assert_int_equal(config.eos_token_id, -1);
    assert_true(config.text.epsilon == 1e-6f && config.image.epsilon == 1e-5f);
    assert_int_equal(config.text.activation, QUICK);
    assert_int_equal(config.image.activation, ERF);
    config_close(&config);
    weights_close(&weights);

    remove(path); /* Without this file, OpenAI's constants are used. */
    assert_int_equal(checkpoint_open(folder, NULL, &config, &weights), 0);
    assert_true(config.image_mean[1] == 0.4578275f && !config.rgb_first);
    config_close(&config);
    weights_close(&weights);

    scratch_text(folder, "processor_config.json", /* transformers 5 writes this file */
                 "{\"image_processor\":{\"image_mean\":[1,1,1],\"size\":48,\"crop_size\":48}}");
    assert_int_equal(checkpoint_open(folder, NULL, &config, &weights), 0);
    assert_true(config.image_mean[1] == 1 && config.rgb_first);
    config_close(&config);
    weights_close(&weights);
    replace(folder, "processor_config.json", "{\"image_processor\":{\"crop_size\":49}}");
    assert_failed(open_close(folder, NULL), FORMAT, "image_processor.crop_size: expected 48");
    free(path);
    scratch_remove(folder);
}

static void modified_resnets(void **state)
{
    (void)state;
    struct config config;
    struct weights *weights;
    char *folder = good_folder(OPENCLIP); /* The weights are those of a ViT. */
    edit_json(folder, "open_clip_config.json", "model_cfg.vision_cfg.layers", "[3,4,6,3]");
    assert_failed(open_close(folder, NULL), FORMAT,
                  "visual.conv1.weight: expected shape [40,3,3,3], found [80,3,8,8]");
    edit_json(folder, "open_clip_config.json", "model_cfg.vision_cfg.layers", "[3,4,6]");
    assert_failed(open_close(folder, NULL), FORMAT, "expected four numbers of blocks");
    scratch_remove(folder);

    char *path = golden_path("training/rn/init.safetensors"); /* It has OpenCLIP's configuration. */
    if (path) {
        const uint32_t stages[] = {1, 1, 2, 1};
        assert_int_equal(checkpoint_open(path, NULL, &config, &weights), 0);
        assert_int_equal(config.family, VKCLIP_FAMILY_OPENCLIP);
        assert_memory_equal(config.stages, stages, sizeof(stages));
        assert_int_equal(config.image.width, 4);
        assert_int_equal(config.image_size, 32);
        config_close(&config);
        weights_close(&weights);
        free(path);
    }
}

/* ---- State dicts without configuration ------------------------------------------------------- */

/* Writes the tensors, all zeros, of a state dict of two towers with one block each. */
static void write_state_dict(const char *path, uint64_t width, uint64_t text_width)
{
    const uint64_t w = width, t = text_width, d = 16;
    const struct {
        const char *name;
        unsigned rank;
        uint64_t shape[4];
    } all[] = {
        {"visual.class_embedding", 1, {w}},
        {"visual.conv1.weight", 4, {w, 3, 4, 4}},
        {"visual.positional_embedding", 2, {10, w}},
        {"visual.ln_pre.weight", 1, {w}},
        {"visual.ln_pre.bias", 1, {w}},
        {"visual.ln_post.weight", 1, {w}},
        {"visual.ln_post.bias", 1, {w}},
        {"visual.proj", 2, {w, d}},
        {"visual.transformer.resblocks.0.ln_1.weight", 1, {w}},
        {"visual.transformer.resblocks.0.ln_1.bias", 1, {w}},
        {"visual.transformer.resblocks.0.attn.in_proj_weight", 2, {3 * w, w}},
        {"visual.transformer.resblocks.0.attn.in_proj_bias", 1, {3 * w}},
        {"visual.transformer.resblocks.0.attn.out_proj.weight", 2, {w, w}},
        {"visual.transformer.resblocks.0.attn.out_proj.bias", 1, {w}},
        {"visual.transformer.resblocks.0.ln_2.weight", 1, {w}},
        {"visual.transformer.resblocks.0.ln_2.bias", 1, {w}},
        {"visual.transformer.resblocks.0.mlp.c_fc.weight", 2, {8, w}},
        {"visual.transformer.resblocks.0.mlp.c_fc.bias", 1, {8}},
        {"visual.transformer.resblocks.0.mlp.c_proj.weight", 2, {w, 8}},
        {"visual.transformer.resblocks.0.mlp.c_proj.bias", 1, {w}},
        {"token_embedding.weight", 2, {50, t}},
        {"positional_embedding", 2, {7, t}},
        {"ln_final.weight", 1, {t}},
        {"ln_final.bias", 1, {t}},
        {"text_projection", 2, {t, d}},
        {"logit_scale", 0, {0}},
        {"transformer.resblocks.0.ln_1.weight", 1, {t}},
        {"transformer.resblocks.0.ln_1.bias", 1, {t}},
        {"transformer.resblocks.0.attn.in_proj_weight", 2, {3 * t, t}},
        {"transformer.resblocks.0.attn.in_proj_bias", 1, {3 * t}},
        {"transformer.resblocks.0.attn.out_proj.weight", 2, {t, t}},
        {"transformer.resblocks.0.attn.out_proj.bias", 1, {t}},
        {"transformer.resblocks.0.ln_2.weight", 1, {t}},
        {"transformer.resblocks.0.ln_2.bias", 1, {t}},
        {"transformer.resblocks.0.mlp.c_fc.weight", 2, {4 * t, t}},
        {"transformer.resblocks.0.mlp.c_fc.bias", 1, {4 * t}},
        {"transformer.resblocks.0.mlp.c_proj.weight", 2, {t, 4 * t}},
        {"transformer.resblocks.0.mlp.c_proj.bias", 1, {t}},
    };
    struct tensor_view views[ARRAY_COUNT(all) + 1];
    uint64_t largest = 3 * (w > 2 * t ? w : 2 * t) * (w > 2 * t ? w : 2 * t);
    void *zeros = calloc(largest, 2);
    int64_t size = 224;
    assert_non_null(zeros);
    for (size_t i = 0; i < ARRAY_COUNT(all); i++) {
        views[i] = (struct tensor_view){all[i].name, DTYPE_F16, all[i].rank, {0}, zeros, 2};
        for (unsigned j = 0; j < all[i].rank; j++)
            views[i].size *= views[i].shape[j] = all[i].shape[j];
    }
    views[ARRAY_COUNT(all)] = /* OpenAI's archives have this buffer. */
        (struct tensor_view){"input_resolution", DTYPE_I64, 0, {0}, &size, sizeof(size)};
    assert_int_equal(safetensors_write(path, views, ARRAY_COUNT(views), NULL), 0);
    free(zeros);
}

static void follows_openais_rule(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint32_t width, text_width;
        enum vkclip_activation activation; /* what the caller says */
        uint32_t heads;                    /* heads of the image tower; 0: it is refused */
    } cases[] = {
        {"ViT.safetensors", 128, 64, 0, 2},
        {"ViT.safetensors", 128, 64, ERF, 2},
        {"ViT.safetensors", 80, 64, 0, 0},
        {"ViT.safetensors", 80, 64, ERF, 0},
        {"ViT.safetensors", 128, 72, 0, 0},
        {"open_clip_x.safetensors", 128, 64, 0, 0},
        {"open_clip_x.safetensors", 128, 64, QUICK, 2},
        {"ViT.safetensors", 1280, 64, 0, 0},
        {"ViT.safetensors", 1408, 64, 0, 0},
        {"ViT.safetensors", 1664, 64, 0, 0},
        {"ViT.safetensors", 1280, 64, ERF, 16},
        {"ViT.safetensors", 1664, 64, ERF, 16},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        char *folder = scratch_folder(), *path = scratch_path(folder, cases[i].name);
        struct vkclip_model_params params = {.size = sizeof(params),
                                             .activation = cases[i].activation};
        struct config config;
        struct weights *weights;
        write_state_dict(path, cases[i].width, cases[i].text_width);
        if (!cases[i].heads) {
            assert_failed(open_close(folder, &params), UNSUPPORTED,
                          "put the open_clip_config.json beside");
            scratch_remove(folder);
            free(path);
            continue;
        }
        *last_log = 0;
        assert_int_equal(checkpoint_open(folder, &params, &config, &weights), 0);
        assert_non_null(strstr(last_log, "no configuration beside it: OpenAI's rule"));
        enum vkclip_activation activation = cases[i].activation ? cases[i].activation : QUICK;
        assert_tower(&config.image, &(struct config_tower){KIND_VIT, true, cases[i].width, 1,
                                                           cases[i].heads, 8, activation, 1e-5f});
        assert_tower(&config.text,
                     &(struct config_tower){KIND_TEXT, true, 64, 1, 1, 256, activation, 1e-5f});
        assert_int_equal(config.family, VKCLIP_FAMILY_OPENAI);
        assert_int_equal(config.image_size, 12);
        assert_int_equal(config.patch_size, 4);
        assert_int_equal(config.context, 7);
        assert_int_equal(config.vocabulary, 50);
        assert_int_equal(config.image_embed_dim, 16);
        assert_int_equal(config.eos_token_id, -1);
        assert_true(config.logit_scale == 1 && !config.rgb_first);
        config_close(&config);
        weights_close(&weights);
        free(path);
        scratch_remove(folder);
    }
}

static int setup(void **state)
{
    (void)state;
    vkclip_set_log(keep_log, NULL);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_reference_models),
        cmocka_unit_test(refuses_wrong_tensors),
        cmocka_unit_test(refuses_wrong_tensors_of_a_resnet),
        cmocka_unit_test(refuses_a_truncated_model),
        cmocka_unit_test(refuses_folders_without_a_checkpoint),
        cmocka_unit_test(leaves_timm_files_alone),
        cmocka_unit_test(finds_modules),
        cmocka_unit_test(refuses_paths_that_are_no_checkpoint),
        cmocka_unit_test(chooses_between_families),
        cmocka_unit_test(finds_the_vocabulary),
        cmocka_unit_test(finds_a_named_vocabulary),
        cmocka_unit_test(reads_the_values),
        cmocka_unit_test(modified_resnets),
        cmocka_unit_test(follows_openais_rule),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
