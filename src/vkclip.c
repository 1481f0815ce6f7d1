/* SPDX-License-Identifier: MIT
 *
 * Public entry points: arguments are checked, items split into batches, batches run by plans that
 * are kept for the next call.
 */
#include "vkclip.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "gpu.h"
#include "image.h"
#include "model.h"
#include "plan.h"
#include "tokenizer.h"
#include "upload.h"
#include "weights.h"

#define DEFAULT_BATCH 32
#define MOST_BATCH 1024
#define PLANS 4

struct vkclip_device {
    struct gpu *gpu;
};

enum tower { TOWER_IMAGE, TOWER_TEXT, TOWER_COUNT };

/* A plan and what it is for. */
struct kept_plan {
    struct plan *plan;
    enum tower tower;
    uint32_t batch;
    bool hidden;
    uint64_t used; /* when, in calls: the longest unused makes room */
};

struct vkclip_model {
    struct gpu *gpu; /* NULL: opened without a device */
    struct config config;
    struct tokenizer *tokenizer;
    struct upload *upload;
    struct vkclip_model_info info;
    enum type type, weights; /* of activations; of matrices and the token table */
    uint32_t most_batch[TOWER_COUNT];
    struct kept_plan plans[PLANS];
    uint64_t clock;
};

/* ---- Devices --------------------------------------------------------------------------------- */

int vkclip_list_devices(struct vkclip_device_info *infos, size_t capacity, size_t *count)
{
    if (!count || (!infos && capacity))
        return util_fail(VKCLIP_EINVALID, "vkclip_list_devices: infos and count expected");
    return gpu_list(infos, capacity, count);
}

int vkclip_open_device(const struct vkclip_device_params *params, struct vkclip_device **device)
{
    if (!device)
        return util_fail(VKCLIP_EINVALID, "vkclip_open_device: device expected");
    *device = calloc(1, sizeof(**device));
    if (!*device)
        return util_fail(VKCLIP_EMEMORY, "out of memory for a device");
    int error = gpu_open(params, &(*device)->gpu);
    if (error)
        vkclip_close_device(device);
    return error;
}

int vkclip_get_device_info(const struct vkclip_device *device, struct vkclip_device_info *info)
{
    if (!device || !info)
        return util_fail(VKCLIP_EINVALID, "vkclip_get_device_info: device and info expected");
    *info = *gpu_info(device->gpu);
    return VKCLIP_OK;
}

void vkclip_close_device(struct vkclip_device **device)
{
    if (!device || !*device)
        return;
    gpu_close(&(*device)->gpu);
    free(*device);
    *device = NULL;
}

/* ---- Models ------------------------------------------------------------------------------------
 */

static int tower_graph(const struct vkclip_model *model, enum tower tower, uint32_t batch,
                       struct graph *graph)
{
    int error = (tower == TOWER_IMAGE ? model_image_graph : model_text_graph)(
        &model->config, model->type, batch, graph);
    if (!error)
        graph_pack(graph, model->weights);
    return error;
}

static bool has_tower(const struct vkclip_model *model, enum tower tower)
{
    return tower == TOWER_IMAGE ? model->config.image.present : model->config.text.present;
}

/* Whether every tensor can be bound, no dispatch runs for long and a quarter of the memory is
 * enough. */
static bool batch_fits(const struct vkclip_model *model, const struct graph *graph)
{
    const struct gpu_limits *limits = gpu_limits(model->gpu);
    uint64_t arena, least;
    for (size_t t = 0; t < graph->tensor_count; t++)
        if (graph->tensors[t].role != ROLE_WEIGHT &&
            kernels_tensor_bytes(&graph->tensors[t]) > limits->buffer_range)
            return false;
    return !plan_measure(graph, limits->alignment, &arena, &least) && arena <= limits->allocation &&
           arena <= gpu_info(model->gpu)->memory / 4;
}

