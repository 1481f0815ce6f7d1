/* SPDX-License-Identifier: MIT
 *
 * The shapes: ones, odd ones, ones beside a multiple of a tile, and those of the models.
 */
#include "base/array.h"
#include "reference/cases.h"

#include "shaders/args.h"

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
    {OP_MATMUL, {33, 42, 40}, .slope = true, .activation = QUICK},
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
    {OP_ATTENTION, {2, 3, 6, 2}, .bias = true, .causal = true},
    {OP_ATTENTION, {1, 31, 10, 2}},
    {OP_ATTENTION, {3, 50, 48, 2}, .bias = true},
    {OP_ATTENTION, {1, 33, 192, 3}, .causal = true},
    {OP_ATTENTION, {2, 77, 64, 1}, .bias = true, .causal = true},
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
    {OP_CAST, {1, 1}},
    {OP_CAST, {7, 33}},
    {OP_CAST, {70, 64}},
    {OP_ACTIVATE, {1, 1}, .activation = QUICK},
    {OP_ACTIVATE, {7, 33}, .activation = GELU},
    {OP_ACTIVATE, {70, 65}, .relu = true},
    {OP_ACTIVATE_GRAD, {1, 1}, .activation = QUICK},
    {OP_ACTIVATE_GRAD, {7, 33}, .activation = GELU},
    {OP_ACTIVATE_GRAD, {7, 33}, .activation = QUICK},
    {OP_ACTIVATE_GRAD, {70, 65}, .relu = true},
    {OP_ADD, {3, 31}},
    {OP_ADD, {128, 192}},
    {OP_BATCHSTATS, {2, 1}},
    {OP_BATCHSTATS, {333, 33}},
    {OP_BATCHSTATS, {64, 128}},
    {OP_BATCHNORM, {3, 5}},
    {OP_BATCHNORM, {77, 33}, .residual = true, .relu = true},
    {OP_BATCHNORM, {64, 64}, .relu = true},
    {OP_BATCHNORM_GRAD, {2, 1}},
    {OP_BATCHNORM_GRAD, {333, 33}},
    {OP_BATCHNORM_GRAD, {333, 33}, .stride = 1},
    {OP_AFFINE, {77, 33}},
    {OP_PANELS, {1, 1}},
    {OP_PANELS, {33, 31}, .bias = true},
    {OP_PANELS, {33, 31}, .bias = true, .causal = true},
    {OP_PANELS, {64, 20}, .causal = true},
    {OP_PANELS, {65, 7}},
    {OP_PANELS, {33, 5}, .stride = 1, .causal = true},
    {OP_PANELS, {3, 64}, .stride = 1, .causal = true},
    {OP_OUTER, {1, 1, 1}, .bias = true, .residual = true},
    {OP_OUTER, {7, 3, 5}, .bias = true, .residual = true},
    {OP_OUTER, {7, 3, 5}, .bias = true},
    {OP_OUTER, {65, 33, 129}, .bias = true, .residual = true},
    {OP_OUTER, {100, 64, 48}, .bias = true, .residual = true},
    {OP_OUTER, {100, 132, 36}},
    {OP_OUTER, {333, 20, 64}, .bias = true, .residual = true},
    {OP_OUTER, {2, 3, 1, 5}, .bias = true, .residual = true, .stride = 1},
    {OP_OUTER, {2, 7, 4, 8}, .bias = true, .residual = true, .stride = 2},
    {OP_OUTER, {1, 9, 12, 33}, .bias = true, .residual = true, .stride = 1},
    {OP_OUTER, {3, 6, 8, 36}, .bias = true, .residual = true, .stride = 1},
    {OP_COLSUM, {1, 1, 1}},
    {OP_COLSUM, {333, 33, 33}, .residual = true},
    {OP_COLSUM, {300, 40, 40, 64}},
    {OP_COLSUM, {9, 20, 60}, .residual = true},
    {OP_COLSUM, {5, 1, 2}, .stride = 1, .residual = true},
    {OP_LAYERNORM_SUMS, {3, 1}},
    {OP_LAYERNORM_SUMS, {70, 65}},
    {OP_LAYERNORM_SUMS, {32, 768}},
    {OP_LAYERNORM_GRAD, {3, 2}},
    {OP_LAYERNORM_GRAD, {70, 65}, .residual = true},
    {OP_LAYERNORM_GRAD, {5, 768}},
    {OP_ATTENTION_DELTA, {1, 1, 1, 1}},
    {OP_ATTENTION_DELTA, {2, 33, 10, 2}},
    {OP_ATTENTION_DELTA, {2, 65, 48, 3}},
    {OP_ATTENTION_GRAD, {1, 1, 1, 1}},
    {OP_ATTENTION_GRAD, {2, 33, 10, 2}, .causal = true},
    {OP_ATTENTION_GRAD, {2, 65, 48, 3}},
    {OP_ATTENTION_GRAD, {1, 77, 64, 1}, .causal = true},
    {OP_EMBEDDING_GRAD, {1, 1, 1, 1}},
    {OP_EMBEDDING_GRAD, {2, 7, 19, 5}},
    {OP_EMBEDDING_GRAD, {3, 77, 26, 48}},
    {OP_CLASSTOKEN_GRAD, {3, 36, 5}},
    {OP_MEANTOKEN_GRAD, {2, 49, 13}},
    {OP_SELECT_GRAD, {3, 7, 5}, .bias = true},
    {OP_SELECT_GRAD, {4, 50, 96}},
    {OP_NORMALIZE_GRAD, {1, 2}},
    {OP_NORMALIZE_GRAD, {5, 63}},
    {OP_AVGPOOL_GRAD, {3, 7, 5}, .stride = 2},
    {OP_AVGPOOL_GRAD, {2, 12, 33}, .stride = 3},
    {OP_CONTRAST_STATS, {1}},
    {OP_CONTRAST_STATS, {67}},
    {OP_CONTRAST_LOSS, {67}},
    {OP_CONTRAST_GRAD, {67}},
    {OP_SCALE, {1, 1}},
    {OP_SCALE, {7, 33}},
    {OP_RUNNING, {4, 33}},
    {OP_RUNNING, {4, 33}, .stride = 1},
    {OP_RUNNINGSTATS, {4, 33}},
    {OP_RUNNINGSTATS, {4, 33}, .stride = 1},
    {OP_SUMSQ, {5}},
    {OP_SUMSQ, {70001}},
    {OP_CLIP, {1}},
    {OP_CLIP, {333}},
    {OP_ADAMW, {333}},
    {OP_CLAMP, {1}},
};
const size_t op_case_count = ARRAY_COUNT(op_cases);

