/* SPDX-License-Identifier: MIT
 *
 * Appends the contrastive objective as nodes: the symmetric cross-entropy over all pairs of a batch
 * (CLIP's paper, figure 3; OpenCLIP's ClipLoss), and its gradients.
 */
#ifndef VKCLIP_GRAPH_OBJECTIVE_H
#define VKCLIP_GRAPH_OBJECTIVE_H

#include "graph/graph.h"

struct objective {
    int loss;       /* [2], whose first value is the loss */
    int loss_scale; /* input [1] that all gradients are multiplied by; -1 in a graph that is not
                     * mixed, whose gradients need no scale */
    int image_gradient, text_gradient; /* [N,D] */
};

/* Appends the objective of the embeddings `image` and `text` [N,D], whose rows have length one,
 * with `logit_scale` [1], a logarithm. Adds to the gradient of logit_scale unless it is locked. */
struct objective objective_append(struct graph *graph, int image, int text, int logit_scale);

#endif
