/* SPDX-License-Identifier: MIT
 *
 * Reads configuration files with the defaults of the reference that wrote them (transformers'
 * configuration classes, OpenCLIP's CLIPVisionCfg and CLIPTextCfg). Every setting that would change
 * the computation to something not computed here is refused by its name.
 */
#include "checkpoint/json.h"
#include "base/array.h"
#include "base/error.h"
#include "base/file.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX (1u << 20)

/* An object of a configuration file. The first error sticks: getters then return their fallback, so
 * that a reader asks for everything and looks at `error` once. A NULL object has no keys. */
struct source {
    const char *path, *prefix; /* prefix: where in the file, as "text_config." */
    json_t *object;
    int error;
};

static int load(const char *path, json_t **root)
{
    char *text = NULL;
    size_t size = 0;
    json_error_t where;
    *root = NULL;
    int error = file_read(path, FILE_MAX, &text, &size);
    if (error)
        return error;
    *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &where);
    free(text);
    if (!*root)
        return error_fail(VKCLIP_EFORMAT, "%s: line %d: %s", path, where.line, where.text);
    if (!json_is_object(*root)) {
        json_decref(*root);
        *root = NULL;
        return error_fail(VKCLIP_EFORMAT, "%s: expected a JSON object", path);
    }
    return VKCLIP_OK;
}

/* A value as a message shows it. */
static const char *show(const json_t *value, char text[64])
{
    size_t length = json_dumpb(value, text, 63, JSON_ENCODE_ANY | JSON_COMPACT);
    text[length < 63 ? length : 63] = 0;
    return text;
}

static void wrong(struct source *source, const char *key, const json_t *value, const char *expected)
{
    char text[64];
    if (!source->error)
        source->error = error_fail(VKCLIP_EFORMAT, "%s: %s%s: expected %s, found %s", source->path,
                                   source->prefix, key, expected, show(value, text));
}

static void refuse(struct source *source, const char *key, const json_t *value,
                   const char *expected)
{
    char text[64];
    if (!source->error)
        source->error =
            error_fail(VKCLIP_EUNSUPPORTED, "%s: %s%s: %s is not supported, expected %s",
                       source->path, source->prefix, key, show(value, text), expected);
}

/* NULL for what is missing or null. */
static json_t *get(const struct source *source, const char *key)
{
    json_t *value = source->error ? NULL : json_object_get(source->object, key);
    return json_is_null(value) ? NULL : value;
}

/* Sizes are checked against the towers' limits later; here only that one is a positive integer. */
static uint32_t get_size(struct source *source, const char *key, uint32_t fallback)
{
    const json_t *value = get(source, key);
    json_int_t number = json_integer_value(value);
    if (!value)
        return fallback;
    if (number < 1 || number > INT32_MAX) {
        wrong(source, key, value, "an integer from 1 to 2147483647");
        return fallback;
    }
    return (uint32_t)number;
}

static int32_t get_id(struct source *source, const char *key, int32_t fallback)
{
    const json_t *value = get(source, key);
    json_int_t number = json_integer_value(value);
    if (!value)
        return fallback;
    if (!json_is_integer(value) || number < -1 || number > INT32_MAX) {
        wrong(source, key, value, "a token id");
        return fallback;
    }
    return (int32_t)number;
}

static double get_number(struct source *source, const char *key, double fallback, double low,
                         double high)
{
    const json_t *value = get(source, key);
    double number = json_number_value(value);
    char expected[64];
    if (!value)
        return fallback;
    if (!json_is_number(value) || !(number >= low && number <= high)) {
        snprintf(expected, sizeof(expected), "a number from %g to %g", low, high);
        wrong(source, key, value, expected);
        return fallback;
    }
    return number;
}

static bool get_bool(struct source *source, const char *key, bool fallback)
{
    const json_t *value = get(source, key);
    if (value && !json_is_boolean(value))
        wrong(source, key, value, "true or false");
    return json_is_boolean(value) ? json_is_true(value) : fallback;
}

/* A string; "" where missing. */
static const char *get_text(struct source *source, const char *key)
{
    const json_t *value = get(source, key);
    if (value && !json_is_string(value))
        wrong(source, key, value, "a string");
    return json_is_string(value) ? json_string_value(value) : "";
}

