/* SPDX-License-Identifier: MIT
 *
 * Appends the contrastive objective: cosines of all pairs, the loss, and the gradients of the image
 * and text embeddings and of the logits' scale and bias. The softmax loss and its gradients read
 * the same statistics of the cosines' rows and columns; the sigmoid loss needs none.
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

/* Appends the softmax statistics of the cosines, and returns the shares of the loss and of the
 * gradient of logit_scale. Fills `gradient` with the node that computes the cosines' gradient. */
static int append_contrast(struct graph *graph, int cosines, int logit_scale, uint32_t n,
                           struct node *gradient)
{
    const uint32_t stats_shape[] = {2, n}, shares_shape[] = {n, 2};
    struct node node = {.op = OP_CONTRAST_STATS, .in = {cosines, logit_scale, -1}};
    const int stats = graph_append(graph, NULL, node, 2, stats_shape);
    node = (struct node){.op = OP_CONTRAST_LOSS, .in = {cosines, logit_scale, stats}};
    *gradient = (struct node){.op = OP_CONTRAST_GRAD, .in = {stats, logit_scale, -1}};
    return graph_append(graph, NULL, node, 2, shares_shape);
}

/* Does the same for the sigmoid loss, and n pictures. Its shares have the gradient of logit_bias
 * too. */
static int append_pairs(struct graph *graph, int cosines, int logit_scale, int logit_bias,
                        uint32_t n, struct node *gradient)
{
    const uint32_t shares_shape[] = {n, 3};
    const struct node node = {.op = OP_PAIRS_LOSS, .in = {cosines, logit_scale, logit_bias}};
    *gradient = (struct node){.op = OP_PAIRS_GRAD, .in = {logit_scale, logit_bias, -1}};
    return graph_append(graph, NULL, node, 2, shares_shape);
}

struct objective objective_append(struct graph *graph, int image, int text, int logit_scale,
                                  int logit_bias)
{
    struct objective objective = {-1, -1, -1, -1};
    if (graph->error || image < 0 || text < 0)
        return objective;
    const uint32_t n = graph->tensors[image].shape[0], one = 1;
    const uint32_t columns = logit_bias < 0 ? 2 : 3; /* of a row's shares */
    if (graph->mixed)
        objective.loss_scale = graph_input(graph, "loss_scale", TYPE_F32, 1, &one);

    int cosines = graph_matmul(graph, "cosines", image, graph_panels(graph, text, false), -1,
                               VKCLIP_ACTIVATION_AUTO, -1);
    struct node gradient;
    int shares = logit_bias < 0
                     ? append_contrast(graph, cosines, logit_scale, n, &gradient)
                     : append_pairs(graph, cosines, logit_scale, logit_bias, n, &gradient);
    struct node node = {.op = OP_COLSUM, .in = {shares, -1, -1}, .colsum.pitch = columns};
    objective.loss = graph_append(graph, "loss", node, 1, &columns);

    int scaled_shares = scale_gradient(graph, shares, objective.loss_scale);
    grad_sum_rows(graph, (struct grad_rows){scaled_shares, n, 1, columns, 1}, logit_scale);
    if (logit_bias >= 0)
        grad_sum_rows(graph, (struct grad_rows){scaled_shares, n, 1, columns, 2}, logit_bias);
    int dcosines = graph_append_over(graph, "dcosines", gradient, cosines);
    int dimage = graph_matmul(graph, NULL, dcosines, graph_panels(graph, text, true), -1,
                              VKCLIP_ACTIVATION_AUTO, -1);
    node = (struct node){.op = OP_OUTER, .in = {dcosines, image, -1}};
    objective.image_gradient = scale_gradient(graph, dimage, objective.loss_scale);
    int dtext = graph_append_like(graph, node, text);
    objective.text_gradient = scale_gradient(graph, dtext, objective.loss_scale);
    return objective;
}
