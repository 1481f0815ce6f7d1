/* SPDX-License-Identifier: MIT
 *
 * Graphs without a device: shape rules, residuals, the towers as text.
 */
#include "support/testing.h"

#include "graph/graph.h"
#include "model/tower.h"

static const enum vkclip_activation none = VKCLIP_ACTIVATION_AUTO;

static int input(struct graph *g, const char *name, enum type type, uint32_t a, uint32_t b,
                 uint32_t c)
{
    const uint32_t shape[] = {a, b, c};
    return graph_input(g, name, type, c ? 3 : b ? 2 : 1, shape);
}

static int weight(struct graph *g, const char *name, enum layout layout, uint32_t a, uint32_t b)
{
    const uint32_t shape[] = {a, b};
    return graph_weight(g, name, layout, b ? 2 : 1, shape);
}

static int bad_builders(struct graph *g, int which)
{
    int x = input(g, "x", TYPE_F32, 2, 3, 8), ids = input(g, "ids", TYPE_I32, 2, 3, 0);
    int flat = input(g, "flat", TYPE_F32, 6, 8, 0), row = weight(g, "row", LAYOUT_ROWS, 8, 0);
    int w = weight(g, "w", LAYOUT_PANELS, 5, 8), kn = weight(g, "kn", LAYOUT_PANELS_KN, 8, 5);
    int table = weight(g, "table", LAYOUT_ROWS, 9, 8), five = weight(g, "five", LAYOUT_ROWS, 5, 0);
    int y = graph_layernorm(g, "y", x, row, row, 1e-5f);
    assert_true(y >= 0 && !g->error);
    switch (which) {
    case 0:
        return graph_matmul(g, "m", -1, w, -1, none, -1);
    case 1:
        return graph_matmul(g, "m", x, table, -1, none, -1); /* not in panels */
    case 2:
        return graph_matmul(g, "m", ids, w, -1, none, -1); /* K */
    case 3:
        return graph_matmul(g, "m", x, w, row, none, -1); /* bias of 8 */
    case 4:
        return graph_matmul(g, "m", x, kn, five, none, y); /* residual [2,3,8], result [2,3,5] */
    case 5:
        return graph_matmul(g, "m", x, weight(g, "s", LAYOUT_PANELS, 8, 8), -1, none, x);
    case 6:
        return graph_attention(g, "a", x, 3, false); /* 8 is no multiple of 9 */
    case 7:
        return graph_attention(g, "a", flat, 1, false);
    case 8:
        return graph_attention(g, "a", x, 0, false);
    case 9:
        return graph_layernorm(g, "l", x, five, row, 1e-5f);
    case 10:
        return graph_embedding(g, "e", ids, table, table); /* positions of 3 */
    case 11:
        return graph_embedding(g, "e", flat, table, table); /* ids are integers */
    case 12:
        return graph_classtoken(g, "c", x, row, table); /* positions of 4 */
    case 13:
        return graph_select(g, "s", x, ids); /* rows of 2 */
    case 14:
        return graph_select(g, "s", flat, -1);
    case 15:
        return graph_normalize(g, "n", x);
    case 16:
        return input(g, "zero", TYPE_F32, 0, 0, 0);
    case 17:
        return input(g, "huge", TYPE_F32, 65536, 65536, 65536);
    }
    return 0;
}

static void shapes_are_checked(void **state)
{
    (void)state;
    for (int which = 0; which <= 17; which++) {
        struct graph graph;
        graph_init(&graph, TYPE_F32);
        if (bad_builders(&graph, which) != -1 || graph.error != VKCLIP_EINVALID ||
            !*vkclip_last_error())
            fail_msg("builder %d was not refused", which);
        /* later builders do nothing */
        assert_int_equal(input(&graph, "x", TYPE_F32, 1, 1, 0), -1);
        graph_free(&graph);
    }
}

