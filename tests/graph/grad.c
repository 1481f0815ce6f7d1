/* SPDX-License-Identifier: MIT
 *
 * Compares every gradient rule with finite differences, which the double-precision reference
 * computes without a device. Each graph is a tower of each kind with the objective after them, and
 * the gradient of a weight is compared with the difference of the loss on both sides of its value.
 */
#include "support/testing.h"

#include <math.h>

#include "graph/grad.h"
#include "graph/objective.h"
#include "model/convnext.h"
#include "model/resnet.h"
#include "model/tower.h"
#include "runtime/reference.h"

/* ---- A graph in double precision ------------------------------------------------------------- */

struct values {
    struct graph *graph;
    double **lists; /* the values of each storage */
};

static double *tensor_values(const struct values *v, int tensor)
{
    return v->lists[v->graph->tensors[tensor].storage];
}

static double next_value(uint32_t *state)
{
    *state ^= *state << 13, *state ^= *state >> 17, *state ^= *state << 5;
    return (double)*state / 2147483648.0 - 1;
}

static void fill_values(struct values *v)
{
    uint32_t state = 12345;
    v->lists = calloc(v->graph->tensor_count, sizeof(*v->lists));
    for (size_t t = 0; t < v->graph->tensor_count; t++) {
        const struct tensor *tensor = &v->graph->tensors[t];
        if (tensor->storage != (int)t)
            continue;
        size_t count = tensor_elements(tensor);
        v->lists[t] = calloc(count, sizeof(double));
        for (size_t i = 0; i < count; i++)
            if (tensor->role == ROLE_WEIGHT || tensor->role == ROLE_INPUT)
                v->lists[t][i] = next_value(&state) * (tensor->rank > 1 ? 0.4 : 1);
        for (size_t i = 0; i < count && strstr(tensor->name, ".running_var"); i++)
            v->lists[t][i] = 0.5 + fabs(v->lists[t][i]);
    }
}

static void run_nodes(const struct values *v, size_t nodes)
{
    for (size_t n = 0; n < nodes; n++) {
        const struct node *node = &v->graph->nodes[n];
        const double *in[NODE_INPUTS];
        for (int i = 0; i < NODE_INPUTS; i++)
            in[i] = node->in[i] < 0 ? NULL : tensor_values(v, node->in[i]);
        reference_node(v->graph, node, in, tensor_values(v, node->out));
    }
}

static void free_values(struct values *v)
{
    for (size_t t = 0; t < v->graph->tensor_count; t++)
        free(v->lists[t]);
    free(v->lists);
    graph_free(v->graph);
}

/* ---- The towers ------------------------------------------------------------------------------ */

/* Makes the image tower a ConvNeXt of one block per stage, whose projection has two matrices. */
static void make_convnext(struct config *config)
{
    const uint32_t widths[CONFIG_STAGES] = {4, 5, 8, 6};
    config->image = (struct config_tower){.kind = KIND_CONVNEXT, .inner = 5, .epsilon = 1e-6f};
    for (int i = 0; i < CONFIG_STAGES; i++) {
        config->stages[i] = 1;
        config->stage_widths[i] = widths[i];
    }
    config->image_size = 64;
    convnext_derive_sizes(config);
}

/* Makes the image tower a PE-Core, or with class token and norms after attention and MLP an EVA. */
static void make_eva(struct config *config, bool post_norm)
{
    config->image.kind = KIND_EVA;
    config->image.width = 8;
    config->image.post_norm = post_norm;
    config->image.pooling = post_norm ? POOL_DEFAULT : POOL_ATTENTION;
    config->image.rope_grid = 3;
}

/* Makes the image tower an EVA-02: rotary positions, a gated MLP, and norms inside of attention and
 * MLP. */
static void make_eva02(struct config *config)
{
    make_eva(config, true);
    config->image.post_norm = false;
    config->image.gated = config->image.inner_norm = true;
    config->image.activation = VKCLIP_ACTIVATION_SILU;
}

