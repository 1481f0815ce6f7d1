/* SPDX-License-Identifier: MIT
 *
 * The towers' tables against what is made from them: the weights of a graph are the tensors of the
 * list, and the sizes read from the list's shapes are those of the configuration.
 */
#include "base/array.h"
#include "base/string.h"
#include "support/testing.h"

#include "model/arch.h"
#include "model/tensors.h"
#include "model/tower.h"

/* The tensors of a model. */
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

/* A graph has no tensor that is not in the list, and one of training has all. */
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
        if (weight->layout == LAYOUT_CONV && tensor->shape[1] == 3) /* colours, padded to four */
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
    static const char *const names[] = {"emoji-clip", "ViT-H-14", "RN50", "RN50x4"};
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
        assert_int_equal(config.image_size, found.image_size);
        assert_int_equal(config.patch_size, found.patch_size);
        assert_memory_equal(config.stages, found.stages, sizeof(found.stages));
        assert_int_equal(config.context, found.context);
        assert_int_equal(config.vocabulary, found.vocabulary);
        free(list.tensors);
    }
}

/* Without a projection the list ends before it, and the embedding is the pooled token. */
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
    assert_int_equal(tower_build(&config, TOWER_TEXT, TYPE_F32, 2, &graph, &tensors), 0);
    assert_string_equal(graph.tensors[tensors.embeddings].name, "text.pooled");
    assert_string_equal(graph.tensors[tensors.normalized].name, "text.normalized");
    graph_free(&graph);
    free(list.tensors);
}

/* Only the first block of the texts and the projections keep 8 bits where others get 4. */
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
            fail_msg("tensor %s: expected that it is %sdelicate", name, expected ? "" : "not ");
    }
    free(list.tensors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(graphs_have_the_listed_weights),
        cmocka_unit_test(sizes_are_read_back_from_shapes),
        cmocka_unit_test(towers_without_projection),
        cmocka_unit_test(delicate_tensors_are_few),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
