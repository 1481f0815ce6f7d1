/* SPDX-License-Identifier: MIT
 *
 * A gradient rule an op, in reverse order of the nodes; the objective; the optimiser.
 */
#include "graph/grad.h"
#include "base/array.h"
#include "base/error.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shaders/args.h"

/* Rows that one group of a column's sum has where there are many. */
#define GROUP 256

struct pass {
    struct graph *graph;
    int *of;         /* gradient of each tensor of the nodes; -1: none yet */
    bool *needed;    /* it leads to a weight */
    size_t capacity; /* of both */
};

static const struct tensor *tensor_of(const struct pass *p, int tensor)
{
    return &p->graph->tensors[tensor];
}

/* ---- Pieces ---------------------------------------------------------------------------------- */

/* A node whose result has the shape of `like`. */
static int like(struct graph *graph, struct node node, int shape_of)
{
    if (graph->error || shape_of < 0)
        return -1;
    struct tensor tensor = graph->tensors[shape_of];
    int out = graph_append(graph, NULL, node, tensor.rank, tensor.shape);
    if (out >= 0) { /* a weight that is cast again keeps these */
        graph->tensors[out].type = tensor.type;
        graph->tensors[out].layout = tensor.layout;
        graph->tensors[out].weight = tensor.weight;
    }
    return out;
}

/* One gradient more of a tensor: alone, or added to those there are. */
static void give(struct pass *p, int tensor, int gradient)
{
    int *of = &p->of[tensor];
    *of = *of < 0 ? gradient : graph_sum(p->graph, NULL, *of, gradient);
}

/* The same by a node that can add to what is there. */
static void give_node(struct pass *p, int tensor, struct node node)
{
    int *of = &p->of[tensor];
    *of = *of < 0 ? like(p->graph, node, tensor) : graph_append_over(p->graph, NULL, node, *of);
}

static int weight_gradient(struct graph *graph, int weight)
{
    struct tensor tensor = graph->tensors[graph->tensors[weight].weight];
    char name[sizeof(tensor.name) + sizeof(GRAD_PREFIX)];
    snprintf(name, sizeof(name), GRAD_PREFIX "%s", tensor.name);
    if (strlen(name) >= sizeof(tensor.name)) {
        graph->error = error_fail(VKCLIP_EINVALID, "tensor %s: its name is too long", tensor.name);
        return -1;
    }
    int found = graph_find(graph, name);
    return found >= 0 ? found : graph_state(graph, name, tensor.layout, tensor.rank, tensor.shape);
}

/* A weight, or what one was cast to. */
static bool is_trained(const struct graph *graph, int tensor)
{
    int weight = tensor < 0 ? -1 : graph->tensors[tensor].weight;
    return weight >= 0 && !graph->tensors[weight].locked;
}

/* A matrix within a tensor: where its rows lie. */
struct rows {
    int tensor;
    uint32_t rows, columns;
    uint32_t pitch, offset; /* elements from row to row, and before the first */
};

/* The sum of rows is added to the gradient of a weight. */
static void sum_to_weight(struct graph *graph, struct rows x, int weight)
{
    if (graph->error || !is_trained(graph, weight))
        return;
    struct node node = {.op = OP_COLSUM,
                        .in = {x.tensor, -1, -1},
                        .colsum = {.pitch = x.pitch, .offset = x.offset}};
    /* One step would keep too few invocations busy where the sums are few and long. */
    if (x.rows > 2 * GROUP && x.columns < 16 * GROUP) {
        const uint32_t shape[] = {(x.rows + GROUP - 1) / GROUP, x.columns};
        node.colsum.group = GROUP;
        int parts = graph_append(graph, NULL, node, 2, shape);
        node =
            (struct node){.op = OP_COLSUM, .in = {parts, -1, -1}, .colsum = {.pitch = x.columns}};
    }
    node.residual = true;
    graph_append_into(graph, node, weight_gradient(graph, weight));
}

