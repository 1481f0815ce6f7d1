/* SPDX-License-Identifier: MIT
 *
 * The parameters of a training run on the device: weights, and beside each of their buffers one of
 * gradients and one of moments, in which everything lies at the same place. Knows nothing of steps.
 */
#ifndef VKCLIP_TRAIN_PARAMETERS_H
#define VKCLIP_TRAIN_PARAMETERS_H

#include "train/step.h"
#include "runtime/store.h"

struct train_parameters {
    struct gpu *gpu;
    /* By name; their gradients by GRAD_PREFIX NAME; and of part N, a range that the optimiser takes
     * at once, weights.N, gradients.N, moments.N. */
    struct store *weights;
    struct gpu_buffer **gradients, **moments; /* beside each of the weights' buffers */
    size_t buffers;
    struct parameter *list; /* every weight of both towers, and logit_scale */
    size_t count;
    struct part *parts;
    size_t part_count;
};

/* Adds the bytes of the weights that a graph names, of their gradients and moments. */
int train_parameters_measure(const struct graph *graph, struct train_memory *memory);

/* Uploads the weights that a graph names; gradients and moments are zero. On an error, too, to be
 * closed. */
int train_parameters_open(struct gpu *gpu, const struct graph *graph, const struct weights *weights,
                          struct train_parameters *parameters);
void train_parameters_close(struct train_parameters *parameters);

/* Appends the optimiser of all parts. */
int train_parameters_update(const struct train_parameters *parameters, struct grad_adamw adamw,
                            struct graph *graph);

const struct train_parameter *train_parameters_get(const struct train_parameters *parameters,
                                                   size_t index);
/* As train_read and train_write. */
int train_parameters_read(struct train_parameters *parameters, size_t index, enum train_value what,
                          float *values);
int train_parameters_write(struct train_parameters *parameters, size_t index, enum train_value what,
                           const float *values);

#endif
