/* SPDX-License-Identifier: MIT
 *
 * Finds a checkpoint's files, has its configuration read, and holds the weights against it. What
 * cannot be decided from the files (activation and head width of an unknown state dict) is refused.
 */
#include "checkpoint/open.h"
#include "base/array.h"
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/string.h"
#include "checkpoint/clip_cpp.h"
#include "checkpoint/files.h"
#include "checkpoint/hugging_face.h"
#include "checkpoint/openclip.h"
#include "checkpoint/positions.h"
#include "format/hub.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- A state dict without configuration: OpenAI's rule --------------------------------------- */

/* Size `index` of a tensor; 0 where it is missing or has fewer; at most UINT32_MAX. */
static uint32_t dimension(const struct weights *weights, const char *name, unsigned index)
{
    uint64_t shape[TENSOR_MAX_RANK];
    unsigned rank;
    if (!weights_shape(weights, name, shape, &rank) || index >= rank)
        return 0;
    return shape[index] < UINT32_MAX ? (uint32_t)shape[index] : UINT32_MAX;
}

static bool has(const struct weights *weights, const char *name)
{
    uint64_t shape[TENSOR_MAX_RANK];
    unsigned rank;
    return weights_shape(weights, name, shape, &rank);
}

static bool has_prefix(const struct weights *weights, const char *prefix)
{
    const char *name;
    for (size_t i = 0; (name = weights_name(weights, i)); i++)
        if (string_begins_with(name, prefix))
            return true;
    return false;
}

static bool has_text(const struct weights *weights)
{
    return has_prefix(weights, "transformer.") || has_prefix(weights, "token_embedding.");
}

static void tower_from_shapes(const struct weights *weights, const char *blocks,
                              enum tower_kind kind, struct config_tower *tower)
{
    char name[128];
    tower->kind = kind;
    tower->projection = true;
    tower->epsilon = 1e-5f;
    snprintf(name, sizeof(name), "%s0.mlp.c_fc.weight", blocks);
    tower->mlp = dimension(weights, name, 0);
    do
        snprintf(name, sizeof(name), "%s%u.ln_1.weight", blocks, tower->layers);
    while (has(weights, name) && ++tower->layers);
}

/* Head width of an image tower without configuration; 0: cannot be told. LAION's widths count only
 * once the caller has said that the state dict is not OpenAI's. */
static uint32_t head_width(uint32_t width, bool openai)
{
    static const struct {
        uint32_t width, head;
    } laion[] = {{1280, 80}, {1408, 88}, {1664, 104}}; /* H/14, g/14, bigG/14 */
    for (size_t i = 0; i < ARRAY_COUNT(laion); i++)
        if (laion[i].width == width)
            return openai ? 0 : laion[i].head;
    return width % 64 ? 0 : 64;
}

static int read_openai(const struct weights *weights, enum vkclip_activation activation,
                       struct config *config)
{
    const char *path = weights_path(weights), *name = file_name(path);
    struct config_tower *image = &config->image, *text = &config->text;
    bool openai = activation == VKCLIP_ACTIVATION_AUTO;
    config->family = VKCLIP_FAMILY_OPENAI;
    config->eos_token_id = -1;
    if (has_text(weights)) {
        tower_from_shapes(weights, "transformer.resblocks.", KIND_TEXT, text);
        text->width = dimension(weights, "ln_final.weight", 0);
        text->heads = text->width / 64;
        config->context = dimension(weights, "positional_embedding", 0);
        config->vocabulary = dimension(weights, "token_embedding.weight", 0);
        config->text_embed_dim = dimension(weights, "text_projection", 1);
    }
    if (has_prefix(weights, "visual.layer1.")) {
        config_resnet_read(weights, config);
    } else if (has_prefix(weights, "visual.")) {
        uint32_t positions = dimension(weights, "visual.positional_embedding", 0);
        tower_from_shapes(weights, "visual.transformer.resblocks.", KIND_VIT, image);
        image->width = dimension(weights, "visual.conv1.weight", 0);
        config->patch_size = dimension(weights, "visual.conv1.weight", 3);
        config->image_embed_dim = dimension(weights, "visual.proj", 1);
        uint64_t size = config->patch_size * (uint64_t)sqrt(positions ? positions - 1 : 0);
        config->image_size = size < UINT32_MAX ? (uint32_t)size : UINT32_MAX;
        uint32_t head = head_width(image->width, openai);
        image->heads = head ? image->width / head : 0;
    }
    if ((openai && string_begins_with(name, "open_clip_")) || (image->kind && !image->heads) ||
        (text->kind && text->width % 64))
        return error_fail(
            VKCLIP_EUNSUPPORTED,
            "%s: a state dict that is not OpenAI's (widths: image %u, text %u) does not "
            "tell its head width and activation: put the open_clip_config.json beside "
            "it%s",
            path, image->width, text->width, openai ? ", or name the activation" : "");
    image->activation = text->activation = openai ? VKCLIP_ACTIVATION_QUICK_GELU : activation;
    log_message(VKCLIP_LOG_INFO,
                "%s: no configuration beside it: OpenAI's rule, heads of %u and %s", path,
                image->kind == KIND_VIT ? image->width / image->heads : 64,
                openai ? "QuickGELU" : "the activation asked for");
    return VKCLIP_OK;
}

