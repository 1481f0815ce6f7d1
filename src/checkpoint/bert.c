/* SPDX-License-Identifier: MIT
 *
 * Holds the table of the encoders that files name without their sizes, and reads what files say.
 */
#include "checkpoint/bert.h"
#include "base/array.h"
#include "base/error.h"
#include "checkpoint/state_dict.h"

#include <string.h>

/* An encoder of transformers by the last part of its name on the hub. */
struct encoder {
    const char *name;
    bool counted; /* It is a RoBERTa, else a BERT. */
    uint32_t width, layers, heads, mlp;
    uint32_t positions, vocabulary, types;
};

#define BASE 768, 12, 12, 3072
#define LARGE 1024, 24, 16, 4096
static const struct encoder encoders[] = {
    {"xlm-roberta-base", true, BASE, 514, 250002, 1},
    {"xlm-roberta-large", true, LARGE, 514, 250002, 1},
    {"xlm-v-base", true, BASE, 514, 901629, 1},
    {"roberta-base", true, BASE, 514, 50265, 1},
    {"roberta-large", true, LARGE, 514, 50265, 1},
    {"bert-base-uncased", false, BASE, 512, 30522, 2},
    {"bert-base-cased", false, BASE, 512, 28996, 2},
    {"bert-large-uncased", false, LARGE, 512, 30522, 2},
    {"bert-base-multilingual-cased", false, BASE, 512, 119547, 2},
    {"bert-base-chinese", false, BASE, 512, 21128, 2},
    {"LaBSE", false, BASE, 512, 501153, 2},
};

/* Returns the encoder that the value of `key` names, or NULL, which is an error then. */
static const struct encoder *find_encoder(const struct section *section, const char *key)
{
    const char *path = section_text(section, key), *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    for (size_t i = 0; i < ARRAY_COUNT(encoders); i++)
        if (!strcmp(encoders[i].name, name))
            return &encoders[i];
    section_refuse(section, key,
                   "an encoder that vkclip has: xlm-roberta-base or -large, xlm-v-base, "
                   "roberta-base or -large, bert-..., LaBSE");
    return NULL;
}

static void fill_encoder(const struct encoder *encoder, struct config *config)
{
    config->text.kind = KIND_BERT;
    config->text.counted = encoder->counted;
    config->text.activation = VKCLIP_ACTIVATION_GELU;
    config->text.width = encoder->width;
    config->text.layers = encoder->layers;
    config->text.heads = encoder->heads;
    config->text.mlp = encoder->mlp;
    config->text.epsilon = encoder->counted ? 1e-5f : 1e-12f;
    config->text.positions = encoder->positions;
    config->text.token_types = encoder->types;
    config->vocabulary = encoder->vocabulary;
    config->pad_token_id = encoder->counted ? 1 : 0;
}

/* Reads a configuration of transformers' BERT or XLM-R, of which `encoder` has the defaults. */
static void read_encoder(const struct section *section, const struct encoder *encoder,
                         struct config *config)
{
    struct config_tower *tower = &config->text;
    const char *activation = section_text(section, "hidden_act");
    const char *positions = section_text(section, "position_embedding_type");
    fill_encoder(encoder, config);
    tower->width = section_size(section, "hidden_size", tower->width);
    tower->mlp = section_size(section, "intermediate_size", tower->mlp);
    tower->layers = section_size(section, "num_hidden_layers", tower->layers);
    tower->heads = section_size(section, "num_attention_heads", tower->heads);
    tower->positions = section_size(section, "max_position_embeddings", tower->positions);
    tower->token_types = section_size(section, "type_vocab_size", tower->token_types);
    tower->epsilon = (float)section_number(section, "layer_norm_eps", (double)tower->epsilon, 0, 1);
    config->vocabulary = section_size(section, "vocab_size", config->vocabulary);
    config->pad_token_id = section_id(section, "pad_token_id", config->pad_token_id);
    if (*activation && strcmp(activation, "gelu"))
        section_refuse(section, "hidden_act", "gelu");
    if (*positions && strcmp(positions, "absolute"))
        section_refuse(section, "position_embedding_type", "absolute");
}

/* Returns the length of the longest text that the table of positions allows. */
static uint32_t longest_text(const struct config *config)
{
    const uint32_t first = config->text.counted ? (uint32_t)config->pad_token_id + 1 : 0;
    return config->text.positions > first ? config->text.positions - first : 0;
}

/* ---- OpenCLIP -------------------------------------------------------------------------------- */

bool bert_is_named(const struct section *text)
{
    return section_get(text, "hf_model_name") != NULL;
}

/* Returns a value that older versions of OpenCLIP call by another key. */
static const char *read_choice(const struct section *text, const char *key, const char *older,
                               const char *fallback)
{
    if (section_get(text, key))
        return section_text(text, key);
    if (section_get(text, older))
        return section_text(text, older);
    return json_is_null(json_object_get(text->object, key)) ? "" : fallback;
}

static void read_pooler(const struct section *text, struct config *config)
{
    const char *pooler = read_choice(text, "hf_pooler_type", "pooler_type", "mean_pooler");
    config->text.pooling = POOL_FIRST;
    config->text.pooler = !strcmp(pooler, "cls_pooler");
    if (!strcmp(pooler, "mean_pooler"))
        config->text.pooling = POOL_MEAN;
    else if (!config->text.pooler && strcmp(pooler, "cls_last_hidden_state_pooler"))
        section_refuse(text, section_get(text, "hf_pooler_type") ? "hf_pooler_type" : "pooler_type",
                       "mean_pooler, cls_pooler or cls_last_hidden_state_pooler");
}

