/* SPDX-License-Identifier: MIT
 *
 * Reads and writes a training run on disk. The run's folder holds saved steps, folders named
 * checkpoint-STEP. Each is a model in fp32 that vkclip_open_model reads, whose values are the
 * parameters themselves, with the optimiser's moments in training.safetensors, as m.NAME and
 * v.NAME, and the state of the run in training.json. If the run averages its weights, their
 * averages are a model of their own, the folder ema in it. A saved step gets its name when all of
 * it is on disk, so that a process killed while it writes leaves the previous saved step intact.
 * Knows no Vulkan: callbacks transfer the values.
 */
#ifndef VKCLIP_TRAIN_RUN_H
#define VKCLIP_TRAIN_RUN_H

#include "checkpoint/write.h"

#include <jansson.h>

/* AdamW keeps exponential averages of the gradient (m) and of its square (v). */
enum run_moment { RUN_MOMENT_M, RUN_MOMENT_V, RUN_MOMENT_COUNT };

/* Gives or takes all values of a moment of tensor number `tensor`. */
typedef int run_read_fn(void *user, size_t tensor, enum run_moment moment, float *values);
typedef int run_write_fn(void *user, size_t tensor, enum run_moment moment, const float *values);

/* Holds what a run needs to resume, besides its values. */
struct run_state {
    uint64_t step; /* steps done */
    uint64_t seed;
    uint64_t data;   /* a fingerprint, which tells whether a resumed run has the same samples */
    json_t *options; /* of train/options.h; NULL: not known */
    double loss_scale;
    uint64_t loss_scale_steps; /* steps since gradients last overflowed at this scale */
};

/* Describes a step to be saved; owns nothing. */
struct run_step {
    struct checkpoint_source model; /* `user` is also the first argument of `read_moment`. */
    const bool *has_moments; /* [model.count]; running statistics and locked tensors have none */
    run_read_fn *read_moment;
    checkpoint_read_fn *read_average; /* gives `model` with averages; NULL: the run has none */
    struct run_state state;
};

/* Saves a step in a run's folder, which must exist. *path gets the path of the saved step, a new
 * string; `path` may be NULL. */
int run_save(const struct run_step *step, const char *run, char **path);

/* Writes the averages as a model into the folder ema of `folder`, if the run has averages. */
int run_write_averages(const struct run_step *step, const char *folder);
/* Returns the path of the averages that are saved in a folder as a new string. */
char *run_averages_path(const char *folder);

/* Finds the newest saved step in a run's folder; *path is a new string, or NULL if there is none or
 * no such folder. */
int run_latest(const char *run, char **path);
/* Reads the state of a saved step; the caller releases `options`. */
int run_read_state(const char *path, struct run_state *state);
/* Reads the moments of a saved step and calls `write` for every tensor that has some. Refuses a
 * file whose moments do not have the shapes of the tensors. */
int run_read_moments(const char *path, const struct model_tensor *tensors, const bool *has_moments,
                     size_t count, run_write_fn *write, void *user);

/* Removes all saved steps but the newest `keep`, and the remains of an interrupted save. The saved
 * step that holds the file `needed` stays: a resumed run copies its vocabulary from where it
 * started. NULL: no file is needed. */
void run_prune(const char *run, size_t keep, const char *needed);

#endif
