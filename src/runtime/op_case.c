/* SPDX-License-Identifier: MIT
 *
 * Builds the graph of a case: one function per op makes the tensors that the op reads and appends
 * its node. Ops of inference go through the builders of graph.h, so that these are tested
 * too; ops of training, which only the gradient and the optimiser append, are appended directly.
 */
#include "runtime/op_case.h"

#include "shaders/args.h"

#define EPSILON 1e-5f

/* ---- Tensors --------------------------------------------------------------------------------- */

static int add_vector(struct graph *graph, const char *name, uint32_t n)
{
    return graph_input(graph, name, graph->type, 1, &n);
}

static int add_matrix(struct graph *graph, const char *name, uint32_t rows, uint32_t columns)
{
    const uint32_t shape[] = {rows, columns};
    return graph_input(graph, name, graph->type, 2, shape);
}

/* Adds an input of shape [B,T,C]. */
static int add_tokens(struct graph *graph, const char *name, uint32_t b, uint32_t t, uint32_t c)
{
    const uint32_t shape[] = {b, t, c};
    return graph_input(graph, name, graph->type, 3, shape);
}

/* Adds an input of shape [B,H,W,C]. */
static int add_pixels(struct graph *graph, const char *name, uint32_t b, uint32_t h, uint32_t w,
                      uint32_t c)
{
    const uint32_t shape[] = {b, h, w, c};
    return graph_input(graph, name, graph->type, 4, shape);
}

/* Statistics are fp32 whatever the type of activations is. */
static int add_statistics(struct graph *graph, unsigned rank, uint32_t a, uint32_t b, uint32_t c,
                          uint32_t d)
{
    const uint32_t shape[] = {a, b, c, d};
    return graph_input(graph, "stats", TYPE_F32, rank, shape);
}

static int add_ids(struct graph *graph, const char *name, unsigned rank, uint32_t a, uint32_t b)
{
    const uint32_t shape[] = {a, b};
    return graph_input(graph, name, TYPE_I32, rank, shape);
}

static int add_weight_vector(struct graph *graph, const char *name, uint32_t n)
{
    return graph_weight(graph, name, LAYOUT_ROWS, 1, &n);
}

static int add_weight_matrix(struct graph *graph, const char *name, uint32_t rows, uint32_t columns)
{
    const uint32_t shape[] = {rows, columns};
    return graph_weight(graph, name, LAYOUT_ROWS, 2, shape);
}

/* A tensor that a node can add to must be the result of another node. */
static int add_result(struct graph *graph, const char *name, uint32_t rows, uint32_t columns)
{
    return graph_normalize(graph, name, add_matrix(graph, "r", rows, columns));
}

/* ---- Nodes ----------------------------------------------------------------------------------- */

static void append_node(struct graph *graph, struct node node, unsigned rank, uint32_t a,
                        uint32_t b, uint32_t c, uint32_t d)
{
    const uint32_t shape[] = {a, b, c, d};
    graph_append(graph, "y", node, rank, shape);
}

/* Appends a node that adds its result to a tensor that keeps its values between runs, as the
 * gradients of weights do. */
static void append_sum(struct graph *graph, struct node node, enum layout layout, unsigned rank,
                       uint32_t a, uint32_t b, uint32_t c)
{
    const uint32_t shape[] = {a, b, c, 2};
    node.residual = true;
    graph_append_into(graph, node, graph_add_state(graph, "y", layout, rank, shape));
}

/* ---- Inference ------------------------------------------------------------------------------- */

static void build_MATMUL(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    const uint32_t w_shape[] = {s[1], s[2]};
    int x = add_matrix(graph, "x", s[0], s[2]);
    int w = graph_weight(graph, "w", LAYOUT_PANELS, 2, w_shape);
    int bias = c->optional ? add_weight_vector(graph, "bias", s[1]) : -1;
    int residual = c->node.residual ? add_result(graph, "residual", s[0], s[1]) : -1;
    int y = graph_matmul(graph, "y", x, w, bias, c->node.matmul.activation, residual);
    if (c->node.matmul.relu)
        graph_relu(graph, y);
    if (c->node.matmul.slope && y >= 0) {
        struct node *node = &graph->nodes[graph->node_count - 1];
        node->matmul.slope = true;
        node->in[2] = add_matrix(graph, "a", s[0], s[1]);
    }
}

