/* SPDX-License-Identifier: MIT
 *
 * This file has the node list and its builders. A builder checks the shapes that it is given and
 * appends one node.
 */
#include "graph/graph.h"
#include "base/error.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "shaders/args.h"

_Static_assert(sizeof(struct node) ==
                   offsetof(struct node, adamw) + sizeof(((struct node *)NULL)->adamw),
               "the first member of a node's union is the largest");

const char *op_name(enum op op)
{
    static const char *const names[] = {
#define X(name) #name,
        OPS(X)
#undef X
    };
    return names[op];
}

void graph_init(struct graph *graph, enum type type)
{
    *graph = (struct graph){.type = type};
}

void graph_free(struct graph *graph)
{
    for (size_t i = 0; i < graph->tensor_count; i++)
        memory_free(graph->tensors[i].values);
    memory_free(graph->tensors);
    memory_free(graph->nodes);
    *graph = (struct graph){0};
}

int graph_find(const struct graph *graph, const char *name)
{
    for (size_t i = 0; i < graph->tensor_count; i++)
        if (!strcmp(graph->tensors[i].name, name))
            return (int)i;
    return -1;
}

/* Makes room for one more element. Returns false, with graph->error set, when out of memory. */
static bool reserve_element(struct graph *graph, void **array, size_t count, size_t *capacity,
                            size_t size)
{
    if (count < *capacity)
        return true;
    size_t wanted = *capacity ? 2 * *capacity : 64;
    void *grown = memory_realloc(*array, wanted * size);
    if (!grown) {
        graph->error = error_fail(VKCLIP_EMEMORY, "out of memory for a graph");
        return false;
    }
    *array = grown;
    *capacity = wanted;
    return true;
}

static int add_tensor(struct graph *graph, const char *name, enum role role, enum type type,
                      enum layout layout, unsigned rank, const uint32_t *shape)
{
    if (graph->error || !reserve_element(graph, (void **)&graph->tensors, graph->tensor_count,
                                         &graph->tensor_capacity, sizeof(*graph->tensors)))
        return -1;
    int index = (int)graph->tensor_count;
    struct tensor *tensor = &graph->tensors[index];
    *tensor = (struct tensor){.role = role,
                              .type = type,
                              .layout = layout,
                              .rank = rank,
                              .storage = index,
                              .weight = role == ROLE_WEIGHT ? index : -1,
                              .gradient = -1};
    uint64_t elements = 1;
    for (unsigned i = 0; i < rank && i < GRAPH_MAX_RANK; i++) {
        tensor->shape[i] = shape[i];
        /* Kernels compute indices with 32 bits. */
        elements = elements <= INT32_MAX ? elements * shape[i] : elements;
    }
    snprintf(tensor->name, sizeof(tensor->name), "%s", name);
    if (rank > GRAPH_MAX_RANK || !elements || elements > INT32_MAX) {
        graph->error = error_fail(VKCLIP_EINVALID,
                                  "tensor %s: expected 1 to %d elements in at most %d dimensions",
                                  name, INT32_MAX, GRAPH_MAX_RANK);
        return -1;
    }
    graph->tensor_count++;
    return index;
}

int graph_input(struct graph *graph, const char *name, enum type type, unsigned rank,
                const uint32_t *shape)
{
    return add_tensor(graph, name, ROLE_INPUT, type, LAYOUT_ROWS, rank, shape);
}

int graph_constant(struct graph *graph, const char *name, unsigned rank, const uint32_t *shape,
                   const float *values)
{
    const int input = graph_input(graph, name, TYPE_F32, rank, shape);
    if (input < 0)
        return -1;
    struct tensor *tensor = &graph->tensors[input];
    const size_t bytes = tensor_elements(tensor) * sizeof(*values);
    tensor->values = memory_alloc(bytes);
    if (!tensor->values) {
        graph->error = error_fail(VKCLIP_EMEMORY, "out of memory for a graph");
        return -1;
    }
    memcpy(tensor->values, values, bytes);
    return input;
}

int graph_weight(struct graph *graph, const char *name, enum layout layout, unsigned rank,
                 const uint32_t *shape)
{
    if (graph->mixed)
        return graph_cast(graph, graph_weight_f32(graph, name, layout, rank, shape), graph->type);
    return add_tensor(graph, name, ROLE_WEIGHT, graph->type, layout, rank, shape);
}

int graph_weight_f32(struct graph *graph, const char *name, enum layout layout, unsigned rank,
                     const uint32_t *shape)
{
    return add_tensor(graph, name, ROLE_WEIGHT, TYPE_F32, layout, rank, shape);
}

int graph_add_state(struct graph *graph, const char *name, enum layout layout, unsigned rank,
                    const uint32_t *shape)
{
    return add_tensor(graph, name, ROLE_STATE, TYPE_F32, layout, rank, shape);
}

