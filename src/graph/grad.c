/* SPDX-License-Identifier: MIT
 *
 * This file has one gradient rule per op, and the pass over the nodes in reverse order that applies
 * the rules.
 */
#include "graph/grad.h"
#include "base/error.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "shaders/args.h"

/* A long column is summed in two steps, and each sum of the first step has this many rows: fewer
 * rows leave more sums to the second step, more rows occupy fewer invocations in the first. */
#define GROUP 256

/* This struct is the state of one call of grad_backward. */
struct backward {
    struct graph *graph;
    /* By tensor: its gradient until the rule of its node has used it; -1: none */
    int *gradients;
    /* By tensor: whether the gradient of a weight needs its gradient. */
    bool *needed;
    size_t capacity; /* of `gradients` and `needed` */
    struct grad_inputs inputs;
    bool explains; /* see grad_relevance */
    int relevance; /* [B,T] of the tokens that the nodes before have made; -1: not yet */
};

static const struct tensor *get_tensor(const struct backward *b, int tensor)
{
    return &b->graph->tensors[tensor];
}

/* ---- Sums of gradients ----------------------------------------------------------------------- */

/* Gives a tensor a gradient, which is added to the gradient that the tensor may have already. */
static void give_gradient(struct backward *b, int tensor, int gradient)
{
    int *held = &b->gradients[tensor];
    *held = *held < 0 ? gradient : graph_sum(b->graph, NULL, *held, gradient);
}

/* Gives a tensor the result of a node as gradient. The node itself adds to a gradient that the
 * tensor may have already. */
static void give_added(struct backward *b, int tensor, struct node node)
{
    int *held = &b->gradients[tensor];
    *held = *held < 0 ? graph_append_like(b->graph, node, tensor)
                      : graph_append_over(b->graph, NULL, node, *held);
}

static void give_node(struct backward *b, int tensor, struct node node)
{
    give_gradient(b, tensor, graph_append_like(b->graph, node, tensor));
}

int grad_weight(struct graph *graph, int weight)
{
    weight = graph->tensors[weight].weight;
    struct tensor tensor = graph->tensors[weight];
    char name[sizeof(tensor.name) + 8];
    if (graph->error || tensor.gradient >= 0)
        return tensor.gradient;
    snprintf(name, sizeof(name), "grad.%s", tensor.name);
    int gradient = graph_add_state(graph, name, tensor.layout, tensor.rank, tensor.shape);
    graph->tensors[weight].gradient = gradient;
    return gradient;
}

bool grad_is_trained(const struct graph *graph, int tensor)
{
    int weight = tensor < 0 ? -1 : graph->tensors[tensor].weight;
    return weight >= 0 && !graph->tensors[weight].locked;
}

void grad_sum_rows(struct graph *graph, struct grad_rows matrix, int weight)
{
    if (graph->error || !grad_is_trained(graph, weight))
        return;
    struct node node = {.op = OP_COLSUM,
                        .in = {matrix.tensor, -1, -1},
                        .colsum = {.pitch = matrix.pitch, .offset = matrix.offset}};
    /* A matrix of many rows and few columns is summed in two steps, because one step would leave
     * most invocations without work. */
    if (matrix.rows > 2 * GROUP && matrix.columns < 16 * GROUP) {
        const uint32_t shape[] = {(matrix.rows + GROUP - 1) / GROUP, matrix.columns};
        node.colsum.group = GROUP;
        int sums = graph_append(graph, NULL, node, 2, shape);
        node = (struct node){.op = OP_COLSUM, .in = {sums, -1, -1}, .colsum.pitch = matrix.columns};
    }
    node.colsum.columns = matrix.columns; /* A table may have more rows than the one that counts. */
    node.residual = true;
    graph_append_into(graph, node, grad_weight(graph, weight));
}

/* Adds the sum of dy's rows to the gradient of a vector. */
static void sum_rows(struct backward *b, int dy, int weight)
{
    const struct tensor *tensor = get_tensor(b, dy);
    uint32_t rows = tensor_rows(tensor), columns = tensor_columns(tensor);
    grad_sum_rows(b->graph, (struct grad_rows){dy, rows, columns, columns, 0}, weight);
}