static void build_CONV(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    const uint32_t w_shape[] = {s[3], 9, s[2]};
    int x = add_pixels(graph, "x", s[0], s[1], s[1] + 1, s[2]);
    int w = graph_weight(graph, "w", LAYOUT_CONV, 3, w_shape);
    int bias = add_weight_vector(graph, "bias", s[3]);
    int y = graph_conv(graph, "y", x, w, bias, c->node.conv.stride);
    if (c->node.conv.relu)
        graph_relu(graph, y);
}

/* Adds pictures that a node can add to. */
static int add_pixel_result(struct graph *graph, uint32_t b, uint32_t h, uint32_t w, uint32_t c)
{
    return graph_unfold(graph, "residual", add_pixels(graph, "r", b, h, w, c), 1);
}

static void build_DWCONV(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    const int x = add_pixels(graph, "x", s[0], s[1], s[1] + 1, s[2]);
    const int w = add_weight_matrix(graph, "w", s[3] * s[3], s[2]);
    const int bias = c->optional ? add_weight_vector(graph, "bias", s[2]) : -1;
    struct node n = {.op = OP_DWCONV,
                     .in = {x, w, bias},
                     .dwconv = {.side = s[3], .flipped = c->node.dwconv.flipped}};
    if (c->node.residual)
        graph_append_over(graph, "y", n, add_pixel_result(graph, s[0], s[1], s[1] + 1, s[2]));
    else if (n.dwconv.flipped)
        append_node(graph, n, 4, s[0], s[1], s[1] + 1, s[2]);
    else
        graph_dwconv(graph, "y", x, w, bias);
}

static void build_AVGPOOL(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    int x = add_pixels(graph, "x", s[0], s[1], s[1] + 1, s[2]);
    graph_avgpool(graph, "y", x, c->node.avgpool.size);
}

static void build_UNFOLD(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    const uint32_t size = c->node.unfold.size;
    graph_unfold(graph, "y", add_pixels(graph, "x", s[0], s[1], s[1] + size, s[2]), size);
}

static void build_MEANTOKEN(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    (void)c;
    int x = add_tokens(graph, "x", s[0], s[1], s[2]);
    graph_meantoken(graph, "y", x, add_weight_matrix(graph, "positions", s[1] + 1, s[2]));
}

static void build_ATTENTION(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    int x = add_tokens(graph, "x", s[0], s[1], 3 * s[2]);
    graph->training = c->optional; /* Only training keeps statistics, and may have a mask. */
    if (c->biased)
        graph_attention_masked(graph, "y", x, add_ids(graph, "mask", 2, s[0], s[1]), -1, s[3],
                               c->node.attention.causal, 0);
    else
        graph_attention(graph, "y", x, s[3], c->node.attention.causal);
}

static void build_ATTENTION_MASKED(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    const int x = add_tokens(graph, "x", s[0], s[1], 3 * s[2]);
    const int mask = c->optional ? add_ids(graph, "mask", 2, s[0], s[1]) : -1;
    const int bias = c->biased ? add_matrix(graph, "bias", s[3], 2 * s[1] - 1) : -1;
    graph_attention_masked(graph, "y", x, mask, bias, s[3], c->node.attention.causal,
                           c->node.attention.scale);
}

static void build_POOL(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    const int q = add_matrix(graph, "q", s[3], s[2]);
    const int kv = add_tokens(graph, "kv", s[0], s[1], 2 * s[2]);
    graph_pool(graph, "y", q, kv, c->node.pool.heads);
}

static void build_RELATIVE(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    const int table = add_weight_matrix(graph, "table", s[1], s[2]);
    graph_relative(graph, "y", table, s[0], c->node.relative.farthest);
}

static void build_RMSNORM(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    (void)c;
    const int x = add_matrix(graph, "x", s[0], s[1]);
    graph_rmsnorm(graph, "y", x, add_weight_vector(graph, "gain", s[1]), EPSILON);
}

static void build_GATE(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    graph_gate(graph, "y", add_matrix(graph, "x", s[0], 2 * s[1]), c->node.gate.activation);
}

