/* SPDX-License-Identifier: MIT
 *
 * The plans of a step, and what the host does between them.
 */
#include "train/step.h"
#include "base/error.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/tower.h"
#include "runtime/plan.h"
#include "train/parameters.h"
#include "runtime/tune.h"

enum {
    PLAN_STEP,
    PLAN_IMAGE,
    PLAN_TEXT,
    PLAN_LOSS,
    PLAN_IMAGE_GRAD,
    PLAN_TEXT_GRAD,
    PLAN_UPDATE,
    PLAN_GRADIENTS,
    PLAN_COUNT
};

struct train {
    struct gpu *gpu;
    struct tuner *tuner;
    struct config config;
    struct train_params params;
    struct train_parameters parameters;
    struct plan *plans[PLAN_COUNT];
    float *features[4]; /* image, text and their gradients [B,D], of micro-batches */
    float *input;       /* one picture as the tower takes it */
    int32_t *ends, *order, *runs;
    float loss_scale;
};

static uint32_t micro_batch(const struct train_params *params)
{
    return params->micro_batch ? params->micro_batch : params->batch;
}

/* A step is one plan. */
static bool is_whole(const struct train_params *params)
{
    return micro_batch(params) == params->batch;
}

static uint32_t embed_dim(const struct config *config)
{
    return config->image_embed_dim;
}

/* ---- Graphs ---------------------------------------------------------------------------------- */

static void begin_graph(const struct train_params *params, struct graph *graph)
{
    graph_init(graph, params->mixed ? TYPE_F16 : TYPE_F32);
    graph->mixed = params->mixed;
    graph->frozen = params->freeze_bn_stats;
}

static int add_logit_scale(struct graph *graph)
{
    const uint32_t one = 1;
    return graph_state(graph, "logit_scale", LAYOUT_ROWS, 1, &one);
}

static bool is_locked(const struct train_params *params, bool image)
{
    return image ? params->lock_image : params->lock_text;
}

/* A locked tower is computed as at inference, with batch norm's running statistics. */
static int add_tower(const struct config *config, const struct train_params *params, bool image,
                     uint32_t batch, struct graph *graph)
{
    const bool locked = is_locked(params, image);
    size_t first = graph->tensor_count;
    graph->training = !locked;
    struct tower_tensors tensors;
    tower_append(config, image ? TOWER_IMAGE : TOWER_TEXT, batch, graph, &tensors);
    graph->training = true;
    for (size_t t = first; t < graph->tensor_count && locked; t++)
        graph->tensors[t].locked = true;
    return tensors.normalized;
}

/* Towers, objective and gradients of a batch at once; the objective's tensor goes to *loss. */
static int whole_graph(const struct config *config, const struct train_params *params,
                       struct graph *graph, int *loss)
{
    struct grad_objective objective = {-1, -1, -1};
    begin_graph(params, graph);
    int scale = add_logit_scale(graph);
    int image = add_tower(config, params, true, params->batch, graph);
    int text = add_tower(config, params, false, params->batch, graph);
    grad_objective(graph, image, text, scale, &objective);
    const struct grad_seed seeds[] = {{image, objective.image}, {text, objective.text}};
    *loss = objective.loss;
    return grad_backward(graph, 0, seeds, 2, params->checkpoint_activations);
}

/* A tower's micro-batch: its features, or with their gradient given those of its weights. */
static int tower_graph(const struct config *config, const struct train_params *params, bool image,
                       bool gradient, struct graph *graph, int *features)
{
    const uint32_t shape[] = {micro_batch(params), embed_dim(config)};
    begin_graph(params, graph);
    *features = add_tower(config, params, image, shape[0], graph);
    if (!gradient)
        for (size_t n = 0; n < graph->node_count; n++) /* moved once, with the gradients */
            if (graph->nodes[n].op == OP_RUNNING)
                graph->nodes[n].running.momentum = 0;
    if (!gradient || graph->error)
        return graph->error;
    struct grad_seed seed = {*features, graph_input(graph, "seed", TYPE_F32, 2, shape)};
    return grad_backward(graph, 0, &seed, 1, params->checkpoint_activations);
}

