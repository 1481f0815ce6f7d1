/* SPDX-License-Identifier: MIT
 *
 * Describes nodes: their number of operations, their options in words, and the list as text.
 */
#include "graph/graph.h"

#include <stdio.h>

double node_work(const struct graph *graph, const struct node *node)
{
    const struct tensor *out = &graph->tensors[node->out];
    double elements = (double)tensor_elements(out);
    if (node->op == OP_MATMUL)
        return 2 * elements * tensor_columns(&graph->tensors[node->in[0]]);
    if (node->op == OP_CONV)
        return 2 * elements * 9 * tensor_columns(&graph->tensors[node->in[0]]);
    if (node->op == OP_DWCONV)
        return 2 * elements * node->dwconv.side * node->dwconv.side;
    if (node->op == OP_DWCONV_SUMS)
        return 2 * (double)tensor_elements(&graph->tensors[node->in[0]]) * out->shape[1];
    if (node->op == OP_ATTENTION || node->op == OP_ATTENTION_MASKED)
        return 4 * elements * out->shape[1];
    if (node->op == OP_POOL) /* the keys of every query */
        return 4 * elements * graph->tensors[node->in[1]].shape[1];
    if (node->op == OP_POOL_GRAD) /* dkv needs all queries, and dq all keys. */
        return (node->pool.queries ? 10 : 7) * elements *
               graph->tensors[node->in[node->pool.queries ? 1 : 2]].shape[1];
    if (node->op == OP_RELEVANCE) /* every score twice, and its gradient */
        return 6 * (double)tensor_elements(&graph->tensors[node->in[2]]) * out->shape[2];
    if (node->op == OP_RESAMPLE)
        return 2 * elements * tensor_columns(&graph->tensors[node->in[1]]);
    if (node->op == OP_OUTER)
        return 2 * elements * tensor_rows(&graph->tensors[node->in[0]]);
    if (node->op == OP_COLSUM || node->op == OP_SUMSQ || node->op == OP_ATTENTION_DELTA ||
        node->op == OP_MAXIMA || node->op == OP_MEAN || node->op == OP_MEAN_RELEVANCE)
        return 2 * (double)tensor_elements(&graph->tensors[node->in[0]]);
    if (node->op == OP_ATTENTION_GRAD)
        return 6 * (double)tensor_elements(&graph->tensors[node->in[0]]) * out->shape[1];
    return 8 * elements;
}

static void dump_tensor(FILE *file, const struct graph *graph, int index)
{
    const struct tensor *tensor = &graph->tensors[index];
    fprintf(file, "%s[", tensor->name);
    for (unsigned i = 0; i < tensor->rank; i++)
        fprintf(file, "%s%u", i ? "," : "", tensor->shape[i]);
    fprintf(file, "]");
}

const char *activation_option(enum vkclip_activation activation)
{
    static const char *const names[] = {
        [VKCLIP_ACTIVATION_AUTO] = "",      [VKCLIP_ACTIVATION_QUICK_GELU] = " quick_gelu",
        [VKCLIP_ACTIVATION_GELU] = " gelu", [VKCLIP_ACTIVATION_GELU_TANH] = " gelu_tanh",
        [VKCLIP_ACTIVATION_RELU] = " relu", [VKCLIP_ACTIVATION_SILU] = " silu"};
    return names[activation];
}

