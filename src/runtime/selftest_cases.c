/* SPDX-License-Identifier: MIT
 *
 * Lists the cases of the self-test, and makes the case of a node.
 */
#include "runtime/selftest_cases.h"
#include "base/array.h"

#include <stdio.h>

#include "shaders/args.h"

#define QUICK VKCLIP_ACTIVATION_QUICK_GELU
#define GELU VKCLIP_ACTIVATION_GELU

/* Sizes of matrices stand for what selftest_fit_case makes of them. The first case of an op gives
 * the shape of the cases that are made of nodes. */
const struct op_case selftest_cases[] = {
    {.node = {.op = OP_MATMUL, .residual = true, .matmul.activation = QUICK},
     .shape = {131, 100, 256},
     .optional = true},
    {.node = {.op = OP_CONV, .conv = {.stride = 1, .relu = true}}, .shape = {2, 9, 64, 100}},
    {.node = {.op = OP_CONV, .conv = {.stride = 2, .relu = true}}, .shape = {2, 17, 64, 100}},
    {.node = {.op = OP_AVGPOOL, .avgpool.size = 2}, .shape = {3, 7, 33}},
    {.node = {.op = OP_DWCONV}, .shape = {2, 9, 36, 7}, .optional = true},
    {.node = {.op = OP_UNFOLD, .unfold.size = 2}, .shape = {3, 6, 33}},
    {.node = {.op = OP_MEANTOKEN}, .shape = {2, 49, 130}},
    {.node = {.op = OP_ATTENTION}, .shape = {2, 67, 128, 2}},
    {.node = {.op = OP_ATTENTION, .attention.causal = true}, .shape = {2, 67, 128, 2}},
    {.node = {.op = OP_ATTENTION_MASKED, .attention.scale = 1},
     .shape = {2, 67, 128, 2},
     .optional = true,
     .biased = true},
    {.node = {.op = OP_POOL, .pool.heads = 2}, .shape = {2, 67, 128, 3}},
    {.node = {.op = OP_RELATIVE, .relative.farthest = 128}, .shape = {150, 32, 3}},
    {.node = {.op = OP_ROPE, .residual = true}, .shape = {2, 5, 16, 2}},
    {.node = {.op = OP_LAYERNORM}, .shape = {131, 768}},
    {.node = {.op = OP_RMSNORM}, .shape = {131, 768}},
    {.node = {.op = OP_GATE, .gate.activation = VKCLIP_ACTIVATION_GELU_TANH}, .shape = {131, 65}},
    {.node = {.op = OP_EMBEDDING}, .shape = {2, 77, 1026, 48}},
    {.node = {.op = OP_PATCHES}, .shape = {3, 21, 7, 3}},
    {.node = {.op = OP_PATCHES}, .shape = {3, 21, 7, 3}, .optional = true},
    {.node = {.op = OP_CLASSTOKEN}, .shape = {3, 36, 65}, .optional = true},
    {.node = {.op = OP_SELECT}, .shape = {4, 50, 96}},
    {.node = {.op = OP_MEAN}, .shape = {4, 50, 96}, .optional = true},
    {.node = {.op = OP_NORMALIZE}, .shape = {131, 512}},
    {.node = {.op = OP_CAST}, .shape = {131, 64}},
    {.node = {.op = OP_ACTIVATE, .activate.activation = QUICK}, .shape = {131, 65}},
    {.node = {.op = OP_ACTIVATE, .activate.activation = GELU}, .shape = {131, 65}},
    {.node = {.op = OP_ADD}, .shape = {131, 65}},
    {.node = {.op = OP_MULTIPLY}, .shape = {131, 65}},
    {.node = {.op = OP_BATCHSTATS}, .shape = {333, 33}},
    {.node = {.op = OP_BATCHNORM, .batchnorm.relu = true}, .shape = {131, 33}, .optional = true},
    {.node = {.op = OP_PANELS, .panels.transposed = true},
     .shape = {65, 20},
     .layout = LAYOUT_PANELS},
    {.node = {.op = OP_OUTER, .residual = true}, .shape = {131, 132, 68}, .optional = true},
    {.node = {.op = OP_OUTER, .residual = true, .outer.stride = 1},
     .shape = {2, 9, 12, 132},
     .optional = true},
    {.node = {.op = OP_COLSUM}, .shape = {300, 40, 60, 64}},
    {.node = {.op = OP_LAYERNORM_SUMS}, .shape = {131, 768}},
    {.node = {.op = OP_LAYERNORM_GRAD}, .shape = {131, 768}},
    {.node = {.op = OP_ATTENTION_DELTA}, .shape = {2, 65, 48, 3}},
    {.node = {.op = OP_ATTENTION_GRAD}, .shape = {2, 67, 128, 2}},
    {.node = {.op = OP_POOL_GRAD, .pool.heads = 2}, .shape = {2, 67, 128, 3}},
    {.node = {.op = OP_POOL_GRAD, .pool = {.heads = 2, .queries = true}}, .shape = {2, 67, 128, 3}},
    {.node = {.op = OP_EMBEDDING_GRAD}, .shape = {3, 77, 26, 48}},
    {.node = {.op = OP_CLASSTOKEN_GRAD}, .shape = {3, 36, 65}},
    {.node = {.op = OP_MEANTOKEN_GRAD}, .shape = {2, 49, 65}},
    {.node = {.op = OP_SELECT_GRAD}, .shape = {4, 50, 96}},
    {.node = {.op = OP_MEAN_GRAD}, .shape = {4, 50, 96}, .optional = true},
    {.node = {.op = OP_NORMALIZE_GRAD}, .shape = {131, 512}},
    {.node = {.op = OP_AVGPOOL_GRAD, .avgpool.size = 2}, .shape = {3, 7, 33}},
    {.node = {.op = OP_DWCONV_SUMS}, .shape = {3, 9, 36, 7}},
    {.node = {.op = OP_UNFOLD_GRAD, .unfold.size = 2}, .shape = {3, 6, 33}},
    {.node = {.op = OP_ACTIVATE_GRAD, .activate.activation = QUICK}, .shape = {131, 65}},
    {.node = {.op = OP_GATE_GRAD, .gate.activation = VKCLIP_ACTIVATION_SILU}, .shape = {131, 65}},
    {.node = {.op = OP_BATCHNORM_GRAD}, .shape = {333, 33}},
    {.node = {.op = OP_AFFINE}, .shape = {131, 33}},
    {.node = {.op = OP_CONTRAST_STATS}, .shape = {67}},
    {.node = {.op = OP_CONTRAST_LOSS}, .shape = {67}},
    {.node = {.op = OP_CONTRAST_GRAD}, .shape = {67}},
    {.node = {.op = OP_PAIRS_LOSS}, .shape = {67, 67}, .optional = true},
    {.node = {.op = OP_PAIRS_GRAD}, .shape = {67, 67}},
    {.node = {.op = OP_SCALE}, .shape = {131, 33}},
    {.node = {.op = OP_RUNNING, .running.variance = true}, .shape = {4, 33}},
    {.node = {.op = OP_RUNNINGSTATS, .runningstats.variance = true}, .shape = {4, 33}},
    {.node = {.op = OP_SUMSQ}, .shape = {70001}},
    {.node = {.op = OP_CLIP}, .shape = {333}},
    {.node = {.op = OP_ADAMW}, .shape = {333}},
    {.node = {.op = OP_AVERAGE, .average.decay = 0.75f}, .shape = {333}},
    {.node = {.op = OP_CLAMP}, .shape = {1}},
    {.node = {.op = OP_RESAMPLE, .resample.stride = 4}, .shape = {23, 31, 9, 7}},
    {.node = {.op = OP_RESAMPLE, .resample.down = true}, .shape = {23, 31, 9, 7}},
    {.node = {.op = OP_FRAME, .frame = {.size = 21, .top = 3, .left = 2, .fill = 7}},
     .shape = {15, 17, 21}},
    {.node = {.op = OP_MAXIMA}, .shape = {3, 1000}},
    {.node = {.op = OP_MAXIMA}, .shape = {3, 1000}, .optional = true},
    {.node = {.op = OP_RELEVANCE, .relevance.heads = 2}, .shape = {2, 67, 128, 3}},
    {.node = {.op = OP_RELEVANCE, .relevance = {.heads = 2, .pooled = true}},
     .shape = {2, 67, 128, 3}},
    {.node = {.op = OP_MEAN_RELEVANCE, .mean.skip = 1}, .shape = {4, 50, 96}},
};
const size_t selftest_case_count = ARRAY_COUNT(selftest_cases);