/* Adds the sum of dy's items to the gradient of a table of positions. */
static void sum_items(struct backward *b, int dy, int weight)
{
    const struct tensor *tensor = get_tensor(b, dy);
    uint32_t items = tensor->shape[0], elements = (uint32_t)(tensor_elements(tensor) / items);
    grad_sum_rows(b->graph, (struct grad_rows){dy, items, elements, elements, 0}, weight);
}

/* ---- Relevance -------------------------------------------------------------------------------- */

/* Appends a node that tells the relevance of T keys for every query, and sums it over the queries
 * of each item. */
static void explain_queries(struct backward *b, struct node node, uint32_t items, uint32_t queries,
                            uint32_t keys)
{
    const uint32_t shares_shape[] = {items, queries, keys}, shape[] = {items, keys};
    const int shares = graph_append(b->graph, NULL, node, 3, shares_shape);
    node = (struct node){
        .op = OP_COLSUM, .in = {shares, -1, -1}, .colsum = {.pitch = keys, .group = queries}};
    b->relevance = graph_append(b->graph, NULL, node, 2, shape);
}

static void explain_attention(struct backward *b, struct node n, int dy)
{
    const uint32_t *shape = get_tensor(b, dy)->shape; /* [B,T,C] */
    const struct node node = {.op = OP_RELEVANCE,
                              .in = {n.in[0], b->relevance, dy},
                              .relevance.heads = n.attention.heads};
    explain_queries(b, node, shape[0], shape[1], shape[1]);
}

/* The gradient has the shares of the queries in the embedding already. */
static void explain_pool(struct backward *b, struct node n, int dy)
{
    const uint32_t *shape = get_tensor(b, n.in[1])->shape; /* [B,T,2C] */
    const struct node node = {.op = OP_RELEVANCE,
                              .in = {n.in[0], n.in[1], dy},
                              .relevance = {.heads = n.pool.heads, .pooled = true}};
    explain_queries(b, node, shape[0], get_tensor(b, dy)->shape[1], shape[1]);
}

static void explain_mean(struct backward *b, struct node n, int dy)
{
    const struct tensor *x = get_tensor(b, n.in[0]);
    const uint32_t shape[] = {x->shape[0], tensor_rows(x) / x->shape[0]};
    const struct node node = {.op = OP_MEAN_RELEVANCE, .in = {n.in[0], dy, -1}, .mean = n.mean};
    b->relevance = graph_append(b->graph, NULL, node, 2, shape);
}

/* Only the first row of each item is relevant. */
static void explain_select(struct backward *b, struct node n)
{
    const uint32_t *shape = get_tensor(b, n.in[0])->shape; /* [B,T,C] */
    const size_t count = (size_t)shape[0] * shape[1];
    float *values = memory_calloc(count, sizeof(*values));
    if (!values) {
        b->graph->error = error_fail(VKCLIP_EMEMORY, "out of memory for an explanation");
        return;
    }
    for (size_t i = 0; i < count; i += shape[1])
        values[i] = 1;
    b->relevance = graph_constant(b->graph, "relevance", 2, shape, values);
    memory_free(values);
}

/* ---- A rule per op ---------------------------------------------------------------------------
 *
 * A rule takes a node `n` and the gradient dy of its result, and gives the node's inputs their
 * gradients.
 */

/* Appends the gradients of the weight and the bias of a matrix product or of a convolution. */
static void sum_products(struct backward *b, struct node n, int dy)
{
    struct graph *graph = b->graph;
    struct node outer = {.op = OP_OUTER,
                         .in = {dy, n.in[0], -1},
                         .residual = true,
                         .outer.stride = n.op == OP_CONV ? n.conv.stride : 0};
    if (!grad_is_trained(graph, n.in[1])) {
        sum_rows(b, dy, n.in[2]);
        return;
    }
    if (grad_is_trained(graph, n.in[2]))
        outer.in[2] = grad_weight(graph, n.in[2]);
    graph_append_into(graph, outer, grad_weight(graph, n.in[1]));
}

static void grad_MATMUL(struct backward *b, struct node n, int dy)
{
    struct graph *graph = b->graph;
    sum_products(b, n, dy);
    if (b->needed[n.in[0]]) {
        int transposed = graph_panels(graph, n.in[1], true);
        give_added(b, n.in[0], (struct node){.op = OP_MATMUL, .in = {dy, transposed, -1}});
    }
}

