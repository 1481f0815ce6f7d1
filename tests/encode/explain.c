/* SPDX-License-Identifier: MIT
 *
 * Compares the relevance of patches with its definition in double precision, in which gradients are
 * finite differences and R is a whole matrix, for towers of every kind with random weights. Then
 * two emoji lie side by side, and each text must find its own.
 */
#define _GNU_SOURCE
#include "support/testing.h"

#include <math.h>

#include "model/resnet.h"
#include "model/tower.h"
#include "runtime/plan.h"
#include "runtime/reference.h"
#include "runtime/upload.h"
#include "support/open_device.h"
#include "support/open_gpu.h"
#include "support/scratch.h"

/* ---- Random weights -------------------------------------------------------------------------- */

/* Returns a value that depends on a tensor's name and an index alone. */
static double random_value(const char *name, uint64_t index)
{
    uint64_t hash = 14695981039346656037u;
    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 1099511628211u;
    hash = (hash ^ index) * 1099511628211u;
    hash ^= hash >> 29;
    hash *= 0xbf58476d1ce4e5b9u;
    hash ^= hash >> 32;
    return (double)(float)((double)(hash % 20001) / 10000 - 1);
}

/* Returns the factor that keeps products as large as what a matrix multiplies. */
static double find_scale(const struct tensor *tensor)
{
    if (tensor->role != ROLE_WEIGHT || tensor->layout == LAYOUT_ROWS)
        return 1;
    return sqrt(3 * (double)tensor_n(tensor) / (double)tensor_elements(tensor));
}

/* Returns the place of an element in the checkpoint, which has some matrices in another order. */
static uint64_t find_place(const struct tensor *tensor, uint64_t i)
{
    const uint32_t *shape = tensor->shape;
    if (tensor->layout == LAYOUT_PANELS_KN)
        return i % shape[0] * shape[1] + i / shape[0];
    if (tensor->layout == LAYOUT_CONV)
        return (i / 9 / shape[2] * shape[2] + i % shape[2]) * 9 + i / shape[2] % 9;
    return i;
}

static uint64_t get_row_length(const void *user, const char *name)
{
    const struct graph *graph = user;
    const struct tensor *tensor = &graph->tensors[graph_find(graph, name)];
    return tensor_elements(tensor) / tensor->shape[0];
}

static int read_rows(const void *user, const char *name, const char *norm, uint64_t first,
                     uint64_t count, float *values)
{
    const struct graph *graph = user;
    const double scale = find_scale(&graph->tensors[graph_find(graph, name)]);
    const uint64_t row = get_row_length(user, name);
    (void)norm;
    for (uint64_t i = 0; i < count * row; i++)
        values[i] = (float)(scale * random_value(name, first * row + i));
    return 0;
}

/* ---- The definition -------------------------------------------------------------------------- */

/* A tower in double precision. */
struct values {
    struct graph graph;
    struct tower_tensors tensors;
    double **lists; /* by storage */
};

static double *get_values(const struct values *v, int tensor)
{
    return v->lists[v->graph.tensors[tensor].storage];
}

static void run_nodes(const struct values *v, size_t first)
{
    for (size_t n = first; n < v->graph.node_count; n++) {
        const struct node *node = &v->graph.nodes[n];
        const double *in[NODE_INPUTS];
        for (int i = 0; i < NODE_INPUTS; i++)
            in[i] = node->in[i] < 0 ? NULL : get_values(v, node->in[i]);
        reference_node(&v->graph, node, in, get_values(v, node->out));
    }
}

