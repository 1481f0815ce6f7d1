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

/* Says what a new tensor is filled with: one value, or normally distributed numbers around 0 with
 * the deviation given in the comment. */
enum initial {
    INITIAL_ZERO,
    INITIAL_ONE,
    INITIAL_SCALE,    /* the scale of the group: a new block is nearly the identity */
    INITIAL_FAN_IN,   /* deviation 1 / sqrt(inputs of one output) */
    INITIAL_CONV,     /* deviation 1 / sqrt(3 inputs of one output), as in torch.nn.Conv2d */
    INITIAL_WIDTH,    /* deviation 1 / sqrt(width) */
    INITIAL_HIDDEN,   /* deviation 1 / sqrt(2 width) */
    INITIAL_RESIDUAL, /* deviation 1 / sqrt(2 width layers), to bound the sum of all blocks */
    INITIAL_TOKENS,   /* deviation 0.02 */
    INITIAL_POSITIONS /* deviation 0.01 */
};

enum tensor_flags {
    TENSOR_OPTIONAL = 1,  /* A checkpoint may lack it. */
    TENSOR_STATISTIC = 2, /* It is a running mean or variance, which is not a parameter. */
    TENSOR_DELICATE = 4,  /* It gets 8 bits: nothing averages out the errors of 4 bits. */
    TENSOR_FINAL = 8,     /* It comes after the last block, with which training locks it. */
    TENSOR_HEAD = 16,     /* It makes the embedding of what the final tensors give. */
};

struct tensor_row {
    const char *name;  /* name in OpenAI's state dict, without the group's prefix */
    const char *shape; /* one letter per dimension; the group defines the size of each letter */
    enum layout layout;
    enum initial initial;
    unsigned flags;
};

struct tensor_group {
    char prefix[48];
    const struct tensor_row *rows;
    size_t count;
    unsigned flags;     /* flags that every tensor of the group has */
    uint32_t block;     /* the block that the tensors belong to, counted from 1; 0: none */
    uint64_t sizes[26]; /* sizes that the letters a to z mean */
    double scale;       /* what INITIAL_SCALE means */
    uint32_t absent;    /* Bit I says that the tower lacks row I of the table. */
};

/* Describes one tensor as a checkpoint stores it. */
struct model_tensor {
    char name[64];
    unsigned rank;
    uint64_t shape[GRAPH_MAX_RANK];
    enum tower tower; /* TOWER_COUNT: both towers share the tensor */
    unsigned flags;
    /* Training locks and unlocks the tensors of a tower in `lock_groups` groups, as OpenCLIP does:
     * what comes before the blocks is group 0, then each block is a group, of which the last has
     * the final tensors too, and the head is the last group, if there is one. */
    uint32_t lock_group, lock_groups;
    double mean, deviation; /* mean and standard deviation of the initial values */
};

/* Sets the size that a letter means. `initial` takes the width from 'w' and the number of layers
 * from 'l'. */
void group_set(struct tensor_group *group, char letter, uint64_t size);

/* Leaves out `count` rows from `row` on, which the tower lacks. */
void group_leave_out(struct tensor_group *group, size_t row, size_t count);
bool group_has(const struct tensor_group *group, size_t row);

/* Fills all fields of `tensor` from a row of the group's table, except `tower` and what locks it.
 */
void group_tensor(const struct tensor_group *group, size_t row, struct model_tensor *tensor);

/* Each function appends the tensor of a row to a graph as a weight and returns its index;
 * group_weight_f32 stores it as fp32 whatever the type of the activations is. A convolution over
 * colours (letter 'c') gets a fourth channel on the device, because pictures have four there. */
int group_weight(struct graph *graph, const struct tensor_group *group, size_t row);
int group_weight_f32(struct graph *graph, const struct tensor_group *group, size_t row);

#endif