/* A text encoder of Stable Diffusion: three are in use, told apart by their widths. */
static int read_encoder(const struct weights *weights, struct config *config)
{
    static const struct {
        uint32_t width, heads;
        enum vkclip_activation activation;
        enum vkclip_family family; /* whose rules prepare its texts */
    } encoders[] = {
        {768, 12, VKCLIP_ACTIVATION_QUICK_GELU, VKCLIP_FAMILY_HF},  /* OpenAI's ViT-L/14 */
        {1024, 16, VKCLIP_ACTIVATION_GELU, VKCLIP_FAMILY_OPENCLIP}, /* ViT-H/14 */
        {1280, 20, VKCLIP_ACTIVATION_GELU, VKCLIP_FAMILY_OPENCLIP}, /* ViT-bigG/14 */
    };
    struct config_tower *text = &config->text;
    uint32_t width = dimension(weights, "ln_final.weight", 0);
    size_t i = 0;
    while (i < ARRAY_COUNT(encoders) && encoders[i].width != width)
        i++;
    if (i == ARRAY_COUNT(encoders))
        return error_fail(VKCLIP_EUNSUPPORTED,
                          "%s: text encoder %s: expected a width of 768, 1024 or 1280, found %u",
                          weights_path(weights), weights_encoder(weights), width);
    tower_from_shapes(weights, "transformer.resblocks.", KIND_TEXT, text);
    text->width = width;
    text->heads = encoders[i].heads;
    text->activation = encoders[i].activation;
    text->projection = has(weights, "text_projection");
    config->family = encoders[i].family;
    config->context = dimension(weights, "positional_embedding", 0);
    config->vocabulary = dimension(weights, "token_embedding.weight", 0);
    config->text_embed_dim = dimension(weights, "text_projection", 1);
    if (config->family == VKCLIP_FAMILY_HF) /* padded with end of text, the others with 0 */
        config->pad_token_id = (int32_t)config->vocabulary - 1;
    return VKCLIP_OK;
}

/* ---- Sizes and tensors ----------------------------------------------------------------------- */

static int check_size(const char *path, const char *tower, const char *what, uint32_t size,
                      uint32_t limit)
{
    return size && size <= limit
               ? VKCLIP_OK
               : error_fail(VKCLIP_EFORMAT, "%s: %s tower: %s: expected 1 to %u, found %u", path,
                            tower, what, limit, size);
}

static int check_tower(const char *path, const char *name, const struct config_tower *tower,
                       uint32_t embed_dim)
{
    int error = check_size(path, name, "width", tower->width, 16384);
    error = error ? error : check_size(path, name, "layers", tower->layers, 256);
    error = error ? error : check_size(path, name, "MLP width", tower->mlp, 65536);
    error = error ? error : check_size(path, name, "heads", tower->heads, tower->width);
    error = error ? error : check_size(path, name, "embedding", embed_dim, 16384);
    if (!error && tower->width % tower->heads)
        error =
            error_fail(VKCLIP_EFORMAT, "%s: %s tower: width %u is not a multiple of its %u heads",
                       path, name, tower->width, tower->heads);
    return error;
}