static void open_values(const struct config *config, struct values *v)
{
    graph_init(&v->graph, TYPE_F32);
    v->graph.training = config->image.kind != KIND_RESNET;
    assert_int_equal(tower_append(config, TOWER_IMAGE, 1, &v->graph, &v->tensors), 0);
    v->lists = calloc(v->graph.tensor_count, sizeof(*v->lists));
    for (size_t t = 0; t < v->graph.tensor_count; t++) {
        const struct tensor *tensor = &v->graph.tensors[t];
        if (tensor->storage != (int)t)
            continue;
        const uint64_t count = tensor_elements(tensor);
        v->lists[t] = calloc(count, sizeof(double));
        for (uint64_t i = 0; i < count && tensor->role != ROLE_ACTIVATION; i++)
            v->lists[t][i] =
                tensor->values ? (double)tensor->values[i]
                               : (double)(float)(find_scale(tensor) *
                                                 random_value(tensor->name, find_place(tensor, i)));
    }
    run_nodes(v, 0);
}

static void close_values(struct values *v)
{
    for (size_t t = 0; t < v->graph.tensor_count; t++)
        free(v->lists[t]);
    free(v->lists);
    graph_free(&v->graph);
}

static double seed_value(size_t i)
{
    return 30 * random_value("seed", i);
}

/* Returns what is explained, with nodes before `first` as they are. */
static double find_logit(const struct values *v, size_t first)
{
    const double *normalized = get_values(v, v->tensors.normalized);
    double sum = 0;
    run_nodes(v, first);
    for (size_t i = 0; i < tensor_elements(&v->graph.tensors[v->tensors.normalized]); i++)
        sum += seed_value(i) * normalized[i];
    return sum;
}

/* Returns the derivative of the logit along a direction of `count` values of a node's result. */
static double differentiate(const struct values *v, size_t node, size_t first,
                            const double *direction, size_t count)
{
    double *y = get_values(v, v->graph.nodes[node].out) + first, logits[2];
    const double h = 1e-5;
    for (int side = 0; side < 2; side++) {
        for (size_t i = 0; i < count; i++)
            y[i] += (side ? -2 : 1) * h * direction[i];
        logits[side] = find_logit(v, node + 1);
    }
    for (size_t i = 0; i < count; i++)
        y[i] += h * direction[i];
    return (logits[0] - logits[1]) / (2 * h);
}

/* Where an op that attends has its queries, keys and values. */
struct attending {
    const double *q, *k;
    size_t queries, keys, heads, d, q_step, k_step, value;
};

static struct attending describe_node(const struct values *v, const struct node *node)
{
    const bool pool = node->op == OP_POOL;
    const struct tensor *in = &v->graph.tensors[node->in[pool ? 1 : 0]];
    const size_t c = in->shape[2] / (pool ? 2 : 3);
    const double *k = get_values(v, node->in[pool ? 1 : 0]);
    const size_t heads = pool ? node->pool.heads : node->attention.heads;
    return (struct attending){.q = get_values(v, node->in[0]),
                              .k = pool ? k : k + c,
                              .queries = v->graph.tensors[node->out].shape[1],
                              .keys = in->shape[1],
                              .heads = heads,
                              .d = c / heads,
                              .q_step = pool ? c : 3 * c,
                              .k_step = in->shape[2],
                              .value = c};
}

/* Adds a head's share for one query to a row of A. */
static void add_query(const struct values *v, size_t number, const struct attending *a, size_t head,
                      size_t query, double *row)
{
    const size_t at = head * a->d, c = a->heads * a->d;
    double *weights = calloc(a->keys, sizeof(*weights)), total = 0;
    for (size_t key = 0; key < a->keys; key++) {
        for (size_t i = 0; i < a->d; i++)
            weights[key] += a->q[query * a->q_step + at + i] * a->k[key * a->k_step + at + i];
        weights[key] = exp(weights[key] / sqrt((double)a->d));
        total += weights[key];
    }
    for (size_t key = 0; key < a->keys; key++) {
        const double *value = a->k + key * a->k_step + a->value + at;
        const double slope = differentiate(v, number, query * c + at, value, a->d);
        row[key] += fmax(weights[key] / total * slope, 0) / (double)a->heads;
    }
    free(weights);
}

/* Computes A [queries,keys] of a node. */
static double *find_shares(const struct values *v, size_t number, const struct attending *a)
{
    double *shares = calloc(a->queries * a->keys, sizeof(*shares));
    for (size_t i = 0; i < a->queries * a->heads; i++)
        add_query(v, number, a, i % a->heads, i / a->heads, shares + i / a->heads * a->keys);
    return shares;
}

