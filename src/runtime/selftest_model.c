/* SPDX-License-Identifier: MIT
 *
 * Builds the small model of the self-test, runs it on the device and on the host, and compares.
 */
#include "runtime/selftest_model.h"
#include "base/error.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/turns.h"
#include "runtime/layout.h"
#include "runtime/op_values.h"
#include "runtime/reference.h"
#include "runtime/selftest_run.h"

/* The sizes keep the reference below a tenth of a second: two items of 50 tokens, two heads. */
#define ITEMS 2
#define PATCHES 49
#define PATCH_VALUES 64
#define LAYERS 2
#define HEADS 2
#define EMBEDDING 64
#define EPSILON 1e-5f
/* Bounds of the error as shares of the largest value. Some thirty nodes add up their rounding, and
 * variants of CAP_DOT round activations to 8 bits. Memory that is reused too early gives errors of
 * the size of the values. */
#define BOUND_F32 1e-3
#define BOUND_F16 3e-2
#define BOUND_DOT 2e-1

/* What a small model has of the model that it stands for. */
struct kind {
    enum type type, weights;
    enum vkclip_activation activation;
    uint32_t head; /* width of a head */
    bool causal, dot;
};

/* ---- Building -------------------------------------------------------------------------------- */

/* Names a weight by its number, because each needs a name of its own. */
static int add_tensor(struct graph *graph, enum layout layout, unsigned rank, const uint32_t *shape)
{
    char name[32];
    snprintf(name, sizeof(name), "selftest.%zu", graph->tensor_count);
    return graph_weight(graph, name, layout, rank, shape);
}

static int add_weight(struct graph *graph, enum layout layout, uint32_t rows, uint32_t columns)
{
    const uint32_t shape[] = {rows, columns};
    return add_tensor(graph, layout, 2, shape);
}

static int add_vector(struct graph *graph, uint32_t n)
{
    return add_tensor(graph, LAYOUT_ROWS, 1, &n);
}

static int append_norm(struct graph *graph, int x, uint32_t c)
{
    const int gain = add_vector(graph, c);
    return graph_layernorm(graph, NULL, x, gain, add_vector(graph, c), EPSILON);
}

static int append_linear(struct graph *graph, int x, uint32_t n, uint32_t k,
                         enum vkclip_activation activation, int residual)
{
    const int w = add_weight(graph, LAYOUT_PANELS, n, k);
    return graph_matmul(graph, NULL, x, w, add_vector(graph, n), activation, residual);
}

static int append_layer(struct graph *graph, const struct kind *kind, int x)
{
    const uint32_t c = HEADS * kind->head;
    const enum vkclip_activation none = VKCLIP_ACTIVATION_AUTO;
    int y = append_linear(graph, append_norm(graph, x, c), 3 * c, c, none, -1);
    y = graph_attention(graph, NULL, y, HEADS, kind->causal);
    x = append_linear(graph, y, c, c, none, x);
    y = append_linear(graph, append_norm(graph, x, c), 4 * c, c, kind->activation, -1);
    return append_linear(graph, y, c, 4 * c, none, x);
}

/* Builds the model and returns its result. */
static int build_model(const struct kind *kind, struct graph *graph)
{
    const uint32_t c = HEADS * kind->head, shape[] = {ITEMS, PATCHES, PATCH_VALUES};
    graph_init(graph, kind->type);
    int x = graph_input(graph, "x", kind->type, 3, shape);
    x = graph_matmul(graph, NULL, x, add_weight(graph, LAYOUT_PANELS, c, PATCH_VALUES), -1,
                     VKCLIP_ACTIVATION_AUTO, -1);
    const int token = add_vector(graph, c);
    x = graph_classtoken(graph, NULL, x, token, add_weight(graph, LAYOUT_ROWS, PATCHES + 1, c));
    x = append_norm(graph, x, c);
    for (int layer = 0; layer < LAYERS; layer++)
        x = append_layer(graph, kind, x);
    x = append_norm(graph, graph_select(graph, NULL, x, -1), c);
    x = graph_matmul(graph, NULL, x, add_weight(graph, LAYOUT_PANELS, EMBEDDING, c), -1,
                     VKCLIP_ACTIVATION_AUTO, -1);
    graph_pack(graph, kind->weights);
    return graph_normalize(graph, NULL, x);
}

/* ---- Values ---------------------------------------------------------------------------------- */

static int out_of_memory(void)
{
    return error_fail(VKCLIP_EMEMORY, "out of memory for checking a model");
}

static void free_values(size_t count, double **values)
{
    for (size_t t = 0; values && t < count; t++)
        memory_free(values[t]);
    memory_free(values);
}

/* Makes values for inputs and weights, and memory for results, by tensor. Weights keep the size of
 * what they multiply: uniform values in [-s, s) have the variance s s / 3. */