static void grad_CONV(struct backward *b, struct node n, int dy)
{
    struct graph *graph = b->graph;
    sum_products(b, n, dy);
    if (b->needed[n.in[0]] && n.conv.stride != 1)
        graph->error =
            error_fail(VKCLIP_EUNSUPPORTED, "%s: a convolution with stride %u has no gradient",
                       get_tensor(b, n.out)->name, n.conv.stride);
    else if (b->needed[n.in[0]])
        give_added(b, n.in[0],
                   (struct node){.op = OP_CONV,
                                 .in = {dy, graph_panels(graph, n.in[1], true), -1},
                                 .conv.stride = 1});
}

static void grad_AVGPOOL(struct backward *b, struct node n, int dy)
{
    give_node(b, n.in[0],
              (struct node){.op = OP_AVGPOOL_GRAD, .in = {dy, -1, -1}, .avgpool = n.avgpool});
}

static void grad_UNFOLD(struct backward *b, struct node n, int dy)
{
    give_node(b, n.in[0],
              (struct node){.op = OP_UNFOLD_GRAD, .in = {dy, -1, -1}, .unfold = n.unfold});
}

/* The gradient of x is a convolution too, with the taps in reverse order. */
static void grad_DWCONV(struct backward *b, struct node n, int dy)
{
    struct graph *graph = b->graph;
    const struct tensor *x = get_tensor(b, n.in[0]); /* [B,H,W,C] */
    const uint32_t lines = x->shape[0] * x->shape[1], c = x->shape[3];
    const uint32_t taps = n.dwconv.side * n.dwconv.side;
    if (grad_is_trained(graph, n.in[1]) || grad_is_trained(graph, n.in[2])) {
        const uint32_t shape[] = {(lines + DWCONV_ROWS - 1) / DWCONV_ROWS, taps + 1, c};
        const uint32_t pitch = shape[1] * c;
        struct node shares = {
            .op = OP_DWCONV_SUMS, .in = {n.in[0], dy, -1}, .dwconv.side = n.dwconv.side};
        const int sums = graph_append(graph, NULL, shares, 3, shape);
        grad_sum_rows(graph, (struct grad_rows){sums, shape[0], taps * c, pitch, 0}, n.in[1]);
        grad_sum_rows(graph, (struct grad_rows){sums, shape[0], c, pitch, taps * c}, n.in[2]);
    }
    if (b->needed[n.in[0]])
        give_added(b, n.in[0],
                   (struct node){.op = OP_DWCONV,
                                 .in = {dy, n.in[1], -1},
                                 .dwconv = {.side = n.dwconv.side, .flipped = true}});
}

static void grad_ATTENTION(struct backward *b, struct node n, int dy)
{
    if (b->explains)
        explain_attention(b, n, dy);
    if (!b->needed[n.in[0]])
        return;
    const struct node delta = {.op = OP_ATTENTION_DELTA, .in = {n.out, dy, n.in[2]}};
    graph_append_into(b->graph, delta, n.in[1]);
    struct node node = {
        .op = OP_ATTENTION_GRAD, .in = {n.in[0], dy, n.in[1]}, .attention = n.attention};
    node.attention.masked = n.in[2] >= 0;
    give_node(b, n.in[0], node);
}

/* Every item has a share in the gradient of the queries. */
static void grad_POOL(struct backward *b, struct node n, int dy)
{
    struct graph *graph = b->graph;
    if (b->explains)
        explain_pool(b, n, dy);
    struct node node = {.op = OP_POOL_GRAD, .in = {n.in[0], n.in[1], dy}, .pool = n.pool};
    if (b->needed[n.in[1]])
        give_node(b, n.in[1], node);
    if (!b->needed[n.in[0]])
        return;
    const struct tensor y = *get_tensor(b, dy), q = *get_tensor(b, n.in[0]);
    node.pool.queries = true;
    const int shares = graph_append(graph, NULL, node, y.rank, y.shape);
    node = (struct node){
        .op = OP_COLSUM, .in = {shares, -1, -1}, .colsum.pitch = (uint32_t)tensor_elements(&q)};
    const int sum = graph_append(graph, NULL, node, q.rank, q.shape);
    give_gradient(b, n.in[0], q.type == TYPE_F32 ? sum : graph_cast(graph, sum, q.type));
}