/* Multiplies a [rows,n] by R [n,n]. */
static double *multiply(const double *a, const double *r, size_t rows, size_t n)
{
    double *product = calloc(rows * n, sizeof(*product));
    for (size_t i = 0; i < rows * n; i++)
        for (size_t j = 0; j < n; j++)
            product[i] += a[i / n * n + j] * r[j * n + i % n];
    return product;
}

/* R of the last `layers` nodes that attend, in the order of the blocks. */
static double *find_matrix(const struct values *v, uint32_t layers, size_t t)
{
    double *r = calloc(t * t, sizeof(*r));
    uint32_t blocks = 0;
    for (size_t n = 0; n < v->graph.node_count; n++)
        blocks += v->graph.nodes[n].op == OP_ATTENTION;
    for (size_t i = 0; i < t; i++)
        r[i * t + i] = 1;
    for (size_t n = 0; n < v->graph.node_count; n++) {
        if (v->graph.nodes[n].op != OP_ATTENTION || blocks-- > layers)
            continue;
        const struct attending a = describe_node(v, &v->graph.nodes[n]);
        double *shares = find_shares(v, n, &a), *product = multiply(shares, r, t, t);
        for (size_t i = 0; i < t * t; i++)
            r[i] += product[i];
        free(shares);
        free(product);
    }
    return r;
}

/* Returns the weights of the rows of R: what the pool, the mean or the class token attends to. */
static double *find_row(const struct values *v, size_t t)
{
    const struct graph *graph = &v->graph;
    size_t last = graph->node_count;
    double *row = calloc(t, sizeof(*row));
    while (last-- > 0 && graph->nodes[last].op != OP_ATTENTION && graph->nodes[last].op != OP_POOL)
        if (graph->nodes[last].op == OP_MEAN &&
            graph->tensors[graph->nodes[last].in[0]].shape[1] == t)
            break;
    const struct node *node = &graph->nodes[last];
    if (node->op == OP_POOL) {
        const struct attending a = describe_node(v, node);
        double *shares = find_shares(v, last, &a);
        for (size_t i = 0; i < a.queries * t; i++)
            row[i % t] += shares[i];
        free(shares);
    } else if (node->op == OP_MEAN) {
        const size_t c = tensor_columns(&graph->tensors[node->out]), skip = node->mean.skip;
        for (size_t i = skip; i < t; i++) {
            const double *x = get_values(v, node->in[0]) + i * c;
            row[i] = fmax(differentiate(v, last, 0, x, c), 0) / (double)(t - skip);
        }
    } else {
        row[0] = 1;
    }
    return row;
}

/* ---- The device ------------------------------------------------------------------------------ */

/* Returns the relevance [T] that the device computes. */
static float *run_device(struct gpu *gpu, const struct config *config, uint32_t layers, size_t *t)
{
    const struct tower_features features = {.explained = layers};
    struct graph graph;
    const struct graph *graphs[] = {&graph};
    struct tower_tensors tensors;
    struct weight_store *store = NULL;
    struct plan *plan = NULL;
    int error = tower_build(config, TOWER_IMAGE, &features, TYPE_F32, 1, &graph, &tensors);
    if (error)
        fail_msg("%s", vkclip_last_error());
    const struct row_reader reader = {&graph, "random", get_row_length, read_rows};
    assert_int_equal(weight_store_create(gpu, graphs, 1, &store), 0);
    assert_int_equal(upload_weights(gpu, store, &reader), 0);
    const struct plan_params params = {
        .gpu = gpu, .weights = store, .outputs = &tensors.relevance, .output_count = 1};
    if (plan_create(&params, &graph, &plan))
        fail_msg("%s", vkclip_last_error());
    const int inputs[] = {tensors.input, tensors.seed};
    for (int i = 0; i < 2; i++)
        for (size_t j = 0; j < tensor_elements(&plan_graph(plan)->tensors[inputs[i]]); j++) {
            const float value = (float)(i ? seed_value(j) : random_value("image", j));
            plan_write(plan, inputs[i], j, &value, 1);
        }
    if (plan_run(plan))
        fail_msg("%s", vkclip_last_error());
    *t = plan_graph(plan)->tensors[tensors.relevance].shape[1];
    float *relevance = calloc(*t, sizeof(*relevance));
    plan_read(plan, tensors.relevance, 0, relevance, *t);
    plan_destroy(&plan);
    weight_store_destroy(&store);
    return relevance;
}

