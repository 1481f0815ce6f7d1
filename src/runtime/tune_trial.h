/* SPDX-License-Identifier: MIT
 *
 * One class of shapes: its name, and the choices for it run against each other on scratch memory
 * with pseudo-random content. Knows nothing of plans or files.
 */
#ifndef VKCLIP_RUNTIME_TUNE_TRIAL_H
#define VKCLIP_RUNTIME_TUNE_TRIAL_H

#include "base/clock.h"
#include "runtime/kernels.h"

/* Nodes of one key are alike in everything that decides which kernel is fastest; the number of
 * their rows or items is rounded up to a power of two. False for a node that is never measured. */
#define TUNE_KEY 200
bool tune_key(const struct graph *graph, const struct node *node, char key[TUNE_KEY]);
/* Operations of one run of the class. */
double tune_work(const struct graph *graph, const struct node *node);

struct tune_trial {
    struct gpu *gpu;
    const struct graph *graph;
    const struct node *node;
    const struct kernel_choice *choices; /* in the fixed order */
    bool *skip;                          /* those known to be far slower than others */
    size_t count, trusted;               /* trusted: the one whose result is right */
    size_t favourite; /* it stays unless another is clearly faster: the first, or a kin's */
    double seconds;   /* to spend, with others behind; and if it had its part of all the time */
    double fair;
    double deadline; /* of clock_seconds, where it is given up */
    double *ms;      /* result: of each choice; negative: failed or wrong; 0: not measured */
    size_t runs;     /* result: of the device */
};

/* The fastest choice; the first one that works where none is much faster, or where the device is
 * too slow to tell. Fails where the time was over before anything could be said. */
int tune_measure(struct tune_trial *trial, size_t *best);

#endif
