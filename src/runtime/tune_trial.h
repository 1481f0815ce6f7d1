/* SPDX-License-Identifier: MIT
 *
 * Runs the trial of one shape class: its choices are timed on scratch memory with pseudo-random
 * content. A choice must give the right result before it is timed (selftest.h). Knows nothing of
 * plans or files.
 */
#ifndef VKCLIP_RUNTIME_TUNE_TRIAL_H
#define VKCLIP_RUNTIME_TUNE_TRIAL_H

#include "runtime/kernels.h"
#include "runtime/selftest.h"

/* For tests: gets the seconds that a run of a choice took, and returns those that the trial is to
 * count. */
typedef double trial_clock_fn(void *user, const struct kernel_choice *choice, double seconds);

struct tune_trial {
    struct gpu *gpu;
    struct selftest *selftest;
    trial_clock_fn *clock; /* NULL: times stay as they were measured */
    void *clock_user;
    const struct graph *graph;
    const struct node *node;
    const struct kernel_choice *choices; /* `count` of them in the fixed order */
    size_t count;
    size_t default_choice; /* choice that stays unless another is clearly faster */
    bool *skip;            /* per choice: not timed, because it was far slower than another */
    double seconds;        /* seconds that the trial may take now */
    double share;          /* seconds that it would have if all classes shared time by their work */
    double deadline;       /* time of clock_seconds at which the trial gives up */
    double *ms;   /* result per choice: least milliseconds; negative: failed or wrong; 0: not
                   * measured */
    double *most; /* result per choice: largest milliseconds */
    /* Result: no other choice is clearly faster, but the times disagree among themselves, or the
     * device was too slow to compare any; another trial may find one. */
    bool undecided;
    size_t runs; /* result: runs on the device */
};

/* Finds the fastest choice. The default wins if no other choice is clearly faster, or if the device
 * is too slow to measure. Fails if the time was over before anything was compared; `best` is set
 * even then. */
int trial_run(struct tune_trial *trial, size_t *best);

#endif
