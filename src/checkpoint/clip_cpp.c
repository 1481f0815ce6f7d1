/* SPDX-License-Identifier: MIT
 *
 * The configuration inside clip.cpp's GGUF files. Everything that decides a result must be there;
 * files whose image tower feeds a language model are refused.
 */
#include "base/error.h"
#include "checkpoint/json.h"
#include "format/gguf.h"

#include <stdio.h>
#include <string.h>

/* The first error sticks. */
struct source {
    const struct gguf *file;
    const char *tower; /* part of the keys */
    int error;
};

static const struct gguf_value *get(struct source *source, const char *name, char key[96])
{
    snprintf(key, 96, "clip.%s%s%s", source->tower, *source->tower ? "." : "", name);
    return gguf_find(source->file, key);
}

static void wrong(struct source *source, const char *key, const void *value, const char *expected)
{
    if (!source->error)
        source->error =
            error_fail(VKCLIP_EFORMAT, "%s: %s: expected %s, found %s", source->file->path, key,
                       expected, value ? "something else" : "nothing");
}

static uint32_t get_size(struct source *source, const char *name)
{
    char key[96];
    const struct gguf_value *value = get(source, name, key);
    uint64_t number = 0;
    if (!gguf_integer(value, &number) || !number || number > INT32_MAX) {
        wrong(source, key, value, "an integer from 1 to 2147483647");
        return 0;
    }
    return (uint32_t)number;
}

/* A flag; `fallback` < 0: it must be there. */
static bool get_flag(struct source *source, const char *name, int fallback)
{
    char key[96];
    const struct gguf_value *value = get(source, name, key);
    bool flag = fallback > 0;
    if ((value || fallback < 0) && !gguf_bool(value, &flag))
        wrong(source, key, value, "true or false");
    return flag;
}

static void get_colours(struct source *source, const char *name, double low, float colours[3])
{
    char key[96];
    const struct gguf_value *value = get(source, name, key);
    double number;
    if (value && value->count != 3)
        wrong(source, key, value, "three numbers");
    for (uint64_t i = 0; value && !source->error && i < 3; i++) {
        if (!gguf_number(value, i, &number) || !(number >= low && number <= 1000))
            wrong(source, key, value, low > 0 ? "three numbers above 0" : "three numbers");
        else
            colours[i] = (float)number;
    }
}

static void read_tower(struct source *source, const char *name, struct config_tower *tower,
                       uint32_t *embed_dim)
{
    char key[96];
    double epsilon = 0;
    source->tower = name;
    tower->projection = true;
    tower->width = get_size(source, "embedding_length");
    tower->mlp = get_size(source, "feed_forward_length");
    tower->layers = get_size(source, "block_count");
    tower->heads = get_size(source, "attention.head_count");
    *embed_dim = get_size(source, "projection_dim");
    const struct gguf_value *value = get(source, "attention.layer_norm_epsilon", key);
    if (!gguf_number(value, 0, &epsilon) || value->count != 1 || !(epsilon >= 0 && epsilon <= 1))
        wrong(source, key, value, "a number from 0 to 1");
    tower->epsilon = (float)epsilon;
}

static bool is_clip(const struct gguf *file)
{
    const struct gguf_value *value = gguf_find(file, "general.architecture");
    if (!value || value->type != GGUF_STRING)
        return false;
    const uint8_t *at = value->data;
    size_t length;
    const char *text = gguf_text(&at, &length);
    return length == 4 && !memcmp(text, "clip", 4);
}

int config_read_gguf(const struct weights *weights, struct config *config)
{
    struct source source = {weights_gguf(weights), "", 0};
    uint64_t shape[TENSOR_MAX_RANK];
    unsigned rank;
    config->family = VKCLIP_FAMILY_OPENAI; /* its rules for texts and pictures */
    if (!is_clip(source.file))
        return error_fail(VKCLIP_EUNSUPPORTED, "%s: general.architecture is not clip",
                          source.file->path);
    bool text = get_flag(&source, "has_text_encoder", 0);
    bool image = get_flag(&source, "has_vision_encoder", 0);
    if (get_flag(&source, "has_llava_projector", 0) ||
        gguf_find(source.file, "clip.projector_type"))
        return error_fail(VKCLIP_EUNSUPPORTED,
                          "%s: an image tower for a language model, not one of CLIP's two towers",
                          source.file->path);
    enum vkclip_activation activation =
        get_flag(&source, "use_gelu", -1) ? VKCLIP_ACTIVATION_GELU : VKCLIP_ACTIVATION_QUICK_GELU;
    if (text) {
        read_tower(&source, "text", &config->text, &config->text_embed_dim);
        config->text.kind = KIND_TEXT;
        config->context = get_size(&source, "context_length");
        config->text.activation = activation;
        if (weights_shape(weights, "token_embedding.weight", shape, &rank))
            config->vocabulary = shape[0] < UINT32_MAX ? (uint32_t)shape[0] : UINT32_MAX;
    }
    if (image) {
        read_tower(&source, "vision", &config->image, &config->image_embed_dim);
        config->image.kind = KIND_VIT;
        config->image_size = get_size(&source, "image_size");
        config->patch_size = get_size(&source, "patch_size");
        get_colours(&source, "image_mean", -1000, config->image_mean);
        get_colours(&source, "image_std", 1e-6, config->image_std);
        config->image.activation = activation;
    }
    return source.error;
}