static void sum_rows(struct pass *p, int dy, int weight)
{
    uint32_t rows = tensor_rows(tensor_of(p, dy)), columns = tensor_columns(tensor_of(p, dy));
    sum_to_weight(p->graph, (struct rows){dy, rows, columns, columns, 0}, weight);
}

/* The same of items: a table of positions. */
static void sum_items(struct pass *p, int dy, int weight)
{
    uint32_t items = tensor_of(p, dy)->shape[0];
    uint32_t elements = (uint32_t)(tensor_elements(tensor_of(p, dy)) / items);
    sum_to_weight(p->graph, (struct rows){dy, items, elements, elements, 0}, weight);
}

/* ---- A rule an op ---------------------------------------------------------------------------- */

/* Gradients of a matrix and its bias. */
static void sum_products(struct pass *p, struct node n, int dy)
{
    struct graph *graph = p->graph;
    struct node outer = {.op = OP_OUTER,
                         .in = {dy, n.in[0], -1},
                         .residual = true,
                         .outer.stride = n.op == OP_CONV ? n.conv.stride : 0};
    if (!is_trained(graph, n.in[1])) {
        sum_rows(p, dy, n.in[2]);
        return;
    }
    if (is_trained(graph, n.in[2]))
        outer.in[2] = weight_gradient(graph, n.in[2]);
    graph_append_into(graph, outer, weight_gradient(graph, n.in[1]));
}

static void grad_MATMUL(struct pass *p, struct node n, int dy)
{
    struct graph *graph = p->graph;
    sum_products(p, n, dy);
    if (p->needed[n.in[0]]) {
        int transposed = graph_panels(graph, n.in[1], true);
        give_node(p, n.in[0], (struct node){.op = OP_MATMUL, .in = {dy, transposed, -1}});
    }
}

static void grad_CONV(struct pass *p, struct node n, int dy)
{
    struct graph *graph = p->graph;
    sum_products(p, n, dy);
    if (p->needed[n.in[0]] && n.conv.stride != 1)
        graph->error = error_fail(VKCLIP_EUNSUPPORTED,
                                  "%s: the gradient of a convolution with stride %u is not there",
                                  tensor_of(p, n.out)->name, n.conv.stride);
    else if (p->needed[n.in[0]])
        give_node(p, n.in[0],
                  (struct node){.op = OP_CONV,
                                .in = {dy, graph_panels(graph, n.in[1], true), -1},
                                .conv.stride = 1});
}

static void grad_AVGPOOL(struct pass *p, struct node n, int dy)
{
    struct node node = {.op = OP_AVGPOOL_GRAD, .in = {dy, -1, -1}, .avgpool = n.avgpool};
    give(p, n.in[0], like(p->graph, node, n.in[0]));
}

static void grad_ATTENTION(struct pass *p, struct node n, int dy)
{
    graph_append_into(p->graph, (struct node){.op = OP_ATTENTION_DELTA, .in = {n.out, dy, -1}},
                      n.in[1]);
    struct node node = {
        .op = OP_ATTENTION_GRAD, .in = {n.in[0], dy, n.in[1]}, .attention = n.attention};
    give(p, n.in[0], like(p->graph, node, n.in[0]));
}

static void grad_LAYERNORM(struct pass *p, struct node n, int dy)
{
    struct graph *graph = p->graph;
    uint32_t rows = tensor_rows(tensor_of(p, dy)), columns = tensor_columns(tensor_of(p, dy));
    if (is_trained(graph, n.in[1]) || is_trained(graph, n.in[2])) {
        const uint32_t shape[] = {(rows + LAYERNORM_ROWS - 1) / LAYERNORM_ROWS, 2, columns};
        struct node shares = {
            .op = OP_LAYERNORM_SUMS, .in = {n.in[0], dy, -1}, .layernorm = n.layernorm};
        int sums = graph_append(graph, NULL, shares, 3, shape);
        for (uint32_t i = 0; i < 2; i++)
            sum_to_weight(graph, (struct rows){sums, shape[0], columns, 2 * columns, i * columns},
                          n.in[1 + i]);
    }
    if (p->needed[n.in[0]])
        give_node(p, n.in[0],
                  (struct node){.op = OP_LAYERNORM_GRAD,
                                .in = {n.in[0], n.in[1], dy},
                                .layernorm = n.layernorm});
}

