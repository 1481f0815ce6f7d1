/* SPDX-License-Identifier: MIT
 *
 * Tables of the tensors that a tower needs. A row says how a checkpoint has one tensor (its name
 * and shape), how it lies on the device, and what training begins with. A group is a table at one
 * place of the tower, such as one block: it adds the prefix of the names and the sizes that hold
 * there. The list that a checkpoint is checked against and the weights of a graph both come from
 * groups, so that a tensor is described once.
 */
#ifndef VKCLIP_MODEL_GROUP_H
#define VKCLIP_MODEL_GROUP_H

#include "graph/graph.h"
#include "model/config.h"

/* What a new tensor is filled with: one value, or normally distributed numbers around 0. */
enum initial {
    INITIAL_ZERO,
    INITIAL_ONE,
    INITIAL_FAN_IN,   /* deviation 1 / sqrt(inputs of one output) */
    INITIAL_CONV,     /* deviation 1 / sqrt(3 inputs), which is that of torch.nn.Conv2d */
    INITIAL_WIDTH,    /* deviation 1 / sqrt(width) */
    INITIAL_HIDDEN,   /* deviation 1 / sqrt(2 width) */
    INITIAL_RESIDUAL, /* deviation 1 / sqrt(2 width layers): what all blocks add stays bounded. */
    INITIAL_TOKENS,   /* deviation 0.02 */
    INITIAL_POSITIONS /* deviation 0.01 */
};

/* What is special about a tensor. */
enum tensor_flags {
    TENSOR_OPTIONAL = 1,  /* A checkpoint may lack it. */
    TENSOR_STATISTIC = 2, /* It is no parameter but a running mean or variance. */
    TENSOR_DELICATE = 4, /* It is small, and nothing evens out what 4 bits lose in it: it gets 8. */
};

struct tensor_row {
    const char *name;  /* behind the group's prefix, as OpenAI's checkpoints have it */
    const char *shape; /* one letter per dimension, with the size that the group gives to it */
    enum layout layout;
    enum initial initial;
    unsigned flags;
};

struct tensor_group {
    char prefix[48];
    const struct tensor_row *rows;
    size_t count;
    unsigned flags;     /* of all its tensors */
    uint64_t sizes[26]; /* of the letters a to z */
};

/* One tensor as a checkpoint has it. */
struct model_tensor {
    char name[64];
    unsigned rank;
    uint64_t shape[GRAPH_MAX_RANK];
    enum tower tower; /* TOWER_COUNT: it belongs to both. */
    unsigned flags;
    double mean, deviation; /* of its values when training begins */
};

/* Gives a letter its size. 'w' is the width and 'l' the number of layers, also for `initial`. */
void group_set(struct tensor_group *group, char letter, uint64_t size);
void group_tensor(const struct tensor_group *group, size_t row, struct model_tensor *tensor);

/* Appends the tensor of a row to a graph as a weight, or as a state that keeps fp32. A convolution
 * over colours (letter 'c') gets a fourth channel on the device, where pictures have one too. */
int group_weight(struct graph *graph, const struct tensor_group *group, size_t row);
int group_state(struct graph *graph, const struct tensor_group *group, size_t row);

#endif