static int choose_batch(struct vkclip_model *model, enum tower tower, uint32_t wanted)
{
    uint32_t batch = 1;
    while (batch * 2 <= (wanted ? wanted : DEFAULT_BATCH) && batch < MOST_BATCH)
        batch *= 2;
    for (; batch > 1; batch /= 2) {
        struct graph graph;
        int error = tower_graph(model, tower, batch, &graph);
        bool fits = !error && batch_fits(model, &graph);
        graph_free(&graph);
        if (fits)
            break;
    }
    model->most_batch[tower] = batch;
    return VKCLIP_OK;
}

static int load_weights(struct vkclip_model *model, const struct weights *weights, uint32_t batch)
{
    struct graph graphs[TOWER_COUNT] = {{0}};
    const struct graph *present[TOWER_COUNT];
    size_t count = 0;
    int error = VKCLIP_OK;
    for (enum tower tower = 0; tower < TOWER_COUNT && !error; tower++)
        if (has_tower(model, tower)) {
            error = tower_graph(model, tower, 1, &graphs[tower]);
            present[count++] = &graphs[tower];
            if (!error)
                error = choose_batch(model, tower, batch);
        }
    if (!error)
        error = upload_create(model->gpu, weights, present, count, &model->upload);
    for (enum tower tower = 0; tower < TOWER_COUNT; tower++)
        graph_free(&graphs[tower]);
    return error;
}

static struct vkclip_tower_info tower_info(const struct config_tower *tower, uint32_t positions)
{
    if (!tower->present)
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
        if (!has_tower(model, tower) || (error = tower_graph(model, tower, 1, &graph)))
            continue;
        error = plan_measure(&graph, 1, &arena, &least);
        activations = arena > activations ? arena : activations;
        for (size_t t = 0; t < graph.tensor_count; t++)
            if (graph.tensors[t].role == ROLE_WEIGHT)
                model->info.weights_bytes += kernels_tensor_bytes(&graph.tensors[t]);
        graph_free(&graph);
    }
    model->info.memory_bytes = model->info.weights_bytes + activations;
    return error;
}

static void fill_info(struct vkclip_model *model, const struct weights *weights)
{
    const struct config *config = &model->config;
    struct vkclip_model_info *info = &model->info;
    uint32_t side = config->image.present ? config->image_size / config->patch_size : 0;
    info->family = config->family;
    info->image = tower_info(&config->image, side * side + 1);
    info->text = tower_info(&config->text, config->context);
    memcpy(info->stages, config->stages, sizeof(info->stages));
    if (config->stages[0]) {
        info->image.mlp = 0;
        info->image.activation = VKCLIP_ACTIVATION_AUTO; /* ReLU everywhere */
    }
    info->image_size = config->image_size;
    info->patch_size = config->stages[0] ? 0 : config->patch_size;
    info->context = config->context;
    info->vocabulary = config->vocabulary;
    info->embed_dim = config->image.present ? config->image_embed_dim : config->text_embed_dim;
    info->text_embed_dim = config->text.present ? config->text_embed_dim : 0;
    info->logit_scale = config->logit_scale;
    memcpy(info->image_mean, config->image_mean, sizeof(info->image_mean));
    memcpy(info->image_std, config->image_std, sizeof(info->image_std));
    if (weights) {
        info->parameters = weights_parameters(weights);
        snprintf(info->weights_path, sizeof(info->weights_path), "%s", weights_path(weights));
        snprintf(info->weights_type, sizeof(info->weights_type), "%s",
                 dtype_name(weights_dtype(weights)));
    }
    info->weights = model->weights == model->type ? VKCLIP_WEIGHTS_AUTO
                    : model->weights == TYPE_F16  ? VKCLIP_WEIGHTS_F16
                    : model->weights == TYPE_Q8   ? VKCLIP_WEIGHTS_Q8
                                                  : VKCLIP_WEIGHTS_Q4;
    info->precision = model->type == TYPE_F16 ? VKCLIP_PRECISION_F16 : VKCLIP_PRECISION_F32;
    info->tokenizer = model->tokenizer != NULL;
}

