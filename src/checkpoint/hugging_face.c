/* SPDX-License-Identifier: MIT
 *
 * Reads the configuration files of transformers' CLIP, Chinese-CLIP, AltCLIP and T5 models, and of
 * M-CLIP. Refuses other kinds of models,
 * quantised weights, activations other than QuickGELU and GELU in its two forms, and a preparation
 * of pictures that is not of these steps: resize, centre crop, scale to 1, normalise.
 */
#include "checkpoint/hugging_face.h"
#include "base/array.h"
#include "base/error.h"
#include "base/file.h"
#include "base/string.h"
#include "checkpoint/bert.h"
#include "checkpoint/json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- config.json ----------------------------------------------------------------------------- */

/* Reads an activation by the names of transformers' ACT2FN, several of which compute the same.
 * Others of them, such as gelu_10, which clips, compute something else. */
static enum vkclip_activation read_activation(const struct section *section)
{
    static const struct {
        const char *name;
        enum vkclip_activation activation;
    } activations[] = {
        {"", VKCLIP_ACTIVATION_QUICK_GELU}, /* CLIP's default */
        {"quick_gelu", VKCLIP_ACTIVATION_QUICK_GELU},
        {"gelu", VKCLIP_ACTIVATION_GELU},
        {"gelu_python", VKCLIP_ACTIVATION_GELU},
        {"gelu_new", VKCLIP_ACTIVATION_GELU_TANH},
        {"gelu_fast", VKCLIP_ACTIVATION_GELU_TANH},
        {"gelu_accurate", VKCLIP_ACTIVATION_GELU_TANH},
        {"gelu_python_tanh", VKCLIP_ACTIVATION_GELU_TANH},
        {"gelu_pytorch_tanh", VKCLIP_ACTIVATION_GELU_TANH},
    };
    const char *name = section_text(section, "hidden_act");
    for (size_t i = 0; i < ARRAY_COUNT(activations); i++)
        if (!strcmp(activations[i].name, name))
            return activations[i].activation;
    section_refuse(section, "hidden_act", "quick_gelu, gelu or gelu_pytorch_tanh");
    return VKCLIP_ACTIVATION_QUICK_GELU;
}