static int check_sizes(const char *path, const struct config *config)
{
    int error = VKCLIP_OK;
    if (config->text.kind) {
        error = check_tower(path, "text", &config->text, config->text_embed_dim);
        error = error ? error : check_size(path, "text", "context", config->context, 4096);
        error = error ? error : check_size(path, "text", "vocabulary", config->vocabulary, 1 << 24);
    }
    if (config->image.kind && !error) {
        struct config_tower tower = config->image;
        if (config->image.kind == KIND_RESNET) /* its heads are those of the attention pool */
            tower.width = config_resnet_channels(config);
        const size_t stages = tower.kind == KIND_RESNET ? ARRAY_COUNT(config->stages) : 0;
        for (size_t i = 0; i < stages && !error; i++)
            error = check_size(path, "image", "bottlenecks of a stage", config->stages[i], 256);
        error = error ? error : check_tower(path, "image", &tower, config->image_embed_dim);
        error = error ? error : check_size(path, "image", "image size", config->image_size, 4096);
        error = error ? error : check_size(path, "image", "patch size", config->patch_size, 4096);
        if (!error && config->image_size % config->patch_size)
            error = error_fail(VKCLIP_EUNSUPPORTED,
                               "%s: image size %u is not a multiple of the patch size %u", path,
                               config->image_size, config->patch_size);
    }
    return error;
}

static int read_logit_scale(const struct weights *weights, struct config *config)
{
    uint64_t shape[TENSOR_MAX_RANK];
    unsigned rank;
    float value = 0;
    config->logit_scale = 1;
    if (has(weights, "logit_bias"))
        return error_fail(VKCLIP_EUNSUPPORTED, "%s: tensor logit_bias: not part of CLIP",
                          weights_path(weights));
    if (!weights_shape(weights, "logit_scale", shape, &rank)) {
        if (weights_gguf(weights) && config->text.kind && config->image.kind)
            log_message(VKCLIP_LOG_WARNING,
                        "%s: clip.cpp left out logit_scale: similarities are not scaled",
                        weights_path(weights));
        return VKCLIP_OK;
    }
    if (rank > 1 || (rank == 1 && shape[0] != 1))
        return error_fail(VKCLIP_EFORMAT, "%s: tensor logit_scale: expected one value",
                          weights_path(weights));
    int error = weights_read(weights, "logit_scale", 0, 1, &value);
    config->logit_scale = expf(value);
    if (!error && !(config->logit_scale > 0 && config->logit_scale < INFINITY))
        error = error_fail(VKCLIP_EFORMAT,
                           "%s: tensor logit_scale: expected a number below 88, found %g",
                           weights_path(weights), (double)value);
    return error;
}

/* ---- All together ---------------------------------------------------------------------------- */

static void settle_tower(const struct weights *weights, const char *what, bool there,
                         struct config_tower *tower)
{
    if (tower->kind && !there)
        log_message(VKCLIP_LOG_WARNING, "%s: has no %s tower, although its configuration has one",
                    weights_path(weights), what);
    if (!tower->kind || !there)
        *tower = (struct config_tower){0};
}

/* Which towers there are, and whether they are projected: what the weights have decides where the
 * configuration leaves it open (text and image encoders of Hugging Face by themselves). */
static int settle_towers(const struct weights *weights, struct config *config)
{
    struct config_tower *image = &config->image, *text = &config->text;
    const char *name;
    for (size_t i = 0; (name = weights_name(weights, i)); i++)
        if (string_begins_with(name, "text."))
            return error_fail(VKCLIP_EUNSUPPORTED, "%s: tensor %s: not part of CLIP's text tower",
                              weights_path(weights), name);
    settle_tower(weights, "text", has_text(weights), text);
    settle_tower(weights, "image", has_prefix(weights, "visual."), image);
    if (!image->kind && !text->kind)
        return error_fail(VKCLIP_EUNSUPPORTED, "%s: has no tower that can be computed",
                          weights_path(weights));
    if (config->family == VKCLIP_FAMILY_HF) {
        image->projection |= image->kind && has(weights, "visual.proj");
        text->projection |= text->kind && has(weights, "text_projection");
    }
    if (!image->kind)
        config->image_size = config->patch_size = config->image_embed_dim = 0;
    else if (!image->projection)
        config->image_embed_dim = image->width;
    if (!text->kind)
        config->context = config->vocabulary = config->text_embed_dim = 0;
    else if (!text->projection)
        config->text_embed_dim = text->width;
    return VKCLIP_OK;
}

/* The file says everything but the size of the vocabulary. */
static int read_gguf(const struct weights *weights, struct config *config)
{
    int error = clip_cpp_read(weights_gguf(weights), config);
    if (config->text.kind)
        config->vocabulary = dimension(weights, "token_embedding.weight", 0);
    return error;
}

