/* SPDX-License-Identifier: MIT
 *
 * Public entry points: models, texts and pictures to what goes in, embeddings to what is meant.
 * Encoding is in vkclip_encode.c.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/model.h"
#include "base/error.h"
#include "base/log.h"
#include "base/string.h"
#include "checkpoint/open.h"
#include "runtime/layout.h"

/* ---- Models ---------------------------------------------------------------------------------- */

static struct vkclip_tower_info tower_info(const struct config_tower *tower, uint32_t positions)
{
    if (!tower->kind)
        return (struct vkclip_tower_info){0};
    return (struct vkclip_tower_info){.width = tower->width,
                                      .layers = tower->layers,
                                      .heads = tower->heads,
                                      .mlp = tower->mlp,
                                      .activation = tower->activation,
                                      .positions = positions,
                                      .projection = tower->projection};
}

/* Device memory of the weights, and with it that of the activations of one item. */
static int measure_memory(struct vkclip_model *model)
{
    uint64_t activations = 0;
    int error = VKCLIP_OK;
    for (enum tower tower = 0; tower < TOWER_COUNT && !error; tower++) {
        struct graph graph;
        uint64_t arena = 0, least;
        if (!replica_has_tower(&model->spec, tower) ||
            (error = replica_graph(&model->spec, tower, 1, 0, &graph, NULL)))
            continue;
        error = plan_measure(&graph, 1, &arena, &least);
        activations = arena > activations ? arena : activations;
        for (size_t t = 0; t < graph.tensor_count; t++)
            if (graph.tensors[t].role == ROLE_WEIGHT)
                model->info.weights_bytes += layout_tensor_bytes(&graph.tensors[t]);
        graph_free(&graph);
    }
    model->info.memory_bytes = model->info.weights_bytes + activations;
    return error;
}

static void fill_info(struct vkclip_model *model, const struct weights *weights)
{
    const struct config *config = &model->spec.config;
    struct vkclip_model_info *info = &model->info;
    uint32_t side = config->image.kind ? config->image_size / config->patch_size : 0;
    info->family = config->family;
    info->image = tower_info(&config->image, side * side + 1);
    info->text = tower_info(&config->text, config->context);
    memcpy(info->stages, config->stages, sizeof(info->stages));
    if (config->image.kind == KIND_RESNET) {
        info->image.mlp = 0;
        info->image.activation = VKCLIP_ACTIVATION_AUTO; /* ReLU everywhere */
    }
    info->image_size = config->image_size;
    info->patch_size = config->image.kind == KIND_RESNET ? 0 : config->patch_size;
    info->context = config->context;
    info->vocabulary = config->vocabulary;
    info->embed_dim = config->image.kind ? config->image_embed_dim : config->text_embed_dim;
    info->text_embed_dim = config->text.kind ? config->text_embed_dim : 0;
    info->logit_scale = config->logit_scale;
    memcpy(info->image_mean, config->image_mean, sizeof(info->image_mean));
    memcpy(info->image_std, config->image_std, sizeof(info->image_std));
    if (weights) {
        info->parameters = weights_parameters(weights);
        snprintf(info->weights_path, sizeof(info->weights_path), "%s", weights_path(weights));
        snprintf(info->weights_type, sizeof(info->weights_type), "%s",
                 dtype_name(weights_dtype(weights)));
    }
    info->weights = model->spec.weights == model->spec.type ? VKCLIP_WEIGHTS_AUTO
                    : model->spec.weights == TYPE_F16       ? VKCLIP_WEIGHTS_F16
                    : model->spec.weights == TYPE_Q8        ? VKCLIP_WEIGHTS_Q8
                                                            : VKCLIP_WEIGHTS_Q4;
    info->precision = model->spec.type == TYPE_F16 ? VKCLIP_PRECISION_F16 : VKCLIP_PRECISION_F32;
    info->tokenizer = model->tokenizer != NULL;
}

