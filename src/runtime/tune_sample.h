/* SPDX-License-Identifier: MIT
 *
 * Defines shape classes and their samples. Nodes with the same key form a shape class: they are
 * equal in everything that decides which kernel is the fastest, with the number of their rows or
 * items rounded up to a power of two. A sample is a graph of one node that represents its class,
 * with any number of items. Knows nothing of devices or time.
 */
#ifndef VKCLIP_RUNTIME_TUNE_SAMPLE_H
#define VKCLIP_RUNTIME_TUNE_SAMPLE_H

#include "runtime/kernels.h"

/* Writes the key of a node's class. Returns false for a node that is never measured. */
#define SAMPLE_KEY 200
bool sample_key(const struct graph *graph, const struct node *node, char key[SAMPLE_KEY]);

/* Tells whether the items of an op are the rows of its matrices. The items of all other ops are the
 * first dimension of their tensors. */
bool sample_has_rows(enum op op);
/* Returns the items that a sample needs to represent its class, but no more than the node has,
 * because only those are known to fit the device. */
uint32_t sample_items(const struct graph *graph, const struct node *node);
/* Returns the operations of a sample of that many items. */
double sample_work(const struct graph *graph, const struct node *node);

struct sample {
    struct tensor tensors[KERNEL_SLOTS]; /* by slot */
    struct node node;
    struct graph graph; /* points into the sample, which must not be moved */
};

void sample_make(const struct graph *graph, const struct node *node, uint32_t items,
                 struct sample *sample);
/* Removes bias, activation and residual of MATMUL and CONV, which hardly change the time. All
 * classes then share the pipelines of a tile, which saves most of the time with drivers that take
 * long to compile. OUTER loses its sum, which would grow from run to run. */
void sample_make_plain(struct sample *sample);

#endif