/* The transpose of a rotation is the rotation by the negative angle. */
static void grad_ROPE(struct backward *b, struct node n, int dy)
{
    struct node node = {.op = OP_ROPE, .in = {n.in[0], dy, -1}, .rope = n.rope};
    node.rope.back = !n.rope.back;
    give_node(b, n.in[1], node);
}

static void grad_GATE(struct backward *b, struct node n, int dy)
{
    give_node(b, n.in[0],
              (struct node){.op = OP_GATE_GRAD, .in = {n.in[0], dy, -1}, .gate = n.gate});
}

static void grad_LAYERNORM(struct backward *b, struct node n, int dy)
{
    struct graph *graph = b->graph;
    uint32_t rows = tensor_rows(get_tensor(b, dy)), columns = tensor_columns(get_tensor(b, dy));
    if (grad_is_trained(graph, n.in[1]) || grad_is_trained(graph, n.in[2])) {
        const uint32_t shape[] = {(rows + LAYERNORM_ROWS - 1) / LAYERNORM_ROWS, 2, columns};
        struct node shares = {
            .op = OP_LAYERNORM_SUMS, .in = {n.in[0], dy, -1}, .layernorm = n.layernorm};
        int sums = graph_append(graph, NULL, shares, 3, shape);
        for (uint32_t i = 0; i < 2; i++)
            grad_sum_rows(graph,
                          (struct grad_rows){sums, shape[0], columns, 2 * columns, i * columns},
                          n.in[1 + i]);
    }
    if (b->needed[n.in[0]])
        give_added(b, n.in[0],
                   (struct node){.op = OP_LAYERNORM_GRAD,
                                 .in = {n.in[0], n.in[1], dy},
                                 .layernorm = n.layernorm});
}

/* Adds the gradient of a table's rows to the gradient of the table. */
static void sum_table(struct backward *b, struct node n, int dy)
{
    struct graph *graph = b->graph;
    struct grad_inputs *inputs = &b->inputs;
    const uint32_t tokens = tensor_rows(get_tensor(b, dy)), runs_shape[] = {tokens + 1, 2};
    char order[64], runs[64];
    assert(inputs->count < GRAD_TABLES);
    snprintf(order, sizeof(order), "text.order.%zu", inputs->count);
    snprintf(runs, sizeof(runs), "text.runs.%zu", inputs->count);
    struct grad_sorted *sorted = &inputs->sorted[inputs->count++];
    sorted->ids = n.in[0];
    sorted->order = graph_input(graph, order, TYPE_I32, 1, &tokens);
    sorted->runs = graph_input(graph, runs, TYPE_I32, 2, runs_shape);
    struct node node = {
        .op = OP_EMBEDDING_GRAD, .in = {dy, sorted->order, sorted->runs}, .residual = true};
    graph_append_into(graph, node, grad_weight(graph, n.in[1]));
}

static void grad_EMBEDDING(struct backward *b, struct node n, int dy)
{
    if (grad_is_trained(b->graph, n.in[1]))
        sum_table(b, n, dy);
    if (n.embedding.first)
        sum_rows(b, dy, n.in[2]);
    else if (get_tensor(b, n.in[2])->weight >= 0)
        sum_items(b, dy, n.in[2]);
    else if (b->needed[n.in[2]])
        give_gradient(b, n.in[2], dy);
}

static void grad_CLASSTOKEN(struct backward *b, struct node n, int dy)
{
    const struct tensor *y = get_tensor(b, dy);
    uint32_t items = y->shape[0], c = tensor_columns(y);
    if (n.in[1] < 0) {
        sum_items(b, dy, n.in[2]);
        if (b->needed[n.in[0]])
            give_gradient(b, n.in[0], dy);
        return;
    }
    grad_sum_rows(b->graph, (struct grad_rows){dy, items, c, y->shape[1] * c, 0}, n.in[1]);
    sum_items(b, dy, n.in[2]);
    if (b->needed[n.in[0]])
        give_node(b, n.in[0], (struct node){.op = OP_CLASSTOKEN_GRAD, .in = {dy, -1, -1}});
}