static int open_tokenizer(struct vkclip_model *model, const char *path)
{
    enum tokenizer_rules rules = model->config.family == VKCLIP_FAMILY_NONE ? TOKENIZER_BY_FILE
                                 : model->config.family == VKCLIP_FAMILY_HF ? TOKENIZER_HF
                                                                            : TOKENIZER_OPENAI;
    int error = tokenizer_open(path, rules, &model->tokenizer);
    if (error)
        return error;
    snprintf(model->info.tokenizer_path, sizeof(model->info.tokenizer_path), "%s", path);
    if (model->config.text.present && tokenizer_size(model->tokenizer) > model->config.vocabulary)
        return util_fail(VKCLIP_EFORMAT,
                         "%s: %u entries, but the model's token table has %u: not its vocabulary",
                         path, tokenizer_size(model->tokenizer), model->config.vocabulary);
    return VKCLIP_OK;
}

int vkclip_open_model(struct vkclip_device *device, const char *path,
                      const struct vkclip_model_params *params, struct vkclip_model **result)
{
    const struct vkclip_model_params none = {0};
    struct weights *weights = NULL;
    params = params ? params : &none;
    if (!result || (!path && !params->vocab))
        return util_fail(VKCLIP_EINVALID, "vkclip_open_model: a path or a vocabulary expected");
    *result = NULL;
    struct vkclip_model *model = calloc(1, sizeof(*model));
    if (!model)
        return util_fail(VKCLIP_EMEMORY, "out of memory for a model");
    model->gpu = device ? device->gpu : NULL;
    model->type = params->precision == VKCLIP_PRECISION_F16 ? TYPE_F16 : TYPE_F32;
    model->weights = params->weights == VKCLIP_WEIGHTS_F16  ? TYPE_F16
                     : params->weights == VKCLIP_WEIGHTS_Q8 ? TYPE_Q8
                     : params->weights == VKCLIP_WEIGHTS_Q4 ? TYPE_Q4
                                                            : model->type;
    int error = VKCLIP_OK;
    if (model->gpu && model->type == TYPE_F16 && !(gpu_caps(model->gpu) & CAP_F16))
        error = util_fail(VKCLIP_EUNSUPPORTED,
                          "%s has no 16-bit storage, which --precision f16 needs: use f32",
                          gpu_info(model->gpu)->name);
    if (!error && path)
        error = config_open(path, params, &model->config, &weights);
    const char *vocab = params->vocab ? params->vocab : model->config.tokenizer_path;
    if (!error && vocab)
        error = open_tokenizer(model, vocab);
    if (!error && weights && model->gpu)
        error = load_weights(model, weights, params->max_batch);
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
        return util_fail(VKCLIP_EINVALID, "vkclip_get_model_info: model and info expected");
    *info = model->info;
    return VKCLIP_OK;
}

void vkclip_close_model(struct vkclip_model **handle)
{
    struct vkclip_model *model = handle ? *handle : NULL;
    if (!model)
        return;
    for (int i = 0; i < PLANS; i++)
        plan_destroy(&model->plans[i].plan);
    upload_destroy(&model->upload);
    tokenizer_close(&model->tokenizer);
    config_close(&model->config);
    free(model);
    *handle = NULL;
}

/* ---- Texts and pictures
 * -------------------------------------------------------------------------- */

/* Too long for `limit` ids: cut with the end of text kept. */
static int fit_ids(const struct vkclip_model *model, bool strict, int32_t *ids, size_t limit,
                   size_t *count)
{
    if (*count <= limit)
        return VKCLIP_OK;
    if (strict)
        return util_fail(VKCLIP_ETOOLONG, "text of %zu tokens, expected at most %zu", *count,
                         limit);
    util_log(VKCLIP_LOG_WARNING, "text of %zu tokens truncated to %zu", *count, limit);
    ids[limit - 1] = tokenizer_end(model->tokenizer);
    *count = limit;
    return VKCLIP_OK;
}