static int loss_graph(const struct config *config, const struct train_params *params,
                      struct graph *graph, struct grad_objective *objective)
{
    const uint32_t shape[] = {params->batch, embed_dim(config)};
    begin_graph(params, graph);
    graph->training = true;
    int scale = add_logit_scale(graph);
    int image = graph_input(graph, "image.features", TYPE_F32, 2, shape);
    int text = graph_input(graph, "text.features", TYPE_F32, 2, shape);
    return grad_objective(graph, image, text, scale, objective);
}

/* ---- Open and close -------------------------------------------------------------------------- */

static int check_params(const struct config *config, const struct train_params *params)
{
    if (!config->image.kind || !config->text.kind)
        return error_fail(VKCLIP_EUNSUPPORTED, "training needs an image and a text tower");
    if (config->image_embed_dim != config->text_embed_dim)
        return error_fail(VKCLIP_EUNSUPPORTED,
                          "training needs both towers in one space: pictures have %u dimensions, "
                          "texts %u",
                          config->image_embed_dim, config->text_embed_dim);
    if (params->freeze_bn_stats && !tower_find(config, TOWER_IMAGE)->batch_norm)
        return error_fail(VKCLIP_EINVALID, "`freeze_bn_stats`: this image tower has no batch norm");
    if (params->batch < 1 || micro_batch(params) > params->batch ||
        params->batch % micro_batch(params))
        return error_fail(VKCLIP_EINVALID,
                          "batch %u, micro-batch %u: expected a divisor of the batch",
                          params->batch, params->micro_batch);
    return VKCLIP_OK;
}

/* Takes the graph over. */
static int measure_plan(struct graph *graph, struct train_memory *memory)
{
    uint64_t arena, least;
    int error = graph->error ? graph->error : plan_measure(graph, 256, &arena, &least);
    if (!error && arena > memory->activations) {
        memory->activations = arena;
        memory->least = least;
    }
    graph_free(graph);
    return error;
}

int train_measure(const struct config *config, const struct train_params *params,
                  struct train_memory *memory)
{
    struct graph graph;
    struct grad_objective objective;
    int tensor, error = check_params(config, params);
    *memory = (struct train_memory){0};
    if (error)
        return error;
    error = whole_graph(config, params, &graph, &tensor);
    if (!error)
        error = train_parameters_measure(&graph, memory);
    if (!error && is_whole(params))
        return measure_plan(&graph, memory);
    graph_free(&graph);
    for (int image = 0; image < 2 && !error; image++) {
        tower_graph(config, params, image, true, &graph, &tensor);
        error = measure_plan(&graph, memory);
    }
    if (!error) {
        loss_graph(config, params, &graph, &objective);
        error = measure_plan(&graph, memory);
    }
    return error;
}

/* Takes the graph over. */
static int create_plan(struct train *train, int which, struct graph *graph, const int *outputs,
                       size_t count)
{
    int error = graph->error;
    if (error) {
        graph_free(graph);
        return error;
    }
    const struct plan_params params = {.gpu = train->gpu,
                                       .tuner = train->tuner,
                                       .tuning_seconds = TUNE_SECONDS_TRAINING,
                                       .weights = train->parameters.weights,
                                       .outputs = outputs,
                                       .output_count = count};
    return plan_create(&params, graph, &train->plans[which]);
}

static int create_whole(struct train *train, int which)
{
    struct graph graph;
    int outputs[2] = {-1, -1}, error = whole_graph(&train->config, &train->params, &graph, outputs);
    if (!error && which == PLAN_STEP)
        error = train_parameters_update(&train->parameters, train->params.adamw, &graph);
    outputs[1] = graph_find(&graph, "clip");
    return create_plan(train, which, &graph, outputs, which == PLAN_STEP ? 2 : 1);
}

static int create_update(struct train *train)
{
    struct graph graph;
    graph_init(&graph, TYPE_F32);
    train_parameters_update(&train->parameters, train->params.adamw, &graph);
    int clip = graph_find(&graph, "clip");
    return create_plan(train, PLAN_UPDATE, &graph, &clip, 1);
}

