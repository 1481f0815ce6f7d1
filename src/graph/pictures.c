/* SPDX-License-Identifier: MIT
 *
 * The builders of the ops that prepare a picture on the device. They refuse sizes that do not fit
 * one another.
 */
#include "base/error.h"
#include "graph/graph.h"

static int fail_shape(struct graph *graph, const char *name, const char *expected)
{
    if (!graph->error)
        graph->error = error_fail(VKCLIP_EINVALID, "%s: expected %s", name, expected);
    return -1;
}

static bool has_type(const struct graph *graph, int index, enum type type, unsigned rank)
{
    return index >= 0 && graph->tensors[index].type == type && graph->tensors[index].rank == rank;
}

/* Appends a RESAMPLE of `height` rows of `width` pixels. */
static int append_resample(struct graph *graph, const char *name, struct node node, uint32_t height,
                           uint32_t width)
{
    const uint32_t count = graph->tensors[node.in[1]].shape[0];
    const uint32_t shape[] = {node.resample.down ? count : height,
                              node.resample.down ? width : count, 3};
    return graph_append(graph, name, node, 3, shape);
}

int graph_resample_bytes(struct graph *graph, const char *name, int x, int taps, uint32_t width,
                         uint32_t stride, bool swapped, bool down)
{
    const struct node node = {
        .op = OP_RESAMPLE,
        .in = {x, taps, -1},
        .resample = {.down = down, .swapped = swapped, .width = width, .stride = stride}};
    if (graph->error || !has_type(graph, x, TYPE_I32, 2) || !has_type(graph, taps, TYPE_I32, 2) ||
        (stride != 3 && stride != 4) || !width ||
        ((uint64_t)width * stride + 3) / 4 > graph->tensors[x].shape[1] ||
        graph->tensors[taps].shape[1] < 2)
        return fail_shape(graph, name, "words of bytes [H,n] of pixels, and taps [N,1+K]");
    return append_resample(graph, name, node, graph->tensors[x].shape[0], width);
}

int graph_resample(struct graph *graph, const char *name, int x, int taps, bool down)
{
    const struct node node = {.op = OP_RESAMPLE, .in = {x, taps, -1}, .resample = {.down = down}};
    if (graph->error || !has_type(graph, x, TYPE_F32, 3) || !has_type(graph, taps, TYPE_I32, 2) ||
        graph->tensors[x].shape[2] != 3 || graph->tensors[taps].shape[1] < 2)
        return fail_shape(graph, name, "levels [H,W,3], and taps [N,1+K]");
    const uint32_t *shape = graph->tensors[x].shape;
    return append_resample(graph, name, node, shape[0], shape[1]);
}

int graph_frame(struct graph *graph, const char *name, int x, int values, uint32_t size,
                uint32_t top, uint32_t left, uint32_t fill)
{
    const struct node node = {.op = OP_FRAME,
                              .in = {x, values, -1},
                              .frame = {.size = size, .top = top, .left = left, .fill = fill}};
    const uint32_t shape[] = {1, 3, size, size};
    if (graph->error || !has_type(graph, x, TYPE_F32, 3) || !has_type(graph, values, TYPE_F32, 2) ||
        graph->tensors[x].shape[2] != 3 || tensor_elements(&graph->tensors[values]) != 3 * 256 ||
        fill > 255 || (uint64_t)graph->tensors[x].shape[0] + top > size ||
        (uint64_t)graph->tensors[x].shape[1] + left > size)
        return fail_shape(graph, name, "levels [H,W,3] within the picture, and values [3,256]");
    return graph_append(graph, name, node, 4, shape);
}
