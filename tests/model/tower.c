/* SPDX-License-Identifier: MIT
 *
 * Towers, tested without a device: the weights of a graph are the tensors of the tower's table, and
 * reading the sizes from the shapes of these tensors gives the configuration that they were made
 * from.
 */
#define _GNU_SOURCE
#include "base/array.h"
#include "base/string.h"
#include "support/scratch.h"
#include "support/testing.h"

#include "model/arch.h"
#include "model/tensors.h"
#include "model/tower.h"

/* All tensors of a model, from tensors_list. */
struct list {
    struct model_tensor *tensors;
    size_t count;
};

static const struct model_tensor *find_tensor(const struct list *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++)
        if (!strcmp(list->tensors[i].name, name))
            return &list->tensors[i];
    return NULL;
}

static bool is_weight(const struct graph *graph, const char *name)
{
    const int found = graph_find(graph, name);
    return found >= 0 && graph->tensors[found].role == ROLE_WEIGHT;
}

/* Checks that every weight of a graph is in the list with the same number of elements, and that a
 * training graph has every tensor of its tower. */
static void check_weights(const struct list *list, enum tower tower, const struct graph *graph)
{
    for (size_t t = 0; t < graph->tensor_count; t++) {
        const struct tensor *weight = &graph->tensors[t];
        if (weight->role != ROLE_WEIGHT)
            continue;
        const struct model_tensor *tensor = find_tensor(list, weight->name);
        if (!tensor)
            fail_msg("weight %s is not in the list", weight->name);
        uint64_t elements = tensors_elements(tensor);
        /* Three colours are padded to four. */
        if (weight->layout == LAYOUT_CONV && tensor->shape[1] == 3)
            elements = elements / 3 * 4;
        assert_int_equal(tensor_elements(weight), elements);
        assert_int_equal(tensor->tower, tower);
    }
    for (size_t i = 0; i < list->count && graph->training; i++)
        if (list->tensors[i].tower == tower && !is_weight(graph, list->tensors[i].name))
            fail_msg("tensor %s is not in the graph", list->tensors[i].name);
}

static void graphs_have_the_listed_weights(void **state)
{
    (void)state;
    static const char *const names[] = {"emoji-clip",
                                        "ViT-H-14",
                                        "RN50",
                                        "RN50x4",
                                        "convnext_base",
                                        "convnext_large_d",
                                        "xlm-roberta-base-ViT-B-32",
                                        "PE-Core-B-16"};
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        struct config config;
        struct list list;
        assert_int_equal(arch_find(names[i], &config), 0);
        assert_int_equal(tensors_list(&config, &list.tensors, &list.count), 0);
        for (enum tower tower = 0; tower < TOWER_COUNT; tower++)
            for (int training = 0; training < 2; training++) {
                struct graph graph;
                struct tower_tensors tensors;
                graph_init(&graph, TYPE_F32);
                graph.training = training;
                assert_int_equal(tower_append(&config, tower, 1, &graph, &tensors), 0);
                check_weights(&list, tower, &graph);
                graph_free(&graph);
            }
        free(list.tensors);
    }
}

/* The groups are those of OpenCLIP's lock(): VisionTransformer, lock_text_tower, and for towers of
 * timm its group_matcher, where what no pattern matches is the last group. */