static void grad_EMBEDDING(struct pass *p, struct node n, int dy)
{
    struct graph *graph = p->graph;
    uint32_t tokens = tensor_rows(tensor_of(p, dy));
    const uint32_t runs[] = {tokens + 1, 2};
    if (is_trained(graph, n.in[1])) {
        int order = graph_input(graph, "text.order", TYPE_I32, 1, &tokens);
        struct node node = {.op = OP_EMBEDDING_GRAD,
                            .in = {dy, order, graph_input(graph, "text.runs", TYPE_I32, 2, runs)},
                            .residual = true};
        graph_append_into(graph, node, weight_gradient(graph, n.in[1]));
    }
    sum_items(p, dy, n.in[2]);
}

static void grad_CLASSTOKEN(struct pass *p, struct node n, int dy)
{
    const struct tensor *y = tensor_of(p, dy);
    uint32_t items = y->shape[0], c = tensor_columns(y);
    sum_to_weight(p->graph, (struct rows){dy, items, c, y->shape[1] * c, 0}, n.in[1]);
    sum_items(p, dy, n.in[2]);
    if (p->needed[n.in[0]])
        give(p, n.in[0],
             like(p->graph, (struct node){.op = OP_CLASSTOKEN_GRAD, .in = {dy, -1, -1}}, n.in[0]));
}

static void grad_MEANTOKEN(struct pass *p, struct node n, int dy)
{
    sum_items(p, dy, n.in[1]);
    give(p, n.in[0],
         like(p->graph, (struct node){.op = OP_MEANTOKEN_GRAD, .in = {dy, -1, -1}}, n.in[0]));
}

static void grad_SELECT(struct pass *p, struct node n, int dy)
{
    struct node node = {.op = OP_SELECT_GRAD, .in = {dy, n.in[1], -1}};
    give(p, n.in[0], like(p->graph, node, n.in[0]));
}

static void grad_NORMALIZE(struct pass *p, struct node n, int dy)
{
    struct node node = {.op = OP_NORMALIZE_GRAD, .in = {n.in[0], dy, -1}};
    give(p, n.in[0], like(p->graph, node, n.in[0]));
}

static void grad_CAST(struct pass *p, struct node n, int dy)
{
    give(p, n.in[0], graph_cast(p->graph, dy, tensor_of(p, n.in[0])->type));
}

static void grad_ACTIVATE(struct pass *p, struct node n, int dy)
{
    struct graph *graph = p->graph;
    struct node *last = &graph->nodes[graph->node_count - 1];
    if (!graph->error && last->op == OP_MATMUL && last->out == dy && !last->residual &&
        !n.activate.relu) {
        last->in[2] = n.in[0]; /* dy is not read again: its node gives dx */
        last->matmul.activation = n.activate.activation;
        last->matmul.slope = true;
        give(p, n.in[0], dy);
        return;
    }
    struct node node = {.op = OP_ACTIVATE_GRAD, .in = {n.in[0], dy, -1}, .activate = n.activate};
    give(p, n.in[0], like(p->graph, node, n.in[0]));
}

static void grad_ADD(struct pass *p, struct node n, int dy)
{
    for (int i = 0; i < 2; i++)
        if (p->needed[n.in[i]])
            give(p, n.in[i], dy);
}