/* Three numbers, one a colour. */
static void get_colours(struct source *source, const char *key, double low, float colours[3])
{
    json_t *value = get(source, key);
    double numbers[3];
    bool good = json_array_size(value) == 3;
    for (size_t i = 0; good && i < 3; i++) {
        const json_t *number = json_array_get(value, i);
        numbers[i] = json_number_value(number);
        good = json_is_number(number) && numbers[i] >= low && numbers[i] <= 1000;
    }
    if (value && !good)
        wrong(source, key, value, low > 0 ? "three numbers above 0" : "three numbers");
    for (size_t i = 0; value && good && i < 3; i++)
        colours[i] = (float)numbers[i];
}

/* The object under `key`; without keys where missing. The caller passes its error back. */
static struct source get_object(struct source *source, const char *key, const char *prefix)
{
    json_t *value = get(source, key);
    if (value && !json_is_object(value))
        wrong(source, key, value, "an object");
    return (struct source){source->path, prefix, value, source->error};
}

/* ---- Hugging Face: config.json --------------------------------------------------------------- */

static void read_hf_tower(struct source *source, struct config_tower *tower, uint32_t width,
                          uint32_t mlp, uint32_t heads)
{
    const char *activation = get_text(source, "hidden_act");
    tower->width = get_size(source, "hidden_size", width);
    tower->mlp = get_size(source, "intermediate_size", mlp);
    tower->layers = get_size(source, "num_hidden_layers", 12);
    tower->heads = get_size(source, "num_attention_heads", heads);
    tower->epsilon = (float)get_number(source, "layer_norm_eps", 1e-5, 0, 1);
    tower->activation = VKCLIP_ACTIVATION_QUICK_GELU;
    if (!strcmp(activation, "gelu"))
        tower->activation = VKCLIP_ACTIVATION_GELU;
    else if (*activation && strcmp(activation, "quick_gelu"))
        refuse(source, "hidden_act", get(source, "hidden_act"), "quick_gelu or gelu");
}

static void read_hf_text(struct source *source, struct config *config)
{
    read_hf_tower(source, &config->text, 512, 2048, 8);
    config->text.kind = KIND_TEXT;
    config->context = get_size(source, "max_position_embeddings", 77);
    config->vocabulary = get_size(source, "vocab_size", 49408);
    config->pad_token_id = get_id(source, "pad_token_id", 1);
    config->eos_token_id = get_id(source, "eos_token_id", 49407);
    if (config->eos_token_id ==
        2) /* transformers: configurations from before eos_token_id was right */
        config->eos_token_id = -1;
}

static void read_hf_image(struct source *source, struct config *config)
{
    read_hf_tower(source, &config->image, 768, 3072, 12);
    config->image.kind = KIND_VIT;
    config->image_size = get_size(source, "image_size", 224);
    config->patch_size = get_size(source, "patch_size", 32);
    if (get_size(source, "num_channels", 3) != 3)
        refuse(source, "num_channels", get(source, "num_channels"), "3");
}

/* As transformers: where the older NAME_dict is there, it counts and NAME does not. */
static struct source get_hf_tower(struct source *root, bool text)
{
    if (text)
        return get(root, "text_config_dict")
                   ? get_object(root, "text_config_dict", "text_config_dict.")
                   : get_object(root, "text_config", "text_config.");
    return get(root, "vision_config_dict")
               ? get_object(root, "vision_config_dict", "vision_config_dict.")
               : get_object(root, "vision_config", "vision_config.");
}

bool config_is_hf(const char *path)
{
    json_t *root = NULL;
    bool is = !load(path, &root);
    const char *type = is ? json_string_value(json_object_get(root, "model_type")) : NULL;
    is = type && !strncmp(type, "clip", 4);
    json_decref(root);
    return is;
}