static int make_values(const struct graph *graph, double ***result)
{
    double **values = *result = memory_calloc(graph->tensor_count, sizeof(*values));
    uint32_t state = 2463534242u;
    if (!values)
        return out_of_memory();
    for (size_t t = 0; t < graph->tensor_count; t++) {
        const struct tensor *tensor = &graph->tensors[t];
        const double k = (double)tensor_elements(tensor) / tensor->shape[0];
        values[t] = memory_calloc(tensor_elements(tensor), sizeof(**values));
        if (!values[t])
            return out_of_memory();
        if (tensor->role != ROLE_ACTIVATION)
            op_values_fill(tensor, tensor->layout == LAYOUT_PANELS ? sqrt(3 / k) : 1, &state,
                           values[t]);
    }
    return VKCLIP_OK;
}

/* Computes all nodes on the host. A result that is added to a residual takes its place. */
static void compute_reference(const struct graph *graph, double *const *values)
{
    for (size_t n = 0; n < graph->node_count; n++) {
        const struct node *node = &graph->nodes[n];
        const double *in[NODE_INPUTS];
        for (int i = 0; i < NODE_INPUTS; i++)
            in[i] = node->in[i] < 0 ? NULL : values[graph->tensors[node->in[i]].storage];
        reference_node(graph, node, in, values[graph->tensors[node->out].storage]);
    }
}

static int upload_weight(struct gpu *gpu, const struct weight_store *store,
                         const struct tensor *tensor, const double *values)
{
    struct gpu_buffer *upload = NULL;
    struct gpu_range range;
    if (!weight_store_find(store, tensor->name, &range))
        return error_fail(VKCLIP_EABSENT, "tensor %s has no memory", tensor->name);
    const uint64_t bytes = layout_tensor_bytes(tensor);
    int error = gpu_buffer_create(gpu, GPU_UPLOAD, bytes, &upload);
    if (!error)
        error = op_values_store(tensor, values, gpu_buffer_map(upload));
    range.size = bytes;
    if (!error)
        error = gpu_copy(gpu, (struct gpu_range){upload, 0, bytes}, range);
    gpu_buffer_destroy(gpu, &upload);
    return error;
}

static int create_weights(struct gpu *gpu, const struct graph *graph, double *const *values,
                          struct weight_store **store)
{
    int error = weight_store_create(gpu, &graph, 1, store);
    for (size_t t = 0; t < graph->tensor_count && !error; t++)
        if (graph->tensors[t].role == ROLE_WEIGHT)
            error = upload_weight(gpu, *store, &graph->tensors[t], values[t]);
    return error;
}

/* ---- Running --------------------------------------------------------------------------------- */

/* Writes the input: the first tensor of the graph. */
static int write_input(struct plan *plan, const double *values)
{
    const uint64_t count = tensor_elements(&plan_graph(plan)->tensors[0]);
    float *floats = memory_alloc(count * sizeof(*floats));
    if (!floats)
        return out_of_memory();
    for (uint64_t i = 0; i < count; i++)
        floats[i] = (float)values[i];
    plan_write(plan, 0, 0, floats, count);
    memory_free(floats);
    return VKCLIP_OK;
}

/* Runs the plan several times. Sets the error as a share of its bound, which is infinite if runs
 * differ. */
static int compare_runs(struct plan *plan, const struct kind *kind, int out, const double *expected,
                        double *share)
{
    float found[SELFTEST_RUNS][ITEMS * EMBEDDING];
    double largest = 0, worst = 0, bound = kind->type == TYPE_F16 ? BOUND_F16 : BOUND_F32;
    int error = VKCLIP_OK;
    if (kind->dot)
        bound = BOUND_DOT;
    for (int run = 0; run < SELFTEST_RUNS && !error; run++) {
        error = plan_run(plan);
        if (!error)
            plan_read(plan, out, 0, found[run], ITEMS * EMBEDDING);
    }
    bool same = true;
    for (int i = 0; i < ITEMS * EMBEDDING && !error; i++) {
        const double difference = fabs((double)found[0][i] - expected[i]);
        worst = isfinite(difference) ? fmax(worst, difference) : INFINITY;
        largest = fmax(largest, fabs(expected[i]));
        for (int run = 1; run < SELFTEST_RUNS; run++)
            same &= !memcmp(&found[0][i], &found[run][i], sizeof(found[0][i]));
    }
    *share = same ? worst / (bound * largest) : INFINITY;
    return error;
}

