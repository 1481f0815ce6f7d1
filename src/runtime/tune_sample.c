/* SPDX-License-Identifier: MIT
 *
 * Determines which nodes form a shape class, and builds the graph of one node that represents a
 * class.
 */
#include "runtime/tune_sample.h"
#include "runtime/layout.h"

#include <stdio.h>
#include <string.h>

/* Samples have at most this many rows or items, and bytes per tensor: more would take longer to
 * time without changing which choice is the fastest. */
#define MOST_ROWS 2048
#define MOST_ITEMS 1024
#define MOST_BYTES (64 << 20)

bool sample_has_rows(enum op op)
{
    return op == OP_MATMUL || op == OP_LAYERNORM || op == OP_RMSNORM || op == OP_GATE ||
           op == OP_NORMALIZE || op == OP_OUTER;
}

void sample_make_plain(struct sample *sample)
{
    struct node *node = &sample->node;
    if (node->op != OP_MATMUL && node->op != OP_CONV && node->op != OP_DWCONV &&
        node->op != OP_OUTER)
        return;
    node->in[2] = -1;
    node->residual = false;
    if (node->op == OP_MATMUL) {
        node->matmul.activation = VKCLIP_ACTIVATION_AUTO;
        node->matmul.slope = false;
        node->matmul.relu = false;
    }
    if (node->op == OP_CONV)
        node->conv.relu = false;
}

/* Tells whether a tensor has rows or items. Weights have none, nor has a matrix that another node
 * packed in panels. */
static bool has_items(const struct tensor *tensor)
{
    return !tensor_stays(tensor) && tensor->layout == LAYOUT_ROWS;
}

/* Sets the rows or items of the tensor in a slot to the number that the sample has. */
static void resize_tensor(struct sample *sample, int slot, uint32_t items)
{
    struct tensor *tensor = &sample->tensors[slot];
    const enum op op = sample->node.op;
    if (op == OP_OUTER && slot == KERNEL_OUT) { /* The result's rows are the columns of x. */
        uint32_t n = tensor_n(tensor), k = (uint32_t)(tensor_elements(tensor) / n);
        *tensor = (struct tensor){.type = tensor->type, .rank = 2, .shape = {n, k}};
        return;
    }
    if (!has_items(tensor))
        return;
    if (sample_has_rows(op)) {
        tensor->shape[1] = tensor_columns(tensor);
        tensor->rank = 2;
    }
    tensor->shape[0] = items;
}

void sample_make(const struct graph *graph, const struct node *node, uint32_t items,
                 struct sample *sample)
{
    *sample = (struct sample){.node = *node};
    for (int slot = 0; slot < KERNEL_SLOTS; slot++) {
        const int index = slot == KERNEL_OUT ? node->out : node->in[slot];
        if (index < 0)
            continue;
        sample->tensors[slot] = graph->tensors[index];
        resize_tensor(sample, slot, items);
        if (slot != KERNEL_OUT)
            sample->node.in[slot] = slot;
    }
    sample->node.out = KERNEL_OUT;
    sample->graph = (struct graph){.tensors = sample->tensors,
                                   .nodes = &sample->node,
                                   .tensor_count = KERNEL_SLOTS,
                                   .node_count = 1,
                                   .type = graph->type,
                                   .mixed = graph->mixed,
                                   .compute_f16 = graph->compute_f16};
}

static uint32_t node_items(const struct graph *graph, const struct node *node)
{
    const int index = node->op == OP_OUTER ? node->in[0] : node->out;
    const struct tensor *tensor = &graph->tensors[index];
    return sample_has_rows(node->op) ? tensor_rows(tensor) : tensor->shape[0];
}

/* Returns the items of the class: the node's own number rounded up to a power of two, within the
 * limits of what is timed. */
static uint32_t class_items(const struct graph *graph, const struct node *node)
{
    const uint32_t most = sample_has_rows(node->op) ? MOST_ROWS : MOST_ITEMS;
    uint32_t items = 1;
    while (items < most && items < node_items(graph, node))
        items *= 2;
    for (; items > 1; items /= 2) {
        struct sample sample;
        sample_make(graph, node, items, &sample);
        if (layout_tensor_bytes(&sample.tensors[0]) <= MOST_BYTES &&
            layout_tensor_bytes(&sample.tensors[KERNEL_OUT]) <= MOST_BYTES)
            break;
    }
    return items;
}