/* Tells whether a node has added to a tensor as its residual. The tensor's memory then holds the
 * sum instead of its own values. */
static bool is_overwritten(const struct graph *graph, int tensor)
{
    for (size_t i = (size_t)tensor + 1; i < graph->tensor_count; i++)
        if (graph->tensors[i].storage == graph->tensors[tensor].storage)
            return true;
    return false;
}

bool graph_sums(enum op op)
{
    return op == OP_DWCONV_SUMS || op == OP_BATCHSTATS || op == OP_OUTER || op == OP_COLSUM ||
           op == OP_LAYERNORM_SUMS || op == OP_ATTENTION_DELTA || op == OP_EMBEDDING_GRAD ||
           op == OP_BATCHNORM_GRAD;
}

bool graph_writes(enum op op, int input)
{
    return (op == OP_ATTENTION && input == 1) || (op == OP_OUTER && input == 2) ||
           (op == OP_ADAMW && input < 2);
}

bool graph_attends(enum op op)
{
    return op == OP_ATTENTION || op == OP_ATTENTION_MASKED || op == OP_ATTENTION_GRAD;
}

/* A result has the type of the first input. Where the first input holds ids or pictures, it has the
 * type of all activations. */
static enum type result_type(const struct graph *graph, const struct node *node)
{
    enum type type = node->in[0] < 0 ? TYPE_I32 : graph->tensors[node->in[0]].type;
    if (graph_sums(node->op))
        return TYPE_F32;
    return type == TYPE_I32 || node->op == OP_PATCHES ? graph->type : type;
}

int graph_append(struct graph *graph, const char *name, struct node node, unsigned rank,
                 const uint32_t *shape)
{
    char numbered[64];
    if (!name) {
        snprintf(numbered, sizeof(numbered), "%s.%zu", op_name(node.op), graph->node_count);
        name = numbered;
    }
    if (graph->error || !reserve_element(graph, (void **)&graph->nodes, graph->node_count,
                                         &graph->node_capacity, sizeof(*graph->nodes)))
        return -1;
    for (int i = 0; i < NODE_INPUTS; i++)
        if (node.in[i] >= 0 && is_overwritten(graph, node.in[i])) {
            graph->error = error_fail(VKCLIP_EINVALID, "%s %s: reads %s, which was added to before",
                                      op_name(node.op), name, graph->tensors[node.in[i]].name);
            return -1;
        }
    node.segment = graph->segment;
    node.out = add_tensor(graph, name, ROLE_ACTIVATION, result_type(graph, &node), LAYOUT_ROWS,
                          rank, shape);
    if (node.out >= 0)
        graph->nodes[graph->node_count++] = node;
    return node.out;
}

int graph_append_like(struct graph *graph, struct node node, int like)
{
    if (graph->error || like < 0)
        return -1;
    struct tensor model = graph->tensors[like];
    int result = graph_append(graph, NULL, node, model.rank, model.shape);
    if (result >= 0) {
        struct tensor *tensor = &graph->tensors[result];
        tensor->type = model.type;
        tensor->layout = model.layout;
        tensor->weight = model.weight; /* a weight that is cast twice is still the same weight */
    }
    return result;
}

int graph_append_into(struct graph *graph, struct node node, int tensor)
{
    if (graph->error || tensor < 0 ||
        !reserve_element(graph, (void **)&graph->nodes, graph->node_count, &graph->node_capacity,
                         sizeof(*graph->nodes)))
        return -1;
    node.out = tensor;
    node.segment = graph->segment;
    graph->nodes[graph->node_count++] = node;
    return tensor;
}

static int shape_error(struct graph *graph, enum op op, const char *name, const char *expected)
{
    if (!graph->error)
        graph->error = error_fail(VKCLIP_EINVALID, "%s %s: expected %s", op_name(op),
                                  name ? name : "", expected);
    return -1;
}

int graph_append_over(struct graph *graph, const char *name, struct node node, int tensor)
{
    if (graph->error || tensor < 0)
        return -1;
    struct tensor over = graph->tensors[tensor];
    node.residual = true;
    int result = is_overwritten(graph, tensor)
                     ? shape_error(graph, node.op, name, "a tensor that no node has added to")
                     : graph_append(graph, name, node, over.rank, over.shape);
    if (result >= 0) {
        graph->tensors[result].storage = over.storage;
        graph->tensors[result].type = over.type;
    }
    return result;
}

static bool has_rank(const struct graph *graph, int tensor, unsigned rank)
{
    return tensor >= 0 && graph->tensors[tensor].rank == rank;
}

static bool same_shape(const struct tensor *a, const struct tensor *b)
{
    return a->rank == b->rank && !memcmp(a->shape, b->shape, a->rank * sizeof(*a->shape));
}

/* Tells whether a tensor exists and is a vector of `length`. */
static bool is_vector(const struct graph *graph, int tensor, uint32_t length)
{
    return has_rank(graph, tensor, 1) && graph->tensors[tensor].shape[0] == length;
}