int vkclip_open_vocabulary(const struct config *config, const char *path,
                           struct tokenizer **tokenizer)
{
    enum tokenizer_rules rules = config->family == VKCLIP_FAMILY_NONE ? TOKENIZER_BY_FILE
                                 : config->family == VKCLIP_FAMILY_HF ? TOKENIZER_HF
                                                                      : TOKENIZER_OPENAI;
    int error = tokenizer_open(path, rules, tokenizer);
    if (!error && config->text.kind && tokenizer_size(*tokenizer) > config->vocabulary)
        error = error_fail(VKCLIP_EFORMAT,
                           "%s: %u entries, but the model's token table has %u: not its vocabulary",
                           path, tokenizer_size(*tokenizer), config->vocabulary);
    return error;
}

int vkclip_open_model(struct vkclip_device *device, const char *path,
                      const struct vkclip_model_params *params, struct vkclip_model **result)
{
    const struct vkclip_model_params none = {0};
    struct weights *weights = NULL;
    params = params ? params : &none;
    if (!result || (!path && !params->vocab))
        return error_fail(VKCLIP_EINVALID, "vkclip_open_model: a path or a vocabulary expected");
    *result = NULL;
    struct vkclip_model *model = calloc(1, sizeof(*model));
    if (!model)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a model");
    model->device = device;
    model->spec.type = params->precision == VKCLIP_PRECISION_F16 ? TYPE_F16 : TYPE_F32;
    model->spec.weights = params->weights == VKCLIP_WEIGHTS_F16  ? TYPE_F16
                          : params->weights == VKCLIP_WEIGHTS_Q8 ? TYPE_Q8
                          : params->weights == VKCLIP_WEIGHTS_Q4 ? TYPE_Q4
                                                                 : model->spec.type;
    int error = VKCLIP_OK;
    for (size_t i = 0; device && i < device->count && !error; i++)
        if (model->spec.type == TYPE_F16 && !(gpu_caps(device->gpus[i]) & CAP_F16))
            error = error_fail(VKCLIP_EUNSUPPORTED,
                               "%s has no 16-bit storage, which f16 (`precision`) needs: use f32",
                               gpu_info(device->gpus[i])->name);
    if (!error && path)
        error = checkpoint_open(path, params, &model->spec.config, &weights);
    const char *vocab = params->vocab ? params->vocab : model->spec.config.tokenizer_path;
    if (!error && vocab) {
        error = vkclip_open_vocabulary(&model->spec.config, vocab, &model->tokenizer);
        snprintf(model->info.tokenizer_path, sizeof(model->info.tokenizer_path), "%s", vocab);
    }
    for (; device && weights && model->replica_count < device->count && !error;
         model->replica_count++)
        error = replica_open(device->gpus[model->replica_count],
                             device->tuners[model->replica_count], &model->spec, weights,
                             params->max_batch, &model->replicas[model->replica_count]);
    if (!error)
        error = measure_memory(model);
    if (!error)
        fill_info(model, weights);
    weights_close(&weights);
    if (error)
        vkclip_close_model(&model);
    *result = model;
    return error;
}

int vkclip_get_model_info(const struct vkclip_model *model, struct vkclip_model_info *info)
{
    if (!model || !info)
        return error_fail(VKCLIP_EINVALID, "vkclip_get_model_info: model and info expected");
    *info = model->info;
    return VKCLIP_OK;
}

void vkclip_close_model(struct vkclip_model **handle)
{
    struct vkclip_model *model = handle ? *handle : NULL;
    if (!model)
        return;
    for (int i = 0; i < DEVICE_GPUS; i++)
        replica_close(&model->replicas[i]);
    free(model->texts);
    tokenizer_close(&model->tokenizer);
    config_close(&model->spec.config);
    free(model);
    *handle = NULL;
}

/* ---- Texts and pictures ---------------------------------------------------------------------- */