/* Makes the text tower a BERT, or an XLM-R whose positions are counted. */
static void make_bert(struct config *config, bool counted)
{
    config->text.kind = KIND_BERT;
    config->text.positions = 9;
    config->text.token_types = counted ? 1 : 2;
    config->text.counted = counted;
    config->pad_token_id = counted ? 1 : 0;
}

static struct config tiny_config(enum tower_kind kind, enum vkclip_activation activation)
{
    const bool resnet = kind == KIND_RESNET;
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
        resnet_derive_sizes(&config, 64);
    if (kind == KIND_CONVNEXT)
        make_convnext(&config);
    if (kind == KIND_EVA)
        make_eva(&config, activation == VKCLIP_ACTIVATION_QUICK_GELU);
    return config;
}

/* The parts of a graph that the test reads. */
struct built {
    int loss;
    size_t forward; /* nodes up to the loss */
    struct grad_inputs inputs;
};

/* Appends the objective over the embeddings of pictures and texts, and all gradients. */
static struct built append_loss(struct graph *graph, int image, int text, bool recompute,
                                bool sigmoid)
{
    const uint32_t one = 1;
    const size_t towers = graph->node_count;
    int scale = graph_weight_f32(graph, "logit_scale", LAYOUT_ROWS, 1, &one);
    int bias = sigmoid ? graph_weight_f32(graph, "logit_bias", LAYOUT_ROWS, 1, &one) : -1;
    struct objective objective = objective_append(graph, image, text, scale, bias);
    if (graph->error)
        fail_msg("%s", vkclip_last_error());
    struct built built = {.loss = objective.loss, .forward = towers};
    while (graph->nodes[built.forward - 1].out != objective.loss)
        built.forward++;
    const struct grad_seed seeds[] = {{image, objective.image_gradient},
                                      {text, objective.text_gradient}};
    built.inputs = grad_backward(graph, 0, seeds, 2, recompute);
    if (graph->error)
        fail_msg("%s", vkclip_last_error());
    return built;
}

static struct built append_gradients(struct graph *graph, int image, int text, bool recompute)
{
    return append_loss(graph, image, text, recompute, false);
}

static void set_ids(const struct values *v, int tensor, const int32_t *ids, size_t count)
{
    for (size_t i = 0; i < count; i++)
        tensor_values(v, tensor)[i] = ids[i];
}

/* Fills the ids, of which the last ones of every second text are padding where the tower knows it.
 */
static void make_ids(const struct config *config, uint32_t batch, int32_t *ids, int32_t *positions)
{
    const struct tower_row *row = tower_find(config, TOWER_TEXT);
    const uint32_t context = config->context;
    struct tower_lookup lookups[TOWER_LOOKUPS];
    for (uint32_t i = 0; i < batch * context; i++) {
        ids[i] = (int32_t)((i * i + 3 * i) % config->vocabulary);
        ids[i] += ids[i] == config->pad_token_id;
        if (row->knows_padding && i / context % 2 && i % context >= context - 2)
            ids[i] = config->pad_token_id;
    }
    for (uint32_t i = 0; i < batch * context; i++) {
        row->look_up(config, ids + i / context * context, i % context, lookups);
        positions[i] = (int32_t)lookups[1].row;
    }
}

static void set_text(const struct values *v, const struct tower_tensors *text, const int32_t *ids,
                     const int32_t *positions, const struct config *config, uint32_t batch)
{
    const uint32_t tokens = batch * config->context;
    int32_t ends[8], mask[64];
    for (uint32_t b = 0; b < batch; b++)
        ends[b] = (int32_t)(config->context - 1 - (config->text.pooling == POOL_LAST ? 0 : b % 2));
    for (uint32_t i = 0; i < tokens; i++)
        mask[i] = ids[i] != config->pad_token_id;
    set_ids(v, text->input, ids, tokens);
    if (text->rows >= 0)
        set_ids(v, text->rows, ends, batch);
    if (text->positions >= 0)
        set_ids(v, text->positions, positions, tokens);
    if (text->mask >= 0)
        set_ids(v, text->mask, mask, tokens);
}