/* The statistics' node, whose gain and bias these are. */
static struct node find_stats(const struct pass *p, int stats)
{
    for (size_t i = p->graph->node_count; i-- > 0;)
        if (p->graph->nodes[i].out == stats)
            return p->graph->nodes[i];
    return (struct node){.op = OP_COUNT};
}

static void grad_BATCHNORM(struct pass *p, struct node n, int dy)
{
    struct graph *graph = p->graph;
    struct node stats = find_stats(p, n.in[1]);
    uint32_t c = tensor_columns(tensor_of(p, dy));
    const uint32_t shape[] = {6, c};
    if (n.batchnorm.relu) {
        struct node relu = {.op = OP_ACTIVATE_GRAD, .in = {n.out, dy, -1}, .activate.relu = true};
        dy = like(graph, relu, dy);
    }
    if (n.in[2] >= 0 && p->needed[n.in[2]])
        give(p, n.in[2], dy);
    struct node sums = {.op = OP_BATCHNORM_GRAD,
                        .in = {n.in[0], dy, n.in[1]},
                        .batchnorm_grad.frozen = stats.op == OP_RUNNINGSTATS};
    int of = graph_append(graph, NULL, sums, 2, shape);
    for (uint32_t i = 1; i < 3; i++)
        sum_to_weight(graph, (struct rows){of, 1, c, 6 * c, (3 + i) * c}, stats.in[i]);
    if (p->needed[n.in[0]])
        give(p, n.in[0],
             like(graph, (struct node){.op = OP_AFFINE, .in = {dy, n.in[0], of}}, n.in[0]));
}

static const struct {
    enum op op;
    void (*rule)(struct pass *p, struct node n, int dy);
} rules[] = {
#define RULE(op)           \
    {                      \
        OP_##op, grad_##op \
    }
    RULE(MATMUL),    RULE(CONV),      RULE(AVGPOOL),    RULE(MEANTOKEN), RULE(ATTENTION),
    RULE(LAYERNORM), RULE(EMBEDDING), RULE(CLASSTOKEN), RULE(SELECT),    RULE(NORMALIZE),
    RULE(ACTIVATE),  RULE(ADD),       RULE(BATCHNORM),  RULE(CAST),
#undef RULE
};

static void add_rule(struct pass *p, const struct node *node)
{
    int dy = p->of[node->out];
    if (dy < 0 || !p->needed[node->out])
        return;
    for (size_t i = 0; i < ARRAY_COUNT(rules); i++)
        if (rules[i].op == node->op) {
            rules[i].rule(p, *node, dy);
            return;
        }
    if (!p->graph->error)
        p->graph->error = error_fail(VKCLIP_EUNSUPPORTED, "%s: %s has no gradient",
                                     p->graph->tensors[node->out].name, op_name(node->op));
}

/* Room for the tensors there are. */
static bool grow(struct pass *p)
{
    size_t count = p->graph->tensor_count;
    if (count <= p->capacity)
        return true;
    int *of = realloc(p->of, 2 * count * sizeof(*of));
    if (of)
        p->of = of;
    bool *needed = realloc(p->needed, 2 * count * sizeof(*needed));
    if (needed)
        p->needed = needed;
    if (!of || !needed) {
        p->graph->error = error_fail(VKCLIP_EMEMORY, "out of memory for gradients");
        return false;
    }
    for (; p->capacity < 2 * count; p->capacity++) {
        p->of[p->capacity] = -1;
        p->needed[p->capacity] = false;
    }
    return true;
}

/* The nodes [first, last) of a segment once more, but for its last one, whose result is kept; the
 * list of them goes to `again`. */