int config_read_hf(const char *path, struct config *config)
{
    struct source root = {path, "", NULL, 0};
    root.error = load(path, &root.object);
    const char *type = get_text(&root, "model_type");
    config->family = VKCLIP_FAMILY_HF;
    config->image.projection = config->text.projection = !strcmp(type, "clip");
    if (get(&root, "quantization_config"))
        refuse(&root, "quantization_config", get(&root, "quantization_config"), "none");
    config->image_embed_dim = config->text_embed_dim = get_size(&root, "projection_dim", 512);
    if (!strcmp(type, "clip")) {
        struct source text = get_hf_tower(&root, true), image = get_hf_tower(&root, false);
        read_hf_text(&text, config);
        read_hf_image(&image, config);
        root.error = root.error ? root.error : text.error ? text.error : image.error;
    } else if (!strcmp(type, "clip_text_model")) {
        read_hf_text(&root, config);
    } else if (!strcmp(type, "clip_vision_model")) {
        read_hf_image(&root, config);
    } else if (!root.error) {
        root.error = error_fail(VKCLIP_EUNSUPPORTED,
                                "%s: model_type: expected clip, clip_text_model or "
                                "clip_vision_model, found %s",
                                path, *type ? type : "none");
    }
    json_decref(root.object);
    return root.error;
}

/* ---- Hugging Face: preprocessor_config.json -------------------------------------------------- */

/* `key` must describe a square of the model's size: an integer, or an object of integers. */
static void check_square(struct source *source, const char *key, const char *side,
                         const char *other, uint32_t size)
{
    json_t *value = get(source, key);
    json_int_t first = json_integer_value(value), second = first;
    char expected[96];
    if (source->error || (!value && size == 224)) /* CLIPImageProcessor's default */
        return;
    if (json_is_object(value)) {
        first = json_integer_value(json_object_get(value, side));
        second = json_integer_value(json_object_get(value, other));
    }
    if (first != size || second != size) {
        snprintf(expected, sizeof(expected), "%u, the model's image_size, as %s", size, side);
        wrong(source, key, value ? value : json_null(), expected);
    }
}

static void read_processor(struct source *source, struct config *config)
{
    static const char *const steps[] = {"do_resize", "do_center_crop", "do_rescale",
                                        "do_normalize"};
    const char *type = get_text(source, "image_processor_type");
    if (*type && strncmp(type, "CLIP", 4))
        refuse(source, "image_processor_type", get(source, "image_processor_type"),
               "CLIPImageProcessor");
    for (size_t i = 0; i < ARRAY_COUNT(steps); i++)
        if (!get_bool(source, steps[i], true))
            refuse(source, steps[i], json_false(), "true");
    if (get_size(source, "resample", 3) != 3)
        refuse(source, "resample", get(source, "resample"), "3 (bicubic)");
    if (fabs(get_number(source, "rescale_factor", 1 / 255.0, 0, 1) - 1 / 255.0) > 1e-7)
        refuse(source, "rescale_factor", get(source, "rescale_factor"), "1/255");
    check_square(source, "size", "shortest_edge", "shortest_edge", config->image_size);
    check_square(source, "crop_size", "height", "width", config->image_size);
    get_colours(source, "image_mean", -1000, config->image_mean);
    get_colours(source, "image_std", 1e-6, config->image_std);
    config->rgb_first = get_bool(source, "do_convert_rgb", true);
}

int config_read_preprocessor(const char *folder, struct config *config)
{
    char path[CONFIG_PATH_SIZE];
    json_t *root = NULL;
    int error = VKCLIP_OK;
    if (config_find(folder, "preprocessor_config.json", path)) {
        error = load(path, &root);
        if (!error) {
            struct source source = {path, "", root, 0};
            read_processor(&source, config);
            error = source.error;
        }
    } else if (config_find(folder, "processor_config.json", path)) { /* transformers 5 */
        error = load(path, &root);
        struct source source = {path, "", root, error};
        struct source nested = get_object(&source, "image_processor", "image_processor.");
        if (nested.object)
            read_processor(&nested, config);
        error = nested.error;
    }
    json_decref(root);
    return error;
}

/* ---- OpenCLIP: open_clip_config.json --------------------------------------------------------- */

/* A key that is known. `only`: the one string it may hold; NULL: read elsewhere, or without effect
 * on the computation. */
struct known {
    const char *key, *only;
};

static bool is_nothing(const json_t *value)
{
    return json_is_null(value) || json_is_false(value) ||
           (json_is_number(value) && json_number_value(value) == 0) ||
           (json_is_string(value) && !json_string_length(value)) ||
           (json_is_object(value) && !json_object_size(value)) ||
           (json_is_array(value) && !json_array_size(value));
}

