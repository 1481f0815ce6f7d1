/* SPDX-License-Identifier: MIT
 *
 * Reads OpenCLIP's configurations. OpenCLIP's towers have many variants, each enabled by a key of
 * its own, so that a key which no table here lists is accepted only if it turns its variant off.
 */
#include "checkpoint/openclip.h"
#include "base/array.h"
#include "base/error.h"
#include "checkpoint/bert.h"
#include "checkpoint/json.h"
#include "checkpoint/openclip_tokenizer.h"
#include "checkpoint/timm.h"
#include "model/resnet.h"

#include <math.h>
#include <string.h>

/* Reads LayerNorm's epsilon, and refuses any other setting of it. */
static float read_epsilon(const struct section *section)
{
    static const struct known_key keys[] = {{"eps", NULL}};
    struct section norm = section_child(section, "norm_kwargs");
    section_check_arguments(&norm, keys, ARRAY_COUNT(keys));
    return (float)section_number(&norm, "eps", 1e-5, 0, 1);
}

/* Reads the settings of the activation, of which QuickGELU has none. The activation must be that of
 * `quick_gelu` before. */
static void read_activation(const struct section *section, struct config_tower *tower)
{
    static const struct known_key keys[] = {{"approximate", NULL}};
    struct section settings = section_child(section, "act_kwargs");
    section_check_arguments(&settings, keys, ARRAY_COUNT(keys));
    const char *approximate = section_text(&settings, "approximate");
    if (*approximate && tower->activation == VKCLIP_ACTIVATION_QUICK_GELU)
        section_refuse(&settings, "approximate", "none with quick_gelu");
    else if (!strcmp(approximate, "tanh"))
        tower->activation = VKCLIP_ACTIVATION_GELU_TANH;
    else if (*approximate && strcmp(approximate, "none"))
        section_refuse(&settings, "approximate", "tanh or none");
}

/* Reads whether blocks have LayerScale, and what its factors are in a new model. */
static void read_layer_scale(const struct section *section, struct config_tower *tower)
{
    tower->initial_scale = (float)section_number(section, "ls_init_value", 0, -1e6, 1e6);
    tower->layer_scale = section_get(section, "ls_init_value") != NULL;
}

/* ---- Text ------------------------------------------------------------------------------------ */

/* Reads which token of a text is pooled. */
static void read_pooling(const struct section *section, struct config *config)
{
    const char *type = section_text(section, "pool_type");
    if (!strcmp(type, "first"))
        config->text.pooling = POOL_FIRST;
    else if (!strcmp(type, "last"))
        config->text.pooling = POOL_LAST;
    else if (!strcmp(type, "eos"))
        config->eos_token_id = section_id(section, "eos_id", -1);
    else if (*type && strcmp(type, "argmax"))
        section_refuse(section, "pool_type", "argmax, eos, first or last");
    if (!strcmp(type, "eos") && config->eos_token_id < 0)
        section_wrong(section, "eos_id", "the id of the pool_type eos");
}

/* Reads a text tower that is an encoder of transformers. */
static void read_named_text(const struct section *section, struct config *config)
{
    static const struct known_key keys[] = {
        {"hf_model_name", NULL},
        {"hf_model_config", NULL},
        {"hf_model_pretrained", NULL},
        {"hf_pooler_type", NULL},
        {"hf_proj_type", NULL},
        {"pooler_type", NULL},
        {"proj", NULL},
        {"context_length", NULL},
        {"vocab_size", NULL},
        {"width", NULL},
        {"heads", NULL},
        {"layers", NULL},
        {"pad_id", NULL},
        {"eos_id", NULL},
        {"mlp_ratio", NULL},
        {"hf_tokenizer_name", NULL},
        {"tokenizer_kwargs", NULL},
    };
    section_check_keys(section, keys, ARRAY_COUNT(keys));
    bert_read_openclip(section, config);
}

