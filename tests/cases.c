/* SPDX-License-Identifier: MIT
 *
 * The shapes: ones, odd ones, ones beside a multiple of a tile, and those of the models.
 */
#include "cases.h"

#define QUICK VKCLIP_ACTIVATION_QUICK_GELU
#define GELU VKCLIP_ACTIVATION_GELU

const struct op_case op_cases[] = {
    {OP_MATMUL, {1, 1, 1}},
    {OP_MATMUL, {1, 1, 4}, .bias = true, .activation = GELU},
    {OP_MATMUL, {3, 5, 7}, .bias = true, .activation = QUICK},
    {OP_MATMUL, {2, 31, 5}, .residual = true},
    {OP_MATMUL, {33, 31, 4}, .residual = true},
    {OP_MATMUL, {17, 65, 12}, .bias = true, .residual = true, .activation = QUICK},
    {OP_MATMUL, {64, 64, 64}, .activation = GELU},
    {OP_MATMUL, {65, 33, 129}, .bias = true, .activation = GELU},
    {OP_MATMUL, {127, 33, 20}, .bias = true},
    {OP_MATMUL, {50, 96, 192}, .bias = true, .residual = true},
    {OP_MATMUL, {129, 188, 80}, .bias = true, .activation = GELU},
    {OP_MATMUL, {1, 512, 768}},
    {OP_MATMUL, {257, 40, 588}},
    {OP_MATMUL, {5, 2, 3072}, .bias = true},
    {OP_MATMUL, {1, 1000, 3}, .residual = true},
    {OP_MATMUL, {35, 17, 8}, .bias = true, .residual = true, .relu = true},
    {OP_CONV, {1, 1, 1, 1}, .stride = 1},
    {OP_CONV, {2, 2, 4, 3}, .stride = 2, .relu = true},
    {OP_CONV, {1, 3, 2, 33}, .stride = 1},
    {OP_CONV, {2, 7, 6, 5}, .stride = 2},
    {OP_CONV, {3, 8, 4, 32}, .stride = 2, .relu = true},
    {OP_CONV, {1, 14, 36, 40}, .stride = 1, .relu = true},
    {OP_CONV, {2, 9, 20, 31}, .stride = 1},
    {OP_CONV, {1, 5, 64, 33}, .stride = 1, .relu = true},
    {OP_CONV, {2, 7, 64, 20}, .stride = 2},
    {OP_AVGPOOL, {1, 2, 1}, .stride = 2},
    {OP_AVGPOOL, {3, 7, 5}, .stride = 2},
    {OP_AVGPOOL, {2, 12, 33}, .stride = 3},
    {OP_MEANTOKEN, {1, 1, 1}},
    {OP_MEANTOKEN, {2, 49, 130}},
    {OP_MEANTOKEN, {5, 4, 7}},
    {OP_MATMUL, {9, 45, 33}, .bias = true, .residual = true},
    {OP_MATMUL, {70, 100, 100}, .bias = true},
    {OP_ATTENTION, {1, 1, 1, 1}},
    {OP_ATTENTION, {1, 1, 4, 1}, .causal = true},
    {OP_ATTENTION, {2, 3, 6, 2}},
    {OP_ATTENTION, {2, 3, 6, 2}, .causal = true},
    {OP_ATTENTION, {1, 31, 10, 2}},
    {OP_ATTENTION, {3, 50, 48, 2}},
    {OP_ATTENTION, {1, 33, 192, 3}, .causal = true},
    {OP_ATTENTION, {2, 77, 64, 1}, .causal = true},
    {OP_ATTENTION, {2, 32, 80, 1}},
    {OP_ATTENTION, {1, 65, 104, 1}},
    {OP_ATTENTION, {1, 257, 88, 1}},
    {OP_ATTENTION, {1, 577, 32, 2}},
    {OP_LAYERNORM, {1, 1}},
    {OP_LAYERNORM, {3, 2}},
    {OP_LAYERNORM, {7, 63}},
    {OP_LAYERNORM, {65, 64}},
    {OP_LAYERNORM, {5, 65}},
    {OP_LAYERNORM, {2, 1664}},
    {OP_LAYERNORM, {70000, 3}}, /* more rows than a grid's first dimension must take */
    {OP_EMBEDDING, {1, 1, 1, 1}},
    {OP_EMBEDDING, {2, 7, 19, 5}},
    {OP_EMBEDDING, {3, 77, 1026, 48}},
    {OP_EMBEDDING, {1, 8, 5000, 64}},
    {OP_CLASSTOKEN, {1, 1, 1}},
    {OP_CLASSTOKEN, {3, 36, 5}},
    {OP_CLASSTOKEN, {2, 49, 768}},
    {OP_SELECT, {1, 1, 1}},
    {OP_SELECT, {3, 7, 5}, .bias = true},
    {OP_SELECT, {2, 77, 513}, .bias = true},
    {OP_SELECT, {4, 50, 96}},
    {OP_NORMALIZE, {1, 1}},
    {OP_NORMALIZE, {5, 63}},
    {OP_NORMALIZE, {3, 1280}},
};
const size_t op_case_count = UTIL_COUNT(op_cases);