/* The shape gives half the pairs of a head; one token stands before the patches. */
static void build_ROPE(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    const uint32_t turns[] = {s[1], s[2], 2}, t = s[1] * s[1] + 1, width = 12 * s[2] * s[3];
    const int angles = graph_input(graph, "turns", TYPE_F32, 3, turns);
    int x = add_tokens(graph, "x", s[0], t, width);
    if (c->node.residual) /* A node takes the memory of another node's result. */
        x = graph_activate(graph, "before", x, VKCLIP_ACTIVATION_AUTO, false);
    graph->training = !c->node.residual;
    if (graph_rope(graph, "y", x, angles, s[3], c->node.rope.columns_first) >= 0)
        graph->nodes[graph->node_count - 1].rope.back = c->node.rope.back;
}

static void build_LAYERNORM(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    (void)c;
    int x = add_matrix(graph, "x", s[0], s[1]);
    int gain = add_weight_vector(graph, "gain", s[1]);
    graph_layernorm(graph, "y", x, gain, add_weight_vector(graph, "bias", s[1]), EPSILON);
}

static void build_EMBEDDING(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    int x = add_ids(graph, "ids", 2, s[0], s[1]);
    int table = add_weight_matrix(graph, "table", s[2], s[3]);
    if (c->node.embedding.first)
        graph_embedding_first(graph, "y", x, table, add_weight_matrix(graph, "firsts", 2, s[3]));
    else if (c->optional)
        graph_embedding(graph, "y", x, table, add_tokens(graph, "added", s[0], s[1], s[3]));
    else
        graph_embedding(graph, "y", x, table, add_weight_matrix(graph, "positions", s[1], s[3]));
}

static void build_PATCHES(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    const uint32_t pictures[] = {s[0], 3, s[1], s[1]}, values[] = {3, 256}, side = s[1] / s[2];
    const uint32_t patches[] = {s[0], side * side, s[3] * s[2] * s[2]};
    int x = c->optional ? add_ids(graph, "x", 2, s[0], (3 * s[1] * s[1] + 3) / 4)
                        : graph_input(graph, "x", TYPE_F32, 4, pictures);
    int table = c->optional ? graph_input(graph, "values", TYPE_F32, 2, values) : -1;
    graph_patches(graph, "y", x, table, s[1], s[2], 3, patches);
}

static void build_CLASSTOKEN(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    int x = add_tokens(graph, "x", s[0], s[1], s[2]);
    int token = c->optional ? add_weight_vector(graph, "token", s[2]) : -1;
    graph_classtoken(graph, "y", x, token,
                     add_weight_matrix(graph, "positions", s[1] + c->optional, s[2]));
}

static void build_SELECT(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    int x = add_tokens(graph, "x", s[0], s[1], s[2]);
    graph_select(graph, "y", x, c->optional ? add_ids(graph, "rows", 1, s[0], 0) : -1);
}

static void build_MEAN(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    const int x = add_tokens(graph, "x", s[0], s[1], s[2]);
    const int mask = c->optional ? add_ids(graph, "mask", 2, s[0], s[1]) : -1;
    graph_mean(graph, "y", x, mask, c->node.mean.skip);
}

static void build_NORMALIZE(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    (void)c;
    graph_normalize(graph, "y", add_matrix(graph, "x", s[0], s[1]));
}

/* ---- What training keeps apart --------------------------------------------------------------- */

/* The cast is from fp16 to fp32 or from fp32 to fp16. */
static void build_CAST(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    (void)c;
    enum type other = graph->type == TYPE_F16 ? TYPE_F32 : TYPE_F16;
    graph_cast(graph, graph_input(graph, "x", other, 2, s), graph->type);
}

static void build_SCALE(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    struct node n = c->node;
    n.in[0] = add_matrix(graph, "x", s[0], s[1]);
    n.in[1] = add_vector(graph, "factor", 1);
    append_node(graph, n, 2, s[0], s[1], 0, 0);
}

static void build_ACTIVATE(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    struct node n = c->node;
    n.in[0] = add_matrix(graph, "x", s[0], s[1]);
    append_node(graph, n, 2, s[0], s[1], 0, 0);
}

