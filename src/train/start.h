/* SPDX-License-Identifier: MIT
 *
 * Where a training run begins: at its own last saved step, at a model that is named, or at random
 * weights, which are written into the run's folder first. Refuses a folder with saved steps unless
 * the run is to be resumed.
 */
#ifndef VKCLIP_TRAIN_START_H
#define VKCLIP_TRAIN_START_H

#include "checkpoint/open.h"
#include "train/run.h"

struct start_params {
    const char *output;       /* the run's folder */
    bool resume;              /* from the last saved step, if there is one */
    const char *model, *init; /* a model, or an architecture; exactly one of them */
    const char *vocab;        /* NULL: the vocabulary beside the model */
    uint64_t seed;            /* of random weights */
    bool dry;                 /* Nothing is written, so random weights are only planned. */
};

struct start {
    struct config config;
    struct weights *weights; /* NULL: random weights that are only planned */
    char *path;              /* of the model that has the weights; NULL where those are NULL */
    struct run_state state;  /* zero unless the run was resumed */
};

int start_open(const struct start_params *params, struct start *start);
void start_close(struct start *start);

/* Makes the run's folder unless it exists. */
int start_make_folder(const char *output);
/* Removes what a start that failed has made: random weights, and the folder if it is empty then. */
void start_remove(const char *output);

#endif
