/* SPDX-License-Identifier: MIT
 *
 * Runs a training run in progress: its parameters on a device, the learning rate and the scale of
 * the loss of each step, and the steps that it saves. Does not know where batches come from. Warns
 * when a resumed run has other data or options than at its beginning, and refuses those with which
 * what was saved cannot be used.
 */
#ifndef VKCLIP_TRAIN_SESSION_H
#define VKCLIP_TRAIN_SESSION_H

#include "train/schedule.h"
#include "train/start.h"
#include "train/step.h"

struct session_params {
    const char *output; /* the run's folder */
    struct train_params train;
    struct schedule schedule;
    uint64_t seed, data; /* identify the run, so that a resumed run with others gets a warning */
    json_t *options;     /* of train/options.h; the session takes a reference */
    uint32_t keep;       /* saved steps to keep */
};

struct session;

/* `start` must outlive the session. */
int session_open(const struct session_params *params, const struct start *start,
                 struct session **session);
void session_close(struct session **session);

/* Uploads the parameters and moments to a device, or to those of several that share.h chooses. They
 * must outlive the session. */
int session_upload(struct session *session, const struct train_device *devices, size_t count);
bool session_is_uploaded(const struct session *session);

uint64_t session_steps_done(const struct session *session);
/* Counts the elements of all parameters, and of those that are trained. */
void session_parameters(const struct session *session, uint64_t *all, uint64_t *trained);
/* Tells what the run needs on a device, with or without recomputing blocks for their gradients. */
int session_measure(const struct session *session, bool recompute, struct train_memory *memory);
/* Warns if the run needs more than a device has left, as session_upload does. */
int session_check_fit(const struct session *session, const struct gpu *gpu);

struct session_result {
    struct train_result step;
    double rate; /* learning rate */
};
/* Runs one step of the optimiser on a batch: pixels [B,3,S,S], ids [B,T]. Returns EDIVERGED if the
 * loss or a gradient is not finite, and then changes nothing. */
int session_step(struct session *session, const float *pixels, const int32_t *ids,
                 struct session_result *result);

/* These functions serve a validation. Each exchange of the weights with their averages, if the run
 * has some, is followed by a second one before the next step. */
int session_swap_averages(struct session *session);
uint32_t session_micro_batch(const struct session *session);
/* Computes the normalised embeddings [micro-batch,D] of one tower's inputs. */
int session_encode(struct session *session, enum tower tower, const float *pixels,
                   const int32_t *ids, float *embeds);
/* What makes logits of the products of embeddings, and the kind of the loss. */
struct session_logits {
    double scale, bias;
    bool sigmoid;
};
int session_read_logits(const struct session *session, struct session_logits *logits);

/* Saves the run in its current state and removes the oldest saved steps. *path is a new string. */
int session_save(struct session *session, char **path);
/* Writes the model in its current state into the run's folder itself. */
int session_save_model(struct session *session);

#endif
