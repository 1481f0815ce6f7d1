/* SPDX-License-Identifier: MIT
 *
 * Writes configurations for transformers, OpenCLIP and clip.cpp. The counterparts that read them
 * are hugging_face.c, openclip.c and clip_cpp.c.
 */
#include "checkpoint/write_config.h"
#include "base/array.h"
#include "base/dump.h"
#include "base/error.h"
#include "base/memory.h"
#include "checkpoint/bert.h"
#include "checkpoint/openclip_tokenizer.h"
#include "checkpoint/timm.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The start of text in OpenAI's vocabulary, which has its last two ids for start and end. */
#define OPENAI_START 49406

/* Writes a JSON value as text and releases the value. A NULL value means that memory ran out while
 * it was built. */
static int dump_text(json_t *root, char **text)
{
    *text = root ? dump_json(root, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(root);
    return *text ? VKCLIP_OK : error_fail(VKCLIP_EMEMORY, "out of memory for a configuration");
}

/* Packs the shortest number that reads back as this value; nine digits suffice for every fp32. */
static json_t *pack_number(float value)
{
    char text[32];
    for (int digits = 1; digits <= 9; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, (double)value);
        if ((float)strtod(text, NULL) == value)
            break;
    }
    return json_real(strtod(text, NULL));
}

static json_t *pack_colours(const float values[3])
{
    return json_pack("[ooo]", pack_number(values[0]), pack_number(values[1]),
                     pack_number(values[2]));
}

static bool is_quick(const struct config_tower *tower)
{
    return tower->activation == VKCLIP_ACTIVATION_QUICK_GELU;
}

/* Tells whether a text tower is SigLIP's, which transformers describes otherwise than CLIP's. */
static bool is_siglip_text(const struct config_tower *text)
{
    return text->bidirectional && text->pooling == POOL_LAST && text->projection_bias;
}

static bool is_siglip(const struct config *config)
{
    return config->image.kind ? config->image.kind == KIND_SIGLIP : is_siglip_text(&config->text);
}

enum names_form write_config_form(const struct config *config)
{
    if (config->family == VKCLIP_FAMILY_HF && config->text.kind == KIND_BERT)
        return config->text.transformation ? NAMES_ALT_CLIP : NAMES_CHINESE_CLIP;
    if (config->family == VKCLIP_FAMILY_HF)
        return is_siglip(config) ? NAMES_SIGLIP : NAMES_HUGGING_FACE;
    return config->custom_text ? NAMES_CUSTOM_TEXT : NAMES_OPENAI;
}

/* Returns what only OpenCLIP's configurations can say of a text tower, or NULL if there is nothing.
 */
static const char *find_text_option(const struct config_tower *text)
{
    if (text->layer_scale)
        return "LayerScale (ls_init_value)";
    if (text->bidirectional)
        return "texts that attend to later tokens (no_causal_mask)";
    if (text->pooling != POOL_DEFAULT)
        return "another token pooled than the end of text (pool_type)";
    return text->projection_bias ? "a projection with bias (proj_bias)" : NULL;
}

/* Returns what only OpenCLIP's configurations can say of an image tower, or NULL if there is
 * nothing. */
static const char *find_image_option(const struct config_tower *image)
{
    if (image->pool_heads)
        return "an attentional pool (attentional_pool)";
    if (image->layer_scale)
        return "LayerScale (ls_init_value)";
    if (image->no_pre_norm)
        return "blocks without a norm before them (no_ln_pre)";
    return image->pooling != POOL_DEFAULT ? "pictures pooled by the mean of patches (pool_type)"
                                          : NULL;
}

/* ---- Hugging Face ---------------------------------------------------------------------------- */

static const char *hugging_face_activation(const struct config_tower *tower)
{
    if (tower->activation == VKCLIP_ACTIVATION_GELU_TANH)
        return "gelu_pytorch_tanh";
    return is_quick(tower) ? "quick_gelu" : "gelu";
}

enum type_part { TYPE_MODEL, TYPE_TEXT, TYPE_IMAGE };