int graph_matmul(struct graph *graph, const char *name, int x, int w, int bias,
                 enum vkclip_activation activation, int residual)
{
    if (graph->error || x < 0 || !has_rank(graph, w, 2) || graph->tensors[x].rank < 2)
        return shape_error(graph, OP_MATMUL, name, "x [..,K] and w [N,K]");
    struct tensor out = graph->tensors[x];
    uint32_t n = tensor_n(&graph->tensors[w]);
    uint64_t k = tensor_elements(&graph->tensors[w]) / n;
    if (tensor_columns(&out) != k || graph->tensors[w].layout == LAYOUT_ROWS)
        return shape_error(graph, OP_MATMUL, name, "x [..,K] and w [N,K] in panels");
    if (bias >= 0 && !is_vector(graph, bias, n))
        return shape_error(graph, OP_MATMUL, name, "bias [N]");
    if (activation > VKCLIP_ACTIVATION_GELU_TANH)
        return shape_error(graph, OP_MATMUL, name, "QuickGELU, GELU, GELU by tanh or none");
    out.shape[out.rank - 1] = n;
    if (graph->training && (activation || residual >= 0)) {
        int y = graph_matmul(graph, NULL, x, w, bias, VKCLIP_ACTIVATION_AUTO, -1);
        if (activation)
            y = graph_activate(graph, residual < 0 ? name : NULL, y, activation, false);
        return residual < 0 ? y : graph_sum(graph, name, y, residual);
    }
    if (residual >= 0) {
        const struct tensor *r = &graph->tensors[residual];
        if (r->role != ROLE_ACTIVATION || !same_shape(r, &out))
            return shape_error(graph, OP_MATMUL, name, "a residual of the result's shape");
        if (is_overwritten(graph, residual) || r->storage == graph->tensors[x].storage)
            return shape_error(graph, OP_MATMUL, name,
                               "a residual that is not x and that no node has added to");
    }
    struct node node = {.op = OP_MATMUL, .in = {x, w, bias}, .matmul.activation = activation};
    return residual >= 0 ? graph_append_over(graph, name, node, residual)
                         : graph_append(graph, name, node, out.rank, out.shape);
}

void graph_fold(struct graph *graph, int weight, const char *norm)
{
    struct tensor *tensor = weight < 0 ? NULL : &graph->tensors[graph->tensors[weight].weight];
    if (tensor)
        snprintf(tensor->norm, sizeof(tensor->norm), "%s", norm);
}

static void pass_locked_segments(struct graph *graph)
{
    if (graph->locked_segments && graph->segments >= graph->locked_segments)
        graph->training = true;
}

void graph_begin_segment(struct graph *graph)
{
    pass_locked_segments(graph);
    graph->segment = ++graph->segments;
}

void graph_end_segment(struct graph *graph)
{
    graph->segment = 0;
    pass_locked_segments(graph);
}

void graph_rename(struct graph *graph, int result, const char *name)
{
    if (result >= 0)
        snprintf(graph->tensors[result].name, sizeof(graph->tensors[result].name), "%s", name);
}

void graph_relu(struct graph *graph, int result)
{
    struct node *last = result < 0 ? NULL : &graph->nodes[graph->node_count - 1];
    if (!last || last->out != result)
        return;
    if (last->op == OP_MATMUL)
        last->matmul.relu = true;
    if (last->op == OP_CONV)
        last->conv.relu = true;
}

int graph_conv(struct graph *graph, const char *name, int x, int w, int bias, uint32_t stride)
{
    if (graph->error || !has_rank(graph, x, 4) || !has_rank(graph, w, 3) || stride < 1 ||
        graph->tensors[w].layout != LAYOUT_CONV || graph->tensors[w].shape[1] != 9 ||
        graph->tensors[w].shape[2] != graph->tensors[x].shape[3] ||
        (bias >= 0 && !is_vector(graph, bias, graph->tensors[w].shape[0])))
        return shape_error(graph, OP_CONV, name, "x [B,H,W,C], w [N,9,C], bias [N] or none");
    const uint32_t *s = graph->tensors[x].shape;
    uint32_t shape[] = {s[0], (s[1] - 1) / stride + 1, (s[2] - 1) / stride + 1,
                        graph->tensors[w].shape[0]};
    struct node node = {.op = OP_CONV, .in = {x, w, bias}, .conv.stride = stride};
    return graph_append(graph, name, node, 4, shape);
}

int graph_avgpool(struct graph *graph, const char *name, int x, uint32_t size)
{
    if (graph->error || !has_rank(graph, x, 4) || size < 1 || graph->tensors[x].shape[1] < size ||
        graph->tensors[x].shape[2] < size)
        return shape_error(graph, OP_AVGPOOL, name, "x [B,H,W,C] of at least s x s pixels");
    const uint32_t *s = graph->tensors[x].shape;
    uint32_t shape[] = {s[0], s[1] / size, s[2] / size, s[3]};
    struct node node = {.op = OP_AVGPOOL, .in = {x, -1, -1}, .avgpool.size = size};
    return graph_append(graph, name, node, 4, shape);
}