static int weight(struct graph *graph, const char *name, uint32_t a, uint32_t b)
{
    const uint32_t shape[] = {a, b};
    return graph_weight(graph, name, LAYOUT_ROWS, b ? 2 : 1, shape);
}

void case_build(const struct op_case *c, enum type type, struct graph *graph)
{
    const uint32_t *s = c->shape;
    graph_init(graph, type);
    switch (c->op) {
    case OP_MATMUL: {
        const uint32_t x_shape[] = {s[0], s[2]}, w_shape[] = {s[1], s[2]}, y_shape[] = {s[0], s[1]};
        int x = graph_input(graph, "x", type, 2, x_shape);
        int w = graph_weight(graph, "w", LAYOUT_PANELS, 2, w_shape);
        int bias = c->bias ? weight(graph, "bias", s[1], 0) : -1, residual = -1;
        if (c->residual) /* a residual is another node's result */
            residual =
                graph_normalize(graph, "residual", graph_input(graph, "r", type, 2, y_shape));
        int y = graph_matmul(graph, "y", x, w, bias, c->activation, residual);
        if (c->relu)
            graph_relu(graph, y);
        break;
    }
    case OP_CONV: {
        const uint32_t x_shape[] = {s[0], s[1], s[1] + 1, s[2]}, w_shape[] = {s[3], 9, s[2]};
        int x = graph_input(graph, "x", type, 4, x_shape);
        int w = graph_weight(graph, "w", LAYOUT_CONV, 3, w_shape);
        int y = graph_conv(graph, "y", x, w, weight(graph, "bias", s[3], 0), c->stride);
        if (c->relu)
            graph_relu(graph, y);
        break;
    }
    case OP_AVGPOOL: {
        const uint32_t shape[] = {s[0], s[1], s[1] + 1, s[2]};
        graph_avgpool(graph, "y", graph_input(graph, "x", type, 4, shape), c->stride);
        break;
    }
    case OP_MEANTOKEN: {
        int x = graph_input(graph, "x", type, 3, s);
        graph_meantoken(graph, "y", x, weight(graph, "positions", s[1] + 1, s[2]));
        break;
    }
    case OP_ATTENTION: {
        const uint32_t shape[] = {s[0], s[1], 3 * s[2]};
        graph_attention(graph, "y", graph_input(graph, "x", type, 3, shape), s[3], c->causal);
        break;
    }
    case OP_LAYERNORM: {
        int x = graph_input(graph, "x", type, 2, s);
        int gain = weight(graph, "gain", s[1], 0);
        graph_layernorm(graph, "y", x, gain, weight(graph, "bias", s[1], 0), 1e-5f);
        break;
    }
    case OP_EMBEDDING: {
        int ids = graph_input(graph, "ids", TYPE_I32, 2, s);
        int table = weight(graph, "table", s[2], s[3]);
        graph_embedding(graph, "y", ids, table, weight(graph, "positions", s[1], s[3]));
        break;
    }
    case OP_CLASSTOKEN: {
        int x = graph_input(graph, "x", type, 3, s);
        int token = weight(graph, "token", s[2], 0);
        graph_classtoken(graph, "y", x, token, weight(graph, "positions", s[1] + 1, s[2]));
        break;
    }
    case OP_SELECT: {
        int x = graph_input(graph, "x", type, 3, s);
        graph_select(graph, "y", x, c->bias ? graph_input(graph, "rows", TYPE_I32, 1, s) : -1);
        break;
    }
    case OP_NORMALIZE:
        graph_normalize(graph, "y", graph_input(graph, "x", type, 2, s));
        break;
    case OP_COUNT:
        break;
    }
}