/* A key that is not in the table may only say "none of that". */
static void check_known(struct source *source, const struct known *table, size_t count)
{
    const char *key;
    json_t *value;
    json_object_foreach (source->object, key, value) {
        size_t i = 0;
        while (i < count && strcmp(table[i].key, key))
            i++;
        if (is_nothing(value))
            continue;
        if (i == count)
            refuse(source, key, value, "null or false");
        else if (table[i].only && strcmp(get_text(source, key), table[i].only))
            refuse(source, key, value, table[i].only);
    }
}

/* LayerNorm's only setting that is known. */
static float get_epsilon(struct source *source, const char *prefix)
{
    static const struct known keys[] = {{"eps", NULL}};
    struct source norm = get_object(source, "norm_kwargs", prefix);
    check_known(&norm, keys, ARRAY_COUNT(keys));
    float epsilon = (float)get_number(&norm, "eps", 1e-5, 0, 1);
    source->error = norm.error;
    return epsilon;
}

static uint32_t get_mlp(struct source *source, uint32_t width)
{
    double mlp = width * get_number(source, "mlp_ratio", 4, 1e-3, 1e3);
    return mlp < UINT32_MAX ? (uint32_t)mlp : UINT32_MAX; /* cut off, as Python's int() does */
}

static void read_openclip_text(struct source *source, struct config *config)
{
    static const struct known keys[] = {
        {"context_length", NULL}, {"vocab_size", NULL},    {"width", NULL},
        {"heads", NULL},          {"layers", NULL},        {"mlp_ratio", NULL},
        {"norm_kwargs", NULL},    {"pool_type", "argmax"}, {"proj_type", NULL},
        {"pad_id", NULL},         {"eos_id", NULL},        {"hf_model_pretrained", NULL},
    };
    struct config_tower *tower = &config->text;
    check_known(source, keys, ARRAY_COUNT(keys));
    const char *projection = get_text(source, "proj_type");
    tower->kind = KIND_TEXT;
    tower->projection = strcmp(projection, "none") != 0;
    if (tower->projection && *projection && strcmp(projection, "linear"))
        refuse(source, "proj_type", get(source, "proj_type"), "linear or none");
    tower->width = get_size(source, "width", 512);
    tower->heads = get_size(source, "heads", 8);
    tower->layers = get_size(source, "layers", 12);
    tower->mlp = get_mlp(source, tower->width);
    tower->epsilon = get_epsilon(source, "model_cfg.text_cfg.norm_kwargs.");
    config->context = get_size(source, "context_length", 77);
    config->vocabulary = get_size(source, "vocab_size", 49408);
}

static uint32_t get_image_size(struct source *source, const char *key, uint32_t fallback)
{
    json_t *value = get(source, key);
    if (!json_is_array(value))
        return get_size(source, key, fallback);
    json_int_t height = json_integer_value(json_array_get(value, 0));
    json_int_t width = json_integer_value(json_array_get(value, 1));
    if (json_array_size(value) != 2 || height < 1 || height > INT32_MAX)
        wrong(source, key, value, "an integer, or two");
    else if (height != width)
        refuse(source, key, value, "a square");
    return source->error ? fallback : (uint32_t)height;
}

static void read_resnet(struct source *source, json_t *layers, uint32_t head_width,
                        struct config *config)
{
    struct config_tower *tower = &config->image;
    for (size_t i = 0; i < ARRAY_COUNT(config->stages); i++) {
        json_int_t blocks = json_integer_value(json_array_get(layers, i));
        if (json_array_size(layers) != ARRAY_COUNT(config->stages) || blocks < 1 || blocks > 256) {
            wrong(source, "layers", layers, "four numbers of blocks");
            return;
        }
        config->stages[i] = (uint32_t)blocks;
        tower->layers += (uint32_t)blocks;
    }
    tower->epsilon = 1e-5f;
    tower->mlp = config_resnet_channels(config);
    tower->heads = tower->mlp / head_width;
    config->patch_size = 32;
    config->image_size = get_image_size(source, "image_size", 224);
    if (!source->error && tower->mlp % head_width)
        source->error = error_fail(VKCLIP_EFORMAT,
                                   "%s: model_cfg.vision_cfg: %u channels are not a "
                                   "multiple of head_width %u",
                                   source->path, tower->mlp, head_width);
}

