/* SPDX-License-Identifier: MIT
 *
 * Builds the graphs of a step from towers, objective, gradients and optimiser.
 */
#include "train/pass.h"

#include <string.h>

#include "base/memory.h"
#include "graph/objective.h"
#include "train/parameters.h"

static const struct pass_tensors no_tensors = {.towers = {TOWER_NO_TENSORS, TOWER_NO_TENSORS},
                                               .features = {-1, -1},
                                               .gradients = {-1, -1},
                                               .logit_scale = -1,
                                               .logit_bias = -1,
                                               .loss_scale = -1,
                                               .loss = -1,
                                               .optimiser = {-1, -1}};

uint32_t pass_micro_batch(const struct train_params *params)
{
    return params->micro_batch ? params->micro_batch : params->batch;
}

bool pass_is_whole(const struct train_params *params)
{
    return pass_micro_batch(params) == params->batch;
}

uint32_t pass_loss_rows(const struct config *config, const struct train_params *params)
{
    const uint32_t batch = params->batch, most_parts = batch / pass_micro_batch(params);
    const uint64_t limit = params->pairs_bytes ? params->pairs_bytes : PASS_PAIRS_BYTES;
    uint32_t parts = 1;
    if (!config->sigmoid || params->softmax)
        return batch;
    while (parts < most_parts &&
           (most_parts % parts || (uint64_t)batch / parts * batch * sizeof(float) > limit))
        parts++;
    return batch / parts;
}

static uint32_t count_unlocked(const struct train_params *params, enum tower tower)
{
    return tower == TOWER_IMAGE ? params->unlocked_image : params->unlocked_text;
}

static bool has_lock(const struct train_params *params, enum tower tower)
{
    return tower == TOWER_IMAGE ? params->lock_image : params->lock_text;
}

bool pass_is_locked(const struct train_params *params, enum tower tower)
{
    return has_lock(params, tower) && !count_unlocked(params, tower);
}

bool pass_locks(const struct train_params *params, const struct model_tensor *tensor)
{
    const enum tower tower = tensor->tower;
    return tower != TOWER_COUNT && has_lock(params, tower) &&
           (uint64_t)tensor->lock_group + count_unlocked(params, tower) < tensor->lock_groups;
}

bool pass_moves_statistics(const struct config *config, const struct train_params *params)
{
    return tower_find(config, TOWER_IMAGE)->batch_norm && !params->freeze_bn_stats &&
           !params->lock_image;
}

static void begin_pass(const struct train_params *params, struct pass *pass)
{
    *pass = (struct pass){.tensors = no_tensors};
    graph_init(&pass->graph, params->mixed ? TYPE_F16 : TYPE_F32);
    pass->graph.mixed = params->mixed;
    pass->graph.frozen = params->freeze_bn_stats;
    pass->graph.training = true;
}

void pass_close(struct pass *pass)
{
    graph_free(&pass->graph);
    memory_free(pass->ranges);
    pass->ranges = NULL;
}

static void append_logit_scale(struct pass *pass)
{
    const uint32_t one = 1;
    pass->tensors.logit_scale = graph_weight_f32(&pass->graph, "logit_scale", LAYOUT_ROWS, 1, &one);
}

/* Appends the weights of the objective. With the softmax loss a model's logit_bias stays as it is,
 * because adding one number to all logits changes nothing. */
static void append_logit_weights(const struct config *config, const struct train_params *params,
                                 struct pass *pass)
{
    const uint32_t one = 1;
    append_logit_scale(pass);
    if (!config->sigmoid)
        return;
    const int bias = graph_weight_f32(&pass->graph, "logit_bias", LAYOUT_ROWS, 1, &one);
    if (params->softmax && bias >= 0)
        pass->graph.tensors[bias].locked = true;
    else
        pass->tensors.logit_bias = bias;
}

/* Locks those of a tower's weights in the graph, from tensor number `first` on, that training
 * leaves as they are. */
static void lock_weights(const struct train_params *params, const struct model_tensor *tensors,
                         size_t count, size_t first, struct graph *graph)
{
    for (size_t t = first; t < graph->tensor_count; t++)
        for (size_t i = 0; i < count && graph->tensors[t].role == ROLE_WEIGHT; i++)
            if (!strcmp(graph->tensors[t].name, tensors[i].name))
                graph->tensors[t].locked |= pass_locks(params, &tensors[i]);
}

/* Returns how many of a tower's groups are locked, of which the first comes before the blocks. */
static uint32_t count_locked(const struct train_params *params, enum tower tower,
                             const struct model_tensor *tensors, size_t count)
{
    uint32_t locked = 0;
    for (size_t i = 0; i < count; i++)
        if (tensors[i].tower == tower && pass_locks(params, &tensors[i]) &&
            tensors[i].lock_group >= locked)
            locked = tensors[i].lock_group + 1;
    return locked;
}