/* ---- Training -------------------------------------------------------------------------------- */

static int input(struct graph *graph, const char *name, unsigned rank, uint32_t a, uint32_t b,
                 uint32_t c, uint32_t d)
{
    const uint32_t shape[] = {a, b, c, d};
    return graph_input(graph, name, graph->type, rank, shape);
}

/* What is fp32 whatever the activations are. */
static int sums(struct graph *graph, const char *name, unsigned rank, uint32_t a, uint32_t b,
                uint32_t c, uint32_t d)
{
    const uint32_t shape[] = {a, b, c, d};
    return graph_input(graph, name, TYPE_F32, rank, shape);
}

static int ids(struct graph *graph, const char *name, unsigned rank, uint32_t a, uint32_t b)
{
    const uint32_t shape[] = {a, b};
    return graph_input(graph, name, TYPE_I32, rank, shape);
}

static void append(struct graph *graph, struct node node, unsigned rank, uint32_t a, uint32_t b,
                   uint32_t c, uint32_t d)
{
    const uint32_t shape[] = {a, b, c, d};
    graph_append(graph, "y", node, rank, shape);
}

/* Into what stays, as gradients of weights are. */
static void append_into(struct graph *graph, struct node node, enum layout layout, unsigned rank,
                        uint32_t a, uint32_t b, uint32_t c)
{
    const uint32_t shape[] = {a, b, c, 2};
    node.residual = true;
    graph_append_into(graph, node, graph_state(graph, "y", layout, rank, shape));
}

