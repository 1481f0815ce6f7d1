/* SPDX-License-Identifier: MIT
 *
 * Reads the values of clip.cpp's GGUF files, whose keys are clip.NAME, clip.text.NAME and
 * clip.vision.NAME.
 */
#include "checkpoint/clip_cpp.h"
#include "base/error.h"

#include <stdio.h>
#include <string.h>

/* Values of one tower, or of the whole file if `tower` is "". The first error is kept, and all
 * later getters return zero, so that a reader asks for everything and checks the error once. */
struct values {
    const struct gguf *file;
    const char *tower;
    int error;
};

static const struct gguf_value *find_value(const struct values *values, const char *name,
                                           char key[96])
{
    snprintf(key, 96, "clip.%s%s%s", values->tower, *values->tower ? "." : "", name);
    return gguf_find(values->file, key);
}

static void refuse_value(struct values *values, const char *key, const void *value,
                         const char *expected)
{
    if (!values->error)
        values->error =
            error_fail(VKCLIP_EFORMAT, "%s: %s: expected %s, found %s", values->file->path, key,
                       expected, value ? "something else" : "nothing");
}

static uint32_t read_size(struct values *values, const char *name)
{
    char key[96];
    const struct gguf_value *value = find_value(values, name, key);
    uint64_t number = 0;
    if (!gguf_read_integer(value, &number) || !number || number > INT32_MAX) {
        refuse_value(values, key, value, "an integer from 1 to 2147483647");
        return 0;
    }
    return (uint32_t)number;
}

/* Reads a flag, which is false if it is missing. */
static bool read_flag(struct values *values, const char *name)
{
    char key[96];
    const struct gguf_value *value = find_value(values, name, key);
    bool flag = false;
    if (value && !gguf_read_bool(value, &flag))
        refuse_value(values, key, value, "true or false");
    return flag;
}

static bool read_required_flag(struct values *values, const char *name)
{
    char key[96];
    const struct gguf_value *value = find_value(values, name, key);
    if (!value)
        refuse_value(values, key, value, "true or false");
    return read_flag(values, name);
}

static float read_epsilon(struct values *values)
{
    char key[96];
    const struct gguf_value *value = find_value(values, "attention.layer_norm_epsilon", key);
    double epsilon = 0;
    if (!gguf_read_number(value, 0, &epsilon) || value->count != 1 ||
        !(epsilon >= 0 && epsilon <= 1))
        refuse_value(values, key, value, "a number from 0 to 1");
    return (float)epsilon;
}

/* Reads three numbers, one per colour; `colours` keeps its values if they are missing. */
static void read_colours(struct values *values, const char *name, double lowest, float colours[3])
{
    char key[96];
    const struct gguf_value *value = find_value(values, name, key);
    double number;
    if (value && value->count != 3)
        refuse_value(values, key, value, "three numbers");
    for (uint64_t i = 0; value && !values->error && i < 3; i++) {
        if (!gguf_read_number(value, i, &number) || !(number >= lowest && number <= 1000))
            refuse_value(values, key, value,
                         lowest > 0 ? "three numbers above 0" : "three numbers");
        else
            colours[i] = (float)number;
    }
}

/* ---- Towers ---------------------------------------------------------------------------------- */

static void read_tower(struct values *values, struct config_tower *tower, uint32_t *embed_dim)
{
    tower->projection = true;
    tower->width = read_size(values, "embedding_length");
    tower->mlp = read_size(values, "feed_forward_length");
    tower->layers = read_size(values, "block_count");
    tower->heads = read_size(values, "attention.head_count");
    tower->epsilon = read_epsilon(values);
    *embed_dim = read_size(values, "projection_dim");
}

static int read_text(const struct gguf *file, struct config *config)
{
    struct values values = {file, "text", VKCLIP_OK};
    config->text.kind = KIND_TEXT;
    read_tower(&values, &config->text, &config->text_embed_dim);
    config->context = read_size(&values, "context_length");
    return values.error;
}

static int read_image(const struct gguf *file, struct config *config)
{
    struct values values = {file, "vision", VKCLIP_OK};
    config->image.kind = KIND_VIT;
    read_tower(&values, &config->image, &config->image_embed_dim);
    config->image_size = read_size(&values, "image_size");
    config->patch_size = read_size(&values, "patch_size");
    read_colours(&values, "image_mean", -1000, config->image_mean);
    read_colours(&values, "image_std", 1e-6, config->image_std);
    return values.error;
}

int clip_cpp_read(const struct gguf *file, struct config *config)
{
    struct values values = {file, "", VKCLIP_OK};
    config->family =
        VKCLIP_FAMILY_OPENAI; /* OpenAI's family decides how texts and pictures are prepared. */
    if (!gguf_is_text(gguf_find(file, "general.architecture"), "clip"))
        return error_fail(VKCLIP_EUNSUPPORTED,
                          "%s: general.architecture is not clip, t5 or t5encoder", file->path);
    const bool text = read_flag(&values, "has_text_encoder");
    const bool image = read_flag(&values, "has_vision_encoder");
    if (read_flag(&values, "has_llava_projector") || gguf_find(file, "clip.projector_type"))
        return error_fail(VKCLIP_EUNSUPPORTED,
                          "%s: an image tower for a language model, not one of CLIP's two towers",
                          file->path);
    const bool gelu = read_required_flag(&values, "use_gelu");
    int error = values.error;
    if (!error && text)
        error = read_text(file, config);
    if (!error && image)
        error = read_image(file, config);
    if (text)
        config->text.activation = gelu ? VKCLIP_ACTIVATION_GELU : VKCLIP_ACTIVATION_QUICK_GELU;
    if (image)
        config->image.activation = gelu ? VKCLIP_ACTIVATION_GELU : VKCLIP_ACTIVATION_QUICK_GELU;
    return error;
}

int clip_cpp_find_logit_scale(const struct gguf *file, struct tensor_view *view, bool *found)
{
    const struct gguf_value *value = gguf_find(file, "clip.logit_scale");
    *found = value != NULL;
    if (!value)
        return VKCLIP_OK;
    if (value->type != GGUF_F32)
        return error_fail(VKCLIP_EFORMAT, "%s: clip.logit_scale: expected a number of type F32",
                          file->path);
    *view = (struct tensor_view){
        .name = "logit_scale", .dtype = DTYPE_F32, .data = value->data, .size = sizeof(float)};
    return VKCLIP_OK;
}
