/* SPDX-License-Identifier: MIT
 *
 * The parameters of a training run on the device: weights, gradients and the optimiser's moments.
 *
 * Beside each buffer of weights lie one buffer of gradients and one of moments, in which everything
 * has the same place. Weights are found by their names. Gradients have no names: the graphs that
 * compute them say by tensor index which weight each belongs to, and the optimiser updates the
 * memory in parts, each a range of such a buffer. A weight's memory therefore has two tensors in a
 * graph with an optimiser, and so has its gradient's; optimiser.h says why that is safe.
 */
#ifndef VKCLIP_TRAIN_PARAMETERS_H
#define VKCLIP_TRAIN_PARAMETERS_H

#include "checkpoint/weights.h"
#include "graph/optimiser.h"
#include "vulkan/gpu.h"

struct parameters;
struct store;

/* One parameter, by the name and in the shape that the checkpoint has. */
struct parameter {
    char name[64];
    unsigned rank;
    uint64_t shape[4], elements;
    bool trained; /* it has a gradient and moments */
    bool decayed;
};

/* The bytes of all weights that a graph names, and of those that are trained: their gradients take
 * as many, and their moments twice as many. */
int parameters_measure(const struct graph *graph, uint64_t *all, uint64_t *trained);

/* Uploads the weights that a graph names; gradients and moments are zero. */
int parameters_open(struct gpu *gpu, const struct graph *graph, const struct weights *weights,
                    struct parameters **parameters);
void parameters_close(struct parameters **parameters);

/* The memory of the weights by name, as a plan takes it. */
const struct store *parameters_store(const struct parameters *parameters);

/* Appends an optimiser of all trained parameters to a graph. *parts gets a new list that
 * parameters_bind needs; the caller frees it, also on an error, which graph->error says. */
struct optimiser parameters_append_optimiser(const struct parameters *parameters,
                                             struct adamw adamw, int logit_scale,
                                             struct graph *graph, struct optimiser_part **parts);
/* The memory of a graph's states, by tensor index, as a plan takes it: gradients of the weights
 * and, unless `parts` is NULL, the parts. *states gets a new list that the caller frees. */
int parameters_bind(const struct parameters *parameters, const struct graph *graph,
                    const struct optimiser_part *parts, struct gpu_range **states);

/* A parameter; NULL past the last one. */
const struct parameter *parameters_get(const struct parameters *parameters, size_t index);
/* The index of a parameter; SIZE_MAX if there is none of that name. */
size_t parameters_find(const struct parameters *parameters, const char *name);

enum parameter_value { PARAMETER_VALUE, PARAMETER_GRADIENT, PARAMETER_MOMENT1, PARAMETER_MOMENT2 };
/* All elements of one parameter, in the order of its shape. No plan that uses it may be running.
 * EINVALID: the parameter is not trained, so that it has no gradient and no moments. */
int parameters_read(struct parameters *parameters, size_t index, enum parameter_value which,
                    float *values);
int parameters_write(struct parameters *parameters, size_t index, enum parameter_value which,
                     const float *values);

#endif