static void build_contrast(const struct op_case *c, struct node node, struct graph *graph)
{
    uint32_t n = c->shape[0];
    bool first = c->op != OP_CONTRAST_GRAD;
    node.in[0] = input(graph, "a", 2, first ? n : 2, n, 0, 0);
    node.in[1] = input(graph, "logit_scale", 1, 1, 0, 0, 0);
    if (c->op == OP_CONTRAST_STATS)
        append(graph, node, 2, 2, n, 0, 0);
    if (c->op == OP_CONTRAST_GRAD)
        graph_append_over(graph, "y", node,
                          graph_normalize(graph, "cosines", input(graph, "c", 2, n, n, 0, 0)));
    if (c->op == OP_CONTRAST_LOSS) {
        node.in[2] = input(graph, "stats", 2, 2, n, 0, 0);
        append(graph, node, 2, n, 2, 0, 0);
    }
}

static void build_outer(const struct op_case *c, struct node node, struct graph *graph)
{
    const uint32_t *s = c->shape;
    node.stride = c->stride;
    if (c->bias)
        node.in[2] = graph_state(graph, "dbias", LAYOUT_ROWS, 1, &s[c->stride ? 3 : 1]);
    if (c->stride) {
        uint32_t h = (s[1] - 1) / c->stride + 1, w = s[1] / c->stride + 1;
        node.in[0] = input(graph, "dy", 4, s[0], h, w, s[3]);
        node.in[1] = input(graph, "x", 4, s[0], s[1], s[1] + 1, s[2]);
        append_into(graph, node, LAYOUT_CONV, 3, s[3], 9, s[2]);
        return;
    }
    node.in[0] = input(graph, "dy", 2, s[0], s[1], 0, 0);
    node.in[1] = input(graph, "x", 2, s[0], s[2], 0, 0);
    if (c->residual)
        append_into(graph, node, LAYOUT_PANELS, 2, s[1], s[2], 0);
    else
        append(graph, node, 2, s[1], s[2], 0, 0);
}