/* ---- Sizes ----------------------------------------------------------------------------------- */

/* A tile of 128 rows is the largest of most devices, so that a case of this many rows has a whole
 * workgroup and a ragged one. */
#define LEAST_ROWS 131

static uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* Cuts a size down to at least `least`, and keeps its remainder by `unit`, on which it depends
 * whether a variant fits and which of its paths it takes. */
static uint32_t cut_size(uint32_t size, uint32_t least, uint32_t unit)
{
    const uint32_t cut = (least + unit - 1) / unit * unit + size % unit;
    return size < cut ? size : cut;
}

/* Fits the columns of MATMUL and CONV to what a workgroup computes, with a ragged panel after it.
 */
static void fit_columns(const struct gpu *gpu, const struct kernel_choice *choice, uint32_t *n)
{
    const struct tile *tile = &choice->tile;
    const uint32_t columns = tile->columns ? tile->columns * tile->width : 4;
    *n = larger(kernels_span(gpu, choice->kernel).columns * columns, 3 * PANEL) + *n % PANEL;
}

static void fit_matmul(const struct gpu *gpu, const struct kernel_choice *choice, uint32_t *shape)
{
    const struct kernel_span span = kernels_span(gpu, choice->kernel);
    shape[0] = larger(choice->tile.rows * span.rows * choice->tile.height + 3, LEAST_ROWS);
    fit_columns(gpu, choice, &shape[1]);
    shape[2] = cut_size(shape[2], 256, 128);
}

