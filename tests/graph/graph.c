/* SPDX-License-Identifier: MIT
 *
 * Graphs, tested without a device: builders refuse shapes that do not fit, and a node that
 * overwrites its residual makes the residual unreadable for later nodes.
 */
#include "support/testing.h"

#include "graph/graph.h"

static const enum vkclip_activation none = VKCLIP_ACTIVATION_AUTO;

static int add_input(struct graph *g, const char *name, enum type type, uint32_t a, uint32_t b,
                     uint32_t c)
{
    const uint32_t shape[] = {a, b, c};
    unsigned rank = 1 + (b > 0) + (c > 0);
    return graph_input(g, name, type, rank, shape);
}

static int add_weight(struct graph *g, const char *name, enum layout layout, uint32_t a, uint32_t b)
{
    const uint32_t shape[] = {a, b};
    return graph_weight(g, name, layout, b ? 2 : 1, shape);
}

static int bad_builders(struct graph *g, int which)
{
    int x = add_input(g, "x", TYPE_F32, 2, 3, 8), ids = add_input(g, "ids", TYPE_I32, 2, 3, 0);
    int flat = add_input(g, "flat", TYPE_F32, 6, 8, 0),
        row = add_weight(g, "row", LAYOUT_ROWS, 8, 0);
    int w = add_weight(g, "w", LAYOUT_PANELS, 5, 8),
        kn = add_weight(g, "kn", LAYOUT_PANELS_KN, 8, 5);
    int table = add_weight(g, "table", LAYOUT_ROWS, 9, 8),
        five = add_weight(g, "five", LAYOUT_ROWS, 5, 0);
    int y = graph_layernorm(g, "y", x, row, row, 1e-5f);
    assert_true(y >= 0 && !g->error);
    switch (which) {
    case 0:
        return graph_matmul(g, "m", -1, w, -1, none, -1);
    case 1:
        return graph_matmul(g, "m", x, table, -1, none, -1); /* w is not in panels */
    case 2:
        return graph_matmul(g, "m", ids, w, -1, none, -1); /* K of x and w differ */
    case 3:
        return graph_matmul(g, "m", x, w, row, none, -1); /* a bias of 8 for 5 columns */
    case 4:
        return graph_matmul(g, "m", x, kn, five, none,
                            y); /* the residual is [2,3,8], the result [2,3,5] */
    case 5:
        return graph_matmul(g, "m", x, add_weight(g, "s", LAYOUT_PANELS, 8, 8), -1, none, x);
    case 6:
        return graph_attention(g, "a", x, 3, false); /* 8 is no multiple of 9 */
    case 7:
        return graph_attention(g, "a", flat, 1, false);
    case 8:
        return graph_attention(g, "a", x, 0, false);
    case 9:
        return graph_layernorm(g, "l", x, five, row, 1e-5f);
    case 10:
        return graph_embedding(g, "e", ids, table, table); /* 9 positions for 3 tokens */
    case 11:
        return graph_embedding(g, "e", flat, table, table); /* ids are integers */
    case 12:
        return graph_classtoken(g, "c", x, row, table); /* 9 positions for 4 tokens */
    case 13:
        return graph_select(g, "s", x, ids); /* rows [2,3] for 2 texts */
    case 14:
        return graph_select(g, "s", flat, -1);
    case 15:
        return graph_normalize(g, "n", x);
    case 16:
        return add_input(g, "zero", TYPE_F32, 0, 0, 0);
    case 17:
        return add_input(g, "huge", TYPE_F32, 65536, 65536, 65536);
    case 18: /* The angles of 2 x 2 patches are for more tokens than there are. */
        y = graph_classtoken(g, "c", add_input(g, "p", TYPE_F32, 2, 2, 12),
                             add_weight(g, "t", LAYOUT_ROWS, 12, 0),
                             add_weight(g, "p", LAYOUT_ROWS, 3, 12));
        assert_true(y >= 0);
        return graph_rope(g, "r", y, add_input(g, "turns", TYPE_F32, 2, 1, 2), 1, false);
    case 19: /* 8 is no multiple of 12. */
        return graph_rope(g, "r", y, add_input(g, "turns", TYPE_F32, 1, 1, 2), 1, false);
    case 20: /* Nothing can be written over an input. */
        return graph_rope(g, "r", add_input(g, "i", TYPE_F32, 2, 3, 12),
                          add_input(g, "turns", TYPE_F32, 1, 1, 2), 1, false);
    }
    return 0;
}

static void shapes_are_checked(void **state)
{
    (void)state;
    for (int which = 0; which <= 20; which++) {
        struct graph graph;
        graph_init(&graph, TYPE_F32);
        if (bad_builders(&graph, which) != -1 || graph.error != VKCLIP_EINVALID ||
            !*vkclip_last_error())
            fail_msg("builder %d was not refused", which);
        /* After a builder has failed, all later ones do nothing. */
        assert_int_equal(add_input(&graph, "x", TYPE_F32, 1, 1, 0), -1);
        graph_free(&graph);
    }
}

/* A node cannot read a residual after another node has added to it. */
static void residuals_overwrite(void **state)
{
    (void)state;
    struct graph g;
    graph_init(&g, TYPE_F32);
    int x = add_input(&g, "x", TYPE_F32, 4, 8, 0), row = add_weight(&g, "row", LAYOUT_ROWS, 8, 0);
    int w = add_weight(&g, "w", LAYOUT_PANELS, 8, 8);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes_are_checked),
        cmocka_unit_test(residuals_overwrite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
