/* SPDX-License-Identifier: MIT
 *
 * Reads the configuration files of transformers' CLIP and T5 models. Refuses other kinds of models,
 * quantised weights, activations other than QuickGELU and GELU, and a preparation of pictures that
 * is not CLIP's: bicubic resize, centre crop, scale to 1, normalise.
 */
#include "checkpoint/hugging_face.h"
#include "base/array.h"
#include "base/error.h"
#include "base/file.h"
#include "checkpoint/json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- config.json ----------------------------------------------------------------------------- */

static void read_tower(const struct section *section, struct config_tower *tower, uint32_t width,
                       uint32_t mlp, uint32_t heads)
{
    const char *activation = section_text(section, "hidden_act");
    tower->width = section_size(section, "hidden_size", width);
    tower->mlp = section_size(section, "intermediate_size", mlp);
    tower->layers = section_size(section, "num_hidden_layers", 12);
    tower->heads = section_size(section, "num_attention_heads", heads);
    tower->epsilon = (float)section_number(section, "layer_norm_eps", 1e-5, 0, 1);
    tower->activation = VKCLIP_ACTIVATION_QUICK_GELU;
    if (!strcmp(activation, "gelu"))
        tower->activation = VKCLIP_ACTIVATION_GELU;
    else if (*activation && strcmp(activation, "quick_gelu"))
        section_refuse(section, "hidden_act", "quick_gelu or gelu");
}

static void read_text(const struct section *section, struct config *config)
{
    config->text.kind = KIND_TEXT;
    read_tower(section, &config->text, 512, 2048, 8);
    config->context = section_size(section, "max_position_embeddings", 77);
    config->vocabulary = section_size(section, "vocab_size", 49408);
    config->pad_token_id = section_id(section, "pad_token_id", 1);
    config->eos_token_id = section_id(section, "eos_token_id", 49407);
    /* Configurations written before transformers corrected eos_token_id have 2, which means the
     * largest id in transformers too. */
    if (config->eos_token_id == 2)
        config->eos_token_id = -1;
}

static void read_image(const struct section *section, struct config *config)
{
    config->image.kind = KIND_VIT;
    read_tower(section, &config->image, 768, 3072, 12);
    config->image_size = section_size(section, "image_size", 224);
    config->patch_size = section_size(section, "patch_size", 32);
    if (section_size(section, "num_channels", 3) != 3)
        section_refuse(section, "num_channels", "3");
}

/* Reads a T5, mT5 or UMT5, of which only the encoder counts. */
static void read_t5(const struct section *section, struct config *config)
{
    struct config_tower *tower = &config->text;
    const char *type = section_text(section, "model_type");
    const bool first = !strcmp(type, "t5"); /* Defaults are those of each class in transformers. */
    const char *mlp = section_text(section, "feed_forward_proj");
    tower->kind = KIND_T5;
    tower->width = section_size(section, "d_model", 512);
    tower->mlp = section_size(section, "d_ff", first ? 2048 : 1024);
    tower->layers = section_size(section, "num_layers", first ? 6 : 8);
    tower->heads = section_size(section, "num_heads", first ? 8 : 6);
    tower->head_width = section_size(section, "d_kv", 64);
    tower->epsilon = (float)section_number(section, "layer_norm_epsilon", 1e-6, 0, 1);
    tower->gated = *mlp ? strcmp(mlp, "relu") != 0 : !first;
    tower->own_positions = !strcmp(type, "umt5");
    tower->activation = tower->gated ? VKCLIP_ACTIVATION_GELU_TANH : VKCLIP_ACTIVATION_RELU;
    if (*mlp && tower->gated && strcmp(mlp, "gated-gelu"))
        section_refuse(section, "feed_forward_proj", "relu or gated-gelu");
    if (section_size(section, "relative_attention_num_buckets", 32) != 32)
        section_refuse(section, "relative_attention_num_buckets", "32");
    if (section_size(section, "relative_attention_max_distance", 128) != 128)
        section_refuse(section, "relative_attention_max_distance", "128");
    config->context = T5_CONTEXT;
    config->vocabulary = section_size(section, "vocab_size", first ? 32128 : 250112);
    config->pad_token_id = section_id(section, "pad_token_id", 0);
    config->eos_token_id = section_id(section, "eos_token_id", 1);
}

/* Finds a tower as transformers does: the older NAME_dict, if present, takes precedence over NAME.
 */
static struct section find_tower(const struct section *root, const char *older, const char *name)
{
    return section_child(root, section_get(root, older) ? older : name);
}

static void read_clip(const struct section *root, struct config *config)
{
    struct section text = find_tower(root, "text_config_dict", "text_config");
    struct section image = find_tower(root, "vision_config_dict", "vision_config");
    config->image.projection = config->text.projection = true;
    read_text(&text, config);
    read_image(&image, config);
}

