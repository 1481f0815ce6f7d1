/* SPDX-License-Identifier: MIT
 *
 * Turns a row of a table into a tensor of a checkpoint or of a graph.
 */
#include "model/group.h"

#include <math.h>
#include <string.h>

void group_set(struct tensor_group *group, char letter, uint64_t size)
{
    group->sizes[letter - 'a'] = size;
}

void group_leave_out(struct tensor_group *group, size_t row, size_t count)
{
    for (size_t i = row; i < row + count; i++)
        group->absent |= UINT32_C(1) << i;
}

bool group_has(const struct tensor_group *group, size_t row)
{
    return row < group->count && !(group->absent >> row & 1);
}

static uint64_t group_size(const struct tensor_group *group, char letter)
{
    return group->sizes[letter - 'a'];
}

/* Returns the number of inputs of each output, which is the product of all dimensions but the
 * first. */
static double fan_in(const struct model_tensor *tensor)
{
    double inputs = 1;
    for (unsigned i = 1; i < tensor->rank; i++)
        inputs *= (double)tensor->shape[i];
    return inputs;
}

/* Returns the scale from the paper's code (clip/model.py, initialize_parameters), or torch's
 * default where the paper's code sets none. */
static double initial_deviation(const struct tensor_group *group, enum initial initial,
                                const struct model_tensor *tensor)
{
    const double width = (double)group_size(group, 'w'), layers = (double)group_size(group, 'l');
    switch (initial) {
    case INITIAL_FAN_IN:
        return 1 / sqrt(fan_in(tensor));
    case INITIAL_CONV:
        return 1 / sqrt(3 * fan_in(tensor));
    case INITIAL_WIDTH:
        return 1 / sqrt(width);
    case INITIAL_HIDDEN:
        return 1 / sqrt(2 * width);
    case INITIAL_RESIDUAL:
        return 1 / sqrt(2 * width * layers);
    case INITIAL_TOKENS:
        return 0.02;
    case INITIAL_POSITIONS:
        return 0.01;
    default:
        return 0;
    }
}

static double initial_mean(const struct tensor_group *group, enum initial initial)
{
    if (initial == INITIAL_SCALE)
        return group->scale;
    return initial == INITIAL_ONE ? 1 : 0;
}

void group_tensor(const struct tensor_group *group, size_t row, struct model_tensor *tensor)
{
    const struct tensor_row *source = &group->rows[row];
    *tensor = (struct model_tensor){.rank = (unsigned)strlen(source->shape)};
    snprintf(tensor->name, sizeof(tensor->name), "%s%s", group->prefix, source->name);
    for (unsigned i = 0; i < tensor->rank; i++)
        tensor->shape[i] = group_size(group, source->shape[i]);
    tensor->flags = group->flags | source->flags;
    tensor->mean = initial_mean(group, source->initial);
    tensor->deviation = initial_deviation(group, source->initial, tensor);
}

/* Writes the shape on the device to `shape` and returns its rank. */
static unsigned device_shape(const struct tensor_row *row, const struct model_tensor *tensor,
                             uint32_t shape[GRAPH_MAX_RANK])
{
    for (unsigned i = 0; i < tensor->rank; i++)
        shape[i] = (uint32_t)tensor->shape[i];
    if (row->layout == LAYOUT_CONV) {
        shape[2] = row->shape[1] == 'c' ? 4 : shape[1];
        shape[1] = 9;
        return 3;
    }
    if (row->layout == LAYOUT_TAPS) {
        shape[1] = shape[0];
        shape[0] = (uint32_t)fan_in(tensor);
        return 2;
    }
    if (row->layout == LAYOUT_PANELS) {
        shape[1] = (uint32_t)fan_in(tensor);
        return 2;
    }
    return tensor->rank;
}

/* Both graph_weight and graph_weight_f32 have this signature. */
typedef int weight_fn(struct graph *graph, const char *name, enum layout layout, unsigned rank,
                      const uint32_t *shape);

static int append_weight(struct graph *graph, const struct tensor_group *group, size_t row,
                         weight_fn *append)
{
    const enum layout layout = group->rows[row].layout;
    struct model_tensor tensor;
    uint32_t shape[GRAPH_MAX_RANK];
    group_tensor(group, row, &tensor);
    const unsigned rank = device_shape(&group->rows[row], &tensor, shape);
    const int weight = append(graph, tensor.name, layout, rank, shape);
    if (weight >= 0 && (tensor.flags & TENSOR_DELICATE))
        graph->tensors[weight].delicate = true;
    return weight;
}

int group_weight(struct graph *graph, const struct tensor_group *group, size_t row)
{
    return append_weight(graph, group, row, graph_weight);
}

int group_weight_f32(struct graph *graph, const struct tensor_group *group, size_t row)
{
    return append_weight(graph, group, row, graph_weight_f32);
}