static void training_locks_these_groups(void **state)
{
    static const struct {
        const char *model, *tensor;
        uint32_t group, groups;
    } cases[] = {
        {"ViT-B-32", "visual.conv1.weight", 0, 14},
        {"ViT-B-32", "visual.ln_pre.bias", 0, 14},
        {"ViT-B-32", "visual.transformer.resblocks.0.attn.in_proj_weight", 1, 14},
        {"ViT-B-32", "visual.transformer.resblocks.11.ln_1.weight", 12, 14},
        {"ViT-B-32", "visual.ln_post.weight", 12, 14},
        {"ViT-B-32", "visual.proj", 13, 14},
        {"ViT-B-32", "token_embedding.weight", 0, 14},
        {"ViT-B-32", "positional_embedding", 0, 14},
        {"ViT-B-32", "transformer.resblocks.3.mlp.c_fc.bias", 4, 14},
        {"ViT-B-32", "ln_final.bias", 12, 14},
        {"ViT-B-32", "text_projection", 13, 14},
        {"convnext_base", "visual.trunk.stem.0.weight", 0, 38},
        {"convnext_base", "visual.trunk.stages.0.blocks.2.gamma", 3, 38},
        {"convnext_base", "visual.trunk.stages.1.downsample.1.weight", 4, 38},
        {"convnext_base", "visual.trunk.stages.1.blocks.0.gamma", 4, 38},
        {"convnext_base", "visual.trunk.stages.3.blocks.2.gamma", 36, 38},
        {"convnext_base", "visual.trunk.head.norm.weight", 37, 38},
        {"convnext_base", "visual.head.proj.weight", 37, 38},
        {"PE-Core-B-16", "visual.trunk.pos_embed", 0, 14},
        {"PE-Core-B-16", "visual.trunk.blocks.11.norm1.weight", 12, 14},
        {"PE-Core-B-16", "visual.trunk.norm.weight", 12, 14},
        {"PE-Core-B-16", "visual.trunk.attn_pool.q.weight", 13, 14},
        {"PE-Core-B-16", "visual.trunk.head.weight", 13, 14},
        {"RN50", "visual.layer4.0.conv1.weight", 0, 1},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct config config;
        struct list list;
        assert_int_equal(arch_find(cases[i].model, &config), 0);
        assert_int_equal(tensors_list(&config, &list.tensors, &list.count), 0);
        const struct model_tensor *tensor = find_tensor(&list, cases[i].tensor);
        assert_non_null(tensor);
        if (tensor->lock_group != cases[i].group || tensor->lock_groups != cases[i].groups)
            fail_msg("%s, %s: group %u of %u, expected %u of %u", cases[i].model, cases[i].tensor,
                     tensor->lock_group, tensor->lock_groups, cases[i].group, cases[i].groups);
        free(list.tensors);
    }
}

static uint32_t get_size(const void *checkpoint, const char *name, unsigned dimension)
{
    const struct model_tensor *tensor = find_tensor(checkpoint, name);
    return tensor && dimension < tensor->rank ? (uint32_t)tensor->shape[dimension] : 0;
}

static void sizes_are_read_back_from_shapes(void **state)
{
    (void)state;
    const char *name;
    for (size_t i = 0; (name = arch_name(i)); i++) {
        struct config config, found = config_defaults;
        struct list list;
        assert_int_equal(arch_find(name, &config), 0);
        assert_int_equal(tensors_list(&config, &list.tensors, &list.count), 0);
        const struct tower_sizes sizes = {get_size, &list};
        tower_find(&config, TOWER_TEXT)->read(&sizes, &found);
        tower_find(&config, TOWER_IMAGE)->read(&sizes, &found);
        for (enum tower tower = 0; tower < TOWER_COUNT; tower++) {
            const struct config_tower *a = config_tower(&config, tower);
            const struct config_tower *b = config_tower(&found, tower);
            assert_int_equal(a->width, b->width);
            assert_int_equal(a->layers, b->layers);
            assert_int_equal(a->mlp, b->mlp);
            assert_int_equal(config_embed_dim(&config, tower), config_embed_dim(&found, tower));
        }
        if (tower_find(&config, TOWER_IMAGE)->position_table) /* Other tensors do not tell it. */
            assert_int_equal(config.image_size, found.image_size);
        assert_int_equal(config.patch_size, found.patch_size);
        assert_memory_equal(config.stages, found.stages, sizeof(found.stages));
        assert_memory_equal(config.stage_widths, found.stage_widths, sizeof(found.stage_widths));
        assert_int_equal(config.image.inner, found.image.inner);
        /* XLM-R's texts have fewer tokens than its table has positions. */
        if (config.text.kind != KIND_BERT)
            assert_int_equal(config.context, found.context);
        assert_int_equal(config.vocabulary, found.vocabulary);
        free(list.tensors);
    }
}

/* The three forms of T5: with gates, with ReLU, and with relative positions in every block. The
 * token table is no weight of the graph, because the host reads it. */