int vkclip_tokenize(const struct vkclip_model *model, const char *text, size_t length,
                    unsigned flags, int32_t *ids, size_t capacity, size_t *count)
{
    if (!model || (!text && length) || (!ids && capacity) || !count)
        return util_fail(VKCLIP_EINVALID, "vkclip_tokenize: model, text, ids and count expected");
    if (!model->tokenizer)
        return util_fail(VKCLIP_EABSENT, "no vocabulary beside the checkpoint: name one (--vocab), "
                                         "such as tokenizer.json or bpe_simple_vocab_16e6.txt.gz");
    bool full = flags & VKCLIP_TOKENIZE_FULL;
    size_t limit = capacity, context = model->config.context;
    if (!full && context && context < limit)
        limit = context;
    if (!full && limit < 2)
        return util_fail(VKCLIP_EINVALID, "vkclip_tokenize: room for at least 2 ids expected");
    int error = tokenizer_encode(model->tokenizer, text, length, ids, limit, count);
    if (!error && !full)
        error = fit_ids(model, flags & VKCLIP_TOKENIZE_STRICT, ids, limit, count);
    if (!error && flags & VKCLIP_TOKENIZE_PAD)
        for (size_t i = *count; i < capacity; i++)
            ids[i] = tokenizer_pad(model->tokenizer);
    return error;
}

int vkclip_preprocess(const struct vkclip_model *model, const struct vkclip_image *image,
                      uint8_t *u8, float *pixel_values)
{
    if (!model || !image)
        return util_fail(VKCLIP_EINVALID, "vkclip_preprocess: model and image expected");
    const struct config *config = &model->config;
    if (!config->image.present)
        return util_fail(VKCLIP_EABSENT, "%s has no image tower",
                         model->info.weights_path[0] ? model->info.weights_path : "the model");
    struct image_transform transform = {.size = config->image_size, .rgb_first = config->rgb_first};
    memcpy(transform.mean, config->image_mean, sizeof(transform.mean));
    memcpy(transform.std, config->image_std, sizeof(transform.std));
    return image_preprocess(image, &transform, u8, pixel_values);
}

/* ---- Encoding
 * -------------------------------------------------------------------------------------- */

/* What is to be encoded: one of these is set. */
struct items {
    const struct vkclip_image *images;
    const float *pixels; /* [N,3,S,S] */
    const char *const *texts;
    const int32_t *ids; /* [M,length] */
    size_t length;
};

/* The result that is the embedding: the last node's, or what that normalises. */
static int embedding_tensor(const struct graph *graph, bool normalized)
{
    int last = (int)graph->node_count - 1;
    return normalized ? graph->nodes[last].out : graph->nodes[last].in[0];
}

/* A result with a name that vkclip_hidden_fn is given. */
static bool is_hidden(const struct tensor *tensor)
{
    return tensor->role == ROLE_ACTIVATION &&
           (!strncmp(tensor->name, "vision.", 7) || !strncmp(tensor->name, "text.", 5));
}

static int get_plan(struct vkclip_model *model, enum tower tower, uint32_t batch, bool hidden,
                    struct plan **result)
{
    struct kept_plan *oldest = &model->plans[0];
    model->clock++;
    for (int i = 0; i < PLANS; i++) {
        struct kept_plan *kept = &model->plans[i];
        if (kept->plan && kept->tower == tower && kept->batch == batch && kept->hidden == hidden) {
            kept->used = model->clock;
            *result = kept->plan;
            return VKCLIP_OK;
        }
        if (kept->used < oldest->used)
            oldest = kept;
    }
    plan_destroy(&oldest->plan);
    struct graph graph;
    int error = tower_graph(model, tower, batch, &graph);
    if (error)
        return error;
    int *outputs = calloc(graph.tensor_count, sizeof(*outputs));
    size_t count = 0;
    for (int t = 0; outputs && t < (int)graph.tensor_count; t++)
        if (t == embedding_tensor(&graph, true) || t == embedding_tensor(&graph, false) ||
            (hidden && is_hidden(&graph.tensors[t])))
            outputs[count++] = t;
    error = outputs ? plan_create(model->gpu, &graph, model->upload, outputs, count, &oldest->plan)
                    : util_fail(VKCLIP_EMEMORY, "out of memory for a plan");
    graph_free(&graph);
    free(outputs);
    oldest->tower = tower;
    oldest->batch = batch;
    oldest->hidden = hidden;
    oldest->used = model->clock;
    *result = oldest->plan;
    return error;
}