static void fit_conv(const struct gpu *gpu, const struct kernel_choice *choice,
                     struct op_case *op_case)
{
    uint32_t *shape = op_case->shape;
    shape[1] = op_case->node.conv.stride == 1 ? 9 : 17;
    shape[2] = cut_size(shape[2], 64, larger(64, gpu_limits(gpu)->subgroup));
    fit_columns(gpu, choice, &shape[3]);
}

/* Fits the result of OUTER to what a workgroup computes. Whether its sizes are multiples of four
 * decides which pipeline it is. */
static void fit_outer(const struct gpu *gpu, const struct kernel_choice *choice,
                      struct op_case *op_case)
{
    const uint32_t lanes = kernels_span(gpu, choice->kernel).lanes;
    const uint32_t rows = larger(choice->tile.rows, lanes) * larger(choice->tile.height, 1);
    const uint32_t columns = 4 * larger(choice->tile.columns, 1) * lanes;
    uint32_t *shape = op_case->shape;
    if (op_case->node.outer.stride) {
        shape[2] = (columns / 9 + 4) / 4 * 4 + shape[2] % 4;
        shape[3] = rows + 4 + shape[3] % 4;
    } else {
        shape[1] = rows + 4 + shape[1] % 4;
        shape[2] = columns + 4 + shape[2] % 4;
    }
    if (choice->kernel->needs & CAP_ADDRESS) { /* whole turns of rows and workgroups of columns */
        shape[0] = (LEAST_ROWS + OUTER_TURN - 1) / OUTER_TURN * OUTER_TURN;
        shape[2] = 2 * columns;
    }
}

void selftest_fit_case(const struct gpu *gpu, const struct kernel_choice *choice,
                       struct op_case *op_case)
{
    if (op_case->node.op == OP_MATMUL)
        fit_matmul(gpu, choice, op_case->shape);
    else if (op_case->node.op == OP_CONV)
        fit_conv(gpu, choice, op_case);
    else if (op_case->node.op == OP_OUTER)
        fit_outer(gpu, choice, op_case);
}

/* ---- Cases of nodes -------------------------------------------------------------------------- */

static const struct op_case *first_case(enum op op)
{
    size_t i = 0;
    while (i + 1 < selftest_case_count && selftest_cases[i].node.op != op)
        i++;
    return &selftest_cases[i];
}

static uint32_t pooled_heads(const struct node *node)
{
    return node->pool.heads < 2 ? node->pool.heads : 2;
}

/* Takes the sizes that matter from a node's tensors. Two heads are enough, because each is computed
 * by workgroups of its own. */
static void take_sizes(const struct graph *graph, const struct node *node, uint32_t *shape)
{
    const struct tensor *x = &graph->tensors[node->in[0]], *y = &graph->tensors[node->out];
    const uint32_t columns = tensor_columns(x);
    switch (node->op) {
    case OP_MATMUL:
        shape[1] = tensor_columns(y);
        shape[2] = columns;
        break;
    case OP_CONV:
        shape[2] = columns;
        shape[3] = tensor_columns(y);
        break;
    case OP_OUTER: /* dy [..,N], x [..,K] */
        shape[node->outer.stride ? 3 : 1] = columns;
        shape[2] = tensor_columns(&graph->tensors[node->in[1]]);
        break;
    case OP_ATTENTION:
    case OP_ATTENTION_MASKED:
    case OP_ATTENTION_GRAD:
        shape[3] = node->attention.heads < 2 ? node->attention.heads : 2;
        shape[2] = columns / 3 / node->attention.heads * shape[3];
        break;
    case OP_POOL:
    case OP_POOL_GRAD:
        shape[2] = columns / node->pool.heads * pooled_heads(node);
        break;
    case OP_RELEVANCE:
        shape[2] = tensor_columns(&graph->tensors[node->in[2]]) / node->relevance.heads * 2;
        break;
    case OP_ROPE: /* turns [S,d/4,2] */
        shape[2] = x->shape[1];
        break;
    case OP_AVGPOOL:
    case OP_AVGPOOL_GRAD:
        shape[1] = 3 * node->avgpool.size + 1;
        break;
    case OP_DWCONV: /* Whether channels are whole quads decides which variants fit. */
        shape[2] = 36 + columns % 4;
        shape[3] = node->dwconv.side;
        break;
    case OP_DWCONV_SUMS: /* Whether they are whole parts decides it too. */
        shape[2] = 2 * DWCONV_PART + columns % DWCONV_PART;
        shape[3] = node->dwconv.side;
        break;
    case OP_UNFOLD:
    case OP_UNFOLD_GRAD:
        shape[1] = 3 * node->unfold.size;
        break;
    case OP_LAYERNORM:
    case OP_RMSNORM:
    case OP_LAYERNORM_SUMS:
    case OP_LAYERNORM_GRAD:
    case OP_NORMALIZE:
        shape[1] = columns;
        break;
    default:
        break;
    }
}

