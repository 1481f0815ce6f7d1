/* SPDX-License-Identifier: MIT
 *
 * Public functions that measure: the device's peaks, and where a tower's time goes.
 */
#include "base/error.h"
#include "encode/replica.h"
#include "runtime/peak.h"
#include "api/model.h"

#include <stdio.h>
#include <stdlib.h>

int vkclip_measure_peaks(struct vkclip_device *device, struct vkclip_peaks *peaks)
{
    if (!device || !peaks)
        return error_fail(VKCLIP_EINVALID, "vkclip_measure_peaks: device and peaks expected");
    return peak_measure(device->gpus[0], peaks);
}

static void describe(const struct plan *plan, size_t index, struct vkclip_node *info)
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

/* Weights that several nodes read are counted at each: no graph here has such. */
static int profile(const struct vkclip_model *model, struct plan *plan, vkclip_node_fn *each,
                   void *user, struct vkclip_cost *cost)
{
    const struct graph *graph = plan_graph(plan);
    double *seconds = calloc(graph->node_count + 1, sizeof(*seconds));
    if (!seconds)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a profile");
    int error = each ? plan_profile(plan, seconds) : VKCLIP_OK;
    bool timed = error != VKCLIP_EUNSUPPORTED;
    if (!timed)
        error = plan_run(plan);
    *cost = (struct vkclip_cost){.device_bytes = model->info.weights_bytes + plan_memory(plan)};
    for (size_t i = 0; i < graph->node_count && !error; i++) {
        struct vkclip_node info;
        describe(plan, i, &info);
        info.seconds = timed ? seconds[i] : -1;
        cost->operations += info.operations;
        cost->bytes += info.bytes;
        if (each)
            each(user, &info);
    }
    free(seconds);
    return error;
}

int vkclip_profile(struct vkclip_model *model, enum vkclip_tower tower, uint32_t batch,
                   vkclip_node_fn *each, void *user, struct vkclip_cost *cost)
{
    const enum tower which = tower == VKCLIP_TOWER_TEXT ? TOWER_TEXT : TOWER_IMAGE;
    const struct replica_plan *plan;
    if (!model || !batch || !cost)
        return error_fail(VKCLIP_EINVALID, "vkclip_profile: model, batch and cost expected");
    if (!model->replica_count)
        return error_fail(VKCLIP_ENODEVICE, "the model was opened without a device");
    if (!replica_has_tower(&model->spec, which))
        return error_fail(VKCLIP_EABSENT, "%s has no %s tower", model->info.weights_path,
                          which == TOWER_TEXT ? "text" : "image");
    if (batch > replica_most_batch(model->replicas[0], which))
        return error_fail(VKCLIP_EINVALID, "a batch of %u, expected at most %u as opened", batch,
                          replica_most_batch(model->replicas[0], which));
    int error =
        replica_get_plan(model->replicas[0], which, batch,
                         which == TOWER_TEXT ? model->spec.config.context : 0, false, &plan);
    return error ? error : profile(model, plan->plan, each, user, cost);
}