static void read_openclip_image(struct source *source, struct config *config)
{
    static const struct known keys[] = {
        {"image_size", NULL},          {"layers", NULL},     {"width", NULL},
        {"head_width", NULL},          {"mlp_ratio", NULL},  {"patch_size", NULL},
        {"norm_kwargs", NULL},         {"pool_type", "tok"}, {"pos_embed_type", "learnable"},
        {"patch_dropout", NULL},       /* training only */
        {"attn_pooler_queries", NULL}, /* these two: of attentional_pool, refused where it is on */
        {"attn_pooler_heads", NULL},
    };
    struct config_tower *tower = &config->image;
    json_t *layers = get(source, "layers");
    check_known(source, keys, ARRAY_COUNT(keys));
    uint32_t head_width = get_size(source, "head_width", 64);
    tower->kind = json_is_array(layers) ? KIND_RESNET : KIND_VIT;
    tower->projection = true;
    tower->width = get_size(source, "width", json_is_array(layers) ? 64 : 768);
    if (tower->kind == KIND_RESNET) { /* `layers` has the blocks of each stage. */
        read_resnet(source, layers, head_width, config);
        return;
    }
    tower->layers = get_size(source, "layers", 12);
    tower->heads = tower->width / head_width;
    tower->mlp = get_mlp(source, tower->width);
    tower->epsilon = get_epsilon(source, "model_cfg.vision_cfg.norm_kwargs.");
    config->patch_size = get_size(source, "patch_size", 16);
    config->image_size = get_image_size(source, "image_size", 224);
    if (!source->error && tower->width % head_width)
        source->error = error_fail(VKCLIP_EFORMAT,
                                   "%s: model_cfg.vision_cfg: width %u is not a multiple of "
                                   "head_width %u",
                                   source->path, tower->width, head_width);
}

static void read_openclip_preprocess(struct source *source, struct config *config)
{
    static const struct known keys[] = {
        {"size", NULL},
        {"mean", NULL},
        {"std", NULL},
        {"mode", "RGB"},
        {"interpolation", "bicubic"},
        {"resize_mode", "shortest"},
        {"fill_color", NULL}, /* of another resize_mode */
    };
    check_known(source, keys, ARRAY_COUNT(keys));
    get_colours(source, "mean", -1000, config->image_mean);
    get_colours(source, "std", 1e-6, config->image_std);
    if (config->image.kind &&
        get_image_size(source, "size", config->image_size) != config->image_size)
        wrong(source, "size", get(source, "size"), "vision_cfg.image_size");
}

static void read_openclip_model(struct source *source, struct config *config)
{
    static const struct known keys[] = {
        {"embed_dim", NULL},  {"quick_gelu", NULL},       {"vision_cfg", NULL},
        {"text_cfg", NULL},   {"init_logit_scale", NULL}, /* the stored scale counts */
        {"cast_dtype", NULL}, {"output_dict", NULL},
    };
    check_known(source, keys, ARRAY_COUNT(keys));
    config->image_embed_dim = config->text_embed_dim = get_size(source, "embed_dim", 0);
    if (!source->error && !config->text_embed_dim)
        wrong(source, "embed_dim", json_null(), "an integer");
    config->image.activation = config->text.activation = get_bool(source, "quick_gelu", false)
                                                             ? VKCLIP_ACTIVATION_QUICK_GELU
                                                             : VKCLIP_ACTIVATION_GELU;
    struct source image = get_object(source, "vision_cfg", "model_cfg.vision_cfg.");
    if (image.object) /* OpenCLIP has always both; without one is what `vkclip convert` writes */
        read_openclip_image(&image, config);
    source->error = image.error;
    struct source text = get_object(source, "text_cfg", "model_cfg.text_cfg.");
    if (text.object)
        read_openclip_text(&text, config);
    source->error = text.error;
}

int config_read_openclip(const char *path, struct config *config)
{
    struct source root = {path, "", NULL, 0};
    root.error = load(path, &root.object);
    config->family = VKCLIP_FAMILY_OPENCLIP;
    config->eos_token_id = -1;
    struct source model = get_object(&root, "model_cfg", "model_cfg.");
    if (!model.object)
        wrong(&root, "model_cfg", json_null(), "an object");
    model.error = root.error;
    read_openclip_model(&model, config);
    root.error = model.error;
    struct source preprocess = get_object(&root, "preprocess_cfg", "preprocess_cfg.");
    read_openclip_preprocess(&preprocess, config);
    json_decref(root.object);
    return preprocess.error;
}