/* Neither input is overwritten, because the sum is a matrix of its own. */
static void build_ADD(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    struct node n = c->node;
    n.in[0] = add_matrix(graph, "x", s[0], s[1]);
    n.in[1] = add_matrix(graph, "dy", s[0], s[1]);
    append_node(graph, n, 2, s[0], s[1], 0, 0);
}

static void build_MULTIPLY(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    const int x = add_matrix(graph, "x", s[0], s[1]);
    graph_multiply(graph, "y", x,
                   c->optional ? add_weight_vector(graph, "factors", s[1])
                               : add_matrix(graph, "factors", s[0], s[1]));
}

static void build_ACTIVATE_GRAD(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    build_ADD(s, c, graph);
}

static void build_GATE_GRAD(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    struct node n = c->node;
    n.in[0] = add_matrix(graph, "x", s[0], 2 * s[1]);
    n.in[1] = add_matrix(graph, "dy", s[0], s[1]);
    append_node(graph, n, 2, s[0], 2 * s[1], 0, 0);
}

static void build_NORMALIZE_GRAD(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    build_ADD(s, c, graph);
}

static void build_BATCHSTATS(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    struct node n = c->node;
    n.batchstats.epsilon = EPSILON;
    n.in[0] = add_matrix(graph, "x", s[0], s[1]);
    n.in[1] = add_vector(graph, "gain", s[1]);
    n.in[2] = add_vector(graph, "bias", s[1]);
    append_node(graph, n, 2, 4, s[1], 0, 0);
}

static void build_BATCHNORM(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    struct node n = c->node;
    n.in[0] = add_matrix(graph, "x", s[0], s[1]);
    n.in[1] = add_statistics(graph, 2, 4, s[1], 0, 0);
    n.in[2] = c->optional ? add_matrix(graph, "residual", s[0], s[1]) : -1;
    append_node(graph, n, 2, s[0], s[1], 0, 0);
}

static void build_BATCHNORM_GRAD(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    struct node n = c->node;
    n.in[0] = add_matrix(graph, "x", s[0], s[1]);
    n.in[1] = add_matrix(graph, "dy", s[0], s[1]);
    n.in[2] = add_statistics(graph, 2, 4, s[1], 0, 0);
    append_node(graph, n, 2, 6, s[1], 0, 0);
}

static void build_AFFINE(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    struct node n = c->node;
    n.in[0] = add_matrix(graph, "x", s[0], s[1]);
    n.in[1] = add_matrix(graph, "dy", s[0], s[1]);
    n.in[2] = add_statistics(graph, 2, 6, s[1], 0, 0);
    append_node(graph, n, 2, s[0], s[1], 0, 0);
}

static void build_PANELS(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    const bool conv = c->layout == LAYOUT_CONV;
    const uint32_t shape[] = {s[0], conv ? 9 : s[1], s[1]};
    int w;
    if (c->layout == LAYOUT_ROWS)
        w = add_matrix(graph, "w", s[0], s[1]);
    else
        w = graph_weight(graph, "w", c->layout, conv ? 3 : 2, shape);
    graph_panels(graph, w, c->node.panels.transposed);
}

/* ---- Gradients ------------------------------------------------------------------------------- */

/* Builds the gradient of a convolution's weight. */
static void build_outer_conv(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    struct node n = c->node;
    const uint32_t stride = n.outer.stride;
    if (c->optional)
        n.in[2] = graph_add_state(graph, "dbias", LAYOUT_ROWS, 1, &s[3]);
    n.in[0] = add_pixels(graph, "dy", s[0], (s[1] - 1) / stride + 1, s[1] / stride + 1, s[3]);
    n.in[1] = add_pixels(graph, "x", s[0], s[1], s[1] + 1, s[2]);
    append_sum(graph, n, LAYOUT_CONV, 3, s[3], 9, s[2]);
}

static void build_OUTER(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    struct node n = c->node;
    if (n.outer.stride) {
        build_outer_conv(s, c, graph);
        return;
    }
    if (c->optional)
        n.in[2] = graph_add_state(graph, "dbias", LAYOUT_ROWS, 1, &s[1]);
    n.in[0] = add_matrix(graph, "dy", s[0], s[1]);
    n.in[1] = add_matrix(graph, "x", s[0], s[2]);
    if (n.residual)
        append_sum(graph, n, LAYOUT_PANELS, 2, s[1], s[2], 0);
    else
        append_node(graph, n, 2, s[1], s[2], 0, 0);
}