static void grad_MEANTOKEN(struct backward *b, struct node n, int dy)
{
    sum_items(b, dy, n.in[1]);
    give_node(b, n.in[0], (struct node){.op = OP_MEANTOKEN_GRAD, .in = {dy, -1, -1}});
}

static void grad_SELECT(struct backward *b, struct node n, int dy)
{
    if (b->explains && b->relevance < 0)
        explain_select(b, n);
    give_node(b, n.in[0], (struct node){.op = OP_SELECT_GRAD, .in = {dy, n.in[1], -1}});
}

static void grad_MEAN(struct backward *b, struct node n, int dy)
{
    if (b->explains)
        explain_mean(b, n, dy);
    give_node(b, n.in[0],
              (struct node){.op = OP_MEAN_GRAD, .in = {dy, n.in[1], -1}, .mean = n.mean});
}

static void grad_NORMALIZE(struct backward *b, struct node n, int dy)
{
    give_node(b, n.in[0], (struct node){.op = OP_NORMALIZE_GRAD, .in = {n.in[0], dy, -1}});
}

static void grad_CAST(struct backward *b, struct node n, int dy)
{
    give_gradient(b, n.in[0], graph_cast(b->graph, dy, get_tensor(b, n.in[0])->type));
}

/* Tells whether a gradient is also that of another tensor whose rule has not used it yet, as with
 * the inputs of an ADD. */
static bool is_shared(const struct backward *b, int gradient)
{
    for (size_t t = 0; t < b->graph->tensor_count && t < b->capacity; t++)
        if (b->gradients[t] == gradient)
            return true;
    return false;
}

/* Returns the product that computes dy, if it is the last node and can multiply its result by the
 * slope of an activation, and else NULL. Nothing but the activation may read dy, which then holds
 * another value: no node reads it, because the product is the last node, and is_shared refuses a dy
 * that several tensors share. */
static struct node *find_product(const struct backward *b, int dy)
{
    struct graph *graph = b->graph;
    struct node *last = &graph->nodes[graph->node_count - 1];
    if (graph->error || last->op != OP_MATMUL || last->out != dy || last->residual ||
        last->in[2] >= 0 || last->matmul.activation || last->matmul.slope || last->matmul.relu ||
        is_shared(b, dy))
        return NULL;
    return last;
}

/* Makes a product that find_product returned compute the gradient dx of an activation's input x
 * instead of dy, so that dy is neither written to memory nor read again. */
static void fuse_slope(struct node *product, enum vkclip_activation activation, int x)
{
    assert(product->op == OP_MATMUL && product->in[2] < 0 && !product->matmul.activation);
    product->in[2] = x;
    product->matmul.activation = activation;
    product->matmul.slope = true;
}

static void grad_ACTIVATE(struct backward *b, struct node n, int dy)
{
    const bool fused = !n.activate.relu && !n.activate.tanh;
    struct node *product = fused ? find_product(b, dy) : NULL;
    if (product) {
        fuse_slope(product, n.activate.activation, n.in[0]);
        give_gradient(b, n.in[0], dy);
        return;
    }
    struct node node = {.op = OP_ACTIVATE_GRAD, .in = {n.in[0], dy, -1}, .activate = n.activate};
    give_node(b, n.in[0], node);
}

static void grad_ADD(struct backward *b, struct node n, int dy)
{
    for (int i = 0; i < 2; i++)
        if (b->needed[n.in[i]])
            give_gradient(b, n.in[i], dy);
}

/* The second factor has x's shape, or is a row by which all rows of x are multiplied. */
static void grad_MULTIPLY(struct backward *b, struct node n, int dy)
{
    struct graph *graph = b->graph;
    const bool row = tensor_elements(get_tensor(b, n.in[1])) < tensor_elements(get_tensor(b, dy));
    if (row && grad_is_trained(graph, n.in[1])) {
        struct node product = {.op = OP_MULTIPLY, .in = {dy, n.in[0], -1}};
        sum_rows(b, graph_append_like(graph, product, dy), n.in[1]);
    } else if (b->needed[n.in[1]]) {
        give_node(b, n.in[1], (struct node){.op = OP_MULTIPLY, .in = {dy, n.in[0], -1}});
    }
    if (b->needed[n.in[0]])
        give_node(b, n.in[0], (struct node){.op = OP_MULTIPLY, .in = {dy, n.in[1], -1}});
}

