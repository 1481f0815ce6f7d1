/* SPDX-License-Identifier: MIT
 *
 * The bytes of weights on the device: sizes have no waste, and panels and rows have the expected
 * bits. The expected positions are written out on purpose and not computed by the library.
 */
#include "base/array.h"
#include "base/half.h"
#include "support/testing.h"

#include <string.h>

#include "runtime/layout.h"

/* A block takes 34 bytes in q8 and 18 bytes in q4, as it does in GGUF files. */
static void sizes_are_tight(void **state)
{
    (void)state;
    assert_int_equal(layout_panel_bytes(TYPE_Q8, 768), 32 * 768 / 32 * 34);
    assert_int_equal(layout_panel_bytes(TYPE_Q4, 768), 32 * 768 / 32 * 18);
    assert_int_equal(layout_panel_bytes(TYPE_Q4, 33), 2 * 32 * 18);
    assert_int_equal(layout_panel_bytes(TYPE_F16, 33), 2 * 32 * 36);
    assert_int_equal(layout_row_bytes(TYPE_Q8, 512), 512 / 32 * 34);
    assert_int_equal(layout_row_bytes(TYPE_Q4, 512), 512 / 32 * 18);
    assert_int_equal(layout_row_bytes(TYPE_Q8, 33), 4 + 64);
    assert_int_equal(layout_row_bytes(TYPE_Q4, 96), 8 + 48);
    assert_int_equal(layout_row_bytes(TYPE_F32, 5), 20);
}

static void tensors_are_padded(void **state)
{
    (void)state;
    struct tensor matrix = {.layout = LAYOUT_PANELS, .rank = 2, .shape = {33, 5}};
    assert_int_equal(layout_tensor_bytes(&matrix), 2 * 32 * 8 * 4); /* two panels of 8 values */
    matrix.type = TYPE_Q8;
    assert_int_equal(layout_tensor_bytes(&matrix), 2 * 32 * 34);
    struct tensor rows = {.type = TYPE_F16, .rank = 2, .shape = {3, 5}};
    assert_int_equal(layout_tensor_bytes(&rows), 32); /* 30 bytes are rounded up to words. */
}

/* Stores a panel of two values of K, in which only column 5 is not zero. */
static void panel_bits(void **state)
{
    (void)state;
    uint32_t words[32 * 34 / 4 + 1];
    float columns[32][2] = {0};
    columns[5][0] = 127, columns[5][1] = -3;
    words[272] = 0xabcdef01;
    assert_true(layout_store_panel(TYPE_Q8, columns[0], 2, words));
    const uint32_t q8_words[272] = {
        [2] = 0x3c000000,  /* the scale 1.0 of column 5 */
        [16 + 5] = 0xfd7f, /* 127 and -3 */
    };
    assert_memory_equal(words, q8_words, sizeof(q8_words));
    columns[5][0] = -8, columns[5][1] = 7;
    words[144] = 0xabcdef01;
    assert_true(layout_store_panel(TYPE_Q4, columns[0], 2, words));
    uint32_t q4_words[144] = {[2] = 0x3c000000};
    memset(&q4_words[16], 0x88, (144 - 16) * sizeof(*q4_words));
    q4_words[16 + 5] = 0x888888f0; /* -8 + 8 and 7 + 8 */
    assert_memory_equal(words, q4_words, sizeof(q4_words));
    assert_int_equal(words[144], 0xabcdef01);
    assert_int_equal(words[272], 0xabcdef01);
    float quads[2 * 32 * 4];
    float three[32][5] = {0};
    for (int k = 0; k < 5; k++)
        three[5][k] = (float)k + 1;
    assert_true(layout_store_panel(TYPE_F32, three[0], 5, quads));
    const float expected[ARRAY_COUNT(quads)] = {[4 * 5] = 1, 2, 3, 4, [4 * (32 + 5)] = 5};
    for (size_t i = 0; i < ARRAY_COUNT(quads); i++)
        assert_true(quads[i] == expected[i]);
}

/* Stores a row of 34 values: two scales share one word, and 64 values follow, of which the last 30
 * are zeros that pad the row. */
static void row_bits(void **state)
{
    (void)state;
    uint32_t words[1 + 64 / 4 + 1];
    float row[34] = {0};
    row[1] = 127, row[33] = -254;
    words[17] = 0xabcdef01;
    assert_true(layout_store_row(TYPE_Q8, row, 34, words));
    const uint32_t q8_words[17] = {
        [0] = 0x40003c00, /* the scales 1.0 and 2.0 */
        [1] = 0x7f00,     /* 127 at index 1 */
        [9] = 0x8100,     /* -127 at index 33 */
    };
    assert_memory_equal(words, q8_words, sizeof(q8_words));
    assert_int_equal(words[17], 0xabcdef01);
    row[1] = -8, row[33] = -16;
    words[9] = 0xabcdef01;
    assert_true(layout_store_row(TYPE_Q4, row, 34, words));
    uint32_t q4_words[9];
    memset(q4_words, 0x88, sizeof(q4_words));
    q4_words[0] = 0x40003c00;
    q4_words[1] = q4_words[5] = 0x88888808; /* -8 + 8 at the second place */
    assert_memory_equal(words, q4_words, sizeof(q4_words));
    assert_int_equal(words[9], 0xabcdef01);
}

/* layout_panel_index gives the place where layout_store_panel stored each value. */
static void index_finds_values(void **state)
{
    (void)state;
    enum { N = 70, PANELS = 3, K = 7, QUADS = 2 };
    float columns[PANELS * 32][K] = {{0}}, panels[PANELS * QUADS * 32 * 4];
    for (int n = 0; n < N; n++)
        for (int k = 0; k < K; k++)
            columns[n][k] = (float)(n * K + k + 1);
    for (int panel = 0; panel < PANELS; panel++)
        assert_true(
            layout_store_panel(TYPE_F32, columns[panel * 32], K, &panels[panel * QUADS * 32 * 4]));
    for (uint64_t n = 0; n < N; n++)
        for (uint64_t k = 0; k < K; k++)
            assert_true(panels[layout_panel_index(n, k, K)] == columns[n][k]);
    /* Column 68 is column 4 of the third panel, and k = 5 is the second value of the second quad.
     */
    assert_int_equal(layout_panel_index(68, 5, K), ((2 * QUADS + 1) * 32 + 4) * 4 + 1);
}

static void large_values_are_told(void **state)
{
    (void)state;
    const float values[] = {1, 70000, 2, 3};
    float columns[32][4] = {{0}};
    uint16_t halves[4];
    uint32_t panel[32 * 4];
    assert_true(layout_store_row(TYPE_F32, values, 4, panel));
    assert_false(layout_store_row(TYPE_F16, values, 4, halves));
    assert_int_equal(halves[3], half_from_float(3)); /* The other values are stored nevertheless. */
    memcpy(columns[31], values, sizeof(values));
    assert_false(layout_store_panel(TYPE_F16, columns[0], 4, panel));
    columns[31][1] = 0;
    assert_true(layout_store_panel(TYPE_F16, columns[0], 4, panel));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_tight),    cmocka_unit_test(tensors_are_padded),
        cmocka_unit_test(panel_bits),         cmocka_unit_test(row_bits),
        cmocka_unit_test(index_finds_values), cmocka_unit_test(large_values_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