static void build_COLSUM(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    struct node n = c->node;
    n.colsum.pitch = s[2];
    n.colsum.group = s[3];
    n.in[0] = add_matrix(graph, "dy", s[0], s[2]);
    if (n.residual)
        append_sum(graph, n, LAYOUT_ROWS, 1, s[1] + n.colsum.columns, 0, 0);
    else
        append_node(graph, n, 2, s[3] ? (s[0] + s[3] - 1) / s[3] : 1, s[1], 0, 0);
}

static void build_LAYERNORM_SUMS(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    struct node n = c->node;
    n.layernorm.epsilon = EPSILON;
    n.in[0] = add_matrix(graph, "x", s[0], s[1]);
    n.in[1] = add_matrix(graph, "dy", s[0], s[1]);
    append_node(graph, n, 3, (s[0] + LAYERNORM_ROWS - 1) / LAYERNORM_ROWS, 2, s[1], 0);
}

static void build_LAYERNORM_GRAD(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    struct node n = c->node;
    n.layernorm.epsilon = EPSILON;
    n.in[0] = add_matrix(graph, "x", s[0], s[1]);
    n.in[1] = add_vector(graph, "gain", s[1]);
    n.in[2] = add_matrix(graph, "dy", s[0], s[1]);
    if (n.residual)
        graph_append_over(graph, "y", n, add_result(graph, "before", s[0], s[1]));
    else
        append_node(graph, n, 2, s[0], s[1], 0, 0);
}

static void build_ATTENTION_DELTA(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    struct node n = c->node;
    n.in[0] = add_tokens(graph, "y", s[0], s[1], s[2]);
    n.in[1] = add_tokens(graph, "dy", s[0], s[1], s[2]);
    n.in[2] = c->optional ? add_ids(graph, "mask", 2, s[0], s[1]) : -1;
    append_sum(graph, n, LAYOUT_ROWS, 4, s[0], s[1], s[3]);
}

static void build_ATTENTION_GRAD(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    struct node n = c->node;
    n.attention.heads = s[3];
    n.in[0] = add_tokens(graph, "qkv", s[0], s[1], 3 * s[2]);
    n.in[1] = add_tokens(graph, "dy", s[0], s[1], s[2]);
    n.in[2] = add_statistics(graph, 4, s[0], s[1], s[3], 2);
    append_node(graph, n, 3, s[0], s[1], 3 * s[2], 0);
}

static void build_POOL_GRAD(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    struct node n = c->node;
    n.in[0] = add_matrix(graph, "q", s[3], s[2]);
    n.in[1] = add_tokens(graph, "kv", s[0], s[1], 2 * s[2]);
    n.in[2] = add_tokens(graph, "dy", s[0], s[3], s[2]);
    if (n.pool.queries)
        append_node(graph, n, 3, s[0], s[3], s[2], 0);
    else
        append_node(graph, n, 3, s[0], s[1], 2 * s[2], 0);
}

static void build_EMBEDDING_GRAD(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    struct node n = c->node;
    n.in[0] = add_tokens(graph, "dy", s[0], s[1], s[3]);
    n.in[1] = add_ids(graph, "order", 1, s[0] * s[1], 0);
    n.in[2] = add_ids(graph, "runs", 2, s[0] * s[1] + 1, 2);
    append_sum(graph, n, LAYOUT_ROWS, 2, s[2], s[3], 0);
}

static void build_CLASSTOKEN_GRAD(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    struct node n = c->node;
    n.in[0] = add_tokens(graph, "dy", s[0], s[1] + 1, s[2]);
    append_node(graph, n, 3, s[0], s[1], s[2], 0);
}

static void build_MEANTOKEN_GRAD(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    build_CLASSTOKEN_GRAD(s, c, graph);
}

static void build_SELECT_GRAD(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    struct node n = c->node;
    n.in[0] = add_matrix(graph, "dy", s[0], s[2]);
    n.in[1] = c->optional ? add_ids(graph, "rows", 1, s[0], 0) : -1;
    append_node(graph, n, 3, s[0], s[1], s[2], 0);
}