static void forms_of_t5(void **state)
{
    (void)state;
    for (int form = 0; form < 3; form++) {
        struct config config = {
            .text = {.kind = KIND_T5,
                     .width = 24,
                     .layers = 2,
                     .heads = 3,
                     .head_width = 16,
                     .mlp = 40,
                     .gated = form != 1,
                     .own_positions = form == 2,
                     .activation = form == 1 ? VKCLIP_ACTIVATION_RELU : VKCLIP_ACTIVATION_GELU_TANH,
                     .epsilon = 1e-6f},
            .context = 5,
            .vocabulary = 99,
            .text_embed_dim = 24};
        struct config found = config_defaults;
        struct list list;
        struct graph graph;
        struct tower_tensors tensors;
        assert_int_equal(tensors_list(&config, &list.tensors, &list.count), 0);
        assert_int_equal(list.count, 1 + (form == 2 ? 2 + 2 * 7 : 3 + 2 * 6));
        assert_int_equal(tower_build(&config, TOWER_TEXT, NULL, TYPE_F32, 2, &graph, &tensors), 0);
        check_weights(&list, TOWER_TEXT, &graph);
        assert_int_equal(graph_find(&graph, tower_find(&config, TOWER_TEXT)->token_table), -1);
        assert_true(tensors.mask >= 0 && tensors.rows >= 0 && tensors.input >= 0);
        graph_free(&graph);
        const struct tower_sizes sizes = {get_size, &list};
        found.text.kind = KIND_T5;
        tower_find(&config, TOWER_TEXT)->read(&sizes, &found);
        const struct config_tower *x = &config.text, *y = &found.text;
        assert_true(x->width == y->width && x->layers == y->layers && x->heads == y->heads);
        assert_true(x->head_width == y->head_width && x->mlp == y->mlp && x->gated == y->gated);
        assert_true(x->own_positions == y->own_positions && x->activation == y->activation);
        assert_true(x->epsilon == y->epsilon && !y->projection);
        assert_int_equal(found.vocabulary, 99);
        free(list.tensors);
    }
}

/* The forms of EVA-CLIP and PE-Core that no named architecture has: norms before or after attention
 * and MLP without rotary positions, gates, and no class token. */
static void forms_of_eva(void **state)
{
    (void)state;
    for (int form = 0; form < 4; form++) {
        struct config found = config_defaults,
                      config = {.image_size = 4, .patch_size = 2, .image_embed_dim = 5};
        config.image = (struct config_tower){.kind = KIND_EVA,
                                             .width = 16,
                                             .layers = 2,
                                             .heads = 2,
                                             .mlp = 24,
                                             .activation = VKCLIP_ACTIVATION_GELU,
                                             .epsilon = 1e-6f,
                                             .post_norm = form == 1,
                                             .gated = form == 2,
                                             .inner_norm = form == 2,
                                             .rope_grid = form > 1 ? 2 : 0,
                                             .no_class_token = form == 3,
                                             .pooling = form == 3 ? POOL_ATTENTION : POOL_DEFAULT};
        struct list list;
        assert_int_equal(tower_check("x", &config), 0);
        assert_int_equal(tensors_list(&config, &list.tensors, &list.count), 0);
        for (int training = 0; training < 2; training++) {
            struct graph graph;
            struct tower_tensors tensors;
            graph_init(&graph, TYPE_F32);
            graph.training = training;
            assert_int_equal(tower_append(&config, TOWER_IMAGE, 1, &graph, &tensors), 0);
            check_weights(&list, TOWER_IMAGE, &graph);
            graph_free(&graph);
        }
        const struct tower_sizes sizes = {get_size, &list};
        tower_find(&config, TOWER_IMAGE)->read(&sizes, &found);
        assert_true(found.image.gated == config.image.gated &&
                    found.image.inner_norm == config.image.inner_norm &&
                    found.image.no_class_token == config.image.no_class_token &&
                    found.image.pooling == config.image.pooling && found.image.layers == 2 &&
                    found.image.mlp == 24 && found.image_size == 4 && found.image_embed_dim == 5);
        free(list.tensors);
    }
}