/* Takes a node's options, except those of which the case has its own, because they fit the shape of
 * the node. */
static void take_options(const struct node *node, struct op_case *op_case)
{
    const bool own = node->op == OP_ADAMW || node->op == OP_SUMSQ || node->op == OP_CLAMP ||
                     node->op == OP_COLSUM || node->op == OP_FRAME;
    struct node options = *node;
    if (own)
        options = op_case->node;
    options.residual = node->residual;
    op_case->node = options;
    if (node->op == OP_COLSUM && node->residual) /* The sum of all rows is added to a vector. */
        op_case->shape[3] = 0;
    if (graph_attends(node->op))
        op_case->node.attention.heads = op_case->shape[3];
    if (node->op == OP_POOL || node->op == OP_POOL_GRAD)
        op_case->node.pool.heads = pooled_heads(node);
    if (node->op == OP_RELEVANCE)
        op_case->node.relevance.heads = 2;
    if (node->op == OP_ROPE)
        op_case->node.rope.heads = op_case->shape[3];
}

void selftest_node_case(const struct gpu *gpu, const struct graph *graph, const struct node *node,
                        const struct kernel_choice *choice, struct op_case *op_case)
{
    const bool by_second = node->op == OP_SELECT || node->op == OP_SELECT_GRAD ||
                           node->op == OP_ATTENTION || node->op == OP_ATTENTION_MASKED ||
                           node->op == OP_CLASSTOKEN || node->op == OP_MAXIMA ||
                           node->op == OP_MEAN || node->op == OP_MEAN_GRAD;
    const bool slope = node->op == OP_MATMUL && node->matmul.slope;
    *op_case = *first_case(node->op);
    take_sizes(graph, node, op_case->shape);
    take_options(node, op_case);
    op_case->optional = node->in[by_second ? 1 : 2] >= 0 && !slope && node->op != OP_POOL_GRAD &&
                        node->op != OP_RELEVANCE;
    op_case->biased = node->in[2] >= 0 && graph_attends(node->op) && node->op != OP_ATTENTION_GRAD;
    if (node->op == OP_EMBEDDING) /* A row for every token is the result of another node. */
        op_case->optional = graph->tensors[node->in[2]].role == ROLE_ACTIVATION;
    if (node->op == OP_PANELS) {
        op_case->layout = graph->tensors[node->in[0]].layout;
        if (op_case->layout == LAYOUT_PANELS_KN)
            op_case->layout = LAYOUT_PANELS;
    }
    selftest_fit_case(gpu, choice, op_case);
}

/* ---- Keys ------------------------------------------------------------------------------------ */

void selftest_variant_name(const struct kernel *kernel, char name[SELFTEST_VARIANT])
{
    snprintf(name, SELFTEST_VARIANT, "%s %s %s ", kernel->shader, type_name(kernel->x),
             type_name(kernel->w));
}

void selftest_key(const struct op_case *op_case, const struct kernel_choice *choice,
                  char key[SELFTEST_KEY])
{
    const uint32_t *s = op_case->shape;
    char variant[SELFTEST_VARIANT], tile[TILE_NAME], options[NODE_OPTIONS];
    selftest_variant_name(choice->kernel, variant);
    kernels_tile_name(&choice->tile, tile);
    node_options(&op_case->node, options);
    snprintf(key, SELFTEST_KEY, "%s%s: %s [%u,%u,%u,%u]%s%s%s%s%s", variant, tile,
             op_name(op_case->node.op), s[0], s[1], s[2], s[3], options,
             op_case->node.residual ? " residual" : "", op_case->optional ? " optional" : "",
             op_case->biased ? " biased" : "", op_case->layout == LAYOUT_CONV ? " conv" : "");
}