static void append_again(struct pass *p, size_t first, size_t last, struct node *again)
{
    struct graph *graph = p->graph;
    for (size_t i = first; i < last && !graph->error; i++) {
        struct node node = graph->nodes[i];
        int out = node.out, into = -1;
        for (size_t j = first; j < i; j++) /* results of the segment are those computed again */
            for (int k = 0; k < NODE_INPUTS; k++)
                if (node.in[k] >= 0 && node.in[k] == graph->nodes[j].out)
                    node.in[k] = again[j - first].out;
        for (size_t j = first; j < i; j++)
            into = graph->nodes[j].out == out ? again[j - first].out : into;
        if (i + 1 < last && node.op != OP_RUNNING) {
            node.out = into < 0 ? like(graph, node, out) : graph_append_into(graph, node, into);
            if (graph->error || !grow(p))
                return;
            p->needed[node.out] = p->needed[out];
        }
        again[i - first] = node;
    }
}

static void add_segment(struct pass *p, size_t first, size_t last)
{
    struct node *again = calloc(last - first, sizeof(*again));
    if (!again) {
        p->graph->error = error_fail(VKCLIP_EMEMORY, "out of memory for gradients");
        return;
    }
    append_again(p, first, last, again);
    for (size_t i = last; i > first && !p->graph->error; i--)
        add_rule(p, &again[i - 1 - first]);
    free(again);
}

int grad_backward(struct graph *graph, size_t first, const struct grad_seed *seeds, size_t count,
                  bool recompute)
{
    struct pass p = {.graph = graph};
    size_t last = graph->node_count;
    if (graph->error || !grow(&p))
        goto done;
    for (size_t t = 0; t < graph->tensor_count; t++)
        p.needed[t] = is_trained(graph, (int)t);
    for (size_t i = first; i < last; i++)
        for (int j = 0; j < NODE_INPUTS; j++)
            if (graph->nodes[i].in[j] >= 0 &&
                graph->tensors[graph->nodes[i].out].role == ROLE_ACTIVATION)
                p.needed[graph->nodes[i].out] |= p.needed[graph->nodes[i].in[j]];
    for (size_t i = 0; i < count; i++)
        p.of[seeds[i].tensor] = seeds[i].gradient;
    while (last > first && !graph->error) {
        struct node node = graph->nodes[last - 1]; /* the list moves while it grows */
        size_t begin = last - 1;
        while (recompute && node.segment && begin > first &&
               graph->nodes[begin - 1].segment == node.segment)
            begin--;
        if (last - begin > 1 && p.needed[node.out])
            add_segment(&p, begin, last);
        else
            add_rule(&p, &node);
        last = last - begin > 1 && p.needed[node.out] ? begin : last - 1;
    }
done:
    free(p.of);
    free(p.needed);
    return graph->error;
}

/* By id, then by place. */
static int compare_tokens(const void *a, const void *b)
{
    const int32_t *x = a, *y = b; /* place, id */
    return x[1] != y[1] ? (x[1] > y[1]) - (x[1] < y[1]) : (x[0] > y[0]) - (x[0] < y[0]);
}