/* Returns the node that completed the statistics. Its inputs 1 and 2 are gain and bias. */
static struct node find_stats(const struct backward *b, int stats)
{
    for (size_t i = b->graph->node_count; i-- > 0;)
        if (b->graph->nodes[i].out == stats)
            return b->graph->nodes[i];
    return (struct node){.op = OP_COUNT};
}

static void grad_BATCHNORM(struct backward *b, struct node n, int dy)
{
    struct graph *graph = b->graph;
    struct node stats = find_stats(b, n.in[1]);
    uint32_t c = tensor_columns(get_tensor(b, dy));
    const uint32_t shape[] = {6, c};
    if (n.batchnorm.relu) {
        struct node relu = {.op = OP_ACTIVATE_GRAD, .in = {n.out, dy, -1}, .activate.relu = true};
        dy = graph_append_like(graph, relu, dy);
    }
    if (n.in[2] >= 0 && b->needed[n.in[2]])
        give_gradient(b, n.in[2], dy);
    struct node sums = {.op = OP_BATCHNORM_GRAD,
                        .in = {n.in[0], dy, n.in[1]},
                        .batchnorm_grad.frozen = stats.op == OP_RUNNINGSTATS};
    int coefficients = graph_append(graph, NULL, sums, 2, shape);
    for (uint32_t i = 1; i < 3; i++)
        grad_sum_rows(graph, (struct grad_rows){coefficients, 1, c, 6 * c, (3 + i) * c},
                      stats.in[i]);
    if (b->needed[n.in[0]])
        give_node(b, n.in[0], (struct node){.op = OP_AFFINE, .in = {dy, n.in[0], coefficients}});
}

static void (*const rules[OP_COUNT])(struct backward *b, struct node n, int dy) = {
    [OP_MATMUL] = grad_MATMUL,       [OP_CONV] = grad_CONV,
    [OP_AVGPOOL] = grad_AVGPOOL,     [OP_MEANTOKEN] = grad_MEANTOKEN,
    [OP_ATTENTION] = grad_ATTENTION, [OP_LAYERNORM] = grad_LAYERNORM,
    [OP_EMBEDDING] = grad_EMBEDDING, [OP_CLASSTOKEN] = grad_CLASSTOKEN,
    [OP_SELECT] = grad_SELECT,       [OP_NORMALIZE] = grad_NORMALIZE,
    [OP_ACTIVATE] = grad_ACTIVATE,   [OP_ADD] = grad_ADD,
    [OP_BATCHNORM] = grad_BATCHNORM, [OP_CAST] = grad_CAST,
    [OP_POOL] = grad_POOL,           [OP_MEAN] = grad_MEAN,
    [OP_DWCONV] = grad_DWCONV,       [OP_UNFOLD] = grad_UNFOLD,
    [OP_MULTIPLY] = grad_MULTIPLY,   [OP_ROPE] = grad_ROPE,
    [OP_GATE] = grad_GATE,
};

/* ---- The pass -------------------------------------------------------------------------------- */

static void apply_rule(struct backward *b, const struct node *node)
{
    struct graph *graph = b->graph;
    const int dy = b->gradients[node->out];
    if (graph->error || dy < 0 || !b->needed[node->out])
        return;
    b->gradients[node->out] = -1;
    if (rules[node->op])
        rules[node->op](b, *node, dy);
    else
        graph->error = error_fail(VKCLIP_EUNSUPPORTED, "%s: %s has no gradient",
                                  graph->tensors[node->out].name, op_name(node->op));
}

/* Makes room in the lists for all tensors of the graph. */
static bool reserve_tensors(struct backward *b)
{
    const size_t count = b->graph->tensor_count;
    if (count <= b->capacity)
        return true;
    int *gradients = memory_realloc(b->gradients, 2 * count * sizeof(*gradients));
    if (gradients)
        b->gradients = gradients;
    bool *needed = memory_realloc(b->needed, 2 * count * sizeof(*needed));
    if (needed)
        b->needed = needed;
    if (!gradients || !needed) {
        b->graph->error = error_fail(VKCLIP_EMEMORY, "out of memory for gradients");
        return false;
    }
    for (; b->capacity < 2 * count; b->capacity++) {
        b->gradients[b->capacity] = -1;
        b->needed[b->capacity] = false;
    }
    return true;
}