static void set_inputs(const struct values *v, const struct tower_tensors *text,
                       const struct grad_inputs *inputs, const struct config *config,
                       uint32_t batch)
{
    const uint32_t tokens = batch * config->context;
    int32_t ids[64], positions[64], order[64], runs[130];
    assert_true(tokens <= 64);
    make_ids(config, batch, ids, positions);
    set_text(v, text, ids, positions, config, batch);
    for (size_t i = 0; i < inputs->count; i++) {
        const struct grad_sorted *sorted = &inputs->sorted[i];
        grad_sort_ids(sorted->ids == text->positions ? positions : ids, NULL, batch,
                      config->context, order, runs);
        set_ids(v, sorted->order, order, tokens);
        set_ids(v, sorted->runs, runs, 2 * tokens + 2);
    }
}

/* Compares the gradient of some elements of a weight, and returns the number of these elements. */
static size_t check_weight(const struct values *v, const struct built *built, int weight)
{
    const struct tensor *tensor = &v->graph->tensors[weight];
    const size_t elements = tensor_elements(tensor), stride = elements / 9 + 1;
    double *values = tensor_values(v, weight), largest = 0;
    double *gradient = malloc(elements * sizeof(*gradient)); /* Later runs add to the original. */
    memcpy(gradient, tensor_values(v, tensor->gradient), elements * sizeof(*gradient));
    for (size_t i = 0; i < elements; i++)
        largest = fmax(largest, fabs(gradient[i]));
    for (size_t i = 0; i < elements; i += stride) {
        const double h = 1e-6, before = values[i];
        values[i] = before + h;
        run_nodes(v, built->forward);
        double above = tensor_values(v, built->loss)[0];
        values[i] = before - h;
        run_nodes(v, built->forward);
        double difference = (above - tensor_values(v, built->loss)[0]) / (2 * h);
        values[i] = before;
        /* The bound covers the rounding of the loss and its second derivative. */
        if (!(fabs(difference - gradient[i]) <= 1e-6 * fmax(largest, 1e-2)))
            fail_msg("gradient of %s, element %zu: %.9g, finite differences give %.9g",
                     tensor->name, i, gradient[i], difference);
    }
    free(gradient);
    return (elements + stride - 1) / stride;
}

static size_t check_weights(const struct values *v, const struct built *built)
{
    size_t compared = 0;
    run_nodes(v, v->graph->node_count);
    for (size_t t = 0; t < v->graph->tensor_count; t++)
        if (v->graph->tensors[t].gradient >= 0)
            compared += check_weight(v, built, (int)t);
    printf("%zu elements compared\n", compared);
    return compared;
}

static void check_config(const struct config *towers, bool recompute, bool frozen)
{
    const uint32_t batch = 3;
    struct graph graph;
    const struct config config = *towers;
    struct values v = {.graph = &graph};
    graph_init(&graph, TYPE_F32);
    graph.training = true;
    graph.frozen = frozen;
    struct tower_tensors image, text;
    tower_append(&config, TOWER_IMAGE, batch, &graph, &image);
    tower_append(&config, TOWER_TEXT, batch, &graph, &text);
    struct built built =
        append_loss(&graph, image.normalized, text.normalized, recompute, config.sigmoid);
    fill_values(&v);
    set_inputs(&v, &text, &built.inputs, &config, batch);
    assert_true(check_weights(&v, &built) > 100);
    free_values(&v);
}

static void check_towers(enum tower_kind kind, enum vkclip_activation activation, bool recompute,
                         bool frozen)
{
    const struct config config = tiny_config(kind, activation);
    check_config(&config, recompute, frozen);
}

