/* SPDX-License-Identifier: MIT
 *
 * Every gradient rule against finite differences, on the double-precision reference alone: towers
 * of each kind with the objective behind them, and each weight's gradient against the loss a small
 * step away. No device is needed.
 */
#include "base/array.h"
#include "support/testing.h"

#include <math.h>

#include "graph/grad.h"
#include "model/tower.h"
#include "reference/ref.h"

/* ---- A graph in double precision ------------------------------------------------------------- */

struct values {
    struct graph *graph;
    double **of; /* by storage */
};

static double *values_of(const struct values *v, int tensor)
{
    return v->of[v->graph->tensors[tensor].storage];
}

static double next(uint32_t *state)
{
    *state ^= *state << 13, *state ^= *state >> 17, *state ^= *state << 5;
    return (double)*state / 2147483648.0 - 1;
}

static bool is_gradient(const struct tensor *tensor)
{
    return !strncmp(tensor->name, GRAD_PREFIX, strlen(GRAD_PREFIX));
}

static void fill(struct values *v)
{
    uint32_t state = 12345;
    v->of = calloc(v->graph->tensor_count, sizeof(*v->of));
    for (size_t t = 0; t < v->graph->tensor_count; t++) {
        const struct tensor *tensor = &v->graph->tensors[t];
        if (tensor->storage != (int)t)
            continue;
        size_t count = tensor_elements(tensor);
        v->of[t] = calloc(count, sizeof(double));
        for (size_t i = 0; i < count && !is_gradient(tensor); i++)
            if (tensor->role == ROLE_WEIGHT || tensor->role == ROLE_INPUT)
                v->of[t][i] = next(&state) * (tensor->rank > 1 ? 0.4 : 1);
        for (size_t i = 0; i < count && strstr(tensor->name, ".running_var"); i++)
            v->of[t][i] = 0.5 + fabs(v->of[t][i]);
    }
}

static void run(const struct values *v, size_t nodes)
{
    for (size_t n = 0; n < nodes; n++) {
        const struct node *node = &v->graph->nodes[n];
        const double *in[NODE_INPUTS];
        for (int i = 0; i < NODE_INPUTS; i++)
            in[i] = node->in[i] < 0 ? NULL : values_of(v, node->in[i]);
        ref_node(v->graph, node, in, values_of(v, node->out));
    }
}

static void release(struct values *v)
{
    for (size_t t = 0; t < v->graph->tensor_count; t++)
        free(v->of[t]);
    free(v->of);
    graph_free(v->graph);
}

/* ---- The towers ------------------------------------------------------------------------------ */

static struct config tiny(bool resnet, enum vkclip_activation activation)
{
    struct config config = {.image_size = resnet ? 32 : 4,
                            .patch_size = 2,
                            .image_embed_dim = 3,
                            .text_embed_dim = 3,
                            .context = 4,
                            .vocabulary = 7};
    config.image = (struct config_tower){.kind = resnet ? KIND_RESNET : KIND_VIT,
                                         .projection = true,
                                         .width = resnet ? 4 : 6,
                                         .layers = 1,
                                         .heads = 2,
                                         .mlp = 10,
                                         .activation = activation,
                                         .epsilon = 1e-5f};
    config.text = config.image;
    config.text.kind = KIND_TEXT;
    config.text.width = 6;
    for (int i = 0; i < CONFIG_STAGES && resnet; i++)
        config.stages[i] = 1;
    if (resnet)
        config_derive_resnet(&config, 64);
    return config;
}

/* Both towers, objective, gradients; returns the number of nodes up to the loss. */
static size_t build(const struct config *config, uint32_t batch, bool recompute, bool frozen,
                    struct graph *graph, int *loss)
{
    const uint32_t one = 1;
    struct grad_objective objective;
    graph_init(graph, TYPE_F32);
    graph->training = true;
    graph->frozen = frozen;
    int scale = graph_state(graph, "logit_scale", LAYOUT_ROWS, 1, &one);
    struct tower_tensors image_tensors, text_tensors;
    tower_append(config, TOWER_IMAGE, batch, graph, &image_tensors);
    tower_append(config, TOWER_TEXT, batch, graph, &text_tensors);
    const int image = image_tensors.normalized, text = text_tensors.normalized;
    size_t towers = graph->node_count;
    assert_int_equal(grad_objective(graph, image, text, scale, &objective), 0);
    *loss = objective.loss;
    size_t forward = towers;
    while (graph->nodes[forward - 1].out != objective.loss)
        forward++;
    struct grad_seed seeds[] = {{image, objective.image}, {text, objective.text}};
    if (grad_backward(graph, 0, seeds, 2, recompute))
        fail_msg("%s", vkclip_last_error());
    return forward;
}

static void set_inputs(const struct values *v, const struct config *config, uint32_t batch)
{
    uint32_t tokens = batch * config->context;
    int32_t *ids = calloc(4 * tokens + 2, sizeof(*ids)), ends[8];
    for (uint32_t i = 0; i < tokens; i++)
        ids[i] = (int32_t)((i * i + 3 * i) % config->vocabulary);
    for (uint32_t b = 0; b < batch; b++)
        ends[b] = (int32_t)(config->context - 1 - b % 2);
    grad_sort_ids(ids, ends, batch, config->context, ids + tokens, ids + 2 * tokens);
    const struct {
        const char *name;
        const int32_t *from;
        size_t count;
    } inputs[] = {{"text.ids", ids, tokens},
                  {"text.rows", ends, batch},
                  {"text.order", ids + tokens, tokens},
                  {"text.runs", ids + 2 * tokens, 2 * tokens + 2}};
    for (size_t i = 0; i < ARRAY_COUNT(inputs); i++)
        for (size_t j = 0; j < inputs[i].count; j++)
            values_of(v, graph_find(v->graph, inputs[i].name))[j] = inputs[i].from[j];
    free(ids);
}