static int tower_plan(bool image, bool gradient)
{
    return gradient ? image ? PLAN_IMAGE_GRAD : PLAN_TEXT_GRAD : image ? PLAN_IMAGE : PLAN_TEXT;
}

static int create_tower(struct train *train, bool image, bool gradient)
{
    struct graph graph;
    int features = -1;
    if (gradient && is_locked(&train->params, image))
        return VKCLIP_OK;
    tower_graph(&train->config, &train->params, image, gradient, &graph, &features);
    return create_plan(train, tower_plan(image, gradient), &graph, &features, 1);
}

static int create_loss(struct train *train)
{
    struct graph graph;
    struct grad_objective objective = {-1, -1, -1};
    loss_graph(&train->config, &train->params, &graph, &objective);
    const int outputs[] = {objective.loss, objective.image, objective.text};
    graph_rename(&graph, objective.image, "image.gradient");
    graph_rename(&graph, objective.text, "text.gradient");
    return create_plan(train, PLAN_LOSS, &graph, outputs, 3);
}

static int create_plans(struct train *train)
{
    if (is_whole(&train->params))
        return create_whole(train, PLAN_STEP);
    int error = create_loss(train);
    for (int i = 0; i < 4 && !error; i++)
        error = create_tower(train, i & 1, i & 2);
    return error ? error : create_update(train);
}

static int create_host_memory(struct train *train)
{
    size_t batch = train->params.batch, tokens = batch * train->config.context;
    bool missing = false;
    for (int i = 0; i < 4; i++)
        missing |= !(train->features[i] = calloc(batch * embed_dim(&train->config), sizeof(float)));
    train->input = calloc(tower_picture_floats(&train->config), sizeof(float));
    train->ends = calloc(batch, sizeof(*train->ends));
    train->order = calloc(tokens, sizeof(*train->order));
    train->runs = calloc(2 * tokens + 2, sizeof(*train->runs));
    return missing || !train->input || !train->ends || !train->order || !train->runs
               ? error_fail(VKCLIP_EMEMORY, "out of memory for a batch")
               : VKCLIP_OK;
}

int train_open(struct gpu *gpu, struct tuner *tuner, const struct config *config,
               const struct weights *weights, const struct train_params *params,
               struct train **result)
{
    struct graph graph = {0};
    int loss, error = check_params(config, params);
    *result = NULL;
    if (!error && params->mixed && !(gpu_caps(gpu) & CAP_F16))
        error =
            error_fail(VKCLIP_EUNSUPPORTED,
                       "%s has no 16-bit storage, which f16 (`precision`) needs: train with f32",
                       gpu_info(gpu)->name);
    if (error)
        return error;
    struct train *train = *result = calloc(1, sizeof(*train));
    if (!train)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a training run");
    train->gpu = gpu;
    train->tuner = tuner;
    train->config = *config;
    train->params = *params;
    train->loss_scale = 1;
    error = whole_graph(config, params, &graph, &loss);
    if (!error)
        error = train_parameters_open(gpu, &graph, weights, &train->parameters);
    graph_free(&graph);
    if (!error)
        error = create_host_memory(train);
    if (!error)
        error = create_plans(train);
    if (error)
        train_close(result);
    return error;
}

void train_close(struct train **handle)
{
    struct train *train = *handle;
    if (!train)
        return;
    for (int i = 0; i < PLAN_COUNT; i++)
        plan_destroy(&train->plans[i]);
    train_parameters_close(&train->parameters);
    for (int i = 0; i < 4; i++)
        free(train->features[i]);
    free(train->input);
    free(train->ends);
    free(train->order);
    free(train->runs);
    free(train);
    *handle = NULL;
}

/* ---- Parameters ------------------------------------------------------------------------------ */

size_t train_count(const struct train *train)
{
    return train->parameters.count;
}

const struct train_parameter *train_parameter(const struct train *train, size_t index)
{
    return train_parameters_get(&train->parameters, index);
}

int train_read(struct train *train, size_t index, enum train_value what, float *values)
{
    return train_parameters_read(&train->parameters, index, what, values);
}