/* A tower without a projection has no such tensor, and its embedding is the pooled token. */
static void towers_without_projection(void **state)
{
    (void)state;
    struct config config;
    struct list list;
    struct graph graph;
    struct tower_tensors tensors;
    assert_int_equal(arch_find("emoji-clip", &config), 0);
    config.image.projection = config.text.projection = false;
    assert_int_equal(tensors_list(&config, &list.tensors, &list.count), 0);
    assert_null(find_tensor(&list, "visual.proj"));
    assert_null(find_tensor(&list, "text_projection"));
    assert_non_null(find_tensor(&list, "visual.ln_post.bias"));
    assert_non_null(find_tensor(&list, "ln_final.bias"));
    assert_int_equal(tower_build(&config, TOWER_TEXT, NULL, TYPE_F32, 2, &graph, &tensors), 0);
    assert_string_equal(graph.tensors[tensors.embeddings].name, "text.pooled");
    assert_string_equal(graph.tensors[tensors.normalized].name, "text.normalized");
    graph_free(&graph);
    free(list.tensors);
}

/* Only the text tower's first block and the projections keep 8 bits where other weights get 4. */
static void delicate_tensors_are_few(void **state)
{
    (void)state;
    struct config config;
    struct list list;
    assert_int_equal(arch_find("emoji-clip", &config), 0);
    assert_int_equal(tensors_list(&config, &list.tensors, &list.count), 0);
    for (size_t i = 0; i < list.count; i++) {
        const char *name = list.tensors[i].name;
        const bool expected = string_begins_with(name, "transformer.resblocks.0.") ||
                              !strcmp(name, "text_projection") || !strcmp(name, "visual.proj");
        if (expected != !!(list.tensors[i].flags & TENSOR_DELICATE))
            fail_msg("tensor %s: expected one that is %sdelicate", name, expected ? "" : "not ");
    }
    free(list.tensors);
}

static char *dump(const struct graph *graph)
{
    char *text = calloc(1, 1 << 16);
    FILE *file = tmpfile();
    assert_non_null(file);
    graph_dump(graph, file);
    rewind(file);
    assert_true(fread(text, 1, (1 << 16) - 1, file) > 0);
    fclose(file);
    return text;
}

static const struct config two_towers = {.image = {.kind = KIND_VIT,
                                                   .projection = true,
                                                   .width = 32,
                                                   .layers = 1,
                                                   .heads = 2,
                                                   .mlp = 64,
                                                   .activation = VKCLIP_ACTIVATION_GELU,
                                                   .epsilon = 1e-5f},
                                         .text = {.kind = KIND_TEXT,
                                                  .width = 24,
                                                  .layers = 1,
                                                  .heads = 3,
                                                  .mlp = 48,
                                                  .activation = VKCLIP_ACTIVATION_QUICK_GELU,
                                                  .epsilon = 1e-5f},
                                         .image_size = 8,
                                         .patch_size = 4,
                                         .context = 7,
                                         .vocabulary = 99,
                                         .image_embed_dim = 16,
                                         .text_embed_dim = 24};

static const char image_nodes[] =
    "image.patches[2,4,48] = PATCHES image[2,3,8,8] size=8 patch=4\n"
    "vision.patch_embed[2,4,32] = MATMUL image.patches[2,4,48] visual.conv1.weight[32,48]\n"
    "vision.embeddings[2,5,32] = CLASSTOKEN vision.patch_embed[2,4,32] "
    "visual.class_embedding[32] visual.positional_embedding[5,32]\n"
    "vision.hidden.0[2,5,32] = LAYERNORM vision.embeddings[2,5,32] visual.ln_pre.weight[32] "
    "visual.ln_pre.bias[32]\n"
    "LAYERNORM.4[2,5,32] = LAYERNORM vision.hidden.0[2,5,32] "
    "visual.transformer.resblocks.0.ln_1.weight[32] "
    "visual.transformer.resblocks.0.ln_1.bias[32]\n"
    "MATMUL.5[2,5,96] = MATMUL LAYERNORM.4[2,5,32] "
    "visual.transformer.resblocks.0.attn.in_proj_weight[96,32] "
    "visual.transformer.resblocks.0.attn.in_proj_bias[96]\n"
    "ATTENTION.6[2,5,32] = ATTENTION MATMUL.5[2,5,96] heads=2\n"
    "SELECT.7[2,32] = SELECT ATTENTION.6[2,5,32]\n"
    "SELECT.8[2,32] = SELECT vision.hidden.0[2,5,32]\n"
    "MATMUL.9[2,32] = MATMUL SELECT.7[2,32] "
    "visual.transformer.resblocks.0.attn.out_proj.weight[32,32] "
    "visual.transformer.resblocks.0.attn.out_proj.bias[32] += SELECT.8\n"
    "LAYERNORM.10[2,32] = LAYERNORM MATMUL.9[2,32] "
    "visual.transformer.resblocks.0.ln_2.weight[32] "
    "visual.transformer.resblocks.0.ln_2.bias[32]\n"
    "MATMUL.11[2,64] = MATMUL LAYERNORM.10[2,32] "
    "visual.transformer.resblocks.0.mlp.c_fc.weight[64,32] "
    "visual.transformer.resblocks.0.mlp.c_fc.bias[64] gelu\n"
    "vision.hidden.1[2,32] = MATMUL MATMUL.11[2,64] "
    "visual.transformer.resblocks.0.mlp.c_proj.weight[32,64] "
    "visual.transformer.resblocks.0.mlp.c_proj.bias[32] += SELECT.8\n"
    "vision.pooled[2,32] = LAYERNORM vision.hidden.1[2,32] visual.ln_post.weight[32] "
    "visual.ln_post.bias[32]\n"
    "vision.projected[2,16] = MATMUL vision.pooled[2,32] visual.proj[32,16]\n"
    "vision.normalized[2,16] = NORMALIZE vision.projected[2,16]\n";