/* Returns the model_type of a model or of one of its towers. In transformers an eos_token_id of 2
 * is an id in MetaCLIP 2 only, elsewhere it means the largest id. */
static const char *choose_type(const struct config *config, enum type_part part)
{
    static const char *const clip[] = {"clip", "clip_text_model", "clip_vision_model"};
    static const char *const metaclip[] = {"metaclip_2", "metaclip_2_text_model",
                                           "metaclip_2_vision_model"};
    static const char *const chinese[] = {"chinese_clip", "chinese_clip_text_model",
                                          "chinese_clip_vision_model"};
    static const char *const alt[] = {"altclip", "altclip_text_model", "altclip_vision_model"};
    if (config->text.kind == KIND_BERT)
        return (config->text.transformation ? alt : chinese)[part];
    return (config->text.kind && config->eos_token_id == 2 ? metaclip : clip)[part];
}

/* Returns what neither Chinese-CLIP's nor AltCLIP's configuration can say of BERT or XLM-R, or NULL
 * if there is nothing. */
static const char *find_bert_option(const struct config_tower *text)
{
    if (text->pooling != POOL_FIRST || text->pooler)
        return "the pooling of its text tower";
    if (text->inner || text->projection_bias)
        return "the projection of its text tower";
    return text->counted == (text->transformation > 0) ? NULL : "the positions of its text tower";
}

/* Adds the keys of `more` to a tower. Takes ownership of both objects. */
static json_t *merge_keys(json_t *tower, json_t *more)
{
    bool good = tower && more && !json_object_update(tower, more);
    json_decref(more);
    if (!good)
        json_decref(tower);
    return good ? tower : NULL;
}

/* Packs what only BERT and XLM-R have. */
static json_t *pack_bert(const struct config *config)
{
    const struct config_tower *text = &config->text;
    json_t *sizes = json_pack("{si si si si}", "max_position_embeddings", (int)text->positions,
                              "vocab_size", (int)config->vocabulary, "type_vocab_size",
                              (int)text->token_types, "pad_token_id", (int)config->pad_token_id);
    if (!text->transformation)
        return sizes;
    return merge_keys(sizes, json_pack("{si}", "project_dim", (int)text->transformation));
}

static json_t *pack_hugging_face_tower(const struct config_tower *tower, const char *type,
                                       uint32_t embed_dim)
{
    return json_pack("{ss si si si si so ss si}", "model_type", type, "hidden_size",
                     (int)tower->width, "intermediate_size", (int)tower->mlp, "num_hidden_layers",
                     (int)tower->layers, "num_attention_heads", (int)tower->heads, "layer_norm_eps",
                     pack_number(tower->epsilon), "hidden_act", hugging_face_activation(tower),
                     "projection_dim", (int)embed_dim);
}

static json_t *pack_hugging_face_text(const struct config *config)
{
    const char *type = choose_type(config, TYPE_TEXT);
    json_t *tower = pack_hugging_face_tower(&config->text, type, config->text_embed_dim);
    if (config->text.kind == KIND_BERT)
        return merge_keys(tower, pack_bert(config));
    int end = config->eos_token_id < 0 ? 2 : config->eos_token_id;
    json_t *more = json_pack("{si si si si}", "max_position_embeddings", (int)config->context,
                             "vocab_size", (int)config->vocabulary, "eos_token_id", end,
                             "pad_token_id", (int)config->pad_token_id);
    /* transformers would take the start of OpenAI's vocabulary, and warn of it in a smaller one. No
     * model reads the id. */
    if (config->vocabulary <= OPENAI_START)
        more = merge_keys(more, json_pack("{sn}", "bos_token_id"));
    return merge_keys(tower, more);
}

static json_t *pack_hugging_face_image(const struct config *config)
{
    const char *type = choose_type(config, TYPE_IMAGE);
    json_t *tower = pack_hugging_face_tower(&config->image, type, config->image_embed_dim);
    json_t *more = json_pack("{si si}", "image_size", (int)config->image_size, "patch_size",
                             (int)config->patch_size);
    return merge_keys(tower, more);
}