static void check_config(struct gpu *gpu, const char *name, const struct config *config,
                         uint32_t layers)
{
    struct values v;
    size_t t = 0;
    float *found = run_device(gpu, config, layers, &t);
    open_values(config, &v);
    double *row = find_row(&v, t), *r = find_matrix(&v, layers, t);
    double *expected = multiply(row, r, 1, t), largest = 0;
    for (size_t i = 0; i < t; i++)
        largest = fmax(largest, expected[i]);
    assert_true(largest > 1e-3);
    for (size_t i = 0; i < t; i++)
        if (!(fabs((double)found[i] - expected[i]) <= 1e-3 * largest))
            fail_msg("%s, %u layers: token %zu: expected %.9g, found %.9g, largest %.3g", name,
                     layers, i, expected[i], (double)found[i], largest);
    close_values(&v);
    free(row);
    free(r);
    free(expected);
    free(found);
}

/* ---- The towers ------------------------------------------------------------------------------ */

static struct config tiny_config(enum tower_kind kind)
{
    struct config config = {.image_size = 7, .patch_size = 2, .image_embed_dim = 6};
    config.image = (struct config_tower){.kind = kind,
                                         .projection = true,
                                         .width = 8,
                                         .layers = 3,
                                         .heads = 2,
                                         .mlp = 12,
                                         .activation = VKCLIP_ACTIVATION_QUICK_GELU,
                                         .epsilon = 1e-5f};
    if (kind == KIND_SIGLIP)
        config.image_embed_dim = config.image.width;
    if (kind == KIND_SIGLIP)
        config.image.projection = false;
    return config;
}

static struct config tiny_resnet(void)
{
    struct config config = tiny_config(KIND_RESNET);
    config.image_size = 64;
    config.image.width = 4;
    for (int i = 0; i < CONFIG_STAGES; i++)
        config.stages[i] = 1;
    resnet_derive_sizes(&config, 64);
    return config;
}

static struct config tiny_eva(bool pool)
{
    struct config config = tiny_config(KIND_EVA);
    config.image_size = 6;
    config.image.width = 16;
    config.image.post_norm = !pool;
    config.image.pooling = pool ? POOL_ATTENTION : POOL_DEFAULT;
    config.image.rope_grid = 3;
    return config;
}

static void relevance_of_towers(void **state)
{
    struct gpu *gpu = open_gpu("");
    struct config vit = tiny_config(KIND_VIT), mean = vit, late = vit, queries = vit;
    const struct config siglip = tiny_config(KIND_SIGLIP), resnet = tiny_resnet();
    const struct config pe = tiny_eva(true), eva = tiny_eva(false);
    struct config eva02 = eva;
    (void)state;
    eva02.image.post_norm = false;
    eva02.image.gated = eva02.image.inner_norm = true;
    eva02.image.activation = VKCLIP_ACTIVATION_SILU;
    mean.image.pooling = late.image.pooling = POOL_MEAN;
    late.image.norm_after_pool = true;
    queries.image.pool_heads = 3;
    queries.image.pool_queries = 4;
    for (uint32_t layers = 1; layers <= 3; layers += 2)
        check_config(gpu, "ViT", &vit, layers);
    check_config(gpu, "mean", &mean, 2);
    check_config(gpu, "mean before the norm", &late, 1);
    check_config(gpu, "CoCa", &queries, 1);
    check_config(gpu, "SigLIP", &siglip, 2);
    check_config(gpu, "PE-Core", &pe, 2);
    check_config(gpu, "EVA", &eva, 2);
    check_config(gpu, "EVA02", &eva02, 2);
    check_config(gpu, "ResNet", &resnet, 1);
    gpu_close(&gpu);
}