int graph_unfold(struct graph *graph, const char *name, int x, uint32_t size)
{
    if (graph->error || !has_rank(graph, x, 4) || size < 1 || graph->tensors[x].shape[1] % size ||
        graph->tensors[x].shape[2] % size)
        return shape_error(graph, OP_UNFOLD, name, "x [B,H,W,C] of whole squares of s x s pixels");
    const uint32_t *s = graph->tensors[x].shape;
    const uint32_t shape[] = {s[0], s[1] / size, s[2] / size, s[3] * size * size};
    struct node node = {.op = OP_UNFOLD, .in = {x, -1, -1}, .unfold.size = size};
    return graph_append(graph, name, node, 4, shape);
}

/* Returns the side of kernels of so many taps, or 0 if no kernel of DWCONV has as many. */
static uint32_t kernel_side(uint32_t taps)
{
    for (uint32_t side = 1; side <= DWCONV_SIDE; side += 2)
        if (side * side == taps)
            return side;
    return 0;
}

int graph_dwconv(struct graph *graph, const char *name, int x, int w, int bias)
{
    const bool ranks = !graph->error && has_rank(graph, x, 4) && has_rank(graph, w, 2);
    const uint32_t side = ranks ? kernel_side(graph->tensors[w].shape[0]) : 0;
    const uint32_t c = ranks ? graph->tensors[x].shape[3] : 0;
    if (!side || graph->tensors[w].shape[1] != c || !tensor_in_rows(&graph->tensors[w]) ||
        (bias >= 0 && !is_vector(graph, bias, c)))
        return shape_error(graph, OP_DWCONV, name,
                           "x [B,H,W,C], w [k k,C] with an odd k of at most 7, bias [C] or none");
    struct node node = {.op = OP_DWCONV, .in = {x, w, bias}, .dwconv.side = side};
    struct tensor out = graph->tensors[x];
    return graph_append(graph, name, node, out.rank, out.shape);
}

int graph_meantoken(struct graph *graph, const char *name, int x, int positions)
{
    const struct tensor *tensor = &graph->tensors[graph->error || x < 0 ? 0 : x];
    uint32_t c = graph->error || x < 0 ? 0 : tensor_columns(tensor);
    uint32_t p = c ? tensor_rows(tensor) / tensor->shape[0] : 0;
    if (!c || tensor->rank < 3 || !has_rank(graph, positions, 2) ||
        graph->tensors[positions].shape[0] != p + 1 || graph->tensors[positions].shape[1] != c)
        return shape_error(graph, OP_MEANTOKEN, name, "x [B,..,C] of P rows, positions [P+1,C]");
    uint32_t shape[] = {tensor->shape[0], p + 1, c};
    struct node node = {.op = OP_MEANTOKEN, .in = {x, positions, -1}};
    return graph_append(graph, name, node, 3, shape);
}

/* Appends ATTENTION. In training it keeps statistics for its gradient, and may have a mask. */
static int append_attention(struct graph *graph, const char *name, struct node node)
{
    struct tensor x = graph->tensors[node.in[0]]; /* a copy, because the list moves */
    const uint32_t *s = x.shape, shape[] = {s[0], s[1], s[2] / 3};
    node.op = OP_ATTENTION;
    if (graph->training) {
        const uint32_t stats[] = {s[0], s[1], node.attention.heads, 2};
        char numbered[64];
        snprintf(numbered, sizeof(numbered), "stats.%zu", graph->node_count);
        node.in[1] = add_tensor(graph, numbered, ROLE_ACTIVATION, TYPE_F32, LAYOUT_ROWS, 4, stats);
    }
    return graph_append(graph, name, node, 3, shape);
}

int graph_attention(struct graph *graph, const char *name, int qkv, uint32_t heads, bool causal)
{
    if (graph->error || !has_rank(graph, qkv, 3) || !heads ||
        graph->tensors[qkv].shape[2] % (3 * heads))
        return shape_error(graph, OP_ATTENTION, name, "qkv [B,T,3C] with C a multiple of heads");
    return append_attention(
        graph, name,
        (struct node){.in = {qkv, -1, -1}, .attention = {.heads = heads, .causal = causal}});
}