/* The kinds of models, by their model_type. */
static const struct {
    const char *type;
    void (*read)(const struct section *root, struct config *config);
} readers[] = {
    {"clip", read_clip},
    {"clip_text_model", read_text},
    {"clip_vision_model", read_image},
    {"t5", read_t5},
    {"mt5", read_t5},
    {"umt5", read_t5},
};

/* Returns the index of a type's reader, or the number of readers if there is none. */
static size_t find_reader(const char *type)
{
    size_t i = 0;
    while (i < ARRAY_COUNT(readers) && strcmp(type, readers[i].type))
        i++;
    return i;
}

bool hugging_face_is_config(const char *path)
{
    struct document document;
    struct section root = document_open(path, &document);
    const size_t reader = find_reader(section_text(&root, "model_type"));
    document_close(&document);
    return reader < ARRAY_COUNT(readers);
}

/* Lists the known types for a message. */
static const char *list_types(char list[256])
{
    size_t length = 0;
    for (size_t i = 0; i < ARRAY_COUNT(readers); i++) {
        const char *separator = i ? i + 1 < ARRAY_COUNT(readers) ? ", " : " or " : "";
        length += (size_t)snprintf(list + length, 256 - length, "%s%s", separator, readers[i].type);
    }
    return list;
}

int hugging_face_read(const char *path, struct config *config)
{
    struct document document;
    struct section root = document_open(path, &document);
    const char *type = section_text(&root, "model_type");
    const size_t reader = find_reader(type);
    char list[256];
    config->family = VKCLIP_FAMILY_HF;
    if (section_get(&root, "quantization_config"))
        section_refuse(&root, "quantization_config", "none");
    config->image_embed_dim = config->text_embed_dim = section_size(&root, "projection_dim", 512);
    if (reader < ARRAY_COUNT(readers))
        readers[reader].read(&root, config);
    else if (!document.error)
        document.error = error_fail(VKCLIP_EUNSUPPORTED, "%s: model_type: expected %s, found %s",
                                    path, list_types(list), *type ? type : "none");
    return document_close(&document);
}

/* ---- preprocessor_config.json ---------------------------------------------------------------- */

/* Checks that `key` describes a square of the model's size: an integer, or an object with the
 * integers `first_side` and `second_side`. */
static void check_square(const struct section *section, const char *key, const char *first_side,
                         const char *second_side, uint32_t size)
{
    const json_t *value = section_get(section, key);
    json_int_t first = json_integer_value(value), second = first;
    char expected[96];
    if (!value && size == 224) /* The default of CLIPImageProcessor applies. */
        return;
    if (json_is_object(value)) {
        first = json_integer_value(json_object_get(value, first_side));
        second = json_integer_value(json_object_get(value, second_side));
    }
    if (first == size && second == size)
        return;
    snprintf(expected, sizeof(expected), "%u, the model's image_size, as %s", size, first_side);
    section_wrong(section, key, expected);
}

static void read_processor(const struct section *section, struct config *config)
{
    static const char *const steps[] = {"do_resize", "do_center_crop", "do_rescale",
                                        "do_normalize"};
    const char *type = section_text(section, "image_processor_type");
    if (*type && strncmp(type, "CLIP", 4))
        section_refuse(section, "image_processor_type", "CLIPImageProcessor");
    for (size_t i = 0; i < ARRAY_COUNT(steps); i++)
        if (!section_bool(section, steps[i], true))
            section_refuse(section, steps[i], "true");
    if (section_size(section, "resample", 3) != 3)
        section_refuse(section, "resample", "3 (bicubic)");
    if (fabs(section_number(section, "rescale_factor", 1 / 255.0, 0, 1) - 1 / 255.0) > 1e-7)
        section_refuse(section, "rescale_factor", "1/255");
    check_square(section, "size", "shortest_edge", "shortest_edge", config->image_size);
    check_square(section, "crop_size", "height", "width", config->image_size);
    section_colours(section, "image_mean", -1000, config->image_mean);
    section_colours(section, "image_std", 1e-6, config->image_std);
    config->rgb_first = section_bool(section, "do_convert_rgb", true);
}

int hugging_face_read_preprocessor(const char *path, struct config *config)
{
    struct document document;
    struct section root = document_open(path, &document);
    if (strcmp(file_name(path), "processor_config.json")) {
        read_processor(&root, config);
    } else { /* transformers 5 nests these values under a key. */
        struct section nested = section_child(&root, "image_processor");
        if (nested.object)
            read_processor(&nested, config);
    }
    return document_close(&document);
}
