/* SPDX-License-Identifier: MIT
 *
 * Opens a model: its checkpoint, its vocabulary, and a replica on every GPU of the device. Refuses
 * fp16 where a GPU has no 16-bit storage.
 */
#include "encode/model.h"
#include "base/array.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/progress.h"
#include "checkpoint/inputs.h"
#include "checkpoint/open.h"
#include "checkpoint/weights.h"
#include "runtime/layout.h"

#include <stdio.h>
#include <string.h>

/* ---- What is told about a model -------------------------------------------------------------- */

/* Adds the device memory of a graph's weights. Where they stream, the largest segment has it
 * twice, and the others none. */
static int count_weights(const struct graph *graph, bool stream, uint64_t *bytes)
{
    uint64_t *segments = memory_calloc((size_t)graph->segments + 1, sizeof(*segments)), largest = 0;
    if (!segments)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a model");
    for (size_t n = 0; n < graph->node_count; n++)
        for (int i = 0; i < NODE_INPUTS; i++) {
            const int t = graph->nodes[n].in[i];
            if (t >= 0 && graph->tensors[t].role == ROLE_WEIGHT)
                segments[graph->nodes[n].segment] += layout_tensor_bytes(&graph->tensors[t]);
        }
    *bytes += segments[0];
    for (uint32_t segment = 1; segment <= graph->segments; segment++) {
        largest = segments[segment] > largest ? segments[segment] : largest;
        *bytes += stream ? 0 : segments[segment];
    }
    *bytes += stream ? 2 * largest : 0;
    memory_free(segments);
    return VKCLIP_OK;
}

/* Counts the device memory of a tower's weights, and of the activations of one item. */
static int count_tower_memory(struct vkclip_model *model, enum tower tower, uint64_t *arena)
{
    struct graph graph;
    const struct replica_request request = {.tower = tower, .batch = 1};
    uint64_t least;
    int error = replica_graph(&model->spec, &request, &graph, NULL);
    if (!error)
        error = plan_measure(&graph, 1, false, arena, &least);
    if (!error)
        error = count_weights(&graph, model->spec.stream, &model->info.weights_bytes);
    graph_free(&graph);
    return error;
}

/* Counts only the larger tower's activations, because towers run one after the other. */
static int measure_memory(struct vkclip_model *model)
{
    uint64_t activations = 0;
    int error = VKCLIP_OK;
    for (enum tower tower = 0; tower < TOWER_COUNT && !error; tower++) {
        uint64_t arena = 0;
        if (!replica_has_tower(&model->spec, tower))
            continue;
        error = count_tower_memory(model, tower, &arena);
        activations = arena > activations ? arena : activations;
    }
    model->info.memory_bytes = model->info.weights_bytes + activations;
    return error;
}

/* Public names of the types of matrices. AUTO means the type of the activations. */
static const enum type weight_types[] = {
    [VKCLIP_WEIGHTS_F16] = TYPE_F16,
    [VKCLIP_WEIGHTS_Q8] = TYPE_Q8,
    [VKCLIP_WEIGHTS_Q4] = TYPE_Q4,
};

static enum vkclip_weights public_weights(const struct replica_spec *spec)
{
    enum vkclip_weights weights = VKCLIP_WEIGHTS_AUTO;
    if (spec->weights != spec->type)
        for (size_t i = VKCLIP_WEIGHTS_F16; i < ARRAY_COUNT(weight_types); i++)
            if (weight_types[i] == spec->weights)
                weights = (enum vkclip_weights)i;
    return weights;
}

static void fill_info(struct vkclip_model *model)
{
    const struct weights *weights = model->weights;
    const struct config *config = &model->spec.config;
    struct vkclip_model_info *info = &model->info;
    info->family = config->family;
    info->image = tower_describe(config, TOWER_IMAGE);
    info->text = tower_describe(config, TOWER_TEXT);
    snprintf(info->image_kind, sizeof(info->image_kind), "%s", tower_kind_name(config->image.kind));
    snprintf(info->text_kind, sizeof(info->text_kind), "%s", tower_kind_name(config->text.kind));
    memcpy(info->stages, config->stages, sizeof(info->stages));
    memcpy(info->stage_widths, config->stage_widths, sizeof(info->stage_widths));
    info->image_size = config->image_size;
    info->patch_size = config->stages[0] ? 0 : config->patch_size;
    info->context = config->context;
    info->vocabulary = config->vocabulary;
    info->embed_dim = config->image.kind ? config->image_embed_dim : config->text_embed_dim;
    info->text_embed_dim = config->text.kind ? config->text_embed_dim : 0;
    info->logit_scale = config->logit_scale;
    info->sigmoid = config->sigmoid;
    info->logit_bias = config->sigmoid ? config->logit_bias : 0;
    memcpy(info->image_mean, config->image_mean, sizeof(info->image_mean));
    memcpy(info->image_std, config->image_std, sizeof(info->image_std));
    if (weights) {
        info->parameters = weights_parameters(weights);
        snprintf(info->weights_type, sizeof(info->weights_type), "%s",
                 dtype_name(weights_dtype(weights)));
    }
    info->weights = public_weights(&model->spec);
    info->precision = model->spec.type == TYPE_F16 ? VKCLIP_PRECISION_F16 : VKCLIP_PRECISION_F32;
    info->tokenizer = model->tokenizer != NULL;
    if (model->tokenizer)
        info->tokenizer_context = tokenizer_context(model->tokenizer);
}