static int read_preprocessor(const char *folder, struct config *config)
{
    char path[FILES_PATH_SIZE];
    if (!config->image.kind || !files_find_preprocessor(folder, path))
        return VKCLIP_OK;
    return hugging_face_read_preprocessor(path, config);
}

/* Reads the configuration from the weights' own file or from the one beside it that their names ask
 * for. `activation` counts only where no file says which it is. */
static int read_config(const struct weights *weights, const char *folder,
                       enum vkclip_activation activation, struct config *config)
{
    const bool hugging_face = !weights_gguf(weights) && !weights_encoder(weights) &&
                              weights_family(weights) == VKCLIP_FAMILY_HF;
    const char *source = weights_path(weights);
    char beside[FILES_PATH_SIZE];
    bool configured = true;
    int error;
    if (weights_gguf(weights)) {
        error = read_gguf(weights, config);
    } else if (weights_encoder(weights)) {
        error = read_encoder(weights, config);
    } else if (files_find(folder, hugging_face ? "config.json" : "open_clip_config.json", beside)) {
        source = beside;
        error = hugging_face ? hugging_face_read(beside, config) : openclip_read(beside, config);
    } else if (hugging_face) {
        error = error_fail(
            VKCLIP_EIO, "%s: its tensors have Hugging Face names, expected config.json beside it",
            source);
    } else {
        configured = false;
        error = read_openai(weights, activation, config);
    }
    if (!error && configured && activation != VKCLIP_ACTIVATION_AUTO)
        log_message(VKCLIP_LOG_WARNING,
                    "%s says what the activation is: the one asked for is ignored", source);
    if (!error)
        error = settle_towers(weights, config);
    if (!error)
        error = check_sizes(source, config);
    if (!error && hugging_face)
        error = read_preprocessor(folder, config);
    return error;
}

/* The vocabulary is the one that the caller names, else the file's own, else the one beside it. */
static int find_tokenizer(const struct weights *weights, const char *folder, const char *vocab,
                          struct config *config)
{
    char path[FILES_PATH_SIZE];
    if (vocab && !file_exists(vocab))
        return error_fail(VKCLIP_EIO, "%s: no such vocabulary file", vocab);
    if (!vocab && weights_gguf(weights) &&
        gguf_find(weights_gguf(weights), "tokenizer.ggml.tokens"))
        vocab = weights_path(weights);
    if (!vocab && files_find_vocabulary(folder, config->family, path))
        vocab = path;
    if (!vocab)
        return VKCLIP_OK;
    config->tokenizer_path = string_format("%s", vocab);
    return config->tokenizer_path ? VKCLIP_OK
                                  : error_fail(VKCLIP_EMEMORY, "%s: out of memory", vocab);
}

/* The file of weights that a path or a model's name on the hub leads to. */
static int find_weights(const char *path, char file[FILES_PATH_SIZE])
{
    char *found = NULL;
    int error = hub_find(path, &found);
    if (!error)
        error = files_find_weights(found, file);
    free(found);
    return error;
}

int checkpoint_open(const char *path, const struct vkclip_model_params *params,
                    struct config *config, struct weights **weights)
{
    static const struct vkclip_model_params none = {0};
    char file[FILES_PATH_SIZE], folder[FILES_PATH_SIZE] = "";
    *config = config_defaults;
    *weights = NULL;
    params = params ? params : &none;
    int error = find_weights(path, file);
    if (!error) {
        files_folder(file, folder);
        error = weights_open_encoder(file, params->text_encoder, weights);
    }
    if (!error)
        error = read_config(*weights, folder, params->activation, config);
    if (!error)
        error = config_check_tensors(*weights, config);
    if (!error && params->image_size && config->image.kind)
        error = positions_fit(*weights, params->image_size, config);
    if (!error)
        error = read_logit_scale(*weights, config);
    if (!error)
        error = find_tokenizer(*weights, folder, params->vocab, config);
    if (error) {
        config_close(config);
        weights_close(weights);
    }
    return error;
}

int checkpoint_read_config(const char *path, struct config *config)
{
    char folder[FILES_PATH_SIZE];
    const bool openclip = !strcmp(file_name(path), "open_clip_config.json");
    *config = config_defaults;
    files_folder(path, folder);
    int error = openclip ? openclip_read(path, config) : hugging_face_read(path, config);
    config->logit_scale = 1 / 0.07f; /* where training begins: paper, section 2.5 */
    if (!error)
        error = check_sizes(path, config);
    if (!error && !openclip)
        error = read_preprocessor(folder, config);
    return error;
}