/* The picture has a line and a column of pixels that fill no patch. */
static void siglip(void **state)
{
    (void)state;
    struct config config = tiny_config(KIND_VIT, VKCLIP_ACTIVATION_GELU_TANH);
    config.image.kind = KIND_SIGLIP;
    config.image.projection = false;
    config.image_size = 5;
    config.image_embed_dim = config.text_embed_dim = config.image.width;
    config.text.projection_bias = config.text.bidirectional = config.sigmoid = true;
    config.text.pooling = POOL_LAST;
    for (int recompute = 0; recompute < 2; recompute++)
        check_config(&config, recompute, false);
}

static void eva02(void **state)
{
    (void)state;
    struct config config = tiny_config(KIND_VIT, VKCLIP_ACTIVATION_QUICK_GELU);
    make_eva02(&config);
    for (int recompute = 0; recompute < 2; recompute++)
        check_config(&config, recompute, false);
}

/* Pooled tokens, means, poolers, both kinds of projections and AltCLIP's transformation. */
static void bert(void **state)
{
    (void)state;
    struct config config = tiny_config(KIND_VIT, VKCLIP_ACTIVATION_GELU);
    make_bert(&config, false);
    config.text.pooling = POOL_FIRST;
    config.text.projection_bias = true;
    check_config(&config, false, false);
    config.text.pooler = true;
    config.text.projection_bias = false;
    check_config(&config, true, false);
}

static void xlm_roberta(void **state)
{
    (void)state;
    struct config config = tiny_config(KIND_VIT, VKCLIP_ACTIVATION_GELU);
    make_bert(&config, true);
    config.text.pooling = POOL_MEAN;
    config.text.inner = 5;
    check_config(&config, true, false);
    config.text.inner = 0;
    config.text.pooling = POOL_FIRST;
    config.text.transformation = 4;
    check_config(&config, false, false);
}

/* What later models leave out of OpenAI's towers, or put elsewhere. */
static void variants(void **state)
{
    (void)state;
    struct config config = tiny_config(KIND_VIT, VKCLIP_ACTIVATION_GELU);
    config.image.pooling = POOL_MEAN;
    config.image.no_pre_norm = true;
    config.text.projection_bias = true;
    check_config(&config, false, false);
    config.image.norm_after_pool = true;
    config.text.bidirectional = true;
    config.text.pooling = POOL_FIRST;
    check_config(&config, true, false);
}

static void vit_quick_gelu(void **state)
{
    (void)state;
    check_towers(KIND_VIT, VKCLIP_ACTIVATION_QUICK_GELU, false, false);
}

static void vit_gelu(void **state)
{
    (void)state;
    check_towers(KIND_VIT, VKCLIP_ACTIVATION_GELU, true, false);
}

static void vit_gelu_by_tanh(void **state)
{
    (void)state;
    check_towers(false, VKCLIP_ACTIVATION_GELU_TANH, false, false);
}

static void modified_resnet(void **state)
{
    (void)state;
    for (int way = 0; way < 4; way++)
        check_towers(KIND_RESNET, VKCLIP_ACTIVATION_QUICK_GELU, way & 1, way & 2);
}

static void convnext(void **state)
{
    (void)state;
    for (int recompute = 0; recompute < 2; recompute++)
        check_towers(KIND_CONVNEXT, VKCLIP_ACTIVATION_QUICK_GELU, recompute, false);
}

static void eva(void **state)
{
    (void)state;
    check_towers(KIND_EVA, VKCLIP_ACTIVATION_GELU, false, false);
    check_towers(KIND_EVA, VKCLIP_ACTIVATION_QUICK_GELU, true, false);
}

static int add_matmul(struct graph *graph, const char *name, int x, uint32_t n, uint32_t k)
{
    const uint32_t shape[] = {n, k};
    int w = graph_weight(graph, name, LAYOUT_PANELS, 2, shape);
    return graph_matmul(graph, NULL, x, w, -1, VKCLIP_ACTIVATION_AUTO, -1);
}

/* The gradients of the sigmoid loss reach logit_scale, logit_bias and what is before both features.
 */