static void read_tower(const struct section *section, struct config_tower *tower, uint32_t width,
                       uint32_t mlp, uint32_t heads)
{
    tower->width = section_size(section, "hidden_size", width);
    tower->mlp = section_size(section, "intermediate_size", mlp);
    tower->layers = section_size(section, "num_hidden_layers", 12);
    tower->heads = section_size(section, "num_attention_heads", heads);
    tower->epsilon = (float)section_number(section, "layer_norm_eps", 1e-5, 0, 1);
    tower->activation = read_activation(section);
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
    config->image_size = section_square(section, "image_size", 224);
    config->patch_size = section_square(section, "patch_size", 32);
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

/* SigLIP's towers, with the defaults of transformers' SiglipTextConfig and SiglipVisionConfig. */
static void read_siglip_tower(const struct section *section, struct config_tower *tower)
{
    read_tower(section, tower, 768, 3072, 12);
    tower->epsilon = (float)section_number(section, "layer_norm_eps", 1e-6, 0, 1);
    if (!*section_text(section, "hidden_act"))
        tower->activation = VKCLIP_ACTIVATION_GELU_TANH;
}

static void read_siglip_text(const struct section *section, struct config *config)
{
    struct config_tower *tower = &config->text;
    read_siglip_tower(section, tower);
    tower->kind = KIND_TEXT;
    tower->projection = tower->projection_bias = true;
    tower->bidirectional = true;
    tower->pooling = POOL_LAST;
    config->context = section_size(section, "max_position_embeddings", 64);
    config->vocabulary = section_size(section, "vocab_size", 32000);
    config->text_embed_dim = section_size(section, "projection_size", tower->width);
    config->pad_token_id = section_id(section, "pad_token_id", 1);
}

static void read_siglip_image(const struct section *section, struct config *config)
{
    read_siglip_tower(section, &config->image);
    config->image.kind = KIND_SIGLIP;
    config->image_size = section_square(section, "image_size", 224);
    config->patch_size = section_square(section, "patch_size", 16);
    config->image_embed_dim = config->image.width;
    config->resize.fit = FIT_SQUASH;
    config->rgb_first = true;
    for (unsigned c = 0; c < 3; c++)
        config->image_mean[c] = config->image_std[c] = 0.5f;
    if (section_size(section, "num_channels", 3) != 3)
        section_refuse(section, "num_channels", "3");
    if (!section_bool(section, "vision_use_head", true))
        section_refuse(section, "vision_use_head", "true");
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

static void read_siglip(const struct section *root, struct config *config)
{
    struct section text = section_child(root, "text_config");
    struct section image = section_child(root, "vision_config");
    read_siglip_text(&text, config);
    read_siglip_image(&image, config);
    config->sigmoid = true;
}

/* Reads a text tower of MetaCLIP 2, in which an eos_token_id of 2 means that id. */
static void read_metaclip_text(const struct section *section, struct config *config)
{
    read_text(section, config);
    config->eos_token_id = section_id(section, "eos_token_id", 49407);
}

static void read_metaclip(const struct section *root, struct config *config)
{
    struct section text = find_tower(root, "text_config_dict", "text_config");
    read_clip(root, config);
    read_metaclip_text(&text, config);
}

/* Reads Chinese-CLIP or AltCLIP, which have CLIP's image tower and another text tower. */
static void read_descendant(const struct section *root, struct config *config, uint32_t embed_dim,
                            void (*read_other)(const struct section *text, struct config *config))
{
    struct section text = find_tower(root, "text_config_dict", "text_config");
    struct section image = find_tower(root, "vision_config_dict", "vision_config");
    config->image_embed_dim = config->text_embed_dim =
        section_size(root, "projection_dim", embed_dim);
    read_other(&text, config);
    read_image(&image, config);
    config->image.projection = config->text.projection = true;
}

static void read_chinese_clip(const struct section *root, struct config *config)
{
    read_descendant(root, config, 512, bert_read_chinese_clip);
}

static void read_alt_clip(const struct section *root, struct config *config)
{
    read_descendant(root, config, 768, bert_read_alt_clip);
}

/* The kinds of models, by their model_type. */
static const struct {
    const char *type;
    void (*read)(const struct section *root, struct config *config);
} readers[] = {
    {"clip", read_clip},
    {"clip_text_model", read_text},
    {"clip_vision_model", read_image},
    {"metaclip_2", read_metaclip},
    {"metaclip_2_text_model", read_metaclip_text},
    {"metaclip_2_vision_model", read_image},
    {"chinese_clip", read_chinese_clip},
    {"chinese_clip_text_model", bert_read_chinese_clip},
    {"chinese_clip_vision_model", read_image},
    {"altclip", read_alt_clip},
    {"altclip_text_model", bert_read_alt_clip},
    {"altclip_vision_model", read_image},
    {"M-CLIP", bert_read_m_clip},
    {"siglip", read_siglip},
    {"siglip_text_model", read_siglip_text},
    {"siglip_vision_model", read_siglip_image},
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

#define TYPES_SIZE 512
/* Lists the known types for a message. */
static const char *list_types(char list[TYPES_SIZE])
{
    size_t length = 0;
    for (size_t i = 0; i < ARRAY_COUNT(readers) && length < TYPES_SIZE; i++) {
        const char *separator = i ? i + 1 < ARRAY_COUNT(readers) ? ", " : " or " : "";
        length += (size_t)snprintf(list + length, TYPES_SIZE - length, "%s%s", separator,
                                   readers[i].type);
    }
    return list;
}

int hugging_face_read(const char *path, struct config *config)
{
    struct document document;
    struct section root = document_open(path, &document);
    const char *type = section_text(&root, "model_type");
    const size_t reader = find_reader(type);
    char list[TYPES_SIZE];
    config->family = VKCLIP_FAMILY_HF;
    if (section_get(&root, "quantization_config"))
        section_refuse(&root, "quantization_config", "none");
    config->image_embed_dim = config->text_embed_dim = section_size(&root, "projection_dim", 512);
    if (string_begins_with(type, "siglip2")) { /* takes pictures of any proportions (NaFlex) */
        section_refuse(&root, "model_type",
                       "siglip, as SigLIP 2 of fixed resolution has it (not NaFlex)");
    } else if (reader < ARRAY_COUNT(readers)) {
        readers[reader].read(&root, config);
        if (!config->sigmoid)
            config->logit_scale =
                expf((float)section_number(&root, "logit_scale_init_value", 2.6592, -88, 88));
    } else if (!document.error) {
        document.error = error_fail(VKCLIP_EUNSUPPORTED, "%s: model_type: expected %s, found %s",
                                    path, list_types(list), *type ? type : "none");
    }
    return document_close(&document);
}

/* ---- preprocessor_config.json ---------------------------------------------------------------- */

/* A class of image processors, with its defaults. The others resize and crop alike. */
struct processor {
    const char *name;
    bool square;     /* A size that is one number is that of both sides, not of the shorter one. */
    bool crops;      /* The centre is cut out after the resize. */
    bool halves;     /* Mean and standard deviation are 0.5, not OpenAI's. */
    unsigned filter; /* Pillow's number of its filter */
};

static const struct processor processors[] = {
    {"CLIP", false, true, false, 3}, {"ChineseCLIP", false, true, false, 3},
    {"Bit", false, true, false, 3},  {"Siglip", true, false, true, 3},
    {"ViT", true, false, true, 2},
};

/* Finds a class by its name, such as CLIPImageProcessorFast. Returns NULL if there is none. */
static const struct processor *find_processor(const char *type)
{
    static const char *const ends[] = {"ImageProcessor", "ImageProcessorFast", "ImageProcessorPil",
                                       "FeatureExtractor"};
    if (!*type)
        return processors;
    for (size_t i = 0; i < ARRAY_COUNT(processors); i++) {
        const size_t length = strlen(processors[i].name);
        for (size_t e = 0; e < ARRAY_COUNT(ends) && string_begins_with(type, processors[i].name);
             e++)
            if (!strcmp(type + length, ends[e]))
                return &processors[i];
    }
    return NULL;
}

/* Returns a side of the object `sizes`, which is 0 if it is missing. */
static uint32_t read_side(const struct section *section, const json_t *sizes, const char *key)
{
    enum { MOST = 16384 };
    const json_t *value = json_object_get(sizes, key);
    const json_int_t side = json_integer_value(value);
    if (!value || json_is_null(value))
        return 0;
    if (side < 1 || side > MOST)
        section_wrong(section, "size", "sides from 1 to 16384");
    return section->document->error ? 0 : (uint32_t)side;
}

/* Reads the size to which pictures are resized: one number, or an object with both sides, with the
 * shorter one, or with limits of both. */
static void read_size(const struct section *section, bool square, struct image_resize *resize)
{
    const json_t *value = section_get(section, "size");
    const uint32_t number =
        value && !json_is_object(value) ? section_size(section, "size", 1) : 224;
    resize->fit = square ? FIT_SQUASH : FIT_SHORTEST;
    resize->width = resize->height = resize->shortest = number;
    if (!json_is_object(value))
        return;
    resize->width = read_side(section, value, "width");
    resize->height = read_side(section, value, "height");
    resize->shortest = read_side(section, value, "shortest_edge");
    resize->longest = read_side(section, value, "longest_edge");
    const bool sides = resize->width && resize->height && !resize->shortest && !resize->longest;
    const bool edge = resize->shortest && !resize->width && !resize->height;
    resize->fit = FIT_SQUASH;
    if (!sides)
        resize->fit = resize->longest ? FIT_BETWEEN : FIT_SHORTEST;
    if (!sides && !edge)
        section_refuse(section, "size",
                       "height and width, shortest_edge, or shortest_edge and longest_edge");
}

/* Checks that the resize and the crop give pictures of the model's size, and forgets sides that are
 * that size. */
static void check_size(const struct section *section, bool crops, uint32_t size,
                       struct image_resize *resize)
{
    const json_t *crop = section_get(section, "crop_size");
    json_int_t height = crop ? json_integer_value(crop) : 224, width = height;
    char expected[96];
    if (json_is_object(crop)) {
        height = json_integer_value(json_object_get(crop, "height"));
        width = json_integer_value(json_object_get(crop, "width"));
    }
    snprintf(expected, sizeof(expected), "%u, the model's image_size, as height and width", size);
    if (crops && (height != size || width != size))
        section_wrong(section, "crop_size", expected);
    else if (!crops &&
             (resize->fit != FIT_SQUASH || resize->width != size || resize->height != size))
        section_wrong(section, "size", expected);
    if (resize->width == size && resize->height == size)
        resize->width = resize->height = 0;
    if (resize->shortest == size)
        resize->shortest = 0;
}

static void read_filter(const struct section *section, unsigned fallback,
                        struct image_resize *resize)
{
    static const enum image_filter filters[] = {FILTER_NEAREST, FILTER_LANCZOS, FILTER_BILINEAR,
                                                FILTER_BICUBIC, FILTER_BOX,     FILTER_HAMMING};
    const double number = section_number(section, "resample", fallback, 0, 5);
    resize->filter = filters[(unsigned)number];
}

/* Reads the steps that may be left out, and refuses those that may not. */
static void read_steps(const struct section *section, struct config *config)
{
    static const char *const steps[] = {"do_resize", "do_rescale"};
    for (size_t i = 0; i < ARRAY_COUNT(steps); i++)
        if (!section_bool(section, steps[i], true))
            section_refuse(section, steps[i], "true");
    if (section_bool(section, "do_pad", false))
        section_refuse(section, "do_pad", "false");
    if (fabs(section_number(section, "rescale_factor", 1 / 255.0, 0, 1) - 1 / 255.0) > 1e-7)
        section_refuse(section, "rescale_factor", "1/255");
    section_colours(section, "image_mean", -1000, config->image_mean);
    section_colours(section, "image_std", 1e-6, config->image_std);
    for (unsigned c = 0; c < 3 && !section_bool(section, "do_normalize", true); c++) {
        config->image_mean[c] = 0;
        config->image_std[c] = 1;
    }
}

static void read_processor(const struct section *section, struct config *config)
{
    const char *key = "image_processor_type";
    if (!section_get(section, key) && section_get(section, "feature_extractor_type"))
        key = "feature_extractor_type"; /* of versions before 4.26 */
    const struct processor *processor = find_processor(section_text(section, key));
    struct image_resize resize = {.fit = FIT_SHORTEST};
    if (!processor) {
        section_refuse(section, key, "CLIP-, ChineseCLIP-, Bit-, Siglip- or ViTImageProcessor");
        return;
    }
    for (unsigned c = 0; c < 3 && processor->halves; c++)
        config->image_mean[c] = config->image_std[c] = 0.5f;
    read_steps(section, config);
    read_filter(section, processor->filter, &resize);
    read_size(section, processor->square, &resize);
    check_size(section, section_bool(section, "do_center_crop", processor->crops),
               config->image_size, &resize);
    config->resize = resize;
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