static json_t *pack_size(const struct config *config)
{
    const struct image_resize *resize = &config->resize;
    const int size = (int)config->image_size;
    const int shortest = resize->shortest ? (int)resize->shortest : size;
    if (resize->fit == FIT_SQUASH)
        return json_pack("{si si}", "height", resize->height ? (int)resize->height : size, "width",
                         resize->width ? (int)resize->width : size);
    if (resize->fit == FIT_BETWEEN)
        return json_pack("{si si}", "shortest_edge", shortest, "longest_edge",
                         (int)resize->longest);
    return json_pack("{si}", "shortest_edge", shortest);
}

static json_t *pack_processor(const struct config *config)
{
    static const int filters[] = {[FILTER_NEAREST] = 0, [FILTER_LANCZOS] = 1, [FILTER_BILINEAR] = 2,
                                  [FILTER_BICUBIC] = 3, [FILTER_BOX] = 4,     [FILTER_HAMMING] = 5};
    const int size = (int)config->image_size, crops = config->image.kind != KIND_SIGLIP;
    return json_pack("{ss sb so si sb s{si si} sb sf sb so so sb}", "image_processor_type",
                     crops ? "CLIPImageProcessor" : "SiglipImageProcessor", "do_resize", 1, "size",
                     pack_size(config), "resample", filters[config->resize.filter],
                     "do_center_crop", crops, "crop_size", "height", size, "width", size,
                     "do_rescale", 1, "rescale_factor", 1 / 255.0, "do_normalize", 1, "image_mean",
                     pack_colours(config->image_mean), "image_std", pack_colours(config->image_std),
                     "do_convert_rgb", (int)config->rgb_first);
}

/* Packs the keys that both towers of SigLIP have. Takes ownership of `more`. */
static json_t *pack_siglip_tower(const struct config_tower *tower, const char *type, json_t *more)
{
    json_t *packed = pack_hugging_face_tower(tower, type, 0);
    if (packed)
        json_object_del(packed, "projection_dim");
    return merge_keys(packed, more);
}

/* The defaults of start and end of text are CLIP's ids, of which transformers would warn. */
static json_t *pack_siglip_text(const struct config *config)
{
    return pack_siglip_tower(&config->text, "siglip_text_model",
                             json_pack("{si si si si sn sn}", "max_position_embeddings",
                                       (int)config->context, "vocab_size", (int)config->vocabulary,
                                       "projection_size", (int)config->text_embed_dim,
                                       "pad_token_id", (int)config->pad_token_id, "bos_token_id",
                                       "eos_token_id"));
}

static json_t *pack_siglip_image(const struct config *config)
{
    return pack_siglip_tower(&config->image, "siglip_vision_model",
                             json_pack("{si si}", "image_size", (int)config->image_size,
                                       "patch_size", (int)config->patch_size));
}

static json_t *pack_siglip(const struct config *config)
{
    if (!config->image.kind)
        return pack_siglip_text(config);
    if (!config->text.kind)
        return pack_siglip_image(config);
    return json_pack("{ss so so}", "model_type", "siglip", "text_config", pack_siglip_text(config),
                     "vision_config", pack_siglip_image(config));
}

/* Packs transformers' class for the model, by which a text tower with a projection differs from one
 * without: their configurations have the same model_type. */
static json_t *pack_class(const struct config *config)
{
    const bool text = config->text.kind, image = config->image.kind;
    const char *stem = "CLIP", *part = "Model";
    if (is_siglip(config))
        stem = "Siglip";
    else if (config->text.kind == KIND_BERT)
        stem = config->text.transformation ? "AltCLIP" : "ChineseCLIP";
    else if (text && config->eos_token_id == 2)
        stem = "MetaClip2";
    const bool projected = strcmp(stem, "CLIP") == 0 || strcmp(stem, "MetaClip2") == 0;
    if (!image)
        part = projected && config->text.projection ? "TextModelWithProjection" : "TextModel";
    else if (!text)
        part = projected && config->image.projection ? "VisionModelWithProjection" : "VisionModel";
    return json_pack("{s[s+]}", "architectures", stem, part);
}