/* The batch for `left` items: the largest that they fill, or the next when at most a quarter is
 * padding. */
static uint32_t bucket(uint32_t most, size_t left)
{
    uint32_t batch = 1;
    while (batch < most && batch * 2 <= left)
        batch *= 2;
    return batch < most && left > batch && left * 4 >= (size_t)batch * 2 * 3 ? batch * 2 : batch;
}

static int write_image(struct vkclip_model *model, struct plan *plan, const struct items *items,
                       size_t item, uint32_t slot, float *scratch)
{
    const size_t size = (size_t)3 * model->config.image_size * model->config.image_size;
    const float *pixels = items->pixels ? &items->pixels[item * size] : scratch;
    int error =
        items->pixels ? VKCLIP_OK : vkclip_preprocess(model, &items->images[item], NULL, scratch);
    if (error)
        return error;
    const size_t floats = model_image_floats(&model->config);
    int input = graph_find(plan_graph(plan), "image");
    model_image_input(&model->config, pixels, scratch + size);
    plan_write(plan, input, slot * floats, scratch + size, floats);
    return VKCLIP_OK;
}

static int write_text(struct vkclip_model *model, struct plan *plan, const struct items *items,
                      size_t item, uint32_t slot, int32_t *ids)
{
    const size_t context = model->config.context;
    if (items->texts) {
        size_t count;
        int error = vkclip_tokenize(model, items->texts[item], strlen(items->texts[item]),
                                    VKCLIP_TOKENIZE_PAD, ids, context, &count);
        if (error)
            return error;
    } else {
        int32_t pad =
            model->tokenizer ? tokenizer_pad(model->tokenizer) : model->config.pad_token_id;
        for (size_t i = 0; i < context; i++)
            ids[i] = i < items->length ? items->ids[item * items->length + i] : pad;
    }
    for (size_t i = 0; i < context; i++)
        if (ids[i] < 0 || (uint32_t)ids[i] >= model->config.vocabulary)
            return util_fail(VKCLIP_EINVALID,
                             "text %zu: token id %d at position %zu, expected 0 to "
                             "%u",
                             item, ids[i], i, model->config.vocabulary - 1);
    int32_t end = model_end_of_text(&model->config, ids);
    plan_write_ids(plan, graph_find(plan_graph(plan), "text.ids"), slot * context, ids, context);
    plan_write_ids(plan, graph_find(plan_graph(plan), "text.rows"), slot, &end, 1);
    return VKCLIP_OK;
}

/* Pictures [N,H,W,C], as they are on the device, to [N,C,H,W], as the reference has them. */
static bool channels_first(float *values, size_t shape[4], size_t count)
{
    const size_t pixels = shape[1] * shape[2], channels = shape[3];
    float *copy = malloc(count * sizeof(*copy));
    if (!copy)
        return false;
    memcpy(copy, values, count * sizeof(*copy));
    for (size_t i = 0; i < count; i++) {
        size_t item = i / (channels * pixels), channel = i / pixels % channels, pixel = i % pixels;
        values[i] = copy[(item * pixels + pixel) * channels + channel];
    }
    free(copy);
    shape[3] = shape[2];
    shape[2] = shape[1];
    shape[1] = channels;
    return true;
}