/* Returns the copy of a tensor that one of the nodes [first, last) writes; `copies` are the copies
 * of these nodes. Returns -1 if none of the nodes writes the tensor. */
static int find_copy(const struct graph *graph, size_t first, size_t last,
                     const struct node *copies, int tensor)
{
    int copy = -1;
    for (size_t i = first; i < last; i++)
        if (graph->nodes[i].out == tensor)
            copy = copies[i - first].out;
    return copy;
}

/* Appends copies of a segment's nodes [first, last) that read each other's results. The last node
 * is not appended again, because its result is kept in memory, and neither is RUNNING, which would
 * move its statistics twice. */
static void append_copies(struct backward *b, size_t first, size_t last, struct node *copies)
{
    struct graph *graph = b->graph;
    for (size_t i = first; i < last && !graph->error; i++) {
        struct node node = graph->nodes[i];
        const int original = node.out, copy = find_copy(graph, first, i, copies, original);
        for (int j = 0; j < NODE_INPUTS; j++) {
            int input = node.in[j] < 0 ? -1 : find_copy(graph, first, i, copies, node.in[j]);
            node.in[j] = input < 0 ? node.in[j] : input;
        }
        if (i + 1 < last && node.op != OP_RUNNING) {
            node.out = copy < 0 ? graph_append_like(graph, node, original)
                                : graph_append_into(graph, node, copy);
            if (graph->error || !reserve_tensors(b))
                return;
            b->needed[node.out] = b->needed[original];
        }
        copies[i - first] = node;
    }
}

static void recompute_segment(struct backward *b, size_t first, size_t last)
{
    struct node *copies = memory_calloc(last - first, sizeof(*copies));
    if (!copies) {
        b->graph->error = error_fail(VKCLIP_EMEMORY, "out of memory for gradients");
        return;
    }
    append_copies(b, first, last, copies);
    for (size_t i = last; i > first && !b->graph->error; i--)
        apply_rule(b, &copies[i - 1 - first]);
    memory_free(copies);
}

/* Returns the first node of the segment that ends with node `last` - 1, or `last` - 1 if that node
 * is in no segment. */
static size_t find_segment(const struct graph *graph, size_t first, size_t last)
{
    const uint32_t segment = graph->nodes[last - 1].segment;
    size_t begin = last - 1;
    while (segment && begin > first && graph->nodes[begin - 1].segment == segment)
        begin--;
    return begin;
}

/* Marks the tensors whose gradients are needed for the gradients of weights. */
static void mark_needed(struct backward *b, size_t first, size_t last)
{
    const struct graph *graph = b->graph;
    for (size_t t = 0; t < graph->tensor_count; t++)
        b->needed[t] = grad_is_trained(graph, (int)t);
    for (size_t i = first; i < last; i++) {
        const struct node *node = &graph->nodes[i];
        for (int j = 0; j < NODE_INPUTS; j++)
            if (node->in[j] >= 0 && graph->tensors[node->out].role == ROLE_ACTIVATION)
                b->needed[node->out] |= b->needed[node->in[j]];
    }
}

/* Adds the gradients of weights that nodes have read as they read activations, such as a learned
 * query that is projected. */
static void sum_read_weights(struct backward *b)
{
    for (size_t t = 0; t < b->capacity && t < b->graph->tensor_count && !b->graph->error; t++) {
        const int gradient = b->gradients[t];
        if (gradient < 0 || b->graph->tensors[t].role != ROLE_WEIGHT)
            continue;
        const uint32_t elements = (uint32_t)tensor_elements(get_tensor(b, gradient));
        grad_sum_rows(b->graph, (struct grad_rows){gradient, 1, elements, elements, 0}, (int)t);
    }
}

