/* SPDX-License-Identifier: MIT
 *
 * Runs the steps of a training run on one or several GPUs, with the parameters on each device and
 * the plans that update them. A batch that is computed at once needs one plan. If a batch is cut
 * into micro-batches, their embeddings are computed first, the objective reads all of them, and
 * then each micro-batch is computed again for its gradients (GradCache, Gao et al. 2021; OpenCLIP's
 * --accum-freq). Loss and gradients are those of the whole batch, except that batch norm sees one
 * micro-batch at a time. Knows nothing of files, of schedules or of where batches come from.
 */
#ifndef VKCLIP_TRAIN_STEP_H
#define VKCLIP_TRAIN_STEP_H

#include "checkpoint/open.h"
#include "train/drive.h"
#include "train/pass.h"
#include "vulkan/gpu.h"

/* Counts bytes on the device. */
struct train_memory {
    uint64_t weights, gradients, moments;
    uint64_t activations; /* of the plan that needs most */
    uint64_t least;       /* the most bytes of that plan that are alive at one node */
};
/* Tells what a run needs, without a device. */
int train_measure(const struct config *config, const struct train_params *params,
                  struct train_memory *memory);

/* Several devices compute a step as micro-batches are computed, each of them some micro-batches:
 * the first device, which leads, computes the loss of all embeddings, adds up the gradients of the
 * devices in their order, and updates the weights, which the others then get. So all devices begin
 * every step with the same bits, and a step repeats to the bit for the same devices. */
struct train;
struct tuner;

struct train_device {
    struct gpu *gpu;
    struct tuner *tuner; /* NULL: kernels are chosen in the fixed order */
};

/* Uploads the weights; moments are zero. `config` is copied. `gpu`, `weights` and `tuner`, which
 * may be NULL, must outlive the run. */
int train_open(struct gpu *gpu, struct tuner *tuner, const struct config *config,
               const struct weights *weights, const struct train_params *params,
               struct train **train);
void train_close(struct train **train);
/* Adds a device to a run whose batch is cut into micro-batches, before its first step. Refuses a
 * tower with batch norm that is trained, because the statistics would differ between devices. */
int train_add_device(struct train *train, const struct train_device *device,
                     const struct weights *weights);

/* Returns the parameters, which may be read and written only between steps. With several devices
 * they are the leading one's, and a weight that is written reaches the others after the next
 * step. */
struct parameters *train_parameters(struct train *train);

/* Returns how many pairs a device computes at once. */
uint32_t train_micro_batch(const struct train *train);

struct train_result {
    float loss;
    float logit_scale; /* logarithm of the scale before the step */
    float norm;        /* norm of all gradients together, before clipping */
    float loss_scale;
    bool skipped; /* A gradient was not finite, so that nothing was changed. */
};
/* Sets the factor by which mixed precision multiplies the loss before gradients are computed. It is
 * 1 at first. */
void train_scale_loss(struct train *train, float scale);
/* Runs step number `step` of the optimiser, counted from 0, at a learning rate. `pixels` is
 * [B,3,S,S], `ids` is [B,T] with the end of each text. */
int train_step(struct train *train, const float *pixels, const int32_t *ids, uint64_t step,
               double rate, struct train_result *result);
/* Adds the gradients of a batch, times the loss's scale, to the existing gradients. Otherwise only
 * batch norm's running statistics change. */
int train_gradients(struct train *train, const float *pixels, const int32_t *ids,
                    struct train_result *result);

/* Computes the normalised embeddings [micro-batch,D] of one micro-batch of one tower's inputs, as
 * at inference. Nothing changes. */
int train_encode(struct train *train, enum tower tower, const float *pixels, const int32_t *ids,
                 float *embeds);

/* Gives the device's seconds per op for one run of the plan that takes most time. */
int train_profile(struct train *train, double seconds[OP_COUNT]);

#endif
