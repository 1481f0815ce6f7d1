/* SPDX-License-Identifier: MIT
 *
 * Shape classes and their samples. Nodes with the same key form a shape class: they are equal in
 * everything that decides which kernel is the fastest, with the number of their rows or items
 * rounded up to a power of two. A sample is a graph of one node that stands for its class, with as
 * many items as are wanted. Knows nothing of devices or time.
 */
#ifndef VKCLIP_RUNTIME_TUNE_SAMPLE_H
#define VKCLIP_RUNTIME_TUNE_SAMPLE_H

#include "runtime/kernels.h"

/* Writes the key of a node's class. False for a node that is never measured. */
#define SAMPLE_KEY 200
bool sample_key(const struct graph *graph, const struct node *node, char key[SAMPLE_KEY]);

/* Whether the items of an op are the rows of its matrices; those of all others are the first
 * dimension of its tensors. */
bool sample_has_rows(enum op op);
/* Items that a sample needs to stand for its class, but no more than the node has, because only
 * those are known to fit the device. */
uint32_t sample_items(const struct graph *graph, const struct node *node);
/* Operations of a sample of that many items. */
double sample_work(const struct graph *graph, const struct node *node);

struct sample {
    struct tensor tensors[KERNEL_SLOTS]; /* by slot */
    struct node node;
    struct graph graph; /* points into the sample, which must not be moved */
};

void sample_make(const struct graph *graph, const struct node *node, uint32_t items,
                 struct sample *sample);
/* Leaves out bias, activation and residual of MATMUL and CONV, which hardly count: then all classes
 * share the pipelines of a tile, and where drivers take long to compile that is most of the time.
 * OUTER is left without its sum, which would grow from run to run. */
void sample_make_plain(struct sample *sample);

#endif
