/* SPDX-License-Identifier: MIT
 *
 * Appends the contrastive objective as nodes: the symmetric cross-entropy over all pairs of a batch
 * (CLIP's paper, figure 3; OpenCLIP's ClipLoss) or the sigmoid loss of each pair (Zhai et al. 2023,
 * algorithm 1; OpenCLIP's SigLipLoss), and its gradients.
 */
#ifndef VKCLIP_GRAPH_OBJECTIVE_H
#define VKCLIP_GRAPH_OBJECTIVE_H

#include "graph/graph.h"

struct objective {
    int loss;       /* a vector whose first value is the loss */
    int loss_scale; /* input [1] that all gradients are multiplied by; -1 in a graph that is not
                     * mixed, whose gradients need no scale */
    int image_gradient, text_gradient; /* of the shapes of the embeddings */
};

/* Appends the objective of the embeddings `image` and `text` [N,D], whose rows have length one; for
 * the sigmoid loss `image` may be [M,D], the first pictures of the N. Scales the cosines
 * with `logit_scale` [1], a logarithm, and `logit_bias` [1]. With `logit_bias` -1 the loss is that
 * of the softmax, and else that of the sigmoid. Adds to the gradients of both unless they are
 * locked. */
struct objective objective_append(struct graph *graph, int image, int text, int logit_scale,
                                  int logit_bias);

#endif