uint32_t sample_items(const struct graph *graph, const struct node *node)
{
    const uint32_t most = class_items(graph, node), items = node_items(graph, node);
    return items < most ? items : most;
}

double sample_work(const struct graph *graph, const struct node *node)
{
    struct sample sample;
    sample_make(graph, node, sample_items(graph, node), &sample);
    return node_work(&sample.graph, &sample.node);
}

/* ---- The key --------------------------------------------------------------------------------- */

#define KEY_SHAPE 48

/* Prints a shape. The number of tokens is rounded up, because texts come in many lengths, which
 * then share a class. */
static void print_shape(const struct tensor *tensor, bool has_tokens, char text[KEY_SHAPE])
{
    snprintf(text, KEY_SHAPE, "%s[", type_name(tensor->type));
    for (unsigned i = 0; i < tensor->rank; i++) {
        const size_t length = strlen(text);
        uint32_t size = tensor->shape[i];
        if (has_tokens && i == 1)
            size = (size + 15) / 16 * 16;
        snprintf(text + length, KEY_SHAPE - length, "%s%u", i ? "," : "", size);
    }
    const size_t length = strlen(text);
    snprintf(text + length, KEY_SHAPE - length, "]");
}

static void add_word(char key[SAMPLE_KEY], bool present, const char *word)
{
    const size_t length = strlen(key);
    if (present)
        snprintf(key + length, SAMPLE_KEY - length, " %s", word);
}

/* Adds what a node does besides its op, if that may change which kernel is the fastest. */
static void add_details(char key[SAMPLE_KEY], const struct node *node)
{
    const bool matmul = node->op == OP_MATMUL;
    const enum vkclip_activation activation =
        matmul ? node->matmul.activation : VKCLIP_ACTIVATION_AUTO;
    char heads[24];
    add_word(key, node->in[2] >= 0, matmul && node->matmul.slope ? "slope" : "bias");
    add_word(key, activation == VKCLIP_ACTIVATION_GELU, "gelu");
    add_word(key, activation == VKCLIP_ACTIVATION_QUICK_GELU, "quick_gelu");
    add_word(key, node->residual, "residual");
    add_word(key, matmul && node->matmul.relu, "relu");
    add_word(key, node->op == OP_CONV && node->conv.relu, "relu");
    if (graph_attends(node->op)) {
        snprintf(heads, sizeof(heads), "heads %u", node->attention.heads);
        add_word(key, node->attention.causal, "causal");
        add_word(key, true, heads);
    }
}

/* Tells whether a node is measured. Only the ops of the forward pass, attention's gradients and
 * OUTER of matrices have choices that differ. Ops that read ids are excluded, because random ids
 * would lead to random places in memory. */
static bool is_measured(const struct graph *graph, const struct node *node)
{
    for (int i = 0; i < NODE_INPUTS; i++)
        if (node->in[i] >= 0 && graph->tensors[node->in[i]].type == TYPE_I32)
            return false;
    if (node->op == OP_ATTENTION_MASKED || node->op == OP_POOL || node->op == OP_RELATIVE ||
        node->op == OP_ROPE)
        return false; /* A bias, query or table has no items, of which a sample could have fewer. */
    if (node->op == OP_OUTER)
        return !node->outer.stride;
    return node->op <= OP_NORMALIZE || graph_attends(node->op);
}

bool sample_key(const struct graph *graph, const struct node *node, char key[SAMPLE_KEY])
{
    struct sample sample;
    char x[KEY_SHAPE], y[KEY_SHAPE];
    if (!is_measured(graph, node))
        return false;
    sample_make(graph, node, class_items(graph, node), &sample);
    const char *weights = node->in[1] < 0 ? "-" : type_name(sample.tensors[1].type);
    print_shape(&sample.tensors[0], graph_attends(node->op), x);
    print_shape(&sample.tensors[KERNEL_OUT], graph_attends(node->op), y);
    snprintf(key, SAMPLE_KEY, "%s %s %s -> %s", op_name(node->op), x, weights, y);
    add_details(key, node);
    add_word(key,
             graph->compute_f16 && graph->type == TYPE_F32 &&
                 (graph_packs(node->op) || graph_attends(node->op)),
             "f16");
    return true;
}