static void sigmoid_loss(void **state)
{
    (void)state;
    const uint32_t shape[] = {5, 4};
    struct graph graph;
    struct values v = {.graph = &graph};
    graph_init(&graph, TYPE_F32);
    graph.training = true;
    int image = add_matmul(&graph, "a", graph_input(&graph, "x", TYPE_F32, 2, shape), 6, 4);
    int text = add_matmul(&graph, "b", graph_input(&graph, "y", TYPE_F32, 2, shape), 6, 4);
    struct built built = append_loss(&graph, graph_normalize(&graph, NULL, image),
                                     graph_normalize(&graph, NULL, text), false, true);
    fill_values(&v);
    assert_true(graph.tensors[graph_find(&graph, "logit_bias")].gradient >= 0);
    assert_true(check_weights(&v, &built) >= 18);
    free_values(&v);
}

static bool has_slope(const struct graph *graph)
{
    for (size_t i = 0; i < graph->node_count; i++)
        if (graph->nodes[i].op == OP_MATMUL && graph->nodes[i].matmul.slope)
            return true;
    return false;
}

/* The product that computes the gradient of an activation's result also multiplies it by the slope.
 * It must not where another tensor has the same gradient, which needs the value without the slope.
 */
static void fused_slopes(void **state)
{
    (void)state;
    for (int shared = 0; shared < 2; shared++) {
        const uint32_t shape[] = {3, 4};
        struct graph graph;
        struct values v = {.graph = &graph};
        graph_init(&graph, TYPE_F32);
        graph.training = true;
        int x = graph_input(&graph, "x", TYPE_F32, 2, shape);
        int before = add_matmul(&graph, "b", x, 5, 4);
        int y = add_matmul(&graph, "a", x, 5, 4);
        y = graph_activate(&graph, NULL, y, VKCLIP_ACTIVATION_GELU, false);
        if (shared)
            y = graph_sum(&graph, NULL, before, y);
        y = graph_normalize(&graph, NULL, add_matmul(&graph, "c", y, 6, 5));
        int other = graph_normalize(&graph, NULL, add_matmul(&graph, "d", x, 6, 4));
        struct built built = append_gradients(&graph, y, other, false);
        assert_true(has_slope(&graph) == !shared);
        fill_values(&v);
        assert_true(check_weights(&v, &built) > 20);
        free_values(&v);
    }
}

static int add_vector(struct graph *graph, const char *name, uint32_t n)
{
    return graph_weight(graph, name, LAYOUT_ROWS, 1, &n);
}

/* Two learned queries, of which the second counts, attend to the tokens of a picture. Positions are
 * added to these tokens without a class token. */
static int append_pool(struct graph *graph)
{
    const uint32_t tokens_shape[] = {3, 5, 4}, positions_shape[] = {1, 5, 4};
    const uint32_t latent_shape[] = {1, 2, 4};
    int x = graph_input(graph, "x", TYPE_F32, 3, tokens_shape);
    x = add_matmul(graph, "in", x, 4, 4);
    x = graph_classtoken(graph, NULL, x, -1,
                         graph_weight(graph, "positions", LAYOUT_ROWS, 3, positions_shape));
    int q = graph_weight(graph, "latent", LAYOUT_ROWS, 3, latent_shape);
    q = graph_layernorm(graph, NULL, q, add_vector(graph, "gain", 4), add_vector(graph, "shift", 4),
                        1e-5f);
    q = add_matmul(graph, "q", q, 4, 4);
    int y = graph_pool(graph, NULL, q, add_matmul(graph, "kv", x, 8, 4), 2);
    const uint32_t items = 3;
    return graph_select(graph, NULL, y, graph_input(graph, "rows", TYPE_I32, 1, &items));
}

