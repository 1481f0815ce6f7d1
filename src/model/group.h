/* SPDX-License-Identifier: MIT
 *
 * Tables of the tensors that a tower needs. A row says which name and shape one tensor has in a
 * checkpoint, how it lies on the device, and what training begins with. A group is a table at one
 * place of the tower, such as one block: it adds the prefix of the names and the sizes that hold
 * there. The list that a checkpoint is checked against and the weights of a graph both come from
 * groups, so that a tensor is described once.
 */
#ifndef VKCLIP_MODEL_GROUP_H
#define VKCLIP_MODEL_GROUP_H

#include "graph/graph.h"
#include "model/config.h"

/* What a new tensor is filled with: one value, or normally distributed numbers around 0, whose
 * deviation is given here. */
enum initial {
    INITIAL_ZERO,
    INITIAL_ONE,
    INITIAL_FAN_IN,   /* 1 / sqrt(inputs of one output) */
    INITIAL_CONV,     /* 1 / sqrt(3 inputs of one output), which is that of torch.nn.Conv2d */
    INITIAL_WIDTH,    /* 1 / sqrt(width) */
    INITIAL_HIDDEN,   /* 1 / sqrt(2 width) */
    INITIAL_RESIDUAL, /* 1 / sqrt(2 width layers), so that the sum of all blocks stays bounded */
    INITIAL_TOKENS,   /* 0.02 */
    INITIAL_POSITIONS /* 0.01 */
};

/* What is special about a tensor. */
enum tensor_flags {
    TENSOR_OPTIONAL = 1,  /* A checkpoint may lack it. */
    TENSOR_STATISTIC = 2, /* It is no parameter but a running mean or variance. */
    TENSOR_DELICATE = 4, /* It is small, and nothing evens out what 4 bits lose in it: it gets 8. */
};

struct tensor_row {
    const char *name;  /* OpenAI's, after the group's prefix */
    const char *shape; /* one letter per dimension; the group says what size a letter stands for */
    enum layout layout;
    enum initial initial;
    unsigned flags;
};

struct tensor_group {
    char prefix[48];
    const struct tensor_row *rows;
    size_t count;
    unsigned flags;     /* All tensors of the group have them. */
    uint64_t sizes[26]; /* The letters a to z stand for these. */
};

/* One tensor as a checkpoint has it. */
struct model_tensor {
    char name[64];
    unsigned rank;
    uint64_t shape[GRAPH_MAX_RANK];
    enum tower tower; /* TOWER_COUNT where both towers share the tensor */
    unsigned flags;
    double mean, deviation; /* of the values that training begins with */
};

/* Gives a letter its size. `initial` takes the width from 'w' and the number of layers from 'l'. */
void group_set(struct tensor_group *group, char letter, uint64_t size);

/* Fills `tensor` with what the row says at this place, all but `tower`. */
void group_tensor(const struct tensor_group *group, size_t row, struct model_tensor *tensor);

/* Each appends the tensor of a row to a graph as a weight and returns its index; the second one is
 * fp32 whatever the type of activations is. A convolution over colours (letter 'c') gets a fourth
 * channel on the device, where pictures have one too. */
int group_weight(struct graph *graph, const struct tensor_group *group, size_t row);
int group_weight_f32(struct graph *graph, const struct tensor_group *group, size_t row);

#endif