/* The gradient of some elements of each weight, as the loss has it on both sides of them. */
static void check(struct values *v, size_t forward, int loss)
{
    size_t compared = 0;
    run(v, v->graph->node_count);
    size_t count = v->graph->tensor_count;
    double **found = calloc(count, sizeof(*found));
    for (size_t t = 0; t < count; t++)
        if (is_gradient(&v->graph->tensors[t]))
            found[t] = v->of[t];
    for (size_t t = 0; t < count; t++) {
        const struct tensor *tensor = &v->graph->tensors[t];
        if (!found[t])
            continue;
        int weight = graph_find(v->graph, tensor->name + strlen(GRAD_PREFIX));
        size_t elements = tensor_elements(tensor), step = elements / 9 + 1;
        double *at = values_of(v, weight), largest = 0;
        for (size_t i = 0; i < elements; i++)
            largest = fmax(largest, fabs(found[t][i]));
        double *kept = malloc(elements * sizeof(*kept));
        memcpy(kept, found[t], elements * sizeof(*kept));
        for (size_t i = 0; i < elements; i += step) {
            const double h = 1e-6, before = at[i];
            at[i] = before + h;
            run(v, forward);
            double above = values_of(v, loss)[0];
            at[i] = before - h;
            run(v, forward);
            double difference = (above - values_of(v, loss)[0]) / (2 * h);
            at[i] = before;
            /* rounding of the loss, and its second derivative's */
            if (!(fabs(difference - kept[i]) <= 1e-6 * fmax(largest, 1e-2)))
                fail_msg("%s, element %zu: %.9g, finite differences give %.9g", tensor->name, i,
                         kept[i], difference);
            compared++;
        }
        free(kept);
    }
    printf("%zu elements compared\n", compared);
    assert_true(compared > 100);
    free(found);
}

static void check_towers(bool resnet, enum vkclip_activation activation, bool recompute,
                         bool frozen)
{
    struct graph graph;
    struct config config = tiny(resnet, activation);
    struct values v = {.graph = &graph};
    uint32_t batch = 3;
    int loss;
    size_t forward = build(&config, batch, recompute, frozen, &graph, &loss);
    fill(&v);
    set_inputs(&v, &config, batch);
    check(&v, forward, loss);
    release(&v);
}

static void vit_quick_gelu(void **state)
{
    (void)state;
    check_towers(false, VKCLIP_ACTIVATION_QUICK_GELU, false, false);
}

static void vit_gelu(void **state)
{
    (void)state;
    check_towers(false, VKCLIP_ACTIVATION_GELU, true, false);
}

static void modified_resnet(void **state)
{
    (void)state;
    for (int way = 0; way < 4; way++)
        check_towers(true, VKCLIP_ACTIVATION_QUICK_GELU, way & 1, way & 2);
}

/* A locked weight has no gradient, and nothing is computed that leads to none. */
static void locked(void **state)
{
    (void)state;
    struct graph graph;
    struct config config = tiny(false, VKCLIP_ACTIVATION_GELU);
    graph_init(&graph, TYPE_F32);
    graph.training = true;
    struct tower_tensors image;
    tower_append(&config, TOWER_IMAGE, 2, &graph, &image);
    const uint32_t shape[] = {2, 3};
    int seed = graph_input(&graph, "seed", TYPE_F32, 2, shape);
    for (size_t t = 0; t < graph.tensor_count; t++)
        graph.tensors[t].locked = strcmp(graph.tensors[t].name, "visual.proj") != 0;
    size_t before = graph.node_count;
    assert_int_equal(
        grad_backward(&graph, 0, &(struct grad_seed){image.normalized, seed}, 1, false), 0);
    assert_int_equal(graph.node_count, before + 2); /* of NORMALIZE and of the projection */
    assert_true(graph_find(&graph, "grad.visual.proj") >= 0);
    graph_free(&graph);
}

static void sorts_ids(void **state)
{
    (void)state;
    const int32_t ids[] = {5, 2, 5, 9, 2, 2, 0, 9}, ends[] = {3, 2};
    int32_t order[8], runs[18];
    grad_sort_ids(ids, ends, 2, 4, order, runs);
    const int32_t sorted[] = {6, 1, 4, 5, 0, 2, 3}, begins[] = {0, 0, 1, 2, 4, 5, 6, 9, 7, -1};
    assert_memory_equal(order, sorted, sizeof(sorted));
    assert_memory_equal(runs, begins, sizeof(begins));
    assert_int_equal(runs[16], 7);
    assert_int_equal(runs[17], -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vit_quick_gelu),  cmocka_unit_test(vit_gelu),
        cmocka_unit_test(modified_resnet), cmocka_unit_test(locked),
        cmocka_unit_test(sorts_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