static void read_text(const struct section *section, struct config *config)
{
    static const struct known_key keys[] = {
        {"context_length", NULL},
        {"vocab_size", NULL},
        {"width", NULL},
        {"heads", NULL},
        {"layers", NULL},
        {"mlp_ratio", NULL},
        {"norm_kwargs", NULL},
        {"pool_type", NULL},
        {"proj_type", NULL},
        {"pad_id", NULL},
        {"eos_id", NULL},
        {"hf_model_pretrained", NULL},
        {"act_kwargs", NULL},
        {"ls_init_value", NULL},
        {"no_causal_mask", NULL},
        {"proj_bias", NULL},
        {"hf_tokenizer_name", NULL},
        {"tokenizer_kwargs", NULL},
        {"final_ln_after_pool", NULL}, /* The norm of the pooled token is the same before. */
    };
    struct config_tower *tower = &config->text;
    section_check_keys(section, keys, ARRAY_COUNT(keys));
    const char *projection = section_text(section, "proj_type");
    tower->kind = KIND_TEXT;
    tower->projection = strcmp(projection, "none") != 0;
    if (tower->projection && *projection && strcmp(projection, "linear"))
        section_refuse(section, "proj_type", "linear or none");
    tower->width = section_size(section, "width", 512);
    tower->heads = section_size(section, "heads", 8);
    tower->layers = section_size(section, "layers", 12);
    tower->mlp = section_mlp(section, 4, tower->width);
    tower->epsilon = read_epsilon(section);
    read_layer_scale(section, tower);
    tower->bidirectional = section_bool(section, "no_causal_mask", false);
    tower->projection_bias = tower->projection && section_bool(section, "proj_bias", false);
    read_activation(section, tower);
    read_pooling(section, config);
    config->context = section_size(section, "context_length", 77);
    config->vocabulary = section_size(section, "vocab_size", 49408);
}

/* ---- Images ---------------------------------------------------------------------------------- */

static void refuse_head_width(const struct section *section, const char *what, uint32_t width,
                              uint32_t head_width)
{
    struct document *document = section->document;
    if (!document->error)
        document->error = error_fail(VKCLIP_EFORMAT,
                                     "%s: model_cfg.vision_cfg: %s %u is not a multiple of "
                                     "head_width %u",
                                     document->path, what, width, head_width);
}

static void read_resnet(const struct section *section, const json_t *layers, uint32_t head_width,
                        struct config *config)
{
    const struct config_tower *tower = &config->image;
    for (size_t i = 0; i < ARRAY_COUNT(config->stages); i++) {
        const json_int_t blocks = json_integer_value(json_array_get(layers, i));
        if (json_array_size(layers) != ARRAY_COUNT(config->stages) || blocks < 1 || blocks > 256) {
            section_wrong(section, "layers", "four numbers of blocks");
            return;
        }
        config->stages[i] = (uint32_t)blocks;
    }
    resnet_derive_sizes(config, head_width);
    config->image_size = section_square(section, "image_size", 224);
    if (tower->mlp % head_width)
        refuse_head_width(section, "number of channels", tower->mlp, head_width);
}

/* Reads what of the tokens the embedding is made of. An attentional pool ignores
 * `final_ln_after_pool`. */
static void read_image_pooling(const struct section *section, struct config_tower *tower)
{
    const char *type = section_text(section, "pool_type");
    if (!strcmp(type, "avg"))
        tower->pooling = POOL_MEAN;
    else if (*type && strcmp(type, "tok"))
        section_refuse(section, "pool_type", "tok or avg");
    const json_t *pool = section_get(section, "attentional_pool");
    if (json_is_string(pool) && json_string_length(pool))
        section_refuse(section, "attentional_pool", "true or false");
    else if (pool && !json_is_string(pool) && section_bool(section, "attentional_pool", false)) {
        tower->pool_heads = section_size(section, "attn_pooler_heads", 8);
        tower->pool_queries = section_size(section, "attn_pooler_queries", 256);
        return;
    }
    tower->norm_after_pool =
        tower->pooling == POOL_MEAN && section_bool(section, "final_ln_after_pool", false);
}

static void read_vit(const struct section *section, uint32_t head_width, struct config *config)
{
    struct config_tower *tower = &config->image;
    tower->layers = section_size(section, "layers", 12);
    tower->heads = tower->width / head_width;
    tower->mlp = section_mlp(section, 4, tower->width);
    tower->epsilon = read_epsilon(section);
    read_layer_scale(section, tower);
    tower->no_pre_norm = section_bool(section, "no_ln_pre", false);
    read_activation(section, tower);
    read_image_pooling(section, tower);
    config->patch_size = section_size(section, "patch_size", 16);
    config->image_size = section_square(section, "image_size", 224);
    if (tower->width % head_width)
        refuse_head_width(section, "width", tower->width, head_width);
}