/* Too long for `limit` ids: cut with the end of text kept. */
static int fit_ids(const struct vkclip_model *model, bool strict, int32_t *ids, size_t limit,
                   size_t *count)
{
    if (*count <= limit)
        return VKCLIP_OK;
    if (strict)
        return error_fail(VKCLIP_ETOOLONG, "text of %zu tokens, expected at most %zu", *count,
                          limit);
    log_message(VKCLIP_LOG_WARNING, "text of %zu tokens truncated to %zu", *count, limit);
    ids[limit - 1] = tokenizer_end(model->tokenizer);
    *count = limit;
    return VKCLIP_OK;
}

int vkclip_tokenize(const struct vkclip_model *model, const char *text, size_t length,
                    unsigned flags, int32_t *ids, size_t capacity, size_t *count)
{
    if (!model || (!text && length) || (!ids && capacity) || !count)
        return error_fail(VKCLIP_EINVALID, "vkclip_tokenize: model, text, ids and count expected");
    if (!model->tokenizer)
        return error_fail(VKCLIP_EABSENT,
                          "no vocabulary beside the checkpoint: name one (`vocab`), "
                          "such as tokenizer.json or bpe_simple_vocab_16e6.txt.gz");
    bool full = flags & VKCLIP_TOKENIZE_FULL;
    size_t limit = capacity, context = model->spec.config.context;
    if (!full && context && context < limit)
        limit = context;
    if (!full && limit < 2)
        return error_fail(VKCLIP_EINVALID, "vkclip_tokenize: room for at least 2 ids expected");
    int error = tokenizer_encode(model->tokenizer, text, length, ids, limit, count);
    if (!error && !full)
        error = fit_ids(model, flags & VKCLIP_TOKENIZE_STRICT, ids, limit, count);
    if (!error && flags & VKCLIP_TOKENIZE_PAD)
        for (size_t i = *count; i < capacity; i++)
            ids[i] = tokenizer_pad(model->tokenizer);
    return error;
}

struct image_transform vkclip_image_transform(const struct config *config)
{
    struct image_transform transform = {.size = config->image_size, .rgb_first = config->rgb_first};
    memcpy(transform.mean, config->image_mean, sizeof(transform.mean));
    memcpy(transform.std, config->image_std, sizeof(transform.std));
    return transform;
}

int vkclip_preprocess(const struct vkclip_model *model, const struct vkclip_image *image,
                      uint8_t *u8, float *pixel_values)
{
    if (!model || !image)
        return error_fail(VKCLIP_EINVALID, "vkclip_preprocess: model and image expected");
    const struct config *config = &model->spec.config;
    if (!config->image.kind)
        return error_fail(VKCLIP_EABSENT, "%s has no image tower",
                          model->info.weights_path[0] ? model->info.weights_path : "the model");
    const struct image_transform transform = vkclip_image_transform(config);
    return image_preprocess(image, &transform, u8, pixel_values);
}

/* ---- Zero-shot use
 * ----------------------------------------------------------------------------------- */

int vkclip_similarity(const struct vkclip_model *model, const float *image_embeds, size_t n,
                      const float *text_embeds, size_t m, float *logits)
{
    if (!model || (n && m && (!image_embeds || !text_embeds || !logits)))
        return error_fail(VKCLIP_EINVALID, "vkclip_similarity: model, embeddings, logits expected");
    const struct config *config = &model->spec.config;
    if (!config->image.kind || !config->text.kind ||
        config->image_embed_dim != config->text_embed_dim)
        return error_fail(VKCLIP_EABSENT, "similarity needs both towers in one space");
    const size_t dim = config->image_embed_dim;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < m; j++) {
            double sum = 0;
            for (size_t d = 0; d < dim; d++)
                sum += (double)image_embeds[i * dim + d] * text_embeds[j * dim + d];
            logits[i * m + j] = (float)(sum * config->logit_scale);
        }
    return VKCLIP_OK;
}