int graph_attention_masked(struct graph *graph, const char *name, int qkv, int mask, int bias,
                           uint32_t heads, bool causal, float scale)
{
    if (graph->error || !has_rank(graph, qkv, 3) || !heads ||
        graph->tensors[qkv].shape[2] % (3 * heads))
        return shape_error(graph, OP_ATTENTION_MASKED, name, "qkv [B,T,3C], C of whole heads");
    const struct tensor *x = &graph->tensors[qkv], *m = &graph->tensors[mask < 0 ? 0 : mask];
    const uint32_t shape[] = {x->shape[0], x->shape[1], x->shape[2] / 3};
    const uint32_t biases[] = {heads, 2 * shape[1] - 1};
    if ((mask >= 0 && (!has_rank(graph, mask, 2) || m->type != TYPE_I32 ||
                       memcmp(m->shape, shape, 2 * sizeof(*shape)))) ||
        (bias >= 0 &&
         (!has_rank(graph, bias, 2) || memcmp(graph->tensors[bias].shape, biases, sizeof(biases)))))
        return shape_error(graph, OP_ATTENTION_MASKED, name, "mask [B,T], bias [heads,2T-1]");
    struct node node = {.op = OP_ATTENTION_MASKED,
                        .in = {qkv, mask, bias},
                        .attention = {.heads = heads, .causal = causal, .scale = scale}};
    if (!graph->training || bias >= 0) /* Attention with a bias has no gradient. */
        return graph_append(graph, name, node, 3, shape);
    node.in[2] = mask;
    return append_attention(graph, name, node);
}

int graph_pool(struct graph *graph, const char *name, int q, int kv, uint32_t heads)
{
    if (graph->error || q < 0 || !has_rank(graph, kv, 3) || !heads ||
        graph->tensors[kv].shape[2] != 2 * tensor_columns(&graph->tensors[q]) ||
        tensor_columns(&graph->tensors[q]) % heads ||
        tensor_rows(&graph->tensors[q]) > POOL_QUERIES)
        return shape_error(graph, OP_POOL, name,
                           "q [..,C] of at most 1024 rows, kv [B,T,2C], C of whole heads");
    const struct tensor *queries = &graph->tensors[q];
    const uint32_t shape[] = {graph->tensors[kv].shape[0], tensor_rows(queries),
                              tensor_columns(queries)};
    struct node node = {.op = OP_POOL, .in = {q, kv, -1}, .pool.heads = heads};
    return graph_append(graph, name, node, 3, shape);
}

int graph_relative(struct graph *graph, const char *name, int table, uint32_t tokens,
                   uint32_t farthest)
{
    const uint32_t buckets =
        graph->error || !has_rank(graph, table, 2) ? 0 : graph->tensors[table].shape[0];
    if (!buckets || buckets % 4 || buckets > 4 * RELATIVE_STEPS || farthest <= buckets / 4 ||
        !tokens || tokens > INT32_MAX / 2)
        return shape_error(graph, OP_RELATIVE, name,
                           "table [V,heads], V a multiple of 4 of at most 64, below 4 distances");
    uint32_t shape[] = {graph->tensors[table].shape[1], 2 * tokens - 1};
    struct node node = {.op = OP_RELATIVE, .in = {table, -1, -1}, .relative.farthest = farthest};
    return graph_append(graph, name, node, 2, shape);
}

int graph_rope(struct graph *graph, const char *name, int x, int turns, uint32_t heads,
               bool columns_first)
{
    if (graph->error || !has_rank(graph, x, 3) || !has_rank(graph, turns, 3) || !heads)
        return shape_error(graph, OP_ROPE, name, "qkv [B,T,3C], turns [S,d/4,2]");
    struct tensor tokens = graph->tensors[x]; /* a copy, because the list moves while it grows */
    const uint32_t *t = graph->tensors[turns].shape;
    if (tokens.shape[2] != 12 * (uint64_t)heads * t[1] || t[2] != 2 ||
        tokens.shape[1] < (uint64_t)t[0] * t[0] || graph->tensors[turns].type != TYPE_F32 ||
        (!graph->training && tokens.role != ROLE_ACTIVATION))
        return shape_error(graph, OP_ROPE, name,
                           "a result [B,T,3C] of S S tokens or more, turns [S,d/4,2]");
    struct node node = {.op = OP_ROPE,
                        .in = {turns, -1, -1},
                        .rope = {.heads = heads, .columns_first = columns_first}};
    if (!graph->training)
        return graph_append_over(graph, name, node, x);
    node.in[1] = x;
    const int result = graph_append(graph, name, node, 3, tokens.shape);
    if (result >= 0)
        graph->tensors[result].type = tokens.type;
    return result;
}

int graph_layernorm(struct graph *graph, const char *name, int x, int gain, int bias, float epsilon)
{
    uint32_t c = graph->error || x < 0 ? 0 : tensor_columns(&graph->tensors[x]);
    if (!c || !is_vector(graph, gain, c) || !is_vector(graph, bias, c))
        return shape_error(graph, OP_LAYERNORM, name, "x [..,C], gain [C], bias [C]");
    struct node node = {.op = OP_LAYERNORM, .in = {x, gain, bias}, .layernorm.epsilon = epsilon};
    struct tensor out = graph->tensors[x];
    return graph_append(graph, name, node, out.rank, out.shape);
}