const char *model_name(const struct vkclip_model *model)
{
    return model->info.weights_path[0] ? model->info.weights_path : "the model";
}

/* ---- Opening --------------------------------------------------------------------------------- */

static int choose_types(const struct vkclip_device *device,
                        const struct vkclip_model_params *params, const struct weights *weights,
                        struct replica_spec *spec)
{
    const struct tower_row *text = tower_find(&spec->config, TOWER_TEXT);
    spec->type = params->precision == VKCLIP_PRECISION_F16 ? TYPE_F16 : TYPE_F32;
    spec->weights = spec->type;
    spec->stream = params->stream;
    if (params->weights > VKCLIP_WEIGHTS_AUTO && params->weights <= VKCLIP_WEIGHTS_Q4)
        spec->weights = weight_types[params->weights];
    else if (text && text->fp32 && weights && weights_are_halves(weights))
        spec->weights = TYPE_F16; /* Half of the memory holds the same values. */
    spec->compute_f16 = params->compute == VKCLIP_COMPUTE_F16 && !(text && text->fp32);
    if (params->compute == VKCLIP_COMPUTE_F16 && !spec->compute_f16)
        log_message(VKCLIP_LOG_WARNING, "the values between T5's layers exceed f16 (`compute`): "
                                        "they are multiplied in f32");
    if (text && text->fp32 && spec->type == TYPE_F16) {
        spec->type = TYPE_F32;
        log_message(VKCLIP_LOG_WARNING, "the values between T5's layers exceed f16 (`precision`): "
                                        "they stay f32, and the weights are f16");
    }
    for (size_t i = 0; device && spec->type == TYPE_F16 && i < device->count; i++)
        if (!(gpu_caps(device->gpus[i]) & CAP_F16))
            return error_fail(VKCLIP_EUNSUPPORTED,
                              "%s has no 16-bit storage%s, which f16 (`precision`) needs: use f32",
                              gpu_info(device->gpus[i])->name,
                              gpu_is_lent(device->gpus[i])
                                  ? " (or the application did not enable storageBuffer16BitAccess)"
                                  : "");
    return VKCLIP_OK;
}

static int open_tokenizer(struct vkclip_model *model, const struct vkclip_model_params *params)
{
    const struct config *config = &model->spec.config;
    const char *path = params->vocab ? params->vocab : config->tokenizer_path;
    if (!path)
        return VKCLIP_OK;
    snprintf(model->info.tokenizer_path, sizeof(model->info.tokenizer_path), "%s", path);
    if (!params->vocab && weights_has_vocabulary(model->weights))
        return checkpoint_open_vocabulary_source(config, weights_source(model->weights),
                                                 &model->tokenizer);
    return checkpoint_open_vocabulary(config, path, &model->tokenizer);
}

static int open_replicas(struct vkclip_model *model, uint32_t max_batch)
{
    struct vkclip_device *device = model->device;
    int error = VKCLIP_OK;
    for (size_t i = 0; i < device->count && !error; i++) {
        error =
            replica_open(device, i, &model->spec, model->weights, max_batch, &model->replicas[i]);
        model->replica_count++;
    }
    return error;
}

int model_read(struct vkclip_device *device, const struct file_source *source,
               const struct vkclip_model_params *params, struct vkclip_model **result)
{
    struct vkclip_model *model = *result = memory_calloc(1, sizeof(*model));
    if (!model)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a model");
    model->device = device;
    int error = progress_check();
    if (!error && source)
        error = checkpoint_open_source(source, params, &model->spec.config, &model->weights);
    if (!error && source)
        snprintf(model->info.weights_path, sizeof(model->info.weights_path), "%s",
                 weights_path(model->weights));
    if (!error)
        error = progress_check();
    if (!error)
        error = open_tokenizer(model, params);
    if (!error)
        error = progress_check();
    if (error)
        model_close(result);
    return error;
}

int model_place(const struct vkclip_model_params *params, struct vkclip_model **result)
{
    struct vkclip_model *model = *result;
    int error = choose_types(model->device, params, model->weights, &model->spec);
    if (!error && model->device && model->weights)
        error = open_replicas(model, params->max_batch);
    if (!error)
        error = measure_memory(model);
    if (!error)
        fill_info(model);
    if (error)
        model_close(result);
    return error;
}

int model_open(struct vkclip_device *device, const char *path,
               const struct vkclip_model_params *params, struct vkclip_model **model)
{
    const struct file_source source = file_source_path(path);
    int error = model_read(device, path ? &source : NULL, params, model);
    return error ? error : model_place(params, model);
}

void model_close(struct vkclip_model **handle)
{
    struct vkclip_model *model = *handle;
    if (!model)
        return;
    for (int i = 0; i < DEVICE_GPUS; i++)
        replica_close(&model->replicas[i]);
    weights_close(&model->weights);
    memory_free(model->texts);
    tokenizer_close(&model->tokenizer);
    config_close(&model->spec.config);
    memory_free(model);
    *handle = NULL;
}