static void read_projection(const struct section *text, struct config *config)
{
    const char *kind = read_choice(text, "hf_proj_type", "proj", "mlp");
    struct config_tower *tower = &config->text;
    tower->projection = *kind != 0;
    if (!strcmp(kind, "mlp"))
        tower->inner = (tower->width + config->text_embed_dim) / 2;
    else if (tower->projection && strcmp(kind, "linear"))
        section_refuse(text, section_get(text, "hf_proj_type") ? "hf_proj_type" : "proj",
                       "mlp or linear");
    if (!tower->projection && tower->width != config->text_embed_dim)
        section_wrong(text, "hf_proj_type", "mlp or linear, because the widths differ");
}

void bert_read_openclip(const struct section *text, struct config *config)
{
    const struct encoder *encoder = find_encoder(text, "hf_model_name");
    const struct section sizes = section_child(text, "hf_model_config");
    if (!encoder)
        return;
    read_encoder(&sizes, encoder, config);
    config->context = section_size(text, "context_length", 77);
    if (config->context > longest_text(config)) /* OpenCLIP fails at longer texts only. */
        config->context = longest_text(config);
    config->custom_text = true;
    read_pooler(text, config);
    read_projection(text, config);
}

/* Tells whether a tower is as the name of an encoder says. */
static bool is_encoder(const struct encoder *encoder, const struct config *config)
{
    const struct config_tower *text = &config->text;
    struct config named = {0};
    fill_encoder(encoder, &named);
    return named.text.epsilon == text->epsilon && named.pad_token_id == config->pad_token_id &&
           encoder->counted == text->counted && encoder->width == text->width &&
           encoder->layers == text->layers && encoder->heads == text->heads &&
           encoder->mlp == text->mlp && encoder->positions == text->positions &&
           encoder->vocabulary == config->vocabulary && encoder->types == text->token_types;
}

/* Returns the encoder that a tower is, or else one whose other sizes are written beside its name.
 */
static const struct encoder *choose_encoder(const struct config *config)
{
    const struct encoder *kind = NULL;
    for (size_t i = 0; i < ARRAY_COUNT(encoders); i++) {
        if (is_encoder(&encoders[i], config))
            return &encoders[i];
        if (!kind && encoders[i].counted == config->text.counted)
            kind = &encoders[i];
    }
    return kind;
}

static json_t *pack_sizes(const struct config *config, json_t *epsilon)
{
    const struct config_tower *text = &config->text;
    return json_pack("{si si si si si si si si so}", "hidden_size", (int)text->width,
                     "intermediate_size", (int)text->mlp, "num_hidden_layers", (int)text->layers,
                     "num_attention_heads", (int)text->heads, "max_position_embeddings",
                     (int)text->positions, "vocab_size", (int)config->vocabulary, "type_vocab_size",
                     (int)text->token_types, "pad_token_id", (int)config->pad_token_id,
                     "layer_norm_eps", epsilon);
}

static const char *name_pooler(const struct config_tower *text)
{
    if (text->pooling == POOL_MEAN)
        return "mean_pooler";
    return text->pooler ? "cls_pooler" : "cls_last_hidden_state_pooler";
}

json_t *bert_pack_openclip(const struct config *config, json_t *epsilon)
{
    const struct config_tower *text = &config->text;
    const struct encoder *encoder = choose_encoder(config);
    const char *name = encoder->name;
    json_t *sizes = pack_sizes(config, epsilon);
    if (is_encoder(encoder, config)) {
        json_decref(sizes);
        sizes = NULL;
    }
    return json_pack("{ss ss ss ss si so*}", "hf_model_name", name, "hf_tokenizer_name", name,
                     "hf_pooler_type", name_pooler(text), "hf_proj_type",
                     text->inner ? "mlp" : "linear", "context_length", (int)config->context,
                     "hf_model_config", sizes);
}

/* ---- Hugging Face ---------------------------------------------------------------------------- */

void bert_read_chinese_clip(const struct section *text, struct config *config)
{
    static const struct encoder defaults = {"", false, BASE, 512, 30522, 2};
    read_encoder(text, &defaults, config);
    config->text.pooling = POOL_FIRST;
    config->context = longest_text(config);
}

void bert_read_alt_clip(const struct section *text, struct config *config)
{
    static const struct encoder defaults = {"", true, LARGE, 514, 250002, 1};
    read_encoder(text, &defaults, config);
    config->text.pooling = POOL_FIRST;
    config->text.transformation = section_size(text, "project_dim", 768);
    config->context = longest_text(config);
}

void bert_read_m_clip(const struct section *root, struct config *config)
{
    const struct encoder *encoder = find_encoder(root, "modelBase");
    if (!encoder)
        return;
    fill_encoder(encoder, config);
    config->text.width = section_size(root, "transformerDimensions", encoder->width);
    config->text_embed_dim = section_size(root, "numDims", encoder->width);
    config->text.pooling = POOL_MEAN;
    config->text.projection = config->text.projection_bias = true;
    config->text.layers = 0; /* The tensors tell the sizes. */
}

int bert_fit_tensors(const struct weights *weights, const char *path, struct config *config)
{
    struct config_tower *tower = &config->text;
    const uint32_t width = tower->width, embed_dim = config->text_embed_dim;
    if (tower->kind != KIND_BERT || tower->layers)
        return VKCLIP_OK;
    state_dict_read_sizes(weights, TOWER_TEXT, config);
    if (tower->width != width || config->text_embed_dim != embed_dim)
        return error_fail(VKCLIP_EFORMAT,
                          "%s: transformerDimensions and numDims: expected %u and %u as in the "
                          "tensors, found %u and %u",
                          path, tower->width, config->text_embed_dim, width, embed_dim);
    tower->heads = tower->width / 64; /* as in all encoders of the table */
    config->context = longest_text(config);
    return VKCLIP_OK;
}