int graph_rmsnorm(struct graph *graph, const char *name, int x, int gain, float epsilon)
{
    uint32_t c = graph->error || x < 0 ? 0 : tensor_columns(&graph->tensors[x]);
    if (!c || !is_vector(graph, gain, c))
        return shape_error(graph, OP_RMSNORM, name, "x [..,C], gain [C]");
    struct node node = {.op = OP_RMSNORM, .in = {x, gain, -1}, .layernorm.epsilon = epsilon};
    struct tensor out = graph->tensors[x];
    return graph_append(graph, name, node, out.rank, out.shape);
}

int graph_gate(struct graph *graph, const char *name, int x, enum vkclip_activation activation)
{
    if (graph->error || x < 0 || tensor_columns(&graph->tensors[x]) % 2)
        return shape_error(graph, OP_GATE, name, "x [..,2C]");
    struct node node = {.op = OP_GATE, .in = {x, -1, -1}, .gate.activation = activation};
    struct tensor out = graph->tensors[x];
    out.shape[out.rank - 1] /= 2;
    return graph_append(graph, name, node, out.rank, out.shape);
}

static int append_embedding(struct graph *graph, const char *name, int ids, int table, int added,
                            bool first)
{
    if (graph->error || !has_rank(graph, ids, 2) || !has_rank(graph, table, 2) || added < 0 ||
        graph->tensors[ids].type != TYPE_I32 ||
        tensor_columns(&graph->tensors[added]) != graph->tensors[table].shape[1])
        return shape_error(graph, OP_EMBEDDING, name, "ids [B,T], table [V,C], added [..,C]");
    const uint32_t *s = graph->tensors[ids].shape, rows = tensor_rows(&graph->tensors[added]);
    if (!first && rows != s[1] && rows != (uint64_t)s[0] * s[1])
        return shape_error(graph, OP_EMBEDDING, name, "added [T,C] or [B,T,C] for ids [B,T]");
    const uint32_t shape[] = {s[0], s[1], graph->tensors[table].shape[1]};
    struct node node = {.op = OP_EMBEDDING, .in = {ids, table, added}, .embedding.first = first};
    return graph_append(graph, name, node, 3, shape);
}

int graph_embedding(struct graph *graph, const char *name, int ids, int table, int added)
{
    return append_embedding(graph, name, ids, table, added, false);
}

int graph_embedding_first(struct graph *graph, const char *name, int ids, int table, int firsts)
{
    return append_embedding(graph, name, ids, table, firsts, true);
}

/* Tells whether pictures are as PATCHES takes them: fp32 values, or bytes in words and a table. */
static bool are_pictures(const struct graph *graph, int pictures, int values, uint32_t size)
{
    const struct tensor *x = &graph->tensors[pictures], *table = &graph->tensors[values];
    const uint64_t bytes = (uint64_t)3 * size * size;
    if (values < 0)
        return has_rank(graph, pictures, 4) && x->type == TYPE_F32 && x->shape[1] == 3 &&
               x->shape[2] == size && x->shape[3] == size;
    return has_rank(graph, pictures, 2) && x->type == TYPE_I32 && x->shape[1] == (bytes + 3) / 4 &&
           has_rank(graph, values, 2) && table->type == TYPE_F32 && table->shape[0] == 3 &&
           table->shape[1] == 256;
}

int graph_patches(struct graph *graph, const char *name, int pictures, int values, uint32_t size,
                  uint32_t patch, unsigned rank, const uint32_t *shape)
{
    struct node node = {
        .op = OP_PATCHES, .in = {pictures, values, -1}, .patches = {.size = size, .patch = patch}};
    uint64_t rows = 1;
    for (unsigned i = 0; i + 1 < rank; i++)
        rows *= shape[i];
    if (graph->error || pictures < 0 || !are_pictures(graph, pictures, values, size) || !patch ||
        shape[0] != graph->tensors[pictures].shape[0] || !rows ||
        rows != (uint64_t)shape[0] * (size / patch) * (size / patch) ||
        shape[rank - 1] % (patch * patch) || shape[rank - 1] < 3 * patch * patch)
        return shape_error(graph, OP_PATCHES, name,
                           "pictures [B,3,S,S], or words [B,n] and values [3,256], and patches "
                           "[B,..,C p p]");
    return graph_append(graph, name, node, rank, shape);
}