/* What was added to cannot be read as it was before. */
static void residuals_overwrite(void **state)
{
    (void)state;
    struct graph g;
    graph_init(&g, TYPE_F32);
    int x = input(&g, "x", TYPE_F32, 4, 8, 0), row = weight(&g, "row", LAYOUT_ROWS, 8, 0);
    int w = weight(&g, "w", LAYOUT_PANELS, 8, 8);
    int a = graph_layernorm(&g, "a", x, row, row, 1e-5f);
    int b = graph_layernorm(&g, "b", a, row, row, 1e-5f);
    int sum = graph_matmul(&g, "sum", b, w, -1, none, a);
    assert_true(sum >= 0);
    assert_int_equal(g.tensors[sum].storage, a);
    assert_true(graph_layernorm(&g, "c", sum, row, row, 1e-5f) >= 0);
    assert_int_equal(graph_layernorm(&g, "d", a, row, row, 1e-5f), -1);
    assert_non_null(strstr(vkclip_last_error(), "reads a, which was added to"));
    graph_free(&g);
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

static void towers_as_text(void **state)
{
    (void)state;
    struct config config = {.image = {.kind = KIND_VIT,
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
    struct graph graph;
    assert_int_equal(tower_build(&config, TOWER_IMAGE, TYPE_F32, 2, &graph, NULL), 0);
    char *text = dump(&graph);
    assert_string_equal(
        text,
        "vision.patch_embed[2,4,32] = MATMUL image[2,4,48] visual.conv1.weight[32,48]\n"
        "vision.embeddings[2,5,32] = CLASSTOKEN vision.patch_embed[2,4,32] "
        "visual.class_embedding[32] visual.positional_embedding[5,32]\n"
        "vision.hidden.0[2,5,32] = LAYERNORM vision.embeddings[2,5,32] visual.ln_pre.weight[32] "
        "visual.ln_pre.bias[32]\n"
        "LAYERNORM.3[2,5,32] = LAYERNORM vision.hidden.0[2,5,32] "
        "visual.transformer.resblocks.0.ln_1.weight[32] "
        "visual.transformer.resblocks.0.ln_1.bias[32]\n"
        "MATMUL.4[2,5,96] = MATMUL LAYERNORM.3[2,5,32] "
        "visual.transformer.resblocks.0.attn.in_proj_weight[96,32] "
        "visual.transformer.resblocks.0.attn.in_proj_bias[96]\n"
        "ATTENTION.5[2,5,32] = ATTENTION MATMUL.4[2,5,96] heads=2\n"
        "MATMUL.6[2,5,32] = MATMUL ATTENTION.5[2,5,32] "
        "visual.transformer.resblocks.0.attn.out_proj.weight[32,32] "
        "visual.transformer.resblocks.0.attn.out_proj.bias[32] += vision.hidden.0\n"
        "LAYERNORM.7[2,5,32] = LAYERNORM MATMUL.6[2,5,32] "
        "visual.transformer.resblocks.0.ln_2.weight[32] "
        "visual.transformer.resblocks.0.ln_2.bias[32]\n"
        "MATMUL.8[2,5,64] = MATMUL LAYERNORM.7[2,5,32] "
        "visual.transformer.resblocks.0.mlp.c_fc.weight[64,32] "
        "visual.transformer.resblocks.0.mlp.c_fc.bias[64] gelu\n"
        "vision.hidden.1[2,5,32] = MATMUL MATMUL.8[2,5,64] "
        "visual.transformer.resblocks.0.mlp.c_proj.weight[32,64] "
        "visual.transformer.resblocks.0.mlp.c_proj.bias[32] += vision.hidden.0\n"
        "SELECT.10[2,32] = SELECT vision.hidden.1[2,5,32]\n"
        "vision.pooled[2,32] = LAYERNORM SELECT.10[2,32] visual.ln_post.weight[32] "
        "visual.ln_post.bias[32]\n"
        "vision.projected[2,16] = MATMUL vision.pooled[2,32] visual.proj[32,16]\n"
        "vision.normalized[2,16] = NORMALIZE vision.projected[2,16]\n");
    free(text);
    graph_free(&graph);

    assert_int_equal(tower_build(&config, TOWER_TEXT, TYPE_F16, 3, &graph, NULL), 0);
    text = dump(&graph);
    assert_non_null(strstr(text, "text.hidden.0[3,7,24] = EMBEDDING text.ids[3,7] "
                                 "token_embedding.weight[99,24] positional_embedding[7,24]\n"));
    assert_non_null(strstr(text, " heads=3 causal\n"));
    assert_non_null(strstr(text, " quick_gelu\n"));
    assert_non_null(strstr(text, "text.pooled[3,24] = SELECT text.final_norm[3,7,24] text.rows[3]\n"
                                 "text.normalized[3,24] = NORMALIZE text.pooled[3,24]\n"));
    free(text);
    graph_free(&graph);
}

static void end_of_text(void **state)
{
    (void)state;
    struct config config = {.context = 6, .eos_token_id = -1};
    const int32_t ids[] = {97, 5, 98, 3, 98, 0};
    assert_int_equal(tower_text_end(&config, ids), 2); /* argmax, the first of equals */
    config.eos_token_id = 3;
    assert_int_equal(tower_text_end(&config, ids), 3);
    config.eos_token_id = 98;
    assert_int_equal(tower_text_end(&config, ids), 2); /* the first one */
    config.eos_token_id = 50;
    assert_int_equal(tower_text_end(&config, ids), 0); /* none: as transformers' argmax of a mask */
}

static void patches(void **state)
{
    (void)state;
    struct config config = {.image.kind = KIND_VIT, .image_size = 4, .patch_size = 2};
    float pixels[3 * 4 * 4], found[3 * 4 * 4];
    for (int i = 0; i < 48; i++)
        pixels[i] = (float)i;
    tower_write_picture(&config, pixels, found);
    /* second patch (top right): red 2 3 6 7, green 18 19 22 23, blue 34 35 38 39 */
    const float expected[] = {2, 3, 6, 7, 18, 19, 22, 23, 34, 35, 38, 39};
    assert_memory_equal(found + 12, expected, sizeof(expected));
    assert_true(found[0] == 0 && found[47] == 47);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes_are_checked),
        cmocka_unit_test(residuals_overwrite),
        cmocka_unit_test(towers_as_text),
        cmocka_unit_test(end_of_text),
        cmocka_unit_test(patches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