static json_t *pack_hugging_face(const struct config *config)
{
    if (is_siglip(config))
        return pack_siglip(config);
    if (!config->image.kind)
        return pack_hugging_face_text(config);
    if (!config->text.kind)
        return pack_hugging_face_image(config);
    return json_pack("{ss si so so}", "model_type", choose_type(config, TYPE_MODEL),
                     "projection_dim", (int)config->text_embed_dim, "text_config",
                     pack_hugging_face_text(config), "vision_config",
                     pack_hugging_face_image(config));
}

static bool has_two_widths(const struct config *config)
{
    return config->text.kind && config->image.kind &&
           config->text_embed_dim != config->image_embed_dim;
}

int write_config_hugging_face(const struct config *config, char **model, char **processor)
{
    *model = *processor = NULL;
    if (has_two_widths(config))
        return error_fail(VKCLIP_EUNSUPPORTED,
                          "config.json has one width of embeddings, these towers %u and %u",
                          config->text_embed_dim, config->image_embed_dim);
    const bool bert = config->text.kind == KIND_BERT;
    const char *option = NULL;
    if (config->text.kind)
        option = bert ? find_bert_option(&config->text) : find_text_option(&config->text);
    if (config->text.kind && is_siglip(config))
        option = is_siglip_text(&config->text) ? NULL : "CLIP's text tower with SigLIP's";
    if (!option && config->image.kind)
        option = find_image_option(&config->image);
    if (option)
        return error_fail(VKCLIP_EUNSUPPORTED, "config.json cannot describe %s", option);
    if (config->cleaning > TEXT_CLEAN_WHITESPACE || config->strip_end)
        return error_fail(VKCLIP_EUNSUPPORTED,
                          "config.json cannot say how OpenCLIP cleans texts (tokenizer_kwargs)");
    if (config->sigmoid && !is_siglip(config))
        return error_fail(VKCLIP_EUNSUPPORTED,
                          "config.json cannot describe a logit_bias beside CLIP's towers");
    if (config->resize.fit == FIT_LONGEST)
        return error_fail(VKCLIP_EUNSUPPORTED,
                          "preprocessor_config.json cannot describe the resize of the longer side");
    int error = dump_text(merge_keys(pack_class(config), pack_hugging_face(config)), model);
    if (!error && config->image.kind)
        error = dump_text(pack_processor(config), processor);
    if (error) {
        memory_free(*model);
        *model = NULL;
    }
    return error;
}

/* ---- OpenCLIP -------------------------------------------------------------------------------- */

/* Packs a ratio whose product with `width`, truncated as readers do it, is `mlp`. */
static json_t *pack_mlp_ratio(uint32_t width, uint32_t mlp)
{
    uint64_t millionths = ((uint64_t)mlp * 1000000 + width - 1) / width;
    while ((uint32_t)(width * ((double)millionths / 1e6)) < mlp)
        millionths++;
    return json_real((double)millionths / 1e6);
}

/* Adds the settings that only differ from OpenCLIP's defaults in some towers. Takes ownership of
 * the tower. */
static json_t *add_activation(json_t *tower, const struct config_tower *sizes)
{
    if (sizes->activation != VKCLIP_ACTIVATION_GELU_TANH)
        return tower;
    return merge_keys(tower, json_pack("{s{ss}}", "act_kwargs", "approximate", "tanh"));
}

/* Adds what LayerScale's factors began as, if a tower has it. */
static bool add_layer_scale(json_t *options, const struct config_tower *tower)
{
    return !tower->layer_scale ||
           !json_object_set_new(options, "ls_init_value", pack_number(tower->initial_scale));
}

/* Packs which token is pooled, if it is not the largest id, and what else OpenCLIP's text towers
 * may have. */