static void build_training(const struct op_case *c, struct graph *graph)
{
    const uint32_t *s = c->shape;
    struct node n = {.op = c->op,
                     .in = {-1, -1, -1},
                     .activation = c->activation,
                     .relu = c->relu,
                     .heads = s[3],
                     .causal = c->causal,
                     .epsilon = 1e-5f,
                     .values = {0.1f, 0.7f, 1e-3f, 0.2f}};
    switch (c->op) {
    case OP_CAST: { /* from the other type */
        const uint32_t shape[] = {s[0], s[1]};
        enum type from = graph->type == TYPE_F16 ? TYPE_F32 : TYPE_F16;
        graph_cast(graph, graph_input(graph, "x", from, 2, shape), graph->type);
        break;
    }
    case OP_SCALE:
        n.in[0] = input(graph, "x", 2, s[0], s[1], 0, 0);
        n.in[1] = input(graph, "factor", 1, 1, 0, 0, 0);
        append(graph, n, 2, s[0], s[1], 0, 0);
        break;
    case OP_ACTIVATE:
        n.in[0] = input(graph, "x", 2, s[0], s[1], 0, 0);
        append(graph, n, 2, s[0], s[1], 0, 0);
        break;
    case OP_ADD:
    case OP_ACTIVATE_GRAD:
    case OP_NORMALIZE_GRAD:
        n.in[0] = input(graph, "x", 2, s[0], s[1], 0, 0);
        n.in[1] = input(graph, "dy", 2, s[0], s[1], 0, 0);
        append(graph, n, 2, s[0], s[1], 0, 0);
        break;
    case OP_BATCHSTATS:
        n.in[0] = input(graph, "x", 2, s[0], s[1], 0, 0);
        n.in[1] = input(graph, "gain", 1, s[1], 0, 0, 0);
        n.in[2] = input(graph, "bias", 1, s[1], 0, 0, 0);
        append(graph, n, 2, 4, s[1], 0, 0);
        break;
    case OP_BATCHNORM:
        n.in[0] = input(graph, "x", 2, s[0], s[1], 0, 0);
        n.in[1] = sums(graph, "stats", 2, 4, s[1], 0, 0);
        n.in[2] = c->residual ? input(graph, "residual", 2, s[0], s[1], 0, 0) : -1;
        append(graph, n, 2, s[0], s[1], 0, 0);
        break;
    case OP_BATCHNORM_GRAD:
    case OP_AFFINE:
        n.frozen = c->stride;
        n.in[0] = input(graph, "x", 2, s[0], s[1], 0, 0);
        n.in[1] = input(graph, "dy", 2, s[0], s[1], 0, 0);
        n.in[2] = sums(graph, "stats", 2, c->op == OP_AFFINE ? 6 : 4, s[1], 0, 0);
        append(graph, n, 2, c->op == OP_AFFINE ? s[0] : 6, s[1], 0, 0);
        break;
    case OP_PANELS: {
        const uint32_t shape[] = {s[0], c->stride ? 9 : s[1], s[1]};
        int w = c->bias ? input(graph, "w", 2, s[0], s[1], 0, 0)
                        : graph_weight(graph, "w", c->stride ? LAYOUT_CONV : LAYOUT_PANELS,
                                       c->stride ? 3 : 2, shape);
        graph_panels(graph, w, c->causal);
        break;
    }
    case OP_OUTER:
        build_outer(c, n, graph);
        break;
    case OP_COLSUM:
        n.pitch = s[2];
        n.group = s[3];
        n.offset = c->stride;
        n.in[0] = input(graph, "dy", 2, s[0], s[2], 0, 0);
        if (c->residual)
            append_into(graph, n, LAYOUT_ROWS, 1, s[1], 0, 0);
        else
            append(graph, n, 2, s[3] ? (s[0] + s[3] - 1) / s[3] : 1, s[1], 0, 0);
        break;
    case OP_LAYERNORM_SUMS:
        n.in[0] = input(graph, "x", 2, s[0], s[1], 0, 0);
        n.in[1] = input(graph, "dy", 2, s[0], s[1], 0, 0);
        append(graph, n, 3, (s[0] + LAYERNORM_ROWS - 1) / LAYERNORM_ROWS, 2, s[1], 0);
        break;
    case OP_LAYERNORM_GRAD:
        n.in[0] = input(graph, "x", 2, s[0], s[1], 0, 0);
        n.in[1] = input(graph, "gain", 1, s[1], 0, 0, 0);
        n.in[2] = input(graph, "dy", 2, s[0], s[1], 0, 0);
        if (c->residual)
            graph_append_over(
                graph, "y", n,
                graph_normalize(graph, "before", input(graph, "b", 2, s[0], s[1], 0, 0)));
        else
            append(graph, n, 2, s[0], s[1], 0, 0);
        break;
    case OP_ATTENTION_DELTA:
        n.heads = 0;
        n.in[0] = input(graph, "y", 3, s[0], s[1], s[2], 0);
        n.in[1] = input(graph, "dy", 3, s[0], s[1], s[2], 0);
        append_into(graph, n, LAYOUT_ROWS, 4, s[0], s[1], s[3]);
        break;
    case OP_ATTENTION_GRAD:
        n.in[0] = input(graph, "qkv", 3, s[0], s[1], 3 * s[2], 0);
        n.in[1] = input(graph, "dy", 3, s[0], s[1], s[2], 0);
        n.in[2] = sums(graph, "stats", 4, s[0], s[1], s[3], 2);
        append(graph, n, 3, s[0], s[1], 3 * s[2], 0);
        break;
    case OP_EMBEDDING_GRAD:
        n.in[0] = input(graph, "dy", 3, s[0], s[1], s[3], 0);
        n.in[1] = ids(graph, "order", 1, s[0] * s[1], 0);
        n.in[2] = ids(graph, "runs", 2, s[0] * s[1] + 1, 2);
        append_into(graph, n, LAYOUT_ROWS, 2, s[2], s[3], 0);
        break;
    case OP_CLASSTOKEN_GRAD:
    case OP_MEANTOKEN_GRAD:
        n.in[0] = input(graph, "dy", 3, s[0], s[1] + 1, s[2], 0);
        append(graph, n, 3, s[0], s[1], s[2], 0);
        break;
    case OP_SELECT_GRAD:
        n.in[0] = input(graph, "dy", 2, s[0], s[2], 0, 0);
        n.in[1] = c->bias ? ids(graph, "rows", 1, s[0], 0) : -1;
        append(graph, n, 3, s[0], s[1], s[2], 0);
        break;
    case OP_AVGPOOL_GRAD:
        n.stride = c->stride;
        n.in[0] = input(graph, "dy", 4, s[0], s[1] / c->stride, (s[1] + 1) / c->stride, s[2]);
        append(graph, n, 4, s[0], s[1], s[1] + 1, s[2]);
        break;
    case OP_RUNNING:
        n.offset = c->stride;
        n.in[0] = input(graph, "stats", 2, 4, s[1], 0, 0);
        append_into(graph, n, LAYOUT_ROWS, 1, s[1], 0, 0);
        break;
    case OP_RUNNINGSTATS:
        n.offset = c->stride;
        n.in[0] = input(graph, "running", 1, s[1], 0, 0, 0);
        n.in[1] = c->stride ? input(graph, "gain", 1, s[1], 0, 0, 0) : -1;
        n.in[2] = c->stride ? input(graph, "bias", 1, s[1], 0, 0, 0) : -1;
        if (c->stride)
            append_into(graph, n, LAYOUT_ROWS, 2, 4, s[1], 0);
        else
            append(graph, n, 2, 4, s[1], 0, 0);
        break;
    case OP_SUMSQ:
        n.in[0] = input(graph, "x", 1, s[0], 0, 0, 0);
        append(graph, n, 1, (s[0] + SUMSQ_PART - 1) / SUMSQ_PART, 0, 0, 0);
        break;
    case OP_CLIP:
        n.in[0] = input(graph, "parts", 1, s[0], 0, 0, 0);
        n.in[1] = input(graph, "step", 1, 8, 0, 0, 0);
        append(graph, n, 1, 8, 0, 0, 0);
        break;
    case OP_ADAMW:
        n.in[0] = input(graph, "dw", 1, s[0], 0, 0, 0);
        n.in[1] = input(graph, "moments", 2, s[0], 2, 0, 0);
        n.in[2] = input(graph, "step", 1, 8, 0, 0, 0);
        append_into(graph, n, LAYOUT_ROWS, 1, s[0], 0, 0);
        break;
    case OP_CLAMP:
        n.in[0] = input(graph, "w", 1, s[0], 0, 0, 0);
        append(graph, n, 1, s[0], 0, 0, 0);
        break;
    default:
        build_contrast(c, n, graph);
        break;
    }
}

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
        if (c->slope && y >= 0) {
            graph->nodes[graph->node_count - 1].slope = true;
            graph->nodes[graph->node_count - 1].in[2] = graph_input(graph, "a", type, 2, y_shape);
        }
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
        graph->training = c->bias; /* which has statistics too */
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
    default:
        build_training(c, graph);
        break;
    }
}
