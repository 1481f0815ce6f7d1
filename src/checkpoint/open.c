/* SPDX-License-Identifier: MIT
 *
 * Finds a checkpoint's files, has its configuration read, and holds the weights against it. What
 * cannot be decided from the files (activation and head width of an unknown state dict) is refused.
 */
#include "checkpoint/open.h"
#include "base/array.h"
#include "base/error.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/log.h"
#include "base/string.h"
#include "checkpoint/json.h"
#include "format/hub.h"
#include "checkpoint/positions.h"
#include "format/gguf.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPECTED                                                                     \
    "config.json with model.safetensors (Hugging Face), open_clip_config.json with " \
    "open_clip_model.safetensors (OpenCLIP), or one .safetensors, .gguf or .pt file"

/* ---- Files ----------------------------------------------------------------------------------- */

/* The folder that `path` lies in, "." where it has none. */
static void folder_of(const char *path, char folder[CONFIG_PATH_SIZE])
{
    int length = (int)(file_name(path) - path);
    snprintf(folder, CONFIG_PATH_SIZE, "%.*s", length ? length : 2, length ? path : "./");
    while (--length > 0 && (folder[length] == '/' || folder[length] == '\\'))
        folder[length] = 0;
}

bool config_find(const char *folder, const char *name, char path[CONFIG_PATH_SIZE])
{
    int length = snprintf(path, CONFIG_PATH_SIZE, "%s/%s", folder, name);
    return length > 0 && length < CONFIG_PATH_SIZE && file_exists(path);
}