struct grad_inputs grad_backward(struct graph *graph, size_t first, const struct grad_seed *seeds,
                                 size_t count, bool recompute)
{
    struct backward b = {.graph = graph, .relevance = -1};
    size_t last = graph->node_count;
    if (!graph->error && reserve_tensors(&b)) {
        mark_needed(&b, first, last);
        for (size_t i = 0; i < count; i++)
            b.gradients[seeds[i].tensor] = seeds[i].gradient;
    }
    while (last > first && !graph->error) {
        const struct node node = graph->nodes[last - 1]; /* a copy, because the list moves */
        const size_t begin = recompute ? find_segment(graph, first, last) : last - 1;
        const bool segment = last - begin > 1 && b.needed[node.out];
        if (segment)
            recompute_segment(&b, begin, last);
        else
            apply_rule(&b, &node);
        last = segment ? begin : last - 1;
    }
    sum_read_weights(&b);
    memory_free(b.gradients);
    memory_free(b.needed);
    return b.inputs;
}

/* Finds the node where an explanation of the `layers` last blocks ends: the attention of the first
 * of them, or the pool that all of them are before. Returns the number of nodes if no node
 * attends. */
static size_t find_first_block(const struct graph *graph, uint32_t layers)
{
    size_t first = graph->node_count;
    for (size_t i = graph->node_count; i-- > 0 && layers;) {
        const enum op op = graph->nodes[i].op;
        layers -= op == OP_ATTENTION;
        if (op == OP_ATTENTION || op == OP_POOL)
            first = i;
    }
    return first;
}

/* Marks what lies between a node and the end of the graph, and no weight. */
static void mark_after(struct backward *b, size_t first)
{
    struct graph *graph = b->graph;
    for (size_t t = 0; t < graph->tensor_count; t++)
        graph->tensors[t].locked = true;
    b->needed[graph->nodes[first].out] = true;
    for (size_t i = first + 1; i < graph->node_count; i++)
        for (int j = 0; j < NODE_INPUTS; j++)
            if (graph->nodes[i].in[j] >= 0)
                b->needed[graph->nodes[i].out] |= b->needed[graph->nodes[i].in[j]];
}

int grad_relevance(struct graph *graph, struct grad_seed seed, uint32_t layers)
{
    struct backward b = {.graph = graph, .explains = true, .relevance = -1};
    const size_t first = find_first_block(graph, layers);
    if (!graph->error && first == graph->node_count)
        graph->error = error_fail(VKCLIP_EUNSUPPORTED, "no node attends to tokens");
    if (!graph->error && reserve_tensors(&b)) {
        mark_after(&b, first);
        b.gradients[seed.tensor] = seed.gradient;
    }
    for (size_t i = graph->node_count; i-- > first && !graph->error;) {
        const struct node node = graph->nodes[i]; /* a copy, because the list moves */
        apply_rule(&b, &node);
    }
    memory_free(b.gradients);
    memory_free(b.needed);
    return graph->error ? -1 : b.relevance;
}

/* Compares two tokens by id, then by position. */
static int compare_tokens(const void *a, const void *b)
{
    const int32_t *x = a, *y = b; /* position, id */
    return x[1] != y[1] ? (x[1] > y[1]) - (x[1] < y[1]) : (x[0] > y[0]) - (x[0] < y[0]);
}

void grad_sort_ids(const int32_t *ids, const int32_t *ends, uint32_t rows, uint32_t length,
                   int32_t *order, int32_t *runs)
{
    uint32_t tokens = rows * length, count = 0, run = 0;
    int32_t(*pairs)[2] = (int32_t(*)[2])runs; /* sorted in place, then cut down to the runs */
    for (uint32_t i = 0; i < tokens; i++)
        if (!ends || (int32_t)(i % length) <= ends[i / length]) {
            pairs[count][0] = (int32_t)i;
            pairs[count++][1] = ids[i];
        }
    qsort(pairs, count, sizeof(*pairs), compare_tokens);
    for (uint32_t i = 0; i < tokens; i++)
        order[i] = i < count ? pairs[i][0] : 0;
    for (uint32_t i = 0; i < count; i++)
        if (!i || pairs[i][1] != pairs[run - 1][1]) {
            pairs[run][1] = pairs[i][1];
            pairs[run++][0] = (int32_t)i;
        }
    for (; run <= tokens; run++) {
        pairs[run][0] = (int32_t)count;
        pairs[run][1] = -1;
    }
}