void grad_sort_ids(const int32_t *ids, const int32_t *ends, uint32_t rows, uint32_t length,
                   int32_t *order, int32_t *runs)
{
    uint32_t tokens = rows * length, count = 0, run = 0;
    int32_t(*pairs)[2] = (int32_t(*)[2])runs; /* sorted there, then cut down to the runs */
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

/* ---- The objective --------------------------------------------------------------------------- */

/* The same but in a mixed graph, whose gradients fp16 could not hold otherwise. */
static int scaled(struct graph *graph, int x, int loss_scale)
{
    return loss_scale < 0
               ? x
               : like(graph, (struct node){.op = OP_SCALE, .in = {x, loss_scale, -1}}, x);
}

int grad_objective(struct graph *graph, int image, int text, int logit_scale,
                   struct grad_objective *objective)
{
    if (graph->error || image < 0 || text < 0)
        return graph->error;
    uint32_t n = graph->tensors[image].shape[0];
    const uint32_t lines[] = {2, n}, shares[] = {n, 2}, one = 1, two = 2;
    int by = graph->mixed ? graph_input(graph, "loss_scale", TYPE_F32, 1, &one) : -1;
    int cosines = graph_matmul(graph, "cosines", image, graph_panels(graph, text, false), -1,
                               VKCLIP_ACTIVATION_AUTO, -1);
    struct node stats = {.op = OP_CONTRAST_STATS, .in = {cosines, logit_scale, -1}};
    int of = graph_append(graph, NULL, stats, 2, lines);
    struct node loss = {.op = OP_CONTRAST_LOSS, .in = {cosines, logit_scale, of}};
    int parts = graph_append(graph, NULL, loss, 2, shares);
    struct node sum = {.op = OP_COLSUM, .in = {parts, -1, -1}, .colsum.pitch = 2};
    objective->loss = graph_append(graph, "loss", sum, 1, &two);
    sum_to_weight(graph, (struct rows){scaled(graph, parts, by), n, 1, 2, 1}, logit_scale);
    struct node grad = {.op = OP_CONTRAST_GRAD, .in = {of, logit_scale, -1}};
    int dcosines = graph_append_over(graph, "dcosines", grad, cosines);
    int dimage = graph_matmul(graph, NULL, dcosines, graph_panels(graph, text, true), -1,
                              VKCLIP_ACTIVATION_AUTO, -1);
    struct node dtext = {.op = OP_OUTER, .in = {dcosines, image, -1}};
    objective->image = scaled(graph, dimage, by);
    objective->text = scaled(graph, like(graph, dtext, text), by);
    return graph->error;
}

/* ---- The optimiser --------------------------------------------------------------------------- */

static int part(struct graph *graph, const char *what, size_t i, uint32_t elements, bool pairs)
{
    char name[32];
    const uint32_t shape[] = {elements, 2};
    snprintf(name, sizeof(name), "%s.%zu", what, i);
    return graph_state(graph, name, LAYOUT_ROWS, pairs ? 2 : 1, shape);
}

int grad_optimise(struct graph *graph, const uint32_t *elements, const bool *decayed, size_t parts,
                  struct grad_adamw adamw, bool logit_scale)
{
    uint32_t sums = 0, at = 0;
    const uint32_t eight = GRAD_STEP_VALUES, one = 1;
    for (size_t i = 0; i < parts; i++)
        sums += (elements[i] + SUMSQ_PART - 1) / SUMSQ_PART;
    int step = graph_input(graph, "step", TYPE_F32, 1, &eight), norms = -1;
    for (size_t i = 0; i < parts; i++) {
        struct node node = {.op = OP_SUMSQ,
                            .in = {part(graph, "gradients", i, elements[i], false), -1, -1},
                            .sumsq.offset = at};
        norms = i ? graph_append_into(graph, node, norms)
                  : graph_append(graph, "norms", node, 1, &sums);
        at += (elements[i] + SUMSQ_PART - 1) / SUMSQ_PART;
    }
    int clip = graph_append(graph, "clip", (struct node){.op = OP_CLIP, .in = {norms, step, -1}}, 1,
                            &eight);
    for (size_t i = 0; i < parts && !graph->error; i++) {
        char name[32];
        snprintf(name, sizeof(name), "gradients.%zu", i);
        int gradient = graph_find(graph, name);
        struct node node = {
            .op = OP_ADAMW,
            .in = {gradient, part(graph, "moments", i, elements[i], true), clip},
            .residual = true,
            .adamw = {adamw.beta1, adamw.beta2, adamw.epsilon, decayed[i] ? adamw.decay : 0}};
        graph_append_into(graph, node, part(graph, "weights", i, elements[i], false));
    }
    if (logit_scale) {
        int w = graph_state(graph, "logit_scale", LAYOUT_ROWS, 1, &one);
        graph_append_into(
            graph,
            (struct node){
                .op = OP_CLAMP, .in = {w, -1, -1}, .residual = true, .clamp = {0, logf(100)}},
            w);
    }
    return graph->error;
}
