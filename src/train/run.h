/* SPDX-License-Identifier: MIT
 *
 * Where a training run is, on disk: folders checkpoint-STEP in the run's folder. Each is a model as
 * vkclip_open_model reads it, in fp32, which are the parameters themselves, and beside it
 * training.safetensors with the optimiser's moments, m.NAME and v.NAME, and training.json. A folder
 * gets its name when all of it is on the disk. Knows no Vulkan: values are fetched by a callback.
 */
#ifndef VKCLIP_TRAIN_RUN_H
#define VKCLIP_TRAIN_RUN_H

#include "checkpoint/open.h"

/* A value of the model, by its canonical name. */
struct checkpoint_tensor {
    char name[64];
    unsigned rank;
    uint64_t shape[TENSOR_MAX_RANK];
    bool moments; /* false: no parameter but a running statistic, or one that is locked */
};

uint64_t checkpoint_elements(const struct checkpoint_tensor *tensor);

/* Every tensor of a model, logit_scale first, without moments: *tensors is to be freed. */
int checkpoint_list(const struct config *config, struct checkpoint_tensor **tensors, size_t *count);

enum checkpoint_value { CHECKPOINT_VALUE, CHECKPOINT_MOMENT1, CHECKPOINT_MOMENT2 };
/* Fetches, or sets, the values of a tensor. */
typedef int checkpoint_read_fn(void *user, size_t tensor, enum checkpoint_value which,
                               float *values);
typedef int checkpoint_write_fn(void *user, size_t tensor, enum checkpoint_value which,
                                const float *values);

/* What a run goes on with, beside the values. */
struct checkpoint_state {
    uint64_t step; /* steps done */
    uint64_t seed;
    uint64_t options, data; /* fingerprints: what must be the same for a run to go on */
    double loss_scale;
    uint64_t loss_scale_steps; /* without overflow */
};

struct checkpoint {
    const struct config *config; /* the model; its tokenizer's files are copied */
    const struct checkpoint_tensor *tensors;
    size_t count;
    checkpoint_read_fn *read;
    void *user;
    struct checkpoint_state state;
};

/* Writes checkpoint-STEP in the folder `run`, which is there; *path, which may be NULL: its path, a
 * new string. */
int checkpoint_write(const struct checkpoint *checkpoint, const char *run, char **path);
/* The model alone, into the folder `run` itself: the result. */
int checkpoint_write_model(const struct checkpoint *checkpoint, const char *run);

/* The newest complete one in a run's folder, a new string; EABSENT where there is none. */
int checkpoint_latest(const char *run, char **path);
int checkpoint_read_state(const char *path, struct checkpoint_state *state);
/* Gives the moments of all tensors that have some. The values are the model's. */
int checkpoint_read_moments(const char *path, const struct checkpoint_tensor *tensors, size_t count,
                            checkpoint_write_fn *write, void *user);

/* Removes what interrupted writing has left, and all but the newest `keep`. */
void checkpoint_prune(const char *run, size_t keep);

#endif