int graph_classtoken(struct graph *graph, const char *name, int x, int token, int positions)
{
    const uint32_t tokens = token >= 0;
    if (graph->error || !has_rank(graph, x, 3) || positions < 0 ||
        (tokens && tensor_elements(&graph->tensors[token]) != graph->tensors[x].shape[2]) ||
        tensor_rows(&graph->tensors[positions]) != graph->tensors[x].shape[1] + tokens ||
        tensor_columns(&graph->tensors[positions]) != graph->tensors[x].shape[2])
        return shape_error(graph, OP_CLASSTOKEN, name,
                           "x [B,P,C], token [C] or none, positions [..,C] of all tokens");
    const uint32_t *s = graph->tensors[x].shape;
    uint32_t shape[] = {s[0], s[1] + tokens, s[2]};
    struct node node = {.op = OP_CLASSTOKEN, .in = {x, token, positions}};
    return graph_append(graph, name, node, 3, shape);
}

int graph_select(struct graph *graph, const char *name, int x, int rows)
{
    if (graph->error || !has_rank(graph, x, 3) ||
        (rows >= 0 && (!is_vector(graph, rows, graph->tensors[x].shape[0]) ||
                       graph->tensors[rows].type != TYPE_I32)))
        return shape_error(graph, OP_SELECT, name, "x [B,T,C] and rows [B] or none");
    uint32_t shape[] = {graph->tensors[x].shape[0], graph->tensors[x].shape[2]};
    struct node node = {.op = OP_SELECT, .in = {x, rows, -1}};
    return graph_append(graph, name, node, 2, shape);
}

int graph_mean(struct graph *graph, const char *name, int x, int mask, uint32_t skip)
{
    const struct tensor *tensor = &graph->tensors[graph->error || x < 0 ? 0 : x];
    const struct tensor *m = &graph->tensors[graph->error || mask < 0 ? 0 : mask];
    const bool tokens = !graph->error && x >= 0 && tensor->rank >= 3;
    const uint32_t rows = tokens ? tensor_rows(tensor) / tensor->shape[0] : 0;
    if (rows <= skip || (mask >= 0 && (!has_rank(graph, mask, 2) || m->type != TYPE_I32 ||
                                       m->shape[0] != tensor->shape[0] || m->shape[1] != rows)))
        return shape_error(graph, OP_MEAN, name, "x [B,..,C] of T > skip rows, mask [B,T] or none");
    const uint32_t shape[] = {tensor->shape[0], tensor_columns(tensor)};
    struct node node = {.op = OP_MEAN, .in = {x, mask, -1}, .mean.skip = skip};
    return graph_append(graph, name, node, 2, shape);
}

int graph_normalize(struct graph *graph, const char *name, int x)
{
    if (graph->error || !has_rank(graph, x, 2))
        return shape_error(graph, OP_NORMALIZE, name, "x [B,C]");
    uint32_t shape[] = {graph->tensors[x].shape[0], graph->tensors[x].shape[1]};
    if (graph->mixed)
        x = graph_cast(graph, x, TYPE_F32);
    struct node node = {.op = OP_NORMALIZE, .in = {x, -1, -1}};
    return graph_append(graph, name, node, 2, shape);
}

int graph_maxima(struct graph *graph, const char *name, int scores, int mask)
{
    if (graph->error || !has_rank(graph, scores, 2) ||
        (mask >= 0 && (!is_vector(graph, mask, (graph->tensors[scores].shape[1] + 31) / 32) ||
                       graph->tensors[mask].type != TYPE_I32)))
        return shape_error(graph, OP_MAXIMA, name, "scores [Q,N] and mask [N/32] or none");
    const uint32_t *x = graph->tensors[scores].shape;
    const uint32_t shape[] = {x[0], (x[1] + MAXIMA_BLOCK - 1) / MAXIMA_BLOCK, 3};
    const struct node node = {.op = OP_MAXIMA, .in = {scores, mask, -1}};
    return graph_append(graph, name, node, 3, shape);
}

/* ---- What training keeps apart --------------------------------------------------------------- */

int graph_cast(struct graph *graph, int x, enum type type)
{
    if (graph->error || x < 0)
        return shape_error(graph, OP_CAST, NULL, "x");
    int result = graph_append_like(graph, (struct node){.op = OP_CAST, .in = {x, -1, -1}}, x);
    if (result >= 0)
        graph->tensors[result].type = type;
    return result;
}

int graph_activate(struct graph *graph, const char *name, int x, enum vkclip_activation activation,
                   bool relu)
{
    if (graph->error || x < 0)
        return shape_error(graph, OP_ACTIVATE, name, "x");
    struct node node = {
        .op = OP_ACTIVATE, .in = {x, -1, -1}, .activate = {activation, relu, false}};
    struct tensor out = graph->tensors[x];
    return graph_append(graph, name, node, out.rank, out.shape);
}

int graph_tanh(struct graph *graph, const char *name, int x)
{
    if (graph->error || x < 0)
        return shape_error(graph, OP_ACTIVATE, name, "x");
    struct node node = {.op = OP_ACTIVATE, .in = {x, -1, -1}, .activate.tanh = true};
    struct tensor out = graph->tensors[x];
    return graph_append(graph, name, node, out.rank, out.shape);
}

