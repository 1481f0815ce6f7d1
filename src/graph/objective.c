/* SPDX-License-Identifier: MIT
 *
 * Appends the contrastive objective: cosines of all pairs, softmax statistics of their rows and
 * columns, the loss, and from the same statistics the gradients of the image and text embeddings
 * and of the logit scale.
 */
#include "graph/objective.h"

#include "graph/grad.h"

/* Multiplies a gradient by the loss scale in a mixed graph, where fp16 cannot hold the small
 * gradients without it. */
static int scale_gradient(struct graph *graph, int gradient, int loss_scale)
{
    struct node node = {.op = OP_SCALE, .in = {gradient, loss_scale, -1}};
    return loss_scale < 0 ? gradient : graph_append_like(graph, node, gradient);
}

struct objective objective_append(struct graph *graph, int image, int text, int logit_scale)
{
    struct objective objective = {-1, -1, -1, -1};
    if (graph->error || image < 0 || text < 0)
        return objective;
    const uint32_t n = graph->tensors[image].shape[0], one = 1, two = 2;
    const uint32_t stats_shape[] = {2, n}, shares_shape[] = {n, 2};
    if (graph->mixed)
        objective.loss_scale = graph_input(graph, "loss_scale", TYPE_F32, 1, &one);

    int cosines = graph_matmul(graph, "cosines", image, graph_panels(graph, text, false), -1,
                               VKCLIP_ACTIVATION_AUTO, -1);
    struct node node = {.op = OP_CONTRAST_STATS, .in = {cosines, logit_scale, -1}};
    int stats = graph_append(graph, NULL, node, 2, stats_shape);
    node = (struct node){.op = OP_CONTRAST_LOSS, .in = {cosines, logit_scale, stats}};
    int shares = graph_append(graph, NULL, node, 2, shares_shape);
    node = (struct node){.op = OP_COLSUM, .in = {shares, -1, -1}, .colsum.pitch = 2};
    objective.loss = graph_append(graph, "loss", node, 1, &two);

    int scaled_shares = scale_gradient(graph, shares, objective.loss_scale);
    grad_sum_rows(graph, (struct grad_rows){scaled_shares, n, 1, 2, 1}, logit_scale);
    node = (struct node){.op = OP_CONTRAST_GRAD, .in = {stats, logit_scale, -1}};
    int dcosines = graph_append_over(graph, "dcosines", node, cosines);
    int dimage = graph_matmul(graph, NULL, dcosines, graph_panels(graph, text, true), -1,
                              VKCLIP_ACTIVATION_AUTO, -1);
    node = (struct node){.op = OP_OUTER, .in = {dcosines, image, -1}};
    objective.image_gradient = scale_gradient(graph, dimage, objective.loss_scale);
    int dtext = graph_append_like(graph, node, text);
    objective.text_gradient = scale_gradient(graph, dtext, objective.loss_scale);
    return objective;
}