static json_t *pack_text_options(const struct config *config)
{
    static const char *const types[] = {[POOL_FIRST] = "first", [POOL_LAST] = "last"};
    const struct config_tower *text = &config->text;
    json_t *options = json_object();
    bool good = options && add_layer_scale(options, text);
    if (text->pooling != POOL_DEFAULT)
        good &= !json_object_set_new(options, "pool_type", json_string(types[text->pooling]));
    else if (config->eos_token_id >= 0)
        good &= !json_object_set_new(options, "pool_type", json_string("eos")) &&
                !json_object_set_new(options, "eos_id", json_integer(config->eos_token_id));
    if (text->bidirectional)
        good &= !json_object_set_new(options, "no_causal_mask", json_true());
    if (text->projection_bias)
        good &= !json_object_set_new(options, "proj_bias", json_true());
    if (good)
        return options;
    json_decref(options);
    return NULL;
}

/* Packs which tokenizer of transformers OpenCLIP uses, and how it cleans texts. */
static json_t *pack_tokenizer(const struct config *config)
{
    if (config->cleaning == TEXT_CLEAN_NONE)
        return json_object();
    return json_pack("{ss s{ss sb}}", "hf_tokenizer_name", config->tokenizer_name,
                     "tokenizer_kwargs", "clean", openclip_cleaning_name(config->cleaning),
                     "strip_sep_token", (int)config->strip_end);
}

static json_t *pack_openclip_text(const struct config *config)
{
    const struct config_tower *text = &config->text;
    if (text->kind == KIND_BERT)
        return bert_pack_openclip(config, pack_number(text->epsilon));
    json_t *tower = json_pack(
        "{si si si si si so s{so} ss}", "context_length", (int)config->context, "vocab_size",
        (int)config->vocabulary, "width", (int)text->width, "heads", (int)text->heads, "layers",
        (int)text->layers, "mlp_ratio", pack_mlp_ratio(text->width, text->mlp), "norm_kwargs",
        "eps", pack_number(text->epsilon), "proj_type", text->projection ? "linear" : "none");
    return add_activation(merge_keys(tower, pack_text_options(config)), text);
}

static json_t *pack_image_options(const struct config_tower *image)
{
    json_t *options = json_object();
    bool good = options && add_layer_scale(options, image);
    if (image->no_pre_norm)
        good &= !json_object_set_new(options, "no_ln_pre", json_true());
    if (image->pooling == POOL_MEAN)
        good &= !json_object_set_new(options, "pool_type", json_string("avg"));
    if (image->norm_after_pool)
        good &= !json_object_set_new(options, "final_ln_after_pool", json_true());
    if (good)
        return options;
    json_decref(options);
    return NULL;
}

static json_t *pack_openclip_image(const struct config *config)
{
    const struct config_tower *image = &config->image;
    const uint32_t *stages = config->stages;
    if (image->kind == KIND_CONVNEXT)
        return timm_pack_convnext(config, pack_number(image->epsilon));
    if (image->kind == KIND_EVA)
        return timm_pack_eva(config, pack_mlp_ratio(image->width, image->mlp));
    if (image->kind == KIND_RESNET)
        return json_pack("{si s[iiii] si si}", "image_size", (int)config->image_size, "layers",
                         (int)stages[0], (int)stages[1], (int)stages[2], (int)stages[3], "width",
                         (int)image->width, "head_width", (int)(image->mlp / image->heads));
    if (image->kind == KIND_SIGLIP)
        return timm_pack_siglip(config, pack_mlp_ratio(image->width, image->mlp));
    json_t *tower =
        json_pack("{si si si si si so s{so}}", "image_size", (int)config->image_size, "layers",
                  (int)image->layers, "width", (int)image->width, "head_width",
                  (int)(image->width / image->heads), "patch_size", (int)config->patch_size,
                  "mlp_ratio", pack_mlp_ratio(image->width, image->mlp), "norm_kwargs", "eps",
                  pack_number(image->epsilon));
    return add_activation(merge_keys(tower, pack_image_options(image)), image);
}