/* What a file is that cannot be read as a checkpoint yet; NULL where the name says nothing. */
static const char *other_format(const char *name)
{
    static const struct {
        const char *end, *what;
    } others[] = {
        {".onnx", "ONNX"},
        {".msgpack", "Flax"},
        {".h5", "TensorFlow"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(others); i++)
        if (string_ends_with(name, others[i].end))
            return others[i].what;
    return NULL;
}

/* The only .safetensors or .gguf file of a folder, without one the only .pt file, or an error that
 * says what is there instead. */
static int find_single(const char *folder, char file[CONFIG_PATH_SIZE])
{
    char **names = NULL;
    size_t count = 0, found = 0, torch_found = 0;
    const char *single = NULL, *torch = NULL, *other = NULL, *config = NULL;
    int error = folder_list(folder, &names, &count);
    if (error)
        return error;
    for (size_t i = 0; i < count; i++) {
        if (names[i][0] == '.')
            continue;
        if ((string_ends_with(names[i], ".safetensors") || string_ends_with(names[i], ".gguf")) &&
            ++found)
            single = names[i];
        if (string_ends_with(names[i], ".pt") && ++torch_found)
            torch = names[i];
        if (other_format(names[i]) && !other)
            other = names[i];
        if (string_ends_with(names[i], "config.json"))
            config = names[i];
    }
    if (!found) {
        found = torch_found;
        single = torch;
    }
    if (other && found != 1)
        error = error_fail(VKCLIP_EUNSUPPORTED,
                           "%s: found %s (%s), which is not supported yet, expected " EXPECTED,
                           folder, other, other_format(other));
    else if (found > 1)
        error = error_fail(VKCLIP_EINVALID,
                           "%s: found %zu weight files: name one of them, or have " EXPECTED,
                           folder, found);
    else if (!found)
        error = error_fail(VKCLIP_EIO, "%s: found %s, expected " EXPECTED, folder,
                           config ? config : "no checkpoint");
    else if (!config_find(folder, single, file))
        error = error_fail(VKCLIP_EIO, "%s/%s: cannot be read", folder, single);
    folder_free_names(&names, count);
    return error;
}

static int find_weights(const char *path, char file[CONFIG_PATH_SIZE])
{
    static const char *const pairs[][2] = {
        {"config.json", "model.safetensors"},
        {"config.json", "model.safetensors.index.json"},
        {"config.json", "pytorch_model.bin"},
        {"config.json", "pytorch_model.bin.index.json"},
        {"open_clip_config.json", "open_clip_model.safetensors"},
        {"open_clip_config.json", "open_clip_pytorch_model.bin"},
        {"open_clip_config.json", "model.safetensors"},
    };
    if (strlen(path) > CONFIG_PATH_SIZE - 512)
        return error_fail(VKCLIP_EINVALID, "%.64s...: path longer than %d bytes", path,
                          CONFIG_PATH_SIZE - 512);
    if (!folder_exists(path)) {
        snprintf(file, CONFIG_PATH_SIZE, "%s", path);
        if (!file_exists(path))
            return error_fail(VKCLIP_EIO, "%s: no such file or folder", path);
        if (other_format(path) ||
            (string_ends_with(path, ".json") && !string_ends_with(path, ".index.json")))
            return error_fail(
                VKCLIP_EUNSUPPORTED,
                "%s: %s cannot be opened, expected a folder or a .safetensors, .gguf or .pt file",
                path, other_format(path) ? other_format(path) : "a configuration alone");
        return VKCLIP_OK;
    }
    /* timm's repositories have a config.json and a model.safetensors of their own kind beside
     * OpenCLIP's files */
    bool openclip = config_find(path, "open_clip_config.json", file);
    bool hf = config_find(path, "config.json", file) && (!openclip || config_is_hf(file));
    for (size_t i = 0; i < ARRAY_COUNT(pairs); i++)
        if ((*pairs[i][0] == 'c' ? hf : openclip) && config_find(path, pairs[i][1], file))
            return VKCLIP_OK;
    return find_single(path, file);
}

static bool find_vocab(const char *folder, enum vkclip_family family, char path[CONFIG_PATH_SIZE])
{
    static const char *const names[] = {"bpe_simple_vocab_16e6.txt.gz", "bpe_simple_vocab_16e6.txt",
                                        "tokenizer.json", "vocab.json"};
    for (size_t i = family == VKCLIP_FAMILY_HF ? 2 : 0; i < ARRAY_COUNT(names); i++)
        if ((strcmp(names[i], "vocab.json") || config_find(folder, "merges.txt", path)) &&
            config_find(folder, names[i], path))
            return true;
    return false;
}

/* The vocabulary that is named, else the file's own, else the one beside it. */
static int find_tokenizer(const struct weights *weights, const char *folder, const char *vocab,
                          struct config *config)
{
    static const char encoder[] = "text_encoder"; /* diffusers: text_encoder_2 beside tokenizer_2 */
    char path[CONFIG_PATH_SIZE], beside[CONFIG_PATH_SIZE];
    const char *name = file_name(folder);
    if (vocab && !file_exists(vocab))
        return error_fail(VKCLIP_EIO, "%s: no such vocabulary file", vocab);
    if (!vocab && weights_gguf(weights) &&
        gguf_find(weights_gguf(weights), "tokenizer.ggml.tokens"))
        vocab = weights_path(weights);
    if (!vocab && find_vocab(folder, config->family, path))
        vocab = path;
    if (!vocab && string_begins_with(name, encoder)) {
        int length = snprintf(beside, sizeof(beside), "%.*stokenizer%s", (int)(name - folder),
                              folder, name + strlen(encoder));
        if (length < CONFIG_PATH_SIZE && find_vocab(beside, config->family, path))
            vocab = path;
    }
    if (vocab && !(config->tokenizer_path = string_format("%s", vocab)))
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory", vocab);
    return VKCLIP_OK;
}

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

static int read_config(const struct weights *weights, const char *folder,
                       enum vkclip_activation activation, struct config *config)
{
    char path[CONFIG_PATH_SIZE];
    bool encoder = weights_encoder(weights) != NULL, gguf = weights_gguf(weights) != NULL;
    bool hf = !encoder && weights_layout(weights) == VKCLIP_FAMILY_HF;
    bool found = !gguf && !encoder &&
                 config_find(folder, hf ? "config.json" : "open_clip_config.json", path);
    if (hf && !found)
        return error_fail(VKCLIP_EIO,
                          "%s: its tensors have Hugging Face names, expected config.json beside it",
                          weights_path(weights));
    if ((found || gguf || encoder) && activation != VKCLIP_ACTIVATION_AUTO)
        log_message(VKCLIP_LOG_WARNING,
                    "%s says what the activation is: the one asked for is ignored",
                    found ? path : weights_path(weights));
    int error = gguf      ? config_read_gguf(weights, config)
                : encoder ? read_encoder(weights, config)
                : hf      ? config_read_hf(path, config)
                : found   ? config_read_openclip(path, config)
                          : read_openai(weights, activation, config);
    error = error ? error : settle_towers(weights, config);
    error = error ? error : check_sizes(found ? path : weights_path(weights), config);
    if (hf && config->image.kind && !error)
        error = config_read_preprocessor(folder, config);
    return error;
}

/* Positions for pictures of `size` pixels a side instead of the checkpoint's. */
static int resize_image(struct weights *weights, uint32_t size, struct config *config)
{
    const char *name = config->image.kind == KIND_RESNET ? "visual.attnpool.positional_embedding"
                                                         : "visual.positional_embedding";
    const uint32_t from = config->image_size / config->patch_size;
    const uint32_t to = size / config->patch_size;
    if (size > 4096 || !to || size % config->patch_size)
        return error_fail(VKCLIP_EINVALID,
                          "image size %u: expected a multiple of %u of at most 4096 for this model",
                          size, config->patch_size);
    uint64_t shape[TENSOR_MAX_RANK];
    unsigned rank;
    weights_shape(weights, name, shape, &rank);
    const uint32_t width = (uint32_t)shape[1];
    float *old = malloc(shape[0] * width * sizeof(*old));
    shape[0] = 1 + (uint64_t)to * to;
    float *resized = malloc(shape[0] * width * sizeof(*resized));
    int error = old && resized ? weights_read(weights, name, 0, 1 + (uint64_t)from * from, old)
                               : VKCLIP_EMEMORY;
    if (!error && !positions_resize(old, from, to, width, resized))
        error = VKCLIP_EMEMORY;
    free(old);
    if (error) {
        free(resized);
        return error == VKCLIP_EMEMORY ? error_fail(error, "out of memory for positions") : error;
    }
    config->image_size = size;
    return weights_replace(weights, name, shape, resized);
}

int config_open(const char *path, const struct vkclip_model_params *params, struct config *config,
                struct weights **weights)
{
    static const struct vkclip_model_params none = {0};
    char file[CONFIG_PATH_SIZE], folder[CONFIG_PATH_SIZE];
    *config = config_defaults;
    *weights = NULL;
    params = params ? params : &none;
    char *found = NULL;
    int error = hub_find(path, &found);
    error = error ? error : find_weights(found, file);
    free(found);
    if (error)
        goto fail;
    folder_of(file, folder);
    error = weights_open_encoder(file, params->text_encoder, weights);
    error = error ? error : read_config(*weights, folder, params->activation, config);
    error = error ? error : config_check_tensors(*weights, config);
    if (!error && params->image_size && config->image.kind &&
        params->image_size != config->image_size)
        error = resize_image(*weights, params->image_size, config);
    error = error ? error : read_logit_scale(*weights, config);
    error = error ? error : find_tokenizer(*weights, folder, params->vocab, config);
    if (!error)
        return VKCLIP_OK;
fail:
    config_close(config);
    weights_close(weights);
    return error;
}

int config_read(const char *path, struct config *config)
{
    char folder[CONFIG_PATH_SIZE];
    *config = config_defaults;
    folder_of(path, folder);
    int error = !strcmp(file_name(path), "open_clip_config.json")
                    ? config_read_openclip(path, config)
                    : config_read_hf(path, config);
    config->logit_scale = 1 / 0.07f; /* paper, section 2.5 */
    error = error ? error : check_sizes(path, config);
    if (!error && config->family == VKCLIP_FAMILY_HF && config->image.kind)
        error = config_read_preprocessor(folder, config);
    return error;
}

void config_close(struct config *config)
{
    free(config->tokenizer_path);
    *config = (struct config){0};
}