/* Hands every named result to the caller. */
static int give_hidden(const struct plan *plan, const struct vkclip_encode_params *params,
                       size_t first, size_t items)
{
    const struct graph *graph = plan_graph(plan);
    for (size_t t = 0; t < graph->tensor_count; t++) {
        const struct tensor *tensor = &graph->tensors[t];
        if (!is_hidden(tensor))
            continue;
        size_t shape[GRAPH_MAX_RANK] = {items};
        size_t count = (size_t)(tensor_elements(tensor) / tensor->shape[0] * items);
        for (unsigned i = 1; i < tensor->rank; i++)
            shape[i] = tensor->shape[i];
        float *values = malloc(count * sizeof(*values));
        if (!values)
            return util_fail(VKCLIP_EMEMORY, "out of memory for hidden states");
        plan_read(plan, (int)t, 0, values, count);
        if (tensor->rank == 4 && !channels_first(values, shape, count)) {
            free(values);
            return util_fail(VKCLIP_EMEMORY, "out of memory for hidden states");
        }
        int stop =
            params->hidden(params->user, tensor->name, values, shape, tensor->rank, first, items);
        free(values);
        if (stop)
            return util_fail(VKCLIP_EINVALID, "stopped by the caller at %s", tensor->name);
    }
    return VKCLIP_OK;
}

static int check_encode(const struct vkclip_model *model, enum tower tower, const void *items,
                        size_t count, const float *embeds)
{
    const char *name = tower == TOWER_IMAGE ? "image" : "text";
    if (!model || (count && (!items || !embeds)))
        return util_fail(VKCLIP_EINVALID, "encoding: model, %ss and embeds expected", name);
    if (!has_tower(model, tower))
        return util_fail(VKCLIP_EABSENT, "%s has no %s tower",
                         model->info.weights_path[0] ? model->info.weights_path : "the model",
                         name);
    if (!model->gpu)
        return util_fail(VKCLIP_ENODEVICE, "the model was opened without a device");
    return VKCLIP_OK;
}

static int encode(struct vkclip_model *model, enum tower tower, const struct items *items,
                  size_t count, const struct vkclip_encode_params *params, float *embeds)
{
    const struct vkclip_encode_params none = {0};
    params = params ? params : &none;
    const struct config *config = &model->config;
    const size_t dim = tower == TOWER_IMAGE ? config->image_embed_dim : config->text_embed_dim;
    /* a picture and the tower's input, or a row of ids */
    size_t scratch_bytes = tower == TOWER_IMAGE
                               ? sizeof(float) * 7 * config->image_size * config->image_size
                               : sizeof(int32_t) * config->context;
    void *scratch = malloc(scratch_bytes);
    int error = scratch ? VKCLIP_OK : util_fail(VKCLIP_EMEMORY, "out of memory for a batch");
    for (size_t first = 0; first < count && !error;) {
        uint32_t batch = bucket(model->most_batch[tower], count - first);
        size_t number = count - first < batch ? count - first : batch;
        struct plan *plan = NULL;
        error = get_plan(model, tower, batch, params->hidden != NULL, &plan);
        for (uint32_t slot = 0; slot < number && !error; slot++)
            error = tower == TOWER_IMAGE
                        ? write_image(model, plan, items, first + slot, slot, scratch)
                        : write_text(model, plan, items, first + slot, slot, scratch);
        if (!error)
            error = plan_run(plan);
        if (error)
            break;
        int result = embedding_tensor(plan_graph(plan), !params->no_normalize);
        plan_read(plan, result, 0, &embeds[first * dim], number * dim);
        if (params->hidden)
            error = give_hidden(plan, params, first, number);
        first += number;
        if (params->progress)
            params->progress(params->user, first, count);
    }
    free(scratch);
    return error;
}

int vkclip_encode_images(struct vkclip_model *model, const struct vkclip_image *images,
                         size_t count, const struct vkclip_encode_params *params, float *embeds)
{
    int error = check_encode(model, TOWER_IMAGE, images, count, embeds);
    struct items items = {.images = images};
    return error ? error : encode(model, TOWER_IMAGE, &items, count, params, embeds);
}