int train_write(struct train *train, size_t index, enum train_value what, const float *values)
{
    return train_parameters_write(&train->parameters, index, what, values);
}

/* ---- A step ---------------------------------------------------------------------------------- */

static void write_pixels(struct train *train, struct plan *plan, const float *pixels,
                         uint32_t items)
{
    const struct config *config = &train->config;
    const size_t floats = tower_picture_floats(config);
    const size_t values = (size_t)3 * config->image_size * config->image_size;
    int input = graph_find(plan_graph(plan), "image");
    for (uint32_t i = 0; i < items; i++) {
        tower_write_picture(config, pixels + i * values, train->input);
        plan_write(plan, input, i * floats, train->input, floats);
    }
}

static void write_texts(struct train *train, struct plan *plan, const int32_t *ids, uint32_t items)
{
    const struct config *config = &train->config;
    const struct graph *graph = plan_graph(plan);
    const uint32_t tokens = items * config->context;
    int order = graph_find(graph, "text.order");
    for (uint32_t i = 0; i < items; i++)
        train->ends[i] = tower_text_end(config, ids + (size_t)i * config->context);
    plan_write_ids(plan, graph_find(graph, "text.ids"), 0, ids, tokens);
    plan_write_ids(plan, graph_find(graph, "text.rows"), 0, train->ends, items);
    if (order < 0)
        return;
    grad_sort_ids(ids, train->ends, items, config->context, train->order, train->runs);
    plan_write_ids(plan, order, 0, train->order, tokens);
    plan_write_ids(plan, graph_find(graph, "text.runs"), 0, train->runs, 2 * tokens + 2);
}

/* A tower over all micro-batches: features out, or gradients of features in. */
static int run_tower(struct train *train, bool image, bool gradient, const float *pixels,
                     const int32_t *ids)
{
    struct plan *plan = train->plans[tower_plan(image, gradient)];
    const uint32_t micro = micro_batch(&train->params), d = embed_dim(&train->config);
    const size_t picture = (size_t)3 * train->config.image_size * train->config.image_size;
    int error = VKCLIP_OK;
    for (uint32_t first = 0; first < train->params.batch && plan && !error; first += micro) {
        size_t at = (size_t)first * d, count = (size_t)micro * d;
        if (image)
            write_pixels(train, plan, pixels + first * picture, micro);
        else
            write_texts(train, plan, ids + (size_t)first * train->config.context, micro);
        if (gradient)
            plan_write(plan, graph_find(plan_graph(plan), "seed"), 0,
                       train->features[image ? 2 : 3] + at, count);
        error = plan_run(plan);
        int features =
            graph_find(plan_graph(plan), image ? "vision.normalized" : "text.normalized");
        if (!error && !gradient)
            plan_read(plan, features, 0, train->features[image ? 0 : 1] + at, count);
    }
    return error;
}

void train_scale_loss(struct train *train, float scale)
{
    train->loss_scale = train->params.mixed ? scale : 1;
}

static void write_loss_scale(struct train *train, struct plan *plan)
{
    int input = graph_find(plan_graph(plan), "loss_scale");
    if (input >= 0)
        plan_write(plan, input, 0, &train->loss_scale, 1);
}

static void read_loss(struct plan *plan, struct train_result *result)
{
    plan_read(plan, graph_find(plan_graph(plan), "loss"), 0, &result->loss, 1);
}

static int run_micro_batches(struct train *train, const float *pixels, const int32_t *ids,
                             struct train_result *result)
{
    struct plan *plan = train->plans[PLAN_LOSS];
    const struct graph *graph = plan_graph(plan);
    const size_t count = (size_t)train->params.batch * embed_dim(&train->config);
    static const char *const names[] = {"image.features", "text.features", "image.gradient",
                                        "text.gradient"};
    int error = run_tower(train, true, false, pixels, ids);
    if (!error)
        error = run_tower(train, false, false, pixels, ids);
    for (int i = 0; i < 2 && !error; i++)
        plan_write(plan, graph_find(graph, names[i]), 0, train->features[i], count);
    write_loss_scale(train, plan);
    if (!error)
        error = plan_run(plan);
    for (int i = 2; i < 4 && !error; i++)
        plan_read(plan, graph_find(graph, names[i]), 0, train->features[i], count);
    if (!error)
        read_loss(plan, result);
    if (!error)
        error = run_tower(train, true, true, pixels, ids);
    return error ? error : run_tower(train, false, true, pixels, ids);
}