static void learned_queries(void **state)
{
    (void)state;
    const uint32_t other_shape[] = {3, 4};
    struct graph graph;
    struct values v = {.graph = &graph};
    graph_init(&graph, TYPE_F32);
    graph.training = true;
    int y = graph_normalize(&graph, NULL, add_matmul(&graph, "out", append_pool(&graph), 6, 4));
    int other = graph_input(&graph, "other", TYPE_F32, 2, other_shape);
    other = graph_normalize(&graph, NULL, add_matmul(&graph, "d", other, 6, 4));
    struct built built = append_gradients(&graph, y, other, false);
    fill_values(&v);
    set_ids(&v, graph_find(&graph, "rows"), (const int32_t[]){1, 1, 1}, 3);
    assert_true(graph.tensors[graph_find(&graph, "latent")].gradient >= 0);
    assert_true(check_weights(&v, &built) > 40);
    free_values(&v);
}

/* The mean of a text's tokens, and the tanh of BERT's pooler. */
static void means_and_tanh(void **state)
{
    (void)state;
    for (int masked = 0; masked < 2; masked++) {
        const uint32_t shape[] = {3, 5, 4};
        struct graph graph;
        struct values v = {.graph = &graph};
        graph_init(&graph, TYPE_F32);
        graph.training = true;
        const int x = graph_input(&graph, "x", TYPE_F32, 3, shape);
        const int mask = masked ? graph_input(&graph, "mask", TYPE_I32, 2, shape) : -1;
        int y = graph_mean(&graph, NULL, add_matmul(&graph, "a", x, 6, 4), mask, 1);
        y = graph_tanh(&graph, NULL, add_matmul(&graph, "b", y, 6, 6));
        y = graph_normalize(&graph, NULL, add_matmul(&graph, "c", y, 3, 6));
        int other = graph_select(&graph, NULL, add_matmul(&graph, "d", x, 3, 4), -1);
        other = graph_normalize(&graph, NULL, other);
        struct built built = append_gradients(&graph, y, other, false);
        fill_values(&v);
        for (size_t i = 0; i < 15 && masked; i++)
            tensor_values(&v, mask)[i] = i % 4 != 2;
        assert_true(check_weights(&v, &built) > 20);
        free_values(&v);
    }
}

/* A locked weight has no gradient, and nodes that lead to no gradient are left out. */
static void locked_weights(void **state)
{
    (void)state;
    struct graph graph;
    struct config config = tiny_config(KIND_VIT, VKCLIP_ACTIVATION_GELU);
    graph_init(&graph, TYPE_F32);
    graph.training = true;
    struct tower_tensors image;
    tower_append(&config, TOWER_IMAGE, 2, &graph, &image);
    const uint32_t shape[] = {2, 3};
    int seed = graph_input(&graph, "seed", TYPE_F32, 2, shape);
    for (size_t t = 0; t < graph.tensor_count; t++)
        graph.tensors[t].locked = strcmp(graph.tensors[t].name, "visual.proj") != 0;
    size_t before = graph.node_count;
    struct grad_inputs inputs =
        grad_backward(&graph, 0, &(struct grad_seed){image.normalized, seed}, 1, false);
    assert_int_equal(graph.error, 0);
    assert_int_equal(inputs.count, 0);
    /* the gradients of NORMALIZE and of the projection */
    assert_int_equal(graph.node_count, before + 2);
    assert_true(graph.tensors[graph_find(&graph, "visual.proj")].gradient >= 0);
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
        cmocka_unit_test(vit_quick_gelu),
        cmocka_unit_test(vit_gelu),
        cmocka_unit_test(vit_gelu_by_tanh),
        cmocka_unit_test(modified_resnet),
        cmocka_unit_test(fused_slopes),
        cmocka_unit_test(learned_queries),
        cmocka_unit_test(locked_weights),
        cmocka_unit_test(sorts_ids),
        cmocka_unit_test(means_and_tanh),
        cmocka_unit_test(convnext),
        cmocka_unit_test(eva),
        cmocka_unit_test(sigmoid_loss),
        cmocka_unit_test(siglip),
        cmocka_unit_test(eva02),
        cmocka_unit_test(bert),
        cmocka_unit_test(xlm_roberta),
        cmocka_unit_test(variants),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