int vkclip_encode_pixels(struct vkclip_model *model, const float *pixel_values, size_t count,
                         const struct vkclip_encode_params *params, float *embeds)
{
    int error = check_encode(model, TOWER_IMAGE, pixel_values, count, embeds);
    struct items items = {.pixels = pixel_values};
    return error ? error : encode(model, TOWER_IMAGE, &items, count, params, embeds);
}

int vkclip_encode_texts(struct vkclip_model *model, const char *const *texts, size_t count,
                        const struct vkclip_encode_params *params, float *embeds)
{
    int error = check_encode(model, TOWER_TEXT, texts, count, embeds);
    struct items items = {.texts = texts};
    return error ? error : encode(model, TOWER_TEXT, &items, count, params, embeds);
}

int vkclip_encode_tokens(struct vkclip_model *model, const int32_t *ids, size_t count,
                         size_t length, const struct vkclip_encode_params *params, float *embeds)
{
    int error = check_encode(model, TOWER_TEXT, ids, count, embeds);
    struct items items = {.ids = ids, .length = length};
    if (!error && (!length || length > model->config.context))
        return util_fail(VKCLIP_ETOOLONG, "rows of %zu token ids, expected 1 to %u", length,
                         model->config.context);
    return error ? error : encode(model, TOWER_TEXT, &items, count, params, embeds);
}

/* ---- Zero-shot use
 * ----------------------------------------------------------------------------------- */

int vkclip_similarity(const struct vkclip_model *model, const float *image_embeds, size_t n,
                      const float *text_embeds, size_t m, float *logits)
{
    if (!model || (n && m && (!image_embeds || !text_embeds || !logits)))
        return util_fail(VKCLIP_EINVALID, "vkclip_similarity: model, embeddings, logits expected");
    const struct config *config = &model->config;
    if (!config->image.present || !config->text.present ||
        config->image_embed_dim != config->text_embed_dim)
        return util_fail(VKCLIP_EABSENT, "similarity needs both towers in one space");
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

/* `label` in place of the first "{}" of `text`; a new string. */
static char *fill_template(const char *text, const char *label)
{
    const char *hole = strstr(text, "{}");
    return hole ? util_format("%.*s%s%s", (int)(hole - text), text, label, hole + 2) : NULL;
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
    int error = check_encode(model, TOWER_TEXT, labels, label_count, embeds);
    if (error)
        return error;
    if (!template_count)
        return vkclip_encode_texts(model, labels, label_count, params, embeds);
    for (size_t i = 0; i < template_count; i++)
        if (!strstr(templates[i], "{}"))
            return util_fail(VKCLIP_EINVALID, "template \"%s\": expected {} where the label goes",
                             templates[i]);
    const size_t dim = model->config.text_embed_dim, total = label_count * template_count;
    char **texts = calloc(total + 1, sizeof(*texts));
    float *each = malloc((total * dim + 1) * sizeof(*each));
    bool complete = texts && each;
    for (size_t i = 0; i < total && complete; i++) {
        texts[i] = fill_template(templates[i % template_count], labels[i / template_count]);
        complete = texts[i] != NULL;
    }
    error = complete ? vkclip_encode_texts(model, (const char *const *)texts, total, params, each)
                     : util_fail(VKCLIP_EMEMORY, "out of memory for labels");
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
        return util_fail(VKCLIP_EINVALID,
                         "vkclip_classify: model, images and normalised label_embeds expected");
    const size_t dim = model->config.image_embed_dim;
    float *embeds = malloc((count * dim + 1) * sizeof(*embeds));
    float *scores = malloc((count * label_count + 1) * sizeof(*scores));
    int error = embeds && scores ? vkclip_encode_images(model, images, count, params, embeds)
                                 : util_fail(VKCLIP_EMEMORY, "out of memory for classifying");
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