/* Tells whether the key quick_gelu decides the activation of a tower. That of a ModifiedResNet is
 * always ReLU, that of a ConvNeXt always GELU, and that of BERT has a key of its own. */
static bool has_quick_key(const struct config_tower *tower)
{
    return tower->kind != KIND_NONE && tower->kind != KIND_RESNET && tower->kind != KIND_CONVNEXT &&
           tower->kind != KIND_BERT && tower->kind != KIND_EVA;
}

static json_t *pack_openclip_model(const struct config *config)
{
    const struct config_tower *first =
        has_quick_key(&config->text) ? &config->text : &config->image;
    const uint32_t embed_dim =
        config->image.kind ? config->image_embed_dim : config->text_embed_dim;
    json_t *model =
        json_pack("{si sb}", "embed_dim", (int)embed_dim, "quick_gelu", (int)is_quick(first));
    bool good = model != NULL;
    if (good && config->custom_text)
        good = !json_object_set_new(model, "custom_text", json_true());
    if (good && config->sigmoid) /* The stored bias is used instead of this initial one. */
        good = !json_object_set_new(model, "init_logit_bias", json_integer(-10));
    if (good && config->image.kind)
        good = !json_object_set_new(model, "vision_cfg", pack_openclip_image(config));
    if (good && config->text.kind)
        good = !json_object_set_new(model, "text_cfg",
                                    merge_keys(pack_openclip_text(config), pack_tokenizer(config)));
    if (good)
        return model;
    json_decref(model);
    return NULL;
}

/* Tells whether OpenCLIP has a name for a resize of pictures. */
static bool is_openclip_resize(const struct image_resize *resize)
{
    return resize->fit != FIT_BETWEEN && !resize->shortest && !resize->width && !resize->height &&
           (resize->filter == FILTER_BICUBIC || resize->filter == FILTER_BILINEAR);
}

static json_t *pack_openclip_preprocess(const struct config *config)
{
    static const char *const modes[] = {
        [FIT_SHORTEST] = "shortest", [FIT_SQUASH] = "squash", [FIT_LONGEST] = "longest"};
    if (!config->image.kind)
        return json_object();
    return json_pack(
        "{si ss ss ss si so so}", "size", (int)config->image_size, "mode", "RGB", "interpolation",
        config->resize.filter == FILTER_BILINEAR ? "bilinear" : "bicubic", "resize_mode",
        modes[config->resize.fit], "fill_color", (int)config->resize.fill, "mean",
        pack_colours(config->image_mean), "std", pack_colours(config->image_std));
}

int write_config_openclip(const struct config *config, char **model)
{
    *model = NULL;
    if (has_two_widths(config))
        return error_fail(VKCLIP_EUNSUPPORTED,
                          "open_clip_config.json has one width of embeddings, these towers %u and "
                          "%u",
                          config->text_embed_dim, config->image_embed_dim);
    if (config->text.kind == KIND_BERT &&
        (!config->text.projection || config->text.projection_bias || config->text.transformation))
        return error_fail(VKCLIP_EUNSUPPORTED,
                          "open_clip_config.json cannot describe the text tower's projection");
    if (has_quick_key(&config->text) && has_quick_key(&config->image) &&
        is_quick(&config->text) != is_quick(&config->image))
        return error_fail(
            VKCLIP_EUNSUPPORTED,
            "open_clip_config.json has quick_gelu for both towers or none, and one of "
            "these has it");
    if (config->image.pool_heads)
        return error_fail(VKCLIP_EUNSUPPORTED,
                          "a tower with attentional_pool (CoCa's) is only read: it can be neither "
                          "written nor trained");
    if (!is_openclip_resize(&config->resize))
        return error_fail(VKCLIP_EUNSUPPORTED,
                          "open_clip_config.json cannot describe how this model's pictures are "
                          "resized");
    return dump_text(json_pack("{so so}", "model_cfg", pack_openclip_model(config),
                               "preprocess_cfg", pack_openclip_preprocess(config)),
                     model);
}

/* ---- GGUF ------------------------------------------------------------------------------------ */