static void build_MEAN_GRAD(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    struct node n = c->node;
    n.in[0] = add_matrix(graph, "dy", s[0], s[2]);
    n.in[1] = c->optional ? add_ids(graph, "mask", 2, s[0], s[1]) : -1;
    append_node(graph, n, 3, s[0], s[1], s[2], 0);
}

static void build_AVGPOOL_GRAD(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    struct node n = c->node;
    const uint32_t size = n.avgpool.size;
    n.in[0] = add_pixels(graph, "dy", s[0], s[1] / size, (s[1] + 1) / size, s[2]);
    append_node(graph, n, 4, s[0], s[1], s[1] + 1, s[2]);
}

static void build_UNFOLD_GRAD(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    struct node n = c->node;
    const uint32_t size = n.unfold.size;
    n.in[0] = add_pixels(graph, "dy", s[0], s[1] / size, s[1] / size + 1, s[2] * size * size);
    append_node(graph, n, 4, s[0], s[1], s[1] + size, s[2]);
}

static void build_DWCONV_SUMS(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    struct node n = c->node;
    n.dwconv.side = s[3];
    n.in[0] = add_pixels(graph, "x", s[0], s[1], s[1] + 1, s[2]);
    n.in[1] = add_pixels(graph, "dy", s[0], s[1], s[1] + 1, s[2]);
    append_node(graph, n, 3, (s[0] * s[1] + DWCONV_ROWS - 1) / DWCONV_ROWS, s[3] * s[3] + 1, s[2],
                0);
}

/* ---- Objective and optimiser ----------------------------------------------------------------- */

static void build_CONTRAST_STATS(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    struct node n = c->node;
    n.in[0] = add_matrix(graph, "cosines", s[0], s[0]);
    n.in[1] = add_vector(graph, "logit_scale", 1);
    append_node(graph, n, 2, 2, s[0], 0, 0);
}

static void build_CONTRAST_LOSS(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    struct node n = c->node;
    n.in[0] = add_matrix(graph, "cosines", s[0], s[0]);
    n.in[1] = add_vector(graph, "logit_scale", 1);
    n.in[2] = add_matrix(graph, "stats", 2, s[0]);
    append_node(graph, n, 2, s[0], 2, 0, 0);
}

static void build_CONTRAST_GRAD(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    struct node n = c->node;
    n.in[0] = add_matrix(graph, "stats", 2, s[0]);
    n.in[1] = add_vector(graph, "logit_scale", 1);
    graph_append_over(graph, "y", n, add_result(graph, "cosines", s[0], s[0]));
}

static void build_PAIRS_LOSS(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    struct node n = c->node;
    n.in[0] = add_matrix(graph, "cosines", s[0], s[1]);
    n.in[1] = add_vector(graph, "logit_scale", 1);
    n.in[2] = add_vector(graph, "logit_bias", 1);
    append_node(graph, n, 2, s[0], 3, 0, 0);
}

static void build_PAIRS_GRAD(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    struct node n = c->node;
    n.in[0] = add_vector(graph, "logit_scale", 1);
    n.in[1] = add_vector(graph, "logit_bias", 1);
    graph_append_over(graph, "y", n, add_result(graph, "cosines", s[0], s[1]));
}

static void build_RUNNING(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    struct node n = c->node;
    n.running.epsilon = EPSILON;
    n.running.momentum = 0.1f;
    n.running.unbias = 0.7f;
    n.in[0] = add_matrix(graph, "stats", 4, s[1]);
    append_sum(graph, n, LAYOUT_ROWS, 1, s[1], 0, 0);
}

static void build_RUNNINGSTATS(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    struct node n = c->node;
    n.runningstats.epsilon = EPSILON;
    n.in[0] = add_vector(graph, "running", s[1]);
    if (!n.runningstats.variance) {
        append_node(graph, n, 2, 4, s[1], 0, 0);
        return;
    }
    n.in[1] = add_vector(graph, "gain", s[1]);
    n.in[2] = add_vector(graph, "bias", s[1]);
    append_sum(graph, n, LAYOUT_ROWS, 2, 4, s[1], 0);
}

static void build_SUMSQ(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    struct node n = c->node;
    n.in[0] = add_vector(graph, "x", s[0]);
    append_node(graph, n, 1, (s[0] + SUMSQ_PART - 1) / SUMSQ_PART, 0, 0, 0);
}