/* Appends a tower. What is locked before its first trained tensor is computed as at inference, with
 * batch norm's running statistics. */
static void append_tower(const struct config *config, const struct train_params *params,
                         enum tower tower, uint32_t batch, struct pass *pass)
{
    struct graph *graph = &pass->graph;
    struct pass_tensors *tensors = &pass->tensors;
    const size_t first = graph->tensor_count;
    struct model_tensor *list = NULL;
    size_t count = 0;
    if (!graph->error)
        graph->error = tensors_list(config, &list, &count);
    const uint32_t locked = count_locked(params, tower, list, count);
    const bool partly = !pass_is_locked(params, tower);
    /* Of tensors before the blocks alone nothing is computed otherwise in training. */
    graph->training = !locked || (partly && locked == 1);
    graph->locked_segments = partly && locked > 1 ? (uint32_t)graph->segments + locked - 1 : 0;
    tower_append(config, tower, batch, graph, &tensors->towers[tower]);
    tensors->features[tower] = tensors->towers[tower].normalized;
    graph->training = true;
    graph->locked_segments = 0;
    lock_weights(params, list, count, first, graph);
    memory_free(list);
}

static void append_objective(struct pass *pass)
{
    struct pass_tensors *tensors = &pass->tensors;
    struct objective objective =
        objective_append(&pass->graph, tensors->features[TOWER_IMAGE],
                         tensors->features[TOWER_TEXT], tensors->logit_scale, tensors->logit_bias);
    tensors->gradients[TOWER_IMAGE] = objective.image_gradient;
    tensors->gradients[TOWER_TEXT] = objective.text_gradient;
    tensors->loss_scale = objective.loss_scale;
    tensors->loss = objective.loss;
}

void pass_build_whole(const struct config *config, const struct train_params *params,
                      struct pass *pass)
{
    struct pass_tensors *tensors = &pass->tensors;
    begin_pass(params, pass);
    append_logit_weights(config, params, pass);
    append_tower(config, params, TOWER_IMAGE, params->batch, pass);
    append_tower(config, params, TOWER_TEXT, params->batch, pass);
    append_objective(pass);
    const struct grad_seed seeds[] = {
        {tensors->features[TOWER_IMAGE], tensors->gradients[TOWER_IMAGE]},
        {tensors->features[TOWER_TEXT], tensors->gradients[TOWER_TEXT]}};
    tensors->sorted_ids = grad_backward(&pass->graph, 0, seeds, TOWER_COUNT, params->recompute);
}

/* Keeps the running statistics of batch norm in the pass without gradients. The pass with gradients
 * computes the same micro-batches and must be the only one to move the statistics. */
static void keep_running_stats(struct graph *graph)
{
    for (size_t n = 0; n < graph->node_count; n++)
        if (graph->nodes[n].op == OP_RUNNING)
            graph->nodes[n].running.momentum = 0;
}

void pass_build_tower(const struct config *config, const struct train_params *params,
                      enum tower tower, bool gradient, struct pass *pass)
{
    const uint32_t shape[] = {pass_micro_batch(params), config->image_embed_dim};
    struct pass_tensors *tensors = &pass->tensors;
    begin_pass(params, pass);
    append_tower(config, params, tower, shape[0], pass);
    if (!gradient) {
        keep_running_stats(&pass->graph);
        return;
    }
    tensors->gradients[tower] = graph_input(&pass->graph, "seed", TYPE_F32, 2, shape);
    const struct grad_seed seed = {tensors->features[tower], tensors->gradients[tower]};
    tensors->sorted_ids = grad_backward(&pass->graph, 0, &seed, 1, params->recompute);
}

void pass_build_loss(const struct config *config, const struct train_params *params,
                     struct pass *pass)
{
    const uint32_t image[] = {pass_loss_rows(config, params), config->image_embed_dim};
    const uint32_t text[] = {params->batch, config->text_embed_dim};
    struct pass_tensors *tensors = &pass->tensors;
    begin_pass(params, pass);
    append_logit_weights(config, params, pass);
    tensors->features[TOWER_IMAGE] =
        graph_input(&pass->graph, "image.features", TYPE_F32, 2, image);
    tensors->features[TOWER_TEXT] = graph_input(&pass->graph, "text.features", TYPE_F32, 2, text);
    append_objective(pass);
}

void pass_append_optimiser(const struct parameters *parameters, const struct train_params *params,
                           struct pass *pass)
{
    pass->tensors.optimiser =
        parameters_append_optimiser(parameters, params->adamw, params->ema_decay,
                                    pass->tensors.logit_scale, &pass->graph, &pass->ranges);
}

void pass_build_update(const struct parameters *parameters, const struct train_params *params,
                       struct pass *pass)
{
    *pass = (struct pass){.tensors = no_tensors};
    graph_init(&pass->graph, TYPE_F32);
    append_logit_scale(pass);
    pass_append_optimiser(parameters, params, pass);
}