static void put_tower(struct gguf_head *head, const char *name, const struct config_tower *tower,
                      uint32_t embed_dim)
{
    const struct {
        const char *key;
        uint32_t value;
    } sizes[] = {{"embedding_length", tower->width},
                 {"feed_forward_length", tower->mlp},
                 {"projection_dim", embed_dim},
                 {"attention.head_count", tower->heads},
                 {"block_count", tower->layers}};
    char key[96];
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        snprintf(key, sizeof(key), "clip.%s.%s", name, sizes[i].key);
        gguf_put_size(head, key, sizes[i].value);
    }
    snprintf(key, sizeof(key), "clip.%s.attention.layer_norm_epsilon", name);
    gguf_put_number(head, key, tower->epsilon);
}

/* Returns what clip.cpp's files cannot express in this configuration, or NULL if there is nothing.
 */
static const char *find_obstacle(const struct config *config)
{
    const struct config_tower *text = &config->text, *image = &config->image;
    if (image->kind == KIND_RESNET)
        return "no ModifiedResNet";
    if (image->kind == KIND_EVA)
        return "no EVA-CLIP or PE-Core";
    if (text->kind == KIND_BERT)
        return "no text tower that is BERT or XLM-R";
    if (image->kind == KIND_CONVNEXT)
        return "no ConvNeXt";
    if (image->kind == KIND_SIGLIP)
        return "no SigLIP";
    if (config->sigmoid)
        return "no logit_bias";
    if ((text->kind && !text->projection) || (image->kind && !image->projection))
        return "no tower without a projection";
    if ((text->kind && find_text_option(text)) || (image->kind && find_image_option(image)))
        return "no towers but CLIP's";
    if (image->kind && config->image_size % config->patch_size)
        return "no pictures that are no whole number of patches";
    if (config->resize.fit != FIT_SHORTEST || config->resize.filter != FILTER_BICUBIC ||
        config->resize.shortest)
        return "no resize of pictures but CLIP's";
    if (text->activation == VKCLIP_ACTIVATION_GELU_TANH ||
        image->activation == VKCLIP_ACTIVATION_GELU_TANH)
        return "no GELU by tanh";
    if (text->kind && image->kind && is_quick(text) != is_quick(image))
        return "one activation for both towers";
    return NULL;
}

static const char *describe_model(const struct config *config)
{
    if (!config->image.kind)
        return "text-only CLIP model";
    return config->text.kind ? "two-tower CLIP model" : "vision-only CLIP model";
}

int write_config_clip_cpp(const struct config *config, enum dtype dtype, struct gguf_head *head)
{
    const struct config_tower *text = &config->text, *image = &config->image;
    const char *obstacle = find_obstacle(config);
    if (obstacle)
        return error_fail(VKCLIP_EUNSUPPORTED,
                          "clip.cpp's GGUF files have %s: write safetensors (`type` f16)",
                          obstacle);
    gguf_put_text(head, "general.architecture", "clip");
    gguf_put_text(head, "general.description", describe_model(config));
    gguf_put_size(head, "general.file_type", gguf_type_number(dtype));
    gguf_put_flag(head, "clip.has_text_encoder", text->kind);
    gguf_put_flag(head, "clip.has_vision_encoder", image->kind);
    gguf_put_flag(head, "clip.has_llava_projector", false);
    gguf_put_flag(head, "clip.use_gelu", !is_quick(text->kind ? text : image));
    if (text->kind) {
        put_tower(head, "text", text, config->text_embed_dim);
        gguf_put_size(head, "clip.text.context_length", config->context);
    }
    if (image->kind) {
        put_tower(head, "vision", image, config->image_embed_dim);
        gguf_put_size(head, "clip.vision.image_size", config->image_size);
        gguf_put_size(head, "clip.vision.patch_size", config->patch_size);
        gguf_put_numbers(head, "clip.vision.image_mean", config->image_mean, 3);
        gguf_put_numbers(head, "clip.vision.image_std", config->image_std, 3);
    }
    return VKCLIP_OK;
}
