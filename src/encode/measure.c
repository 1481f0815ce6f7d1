/* SPDX-License-Identifier: MIT
 *
 * Runs one batch of a tower with a timestamp after every node. Refuses a batch larger than those
 * that the model was opened for.
 */
#include "encode/measure.h"
#include "base/error.h"
#include "base/memory.h"

#include <stdio.h>

static void describe_node(const struct plan *plan, size_t index, struct vkclip_node *info)
{
    const struct graph *graph = plan_graph(plan);
    const struct node *node = &graph->nodes[index];
    *info = (struct vkclip_node){.op = op_name(node->op),
                                 .name = graph->tensors[node->out].name,
                                 .operations = node_work(graph, node),
                                 .bytes = (double)kernels_node_bytes(graph, node)};
    kernels_node_shape(graph, node, info->shape);
    kernels_choice_name(&plan_choices(plan)[index], info->kernel);
}

/* Counts weights at every node that reads them, because no two nodes of a tower's graph share a
 * weight. */
static int profile_plan(const struct vkclip_model *model, struct plan *plan, vkclip_node_fn *each,
                        void *user, struct vkclip_cost *cost)
{
    const struct graph *graph = plan_graph(plan);
    double *seconds = memory_calloc(graph->node_count + 1, sizeof(*seconds));
    if (!seconds)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a profile");
    int error = each ? plan_profile(plan, seconds) : VKCLIP_OK;
    bool timed = error != VKCLIP_EUNSUPPORTED;
    if (!timed)
        error = plan_run(plan);
    *cost = (struct vkclip_cost){.device_bytes = model->info.weights_bytes + plan_memory(plan)};
    for (size_t i = 0; i < graph->node_count && !error; i++) {
        struct vkclip_node info;
        describe_node(plan, i, &info);
        info.seconds = timed ? seconds[i] : -1;
        cost->operations += info.operations;
        cost->bytes += info.bytes;
        if (each && each(user, &info)) {
            error = error_fail(VKCLIP_ECANCELLED, "stopped by the caller");
            break;
        }
    }
    memory_free(seconds);
    return error;
}

int measure_tower(struct vkclip_model *model, enum tower tower, uint32_t batch,
                  vkclip_node_fn *each, void *user, struct vkclip_cost *cost)
{
    const struct replica_request request = {
        .tower = tower,
        .batch = batch,
        .length = tower == TOWER_TEXT ? model->spec.config.context : 0};
    const struct replica_plan *plan;
    if (!model->replica_count)
        return error_fail(VKCLIP_ENODEVICE, "the model was opened without a device");
    if (!replica_has_tower(&model->spec, tower))
        return error_fail(VKCLIP_EABSENT, "%s has no %s tower", model_name(model),
                          tower == TOWER_TEXT ? "text" : "image");
    const uint32_t most = replica_most_batch(model->replicas[0], tower);
    if (batch > most)
        return error_fail(VKCLIP_EINVALID, "a batch of %u, expected at most %u as opened", batch,
                          most);
    int error = replica_get_plan(model->replicas[0], &request, &plan);
    if (error == VKCLIP_EDEVICEMEMORY)
        return error_fail(error, "%s", error_last()); /* It was not logged. */
    return error ? error : profile_plan(model, plan->plan, each, user, cost);
}
