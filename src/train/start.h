/* SPDX-License-Identifier: MIT
 *
 * Finds the model with which a training run begins: the run's own last saved step, a named model,
 * or random weights, which are written into the run's folder first. Refuses a folder with saved
 * steps unless the run is to be resumed, and a folder with files that the run would replace.
 */
#ifndef VKCLIP_TRAIN_START_H
#define VKCLIP_TRAIN_START_H

#include "checkpoint/open.h"
#include "train/run.h"

struct start_params {
    const char *output;       /* the run's folder */
    bool resume;              /* continue from the last saved step, if there is one */
    const char *model, *init; /* a model or an architecture; exactly one of them is set */
    const char *state_dict;   /* which of several sets of weights in the file of `model`; NULL */
    enum vkclip_activation activation; /* of a `model` that does not name it */
    const char *vocab;                 /* NULL: the vocabulary beside the model */
    uint64_t seed;                     /* seed of random weights */
    bool dry; /* Nothing is written, so that random weights are only planned. */
};

struct start {
    struct config config;
    struct weights *weights; /* NULL: random weights that are only planned */
    char *path; /* path of the model that has the weights; NULL where `weights` is NULL */
    struct run_state state; /* zero unless the run was resumed */
    bool made_initial;      /* Random weights were written. */
};

int start_open(const struct start_params *params, struct start *start);
void start_close(struct start *start);

/* Makes the run's folder unless it exists, and refuses one into which the run could not write its
 * result, or in which it would replace what is not its own. */
int start_check_folder(const struct start *start, const char *output);
/* Removes the random weights of a run that did not begin. */
void start_remove_initial(const char *output);

#endif