int graph_sum(struct graph *graph, const char *name, int x, int y)
{
    if (graph->error || x < 0 || y < 0 || !same_shape(&graph->tensors[x], &graph->tensors[y]))
        return shape_error(graph, OP_ADD, name, "x and y of one shape");
    struct node node = {.op = OP_ADD, .in = {x, y, -1}};
    struct tensor out = graph->tensors[x];
    return graph_append(graph, name, node, out.rank, out.shape);
}

int graph_multiply(struct graph *graph, const char *name, int x, int y)
{
    if (graph->error || x < 0 || y < 0 ||
        (!same_shape(&graph->tensors[x], &graph->tensors[y]) &&
         !is_vector(graph, y, tensor_columns(&graph->tensors[x]))))
        return shape_error(graph, OP_MULTIPLY, name, "x [..,C] and y of its shape or [C]");
    struct node node = {.op = OP_MULTIPLY, .in = {x, y, -1}};
    struct tensor out = graph->tensors[x];
    return graph_append(graph, name, node, out.rank, out.shape);
}

int graph_batchstats(struct graph *graph, int x, int gain, int bias, float epsilon)
{
    uint32_t c = graph->error || x < 0 ? 0 : tensor_columns(&graph->tensors[x]);
    if (!c || !is_vector(graph, gain, c) || !is_vector(graph, bias, c))
        return shape_error(graph, OP_BATCHSTATS, NULL, "x [..,C], gain [C], bias [C]");
    const uint32_t shape[] = {4, c};
    struct node node = {.op = OP_BATCHSTATS, .in = {x, gain, bias}, .batchstats.epsilon = epsilon};
    return graph_append(graph, NULL, node, 2, shape);
}

int graph_runningstats(struct graph *graph, int mean, int variance, int gain, int bias,
                       float epsilon)
{
    uint32_t c = graph->error || mean < 0 ? 0 : tensor_columns(&graph->tensors[mean]);
    if (!c || !is_vector(graph, variance, c) || !is_vector(graph, gain, c) ||
        !is_vector(graph, bias, c))
        return shape_error(graph, OP_RUNNINGSTATS, NULL, "mean, variance, gain, bias [C]");
    const uint32_t shape[] = {4, c};
    struct node node = {.op = OP_RUNNINGSTATS, .in = {mean, -1, -1}};
    int stats = graph_append(graph, NULL, node, 2, shape);
    node = (struct node){.op = OP_RUNNINGSTATS,
                         .in = {variance, gain, bias},
                         .residual = true,
                         .runningstats = {.variance = true, .epsilon = epsilon}};
    return graph_append_into(graph, node, stats);
}

int graph_batchnorm(struct graph *graph, const char *name, int x, int stats, int residual,
                    bool relu)
{
    uint32_t c = graph->error || x < 0 ? 0 : tensor_columns(&graph->tensors[x]);
    if (!c || !has_rank(graph, stats, 2) || graph->tensors[stats].shape[1] != c ||
        (residual >= 0 && !same_shape(&graph->tensors[x], &graph->tensors[residual])))
        return shape_error(graph, OP_BATCHNORM, name,
                           "x [..,C], stats [4,C], a residual of x's shape or none");
    struct node node = {.op = OP_BATCHNORM, .in = {x, stats, residual}, .batchnorm.relu = relu};
    struct tensor out = graph->tensors[x];
    return graph_append(graph, name, node, out.rank, out.shape);
}

int graph_panels(struct graph *graph, int w, bool transposed)
{
    if (graph->error || w < 0)
        return shape_error(graph, OP_PANELS, NULL, "w [N,K]");
    const struct tensor *weight = &graph->tensors[w];
    bool conv = weight->layout == LAYOUT_CONV;
    uint32_t n = tensor_n(weight), k = (uint32_t)(tensor_elements(weight) / n);
    uint32_t shape[] = {transposed ? k : n, transposed ? n : k, 0};
    if (conv) { /* The transpose of a convolution has its taps in reverse order. */
        shape[0] = k / 9;
        shape[1] = 9;
        shape[2] = n;
    }
    struct node node = {.op = OP_PANELS, .in = {w, -1, -1}, .panels.transposed = transposed};
    int out = graph_append(graph, NULL, node, conv ? 3 : 2, shape);
    if (out >= 0)
        graph->tensors[out].layout = conv ? LAYOUT_CONV : LAYOUT_PANELS;
    return out;
}

bool graph_packs(enum op op)
{
    return op == OP_MATMUL || op == OP_CONV || op == OP_EMBEDDING;
}

void graph_pack(struct graph *graph, enum type type)
{
    for (size_t i = 0; i < graph->node_count; i++) {
        const struct node *node = &graph->nodes[i];
        if (!graph_packs(node->op))
            continue;
        struct tensor *w = &graph->tensors[node->in[1]];
        w->type = type == TYPE_Q4 && w->delicate ? TYPE_Q8 : type;
    }
}