/* The mean of the rows [count,dim], made length one. */
static void average(const float *rows, size_t count, size_t dim, float *mean)
{
    double squares = 0;
    for (size_t d = 0; d < dim; d++) {
        double sum = 0;
        for (size_t i = 0; i < count; i++)
            sum += rows[i * dim + d];
        mean[d] = (float)(sum / (double)count);
        squares += (double)mean[d] * mean[d];
    }
    double norm = fmax(sqrt(squares), 1e-12);
    for (size_t d = 0; d < dim; d++)
        mean[d] = (float)(mean[d] / norm);
}

int vkclip_encode_labels(struct vkclip_model *model, const char *const *labels, size_t label_count,
                         const char *const *templates, size_t template_count,
                         const struct vkclip_encode_params *params, float *embeds)
{
    if (!template_count)
        return vkclip_encode_texts(model, labels, label_count, params, embeds);
    if (!model || (label_count && (!labels || !embeds)))
        return error_fail(VKCLIP_EINVALID, "vkclip_encode_labels: model, labels, embeds expected");
    for (size_t i = 0; i < template_count; i++)
        if (!strstr(templates[i], "{}"))
            return error_fail(VKCLIP_EINVALID, "template \"%s\": expected {} where the label goes",
                              templates[i]);
    const size_t dim = model->spec.config.text_embed_dim, total = label_count * template_count;
    char **texts = calloc(total + 1, sizeof(*texts));
    float *each = malloc((total * dim + 1) * sizeof(*each));
    bool complete = texts && each;
    for (size_t i = 0; i < total && complete; i++) {
        texts[i] = string_fill(templates[i % template_count], labels[i / template_count]);
        complete = texts[i] != NULL;
    }
    int error = complete
                    ? vkclip_encode_texts(model, (const char *const *)texts, total, params, each)
                    : error_fail(VKCLIP_EMEMORY, "out of memory for labels");
    for (size_t i = 0; i < label_count && !error; i++)
        average(&each[i * template_count * dim], template_count, dim, &embeds[i * dim]);
    for (size_t i = 0; texts && i < total; i++)
        free(texts[i]);
    free(texts);
    free(each);
    return error;
}

static void softmax(const float *logits, size_t count, float *probs)
{
    float top = -INFINITY;
    double total = 0;
    for (size_t i = 0; i < count; i++)
        top = logits[i] > top ? logits[i] : top;
    for (size_t i = 0; i < count; i++)
        total += exp((double)logits[i] - top);
    for (size_t i = 0; i < count; i++)
        probs[i] = (float)(exp((double)logits[i] - top) / total);
}

int vkclip_classify(struct vkclip_model *model, const struct vkclip_image *images, size_t count,
                    const float *label_embeds, size_t label_count,
                    const struct vkclip_encode_params *params, float *logits, float *probs)
{
    if (!model || (count && label_count && !label_embeds) || (params && params->no_normalize))
        return error_fail(VKCLIP_EINVALID,
                          "vkclip_classify: model, images and normalised label_embeds expected");
    const size_t dim = model->spec.config.image_embed_dim;
    float *embeds = malloc((count * dim + 1) * sizeof(*embeds));
    float *scores = malloc((count * label_count + 1) * sizeof(*scores));
    int error = embeds && scores ? vkclip_encode_images(model, images, count, params, embeds)
                                 : error_fail(VKCLIP_EMEMORY, "out of memory for classifying");
    if (!error)
        error = vkclip_similarity(model, embeds, count, label_embeds, label_count, scores);
    for (size_t i = 0; i < count && probs && !error; i++)
        softmax(&scores[i * label_count], label_count, &probs[i * label_count]);
    if (logits && !error)
        memcpy(logits, scores, count * label_count * sizeof(*logits));
    free(embeds);
    free(scores);
    return error;
}