static void build_CLIP(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    struct node n = c->node;
    n.in[0] = add_vector(graph, "parts", s[0]);
    n.in[1] = add_vector(graph, "step", 8);
    append_node(graph, n, 1, 8, 0, 0, 0);
}

static void build_ADAMW(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    struct node n = c->node;
    n.in[0] = add_vector(graph, "dw", s[0]);
    n.in[1] = add_matrix(graph, "moments", s[0], 2);
    n.in[2] = add_vector(graph, "step", 8);
    append_sum(graph, n, LAYOUT_ROWS, 1, s[0], 0, 0);
}

static void build_AVERAGE(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    struct node n = c->node;
    n.in[0] = add_vector(graph, "w", s[0]);
    n.in[1] = add_vector(graph, "step", 8);
    append_sum(graph, n, LAYOUT_ROWS, 1, s[0], 0, 0);
}

static void build_CLAMP(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    struct node n = c->node;
    n.in[0] = add_vector(graph, "w", s[0]);
    append_node(graph, n, 1, s[0], 0, 0, 0);
}

/* ---- Pictures -------------------------------------------------------------------------------- */

static void build_RESAMPLE(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    const uint32_t stride = c->node.resample.stride, words = (s[1] * stride + 3) / 4 + 1;
    const bool down = c->node.resample.down;
    int x = stride ? add_ids(graph, "x", 2, s[0], words)
                   : graph_input(graph, "x", TYPE_F32, 3, (const uint32_t[]){s[0], s[1], 3});
    int taps = add_ids(graph, "taps", 2, s[2], 1 + s[3]);
    if (stride)
        graph_resample_bytes(graph, "y", x, taps, s[1], stride, c->node.resample.swapped, down);
    else
        graph_resample(graph, "y", x, taps, down);
}

static void build_FRAME(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    int x = graph_input(graph, "x", TYPE_F32, 3, (const uint32_t[]){s[0], s[1], 3});
    int values = graph_input(graph, "values", TYPE_F32, 2, (const uint32_t[]){3, 256});
    graph_frame(graph, "y", x, values, s[2], c->node.frame.top, c->node.frame.left,
                c->node.frame.fill);
}

/* ---- Search ---------------------------------------------------------------------------------- */

static void build_MAXIMA(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    int x = add_matrix(graph, "scores", s[0], s[1]);
    int mask = c->optional ? add_ids(graph, "mask", 1, (s[1] + 31) / 32, 0) : -1;
    graph_maxima(graph, "y", x, mask);
}

/* ---- Explanations ---------------------------------------------------------------------------- */

static void build_RELEVANCE(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    const bool pooled = c->node.relevance.pooled;
    const uint32_t queries = pooled ? s[3] : s[1];
    struct node n = c->node;
    n.in[0] = pooled ? add_matrix(graph, "q", queries, s[2])
                     : add_tokens(graph, "qkv", s[0], s[1], 3 * s[2]);
    n.in[1] = pooled ? add_tokens(graph, "kv", s[0], s[1], 2 * s[2])
                     : add_matrix(graph, "relevance", s[0], s[1]);
    n.in[2] = add_tokens(graph, "dy", s[0], queries, s[2]);
    append_node(graph, n, 3, s[0], queries, s[1], 0);
}

static void build_MEAN_RELEVANCE(const uint32_t *s, const struct op_case *c, struct graph *graph)
{
    struct node n = c->node;
    n.in[0] = add_tokens(graph, "x", s[0], s[1], s[2]);
    n.in[1] = add_matrix(graph, "dy", s[0], s[2]);
    append_node(graph, n, 2, s[0], s[1], 0, 0);
}

void op_case_build(const struct op_case *op_case, enum type type, struct graph *graph)
{
    static void (*const builders[])(const uint32_t *, const struct op_case *, struct graph *) = {
#define X(op) build_##op,
        OPS(X)
#undef X
    };
    struct op_case c = *op_case;
    for (int i = 0; i < NODE_INPUTS; i++)
        c.node.in[i] = -1;
    graph_init(graph, type);
    graph->compute_f16 = true; /* Every variant can compute a case. */
    builders[c.node.op](c.shape, &c, graph);
}