void node_options(const struct node *node, char text[NODE_OPTIONS])
{
    switch (node->op) {
    case OP_MATMUL:
        snprintf(text, NODE_OPTIONS, "%s%s%s", activation_option(node->matmul.activation),
                 node->matmul.slope ? " slope" : "", node->matmul.relu ? " relu" : "");
        break;
    case OP_CONV:
        snprintf(text, NODE_OPTIONS, " stride=%u%s", node->conv.stride,
                 node->conv.relu ? " relu" : "");
        break;
    case OP_AVGPOOL:
    case OP_AVGPOOL_GRAD:
        snprintf(text, NODE_OPTIONS, " size=%u", node->avgpool.size);
        break;
    case OP_DWCONV:
    case OP_DWCONV_SUMS:
        snprintf(text, NODE_OPTIONS, " side=%u%s", node->dwconv.side,
                 node->dwconv.flipped ? " flipped" : "");
        break;
    case OP_UNFOLD:
    case OP_UNFOLD_GRAD:
        snprintf(text, NODE_OPTIONS, " size=%u", node->unfold.size);
        break;
    case OP_RESAMPLE:
        snprintf(text, NODE_OPTIONS, " stride=%u%s%s", node->resample.stride,
                 node->resample.down ? " down" : "", node->resample.swapped ? " swapped" : "");
        break;
    case OP_FRAME:
        snprintf(text, NODE_OPTIONS, " size=%u top=%u left=%u fill=%u", node->frame.size,
                 node->frame.top, node->frame.left, node->frame.fill);
        break;
    case OP_PATCHES:
        snprintf(text, NODE_OPTIONS, " size=%u patch=%u", node->patches.size, node->patches.patch);
        break;
    case OP_ATTENTION_MASKED:
        snprintf(text, NODE_OPTIONS, " heads=%u scale=%g%s", node->attention.heads,
                 (double)node->attention.scale, node->attention.causal ? " causal" : "");
        break;
    case OP_POOL:
    case OP_POOL_GRAD:
        snprintf(text, NODE_OPTIONS, " heads=%u%s", node->pool.heads,
                 node->pool.queries ? " queries" : "");
        break;
    case OP_RELEVANCE:
        snprintf(text, NODE_OPTIONS, " heads=%u%s", node->relevance.heads,
                 node->relevance.pooled ? " pooled" : "");
        break;
    case OP_RELATIVE:
        snprintf(text, NODE_OPTIONS, " farthest=%u", node->relative.farthest);
        break;
    case OP_ROPE:
        snprintf(text, NODE_OPTIONS, " heads=%u%s%s", node->rope.heads,
                 node->rope.columns_first ? " columns" : "", node->rope.back ? " back" : "");
        break;
    case OP_GATE:
    case OP_GATE_GRAD:
        snprintf(text, NODE_OPTIONS, "%s", activation_option(node->gate.activation));
        break;
    case OP_ATTENTION:
    case OP_ATTENTION_GRAD:
        snprintf(text, NODE_OPTIONS, " heads=%u%s%s", node->attention.heads,
                 node->attention.causal ? " causal" : "", node->attention.masked ? " masked" : "");
        break;
    case OP_EMBEDDING:
        snprintf(text, NODE_OPTIONS, "%s", node->embedding.first ? " first" : "");
        break;
    case OP_ACTIVATE:
    case OP_ACTIVATE_GRAD:
        snprintf(text, NODE_OPTIONS, "%s%s%s", activation_option(node->activate.activation),
                 node->activate.relu ? " relu" : "", node->activate.tanh ? " tanh" : "");
        break;
    case OP_MEAN:
    case OP_MEAN_GRAD:
    case OP_MEAN_RELEVANCE:
        snprintf(text, NODE_OPTIONS, " skip=%u", node->mean.skip);
        break;
    case OP_BATCHNORM:
        snprintf(text, NODE_OPTIONS, "%s", node->batchnorm.relu ? " relu" : "");
        break;
    default:
        *text = 0;
        break;
    }
}

void graph_dump(const struct graph *graph, FILE *file)
{
    for (size_t i = 0; i < graph->node_count; i++) {
        const struct node *node = &graph->nodes[i];
        char options[NODE_OPTIONS];
        dump_tensor(file, graph, node->out);
        fprintf(file, " = %s", op_name(node->op));
        for (int j = 0; j < NODE_INPUTS; j++)
            if (node->in[j] >= 0) {
                fprintf(file, " ");
                dump_tensor(file, graph, node->in[j]);
            }
        node_options(node, options);
        fprintf(file, "%s", options);
        if (node->residual)
            fprintf(file, " += %s", graph->tensors[graph->tensors[node->out].storage].name);
        fprintf(file, "\n");
    }
}
