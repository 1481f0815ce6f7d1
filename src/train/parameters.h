/* SPDX-License-Identifier: MIT
 *
 * The parameters of a training run on the device: weights, gradients, the optimiser's moments, and
 * the averages of the weights.
 *
 * Beside each buffer of weights lie one buffer of gradients, one of moments and perhaps one of
 * averages, in which everything has the same place. Weights are found by their names. Gradients
 * have no names: the graphs that compute them say by tensor index which weight each belongs to, and
 * the optimiser updates the memory by ranges of such a buffer. A weight's memory therefore has two
 * tensors in a graph with an optimiser, and so has its gradient's; optimiser.h says why that is
 * safe.
 */
#ifndef VKCLIP_TRAIN_PARAMETERS_H
#define VKCLIP_TRAIN_PARAMETERS_H

#include "checkpoint/weights.h"
#include "graph/optimiser.h"
#include "vulkan/gpu.h"

struct parameters;
struct weight_store;

/* Describes one parameter by the checkpoint's name and shape. */
struct parameter {
    char name[64];
    unsigned rank;
    uint64_t shape[4], elements;
    bool trained; /* The parameter has a gradient and moments. */
    bool decayed;
};

/* Counts the bytes of all weights that a graph names, and of the trained ones. Gradients take as
 * many bytes as the trained weights, and moments twice as many. */
int parameters_measure(const struct graph *graph, uint64_t *all, uint64_t *trained);

/* What a device needs beside weights and gradients. */
struct parameters_extent {
    bool moments;  /* Without them no optimiser can be appended. */
    bool averages; /* The optimiser moves averages of the weights. */
};

/* Uploads the weights that a graph names, sets gradients and moments to zero, and the averages to
 * the weights. */
int parameters_open(struct gpu *gpu, const struct graph *graph, const struct weights *weights,
                    struct parameters_extent extent, struct parameters **parameters);
void parameters_close(struct parameters **parameters);

/* Returns the memory of the weights by name, in the form that a plan takes. */
const struct weight_store *parameters_store(const struct parameters *parameters);

/* Appends an optimiser of all trained parameters to a graph, which moves the averages, if there are
 * any, with the decay `average`. *ranges gets a new list that
 * parameters_bind needs; the caller frees it, even if graph->error says that this failed. */
struct optimiser parameters_append_optimiser(const struct parameters *parameters,
                                             struct adamw adamw, float average, int logit_scale,
                                             struct graph *graph, struct optimiser_range **ranges);
/* Gives the memory of a graph's states, by tensor index, in the form that a plan takes: gradients
 * of the weights and, unless `ranges` is NULL, the ranges. *states gets a new list that the caller
 * frees. */
int parameters_bind(const struct parameters *parameters, const struct graph *graph,
                    const struct optimiser_range *ranges, struct gpu_range **states);

/* Returns a parameter, or NULL past the last one. */
const struct parameter *parameters_get(const struct parameters *parameters, size_t index);
/* Returns the index of a parameter, or SIZE_MAX if none has that name. */
size_t parameters_find(const struct parameters *parameters, const char *name);

/* Sets all gradients to zero. */
int parameters_clear_gradients(struct parameters *parameters);
/* Adds the gradients of the same parameters on other devices to those of `p`, one device after the
 * other, and sets them to zero there. No plan may be running. */
int parameters_add_gradients(struct parameters *p, struct parameters *const *others, size_t count);
/* Copies the trained weights of `p` to the same parameters on other devices. */
int parameters_copy_weights(struct parameters *p, struct parameters *const *others, size_t count);

/* Exchanges the trained weights with their averages, bit by bit. No plan may be running. */
int parameters_swap_averages(struct parameters *p);

enum parameter_value {
    PARAMETER_VALUE,
    PARAMETER_GRADIENT,
    PARAMETER_MOMENT1,
    PARAMETER_MOMENT2,
    PARAMETER_AVERAGE
};
/* Reads or writes all elements of one parameter in the order of its shape. No plan that uses the
 * parameter may be running. Returns EINVALID if a gradient or moment is asked for but the parameter
 * is not trained. */
int parameters_read(struct parameters *parameters, size_t index, enum parameter_value which,
                    float *values);
int parameters_write(struct parameters *parameters, size_t index, enum parameter_value which,
                     const float *values);

#endif