/* Builds and runs the small model with the kernels of another graph, or with those of the tuner. */
static int run_model(struct gpu *gpu, struct tuner *tuner, const struct kind *kind,
                     const struct plan *lender, double *share)
{
    struct graph graph;
    struct weight_store *store = NULL;
    struct plan *plan = NULL;
    double **values = NULL;
    const int out = build_model(kind, &graph);
    int error = graph.error;
    const size_t tensors = graph.tensor_count;
    if (!error)
        error = make_values(&graph, &values);
    if (!error)
        error = create_weights(gpu, &graph, values, &store);
    if (!error)
        compute_reference(&graph, values);
    const struct plan_params params = {
        .gpu = gpu, .tuner = tuner, .weights = store, .outputs = &out, .output_count = 1};
    /* A call that came between would take what is lent to this plan. */
    const bool pauses = lender && turn_allow_pauses(false);
    if (lender)
        tune_lend(tuner, plan_graph(lender), plan_choices(lender));
    if (error)
        graph_free(&graph);
    else
        error = plan_create(&params, &graph, &plan);
    tune_lend(tuner, NULL, NULL);
    if (pauses)
        turn_allow_pauses(true);
    if (!error)
        error = write_input(plan, values[0]);
    if (!error)
        error = compare_runs(plan, kind, out, values[out], share);
    plan_destroy(&plan);
    weight_store_destroy(&store);
    free_values(tensors, values);
    return error;
}

/* ---- What is checked ------------------------------------------------------------------------- */

static void name_kind(const struct kind *kind, char name[96])
{
    snprintf(name, 96, "two layers %s %s heads of %u%s%s%s", type_name(kind->type),
             type_name(kind->weights), kind->head, kind->causal ? " causal" : "",
             activation_option(kind->activation), kind->dot ? " dot" : "");
}

/* Finds what a plan's model is. Returns false for a graph without attention. */
static bool find_kind(const struct plan *plan, struct kind *kind)
{
    const struct graph *graph = plan_graph(plan);
    bool attends = false, packs = false;
    *kind = (struct kind){.type = graph->type};
    for (size_t n = 0; n < graph->node_count; n++) {
        const struct node *node = &graph->nodes[n];
        const struct kernel *kernel = plan_choices(plan)[n].kernel;
        if (node->op == OP_ATTENTION && !attends) {
            attends = true;
            kind->causal = node->attention.causal;
            kind->head = tensor_columns(&graph->tensors[node->out]) / node->attention.heads;
        }
        if (node->op == OP_MATMUL && !packs && kernel) {
            packs = true;
            kind->weights = kernel->w;
        }
        if (node->op == OP_MATMUL && !node->matmul.slope &&
            node->matmul.activation != VKCLIP_ACTIVATION_AUTO)
            kind->activation = node->matmul.activation;
        kind->dot |= kernel && kernel->needs & CAP_DOT;
    }
    return attends && packs;
}

int selftest_plan(struct gpu *gpu, struct tuner *tuner, const struct plan *plan)
{
    struct selftest *selftest = tuner ? tune_selftest(tuner) : NULL;
    struct kind kind;
    char name[96];
    if (!selftest || !selftest_is_on(selftest) || !find_kind(plan, &kind))
        return VKCLIP_OK;
    name_kind(&kind, name);
    double share = selftest_known(selftest, name);
    if (share < 0) {
        int error = run_model(gpu, tuner, &kind, plan, &share);
        if (error)
            return error;
        selftest_record(selftest, name, share);
    }
    if (share <= 1)
        return VKCLIP_OK;
    return error_fail(VKCLIP_EDEVICE,
                      "%s (%s): a model of two layers (%s) gives wrong numbers, although each "
                      "kernel is right, so that the device cannot be used: `vkclip_check_device` "
                      "gives what a report needs",
                      gpu_info(gpu)->name, gpu_info(gpu)->driver, name);
}

static int report_model(struct gpu *gpu, const struct kind *kind, double share,
                        vkclip_check_fn *entry, void *user)
{
    char name[96];
    name_kind(kind, name);
    const struct vkclip_check check = {.device = gpu_info(gpu)->name,
                                       .op = "MODEL",
                                       .kernel = name,
                                       .activations = type_name(kind->type),
                                       .weights = type_name(kind->weights),
                                       .shape = "[2,50,128]",
                                       .error = share,
                                       .runs = SELFTEST_RUNS,
                                       .built = true,
                                       .stable = isfinite(share),
                                       .right = share <= 1};
    if (entry(user, &check))
        return error_fail(VKCLIP_ECANCELLED, "the check of a device was stopped by the caller");
    return VKCLIP_OK;
}

int selftest_all_models(struct gpu *gpu, struct tuner *tuner, vkclip_check_fn *entry, void *user)
{
    int error = VKCLIP_OK;
    for (int type = TYPE_F32; type <= TYPE_F16 && !error; type++) {
        const struct kind kind = {
            .type = type, .weights = type, .activation = VKCLIP_ACTIVATION_QUICK_GELU, .head = 64};
        double share = 0;
        if (type == TYPE_F16 && !(gpu_caps(gpu) & CAP_F16))
            continue;
        error = run_model(gpu, tuner, &kind, NULL, &share);
        if (!error)
            error = report_model(gpu, &kind, share, entry, user);
    }
    return error;
}