static void refused_towers(void **state)
{
    const struct config vit = tiny_config(KIND_VIT), resnet = tiny_resnet();
    struct config convnext = vit;
    (void)state;
    convnext.image.kind = KIND_CONVNEXT;
    assert_failed(tower_check_explained("x", &convnext, 1), VKCLIP_EUNSUPPORTED,
                  "x: its image tower, a ConvNeXt, has no attention");
    assert_failed(tower_check_explained("x", &vit, 4), VKCLIP_EINVALID,
                  "`layers` 4: its image tower attends in 3, expected 1 to 3");
    assert_failed(tower_check_explained("x", &resnet, 2), VKCLIP_EINVALID, "attends in 1");
}

/* ---- Two emoji ------------------------------------------------------------------------------- */

#define SIDE 72 /* pixels of an emoji */

/* Puts an emoji at the left or right of a picture [SIDE,2 SIDE,3], of which the model sees the
 * middle: half of each. */
static void put_emoji(const char *name, size_t half, uint8_t *pixels)
{
    char path[96];
    struct vkclip_image image;
    snprintf(path, sizeof(path), "models/emoji-clip/samples/%s.png", name);
    assert_int_equal(vkclip_load_image(path, NULL, &image), 0);
    assert_true(image.width == SIDE && image.height == SIDE && image.channels == 3);
    for (size_t y = 0; y < SIDE; y++)
        memcpy(pixels + (y * 2 + half) * SIDE * 3, image.pixels + y * SIDE * 3, (size_t)SIDE * 3);
    vkclip_free_image(&image);
}

/* Returns how much more relevance one half of a grid has than the other. */
static double compare_halves(const float *relevance, size_t side, size_t half)
{
    double sums[2] = {0, 0};
    for (size_t i = 0; i < side * side; i++)
        sums[i % side / (side / 2) != half] += (double)relevance[i];
    return sums[0] / sums[1];
}

static void check_pair(struct vkclip_model *model, const char *const names[2])
{
    static uint8_t pixels[2 * SIDE * SIDE * 3];
    const struct vkclip_image image = {
        .pixels = pixels, .width = 2 * SIDE, .height = SIDE, .channels = 3};
    const char *templates[] = {"a picture of {}"};
    float embeds[2 * 128], relevance[2 * 64], cosines[2], embed[128];
    for (size_t i = 0; i < 2; i++)
        put_emoji(names[i], i, pixels);
    assert_int_equal(vkclip_encode_labels(model, names, 2, templates, 1, NULL, embeds), 0);
    if (vkclip_explain(model, &image, embeds, 2, NULL, relevance, cosines))
        fail_msg("%s", vkclip_last_error());
    assert_int_equal(vkclip_encode_images(model, &image, 1, NULL, embed), 0);
    for (size_t i = 0; i < 2; i++) {
        double cosine = 0;
        for (size_t j = 0; j < 128; j++)
            cosine += (double)embed[j] * embeds[i * 128 + j];
        assert_true(fabs(cosine - (double)cosines[i]) < 1e-4);
        const double share = compare_halves(relevance + i * 64, 8, i);
        printf("%s beside %s: %.2f times as much\n", names[i], names[!i], share);
        assert_true(share > 1.3);
    }
}

static void emoji_side_by_side(void **state)
{
    static const char *const pairs[][2] = {{"bicycle", "rainbow"}, {"rainbow", "butterfly"}};
    struct vkclip_model *model = NULL;
    (void)state;
    assert_int_equal(vkclip_open_model(device, "models/emoji-clip", NULL, &model), 0);
    for (size_t i = 0; i < 2; i++)
        check_pair(model, pairs[i]);
    vkclip_close_model(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(relevance_of_towers),
        cmocka_unit_test(refused_towers),
        cmocka_unit_test(emoji_side_by_side),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