static void read_image(const struct section *section, struct config *config)
{
    static const struct known_key keys[] = {
        {"image_size", NULL},
        {"layers", NULL},
        {"width", NULL},
        {"head_width", NULL},
        {"mlp_ratio", NULL},
        {"patch_size", NULL},
        {"norm_kwargs", NULL},
        {"pool_type", NULL},
        {"pos_embed_type", "learnable"},
        {"patch_dropout", NULL}, /* affects training only */
        {"attn_pooler_queries", NULL},
        {"attn_pooler_heads", NULL},
        {"attentional_pool", NULL},
        {"no_ln_pre", NULL},
        {"final_ln_after_pool", NULL},
        {"ls_init_value", NULL},
        {"act_kwargs", NULL},
    };
    struct config_tower *tower = &config->image;
    const json_t *layers = section_get(section, "layers");
    section_check_keys(section, keys, ARRAY_COUNT(keys));
    const uint32_t head_width = section_size(section, "head_width", 64);
    /* A ModifiedResNet's `layers` is the list of the numbers of blocks per stage. */
    tower->kind = json_is_array(layers) ? KIND_RESNET : KIND_VIT;
    tower->projection = true;
    tower->width = section_size(section, "width", tower->kind == KIND_RESNET ? 64 : 768);
    if (tower->kind == KIND_RESNET)
        read_resnet(section, layers, head_width, config);
    else
        read_vit(section, head_width, config);
}

static void read_resize(const struct section *section, struct image_resize *resize)
{
    const char *mode = section_text(section, "resize_mode");
    const char *filter = section_text(section, "interpolation");
    if (!strcmp(mode, "squash"))
        resize->fit = FIT_SQUASH;
    else if (!strcmp(mode, "longest"))
        resize->fit = FIT_LONGEST;
    else if (*mode && strcmp(mode, "shortest"))
        section_refuse(section, "resize_mode", "shortest, longest or squash");
    if (!strcmp(filter, "bilinear"))
        resize->filter = FILTER_BILINEAR;
    else if (*filter && strcmp(filter, "bicubic") && strcmp(filter, "random"))
        section_refuse(section, "interpolation",
                       "bicubic, bilinear or random"); /* See transform.py. */
    resize->fill = (uint8_t)section_number(section, "fill_color", 0, 0, 255);
}

static void read_preprocess(const struct section *section, struct config *config)
{
    static const struct known_key
        keys[] =
            {
                {"size", NULL},       {"mean", NULL},          {"std", NULL},
                {"mode", "RGB"},      {"interpolation", NULL}, {"resize_mode", NULL},
                {"fill_color", NULL}, /* used by the resize_mode longest */
            };
    section_check_keys(section, keys, ARRAY_COUNT(keys));
    read_resize(section, &config->resize);
    section_colours(section, "mean", -1000, config->image_mean);
    section_colours(section, "std", 1e-6, config->image_std);
    if (config->image.kind &&
        section_square(section, "size", config->image_size) != config->image_size)
        section_wrong(section, "size", "vision_cfg.image_size");
}

/* ---- All together ---------------------------------------------------------------------------- */

static void read_model(const struct section *section, struct config *config)
{
    static const struct known_key keys[] = {
        {"embed_dim", NULL},       {"quick_gelu", NULL},       {"vision_cfg", NULL},
        {"text_cfg", NULL},        {"init_logit_scale", NULL}, /* used if no scale is stored */
        {"cast_dtype", NULL},      {"output_dict", NULL},      {"custom_text", NULL},
        {"init_logit_bias", NULL}, /* The stored bias is used instead. */
    };
    section_check_keys(section, keys, ARRAY_COUNT(keys));
    config->custom_text = section_bool(section, "custom_text", false);
    config->sigmoid = section_get(section, "init_logit_bias") != NULL;
    config->image_embed_dim = config->text_embed_dim = section_size(section, "embed_dim", 0);
    if (!config->text_embed_dim)
        section_wrong(section, "embed_dim", "an integer");
    config->logit_scale =
        expf((float)section_number(section, "init_logit_scale", log(1 / 0.07), 0, 88));
    const bool quick = section_bool(section, "quick_gelu", false);
    config->image.activation = config->text.activation =
        quick ? VKCLIP_ACTIVATION_QUICK_GELU : VKCLIP_ACTIVATION_GELU;
    /* OpenCLIP always writes two towers; `vkclip convert` also writes configurations of one. */
    struct section image = section_child(section, "vision_cfg");
    if (image.object && timm_is_tower(&image))
        timm_read(&image, config);
    else if (image.object)
        read_image(&image, config);
    struct section text = section_child(section, "text_cfg");
    if (text.object && bert_is_named(&text))
        read_named_text(&text, config);
    else if (text.object)
        read_text(&text, config);
    if (text.object)
        openclip_read_tokenizer(&text, config);
}

int openclip_read(const char *path, struct config *config)
{
    struct document document;
    struct section root = document_open(path, &document);
    config->family = VKCLIP_FAMILY_OPENCLIP;
    config->eos_token_id = -1;
    struct section model = section_child(&root, "model_cfg");
    if (!model.object)
        section_wrong(&root, "model_cfg", "an object");
    read_model(&model, config);
    struct section preprocess = section_child(&root, "preprocess_cfg");
    read_preprocess(&preprocess, config);
    return document_close(&document);
}