static void write_step(struct train *train, struct plan *plan, uint64_t step, double rate)
{
    const struct grad_adamw *adamw = &train->params.adamw;
    const double k = (double)step + 1;
    const float values[GRAD_STEP_VALUES] = {
        [GRAD_RATE] = (float)rate,
        [GRAD_CORRECTION1] = (float)(1 / (1 - pow((double)adamw->beta1, k))),
        [GRAD_CORRECTION2] = (float)(1 / (1 - pow((double)adamw->beta2, k))),
        [GRAD_MOST_NORM] = train->params.grad_clip_norm,
        [GRAD_UNSCALE] = 1 / train->loss_scale};
    plan_write(plan, graph_find(plan_graph(plan), "step"), 0, values, GRAD_STEP_VALUES);
}

static void read_step(struct plan *plan, struct train_result *result)
{
    float values[GRAD_STEP_VALUES];
    plan_read(plan, graph_find(plan_graph(plan), "clip"), 0, values, GRAD_STEP_VALUES);
    result->norm = values[GRAD_NORM];
    result->skipped = values[GRAD_FACTOR] == 0;
}

static int read_logit_scale(struct train *train, struct train_result *result)
{
    const struct train_parameter *parameter;
    for (size_t i = 0; (parameter = train_parameter(train, i)); i++)
        if (!strcmp(parameter->name, "logit_scale"))
            return train_read(train, i, TRAIN_VALUE, &result->logit_scale);
    return VKCLIP_OK;
}

static int run_whole(struct train *train, struct plan *plan, const float *pixels,
                     const int32_t *ids, struct train_result *result)
{
    write_pixels(train, plan, pixels, train->params.batch);
    write_texts(train, plan, ids, train->params.batch);
    write_loss_scale(train, plan);
    int error = plan_run(plan);
    if (!error)
        read_loss(plan, result);
    return error;
}

int train_step(struct train *train, const float *pixels, const int32_t *ids, uint64_t step,
               double rate, struct train_result *result)
{
    struct plan *plan = train->plans[is_whole(&train->params) ? PLAN_STEP : PLAN_UPDATE];
    *result = (struct train_result){.loss_scale = train->loss_scale};
    int error = read_logit_scale(train, result);
    write_step(train, plan, step, rate);
    if (!error)
        error = is_whole(&train->params) ? run_whole(train, plan, pixels, ids, result)
                                         : run_micro_batches(train, pixels, ids, result);
    if (!error && !is_whole(&train->params))
        error = plan_run(plan);
    if (!error)
        read_step(plan, result);
    return error;
}

int train_gradients(struct train *train, const float *pixels, const int32_t *ids,
                    struct train_result *result)
{
    *result = (struct train_result){.loss_scale = train->loss_scale};
    int error = read_logit_scale(train, result);
    if (error || !is_whole(&train->params))
        return error ? error : run_micro_batches(train, pixels, ids, result);
    if (!train->plans[PLAN_GRADIENTS])
        error = create_whole(train, PLAN_GRADIENTS);
    return error ? error : run_whole(train, train->plans[PLAN_GRADIENTS], pixels, ids, result);
}

int train_profile(struct train *train, double seconds[OP_COUNT])
{
    struct plan *plan = train->plans[is_whole(&train->params) ? PLAN_STEP : PLAN_IMAGE_GRAD];
    const struct graph *graph = plan_graph(plan);
    double *nodes = calloc(graph->node_count + 1, sizeof(*nodes));
    int error = nodes ? plan_profile(plan, nodes)
                      : error_fail(VKCLIP_EMEMORY, "out of memory for a profile");
    memset(seconds, 0, OP_COUNT * sizeof(*seconds));
    for (size_t i = 0; i < graph->node_count && !error; i++)
        seconds[graph->nodes[i].op] += nodes[i];
    free(nodes);
    return error;
}