static void towers_have_these_nodes(void **state)
{
    (void)state;
    struct graph graph;
    assert_int_equal(tower_build(&two_towers, TOWER_IMAGE, NULL, TYPE_F32, 2, &graph, NULL), 0);
    char *text = dump(&graph);
    assert_string_equal(text, image_nodes);
    free(text);
    graph_free(&graph);

    assert_int_equal(tower_build(&two_towers, TOWER_TEXT, NULL, TYPE_F16, 3, &graph, NULL), 0);
    text = dump(&graph);
    assert_non_null(strstr(text, "text.hidden.0[3,7,24] = EMBEDDING text.ids[3,7] "
                                 "token_embedding.weight[99,24] positional_embedding[7,24]\n"));
    assert_non_null(strstr(text, " heads=3 causal\n"));
    assert_non_null(strstr(text, " quick_gelu\n"));
    assert_non_null(strstr(text, "text.pooled[3,24] = LAYERNORM text.hidden.1[3,24] "));
    assert_non_null(strstr(text, "text.normalized[3,24] = NORMALIZE text.pooled[3,24]\n"));
    free(text);
    graph_free(&graph);

    const struct tower_features all = {.hidden = true};
    assert_int_equal(tower_build(&two_towers, TOWER_TEXT, &all, TYPE_F16, 3, &graph, NULL), 0);
    text = dump(&graph);
    assert_non_null(strstr(text, "text.final_norm[3,7,24] = LAYERNORM text.hidden.1[3,7,24] "));
    assert_non_null(
        strstr(text, "text.pooled[3,24] = SELECT text.final_norm[3,7,24] text.rows[3]\n"));
    free(text);
    graph_free(&graph);
}

static void texts_end_at_the_id_that_the_model_names(void **state)
{
    (void)state;
    struct config config = {.context = 6, .eos_token_id = -1};
    const int32_t ids[] = {97, 5, 98, 3, 98, 0};
    assert_int_equal(tower_text_end(&config, ids), 2); /* The first of the largest ids counts. */
    config.eos_token_id = 3;
    assert_int_equal(tower_text_end(&config, ids), 3);
    config.eos_token_id = 98;
    assert_int_equal(tower_text_end(&config, ids), 2); /* The first of equal ids counts. */
    config.eos_token_id = 50;
    assert_int_equal(tower_text_end(&config, ids), 0); /* The id is missing. */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(graphs_have_the_listed_weights),
        cmocka_unit_test(training_locks_these_groups),
        cmocka_unit_test(sizes_are_read_back_from_shapes),
        cmocka_unit_test(forms_of_t5),
        cmocka_unit_test(forms_of_eva),
        cmocka_unit_test(towers_without_projection),
        cmocka_unit_test(delicate_tensors_are_few),
        cmocka_unit_test(towers_have_these_nodes),
        cmocka_unit_test(texts_end_at_the_id_that_the_model_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
