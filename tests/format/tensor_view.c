/* SPDX-License-Identifier: MIT
 *
 * Element types: every readable type gives the values that its format defines, from any first
 * element and at any alignment, and views are found by name.
 */
#include "format/tensor_view.h"
#include "support/testing.h"

#include <math.h>

/* Every type without blocks holds the same three values, which lie one byte off every alignment. */
static void reads_floats(void **state)
{
    (void)state;
    static const float expected[] = {1, -2.5f, INFINITY};
    static const struct {
        enum dtype dtype;
        uint64_t bits[3];
    } cases[] = {
        {DTYPE_F32, {0x3f800000, 0xc0200000, 0x7f800000}},
        {DTYPE_F16, {0x3c00, 0xc100, 0x7c00}},
        {DTYPE_BF16, {0x3f80, 0xc020, 0x7f80}},
        {DTYPE_F64, {0x3ff0000000000000, 0xc004000000000000, 0x7ff0000000000000}},
    };
    for (size_t c = 0; c < ARRAY_COUNT(cases); c++) {
        const size_t size = dtype_size(cases[c].dtype);
        uint8_t *data = malloc(1 + 3 * size);
        for (size_t i = 0; i < 3; i++)
            memcpy(data + 1 + i * size, &cases[c].bits[i], size);
        const struct tensor_view view = {
            .dtype = cases[c].dtype, .rank = 1, .shape = {3}, .data = data + 1, .size = 3 * size};
        float values[3] = {0};
        assert_true(dtype_is_float(view.dtype) && dtype_is_readable(view.dtype));
        assert_int_equal(tensor_view_elements(&view), 3);
        tensor_view_read(&view, 0, 3, values);
        for (size_t i = 0; i < 3; i++) {
            assert_true(values[i] == expected[i]);
            assert_true(tensor_view_value(&view, i) == expected[i]);
        }
        free(data);
    }
}

/* Blocks written by hand have a scale of 0.5 or 2 and integers that count up. */
static void reads_blocks(void **state)
{
    (void)state;
    uint8_t q4_0[18] = {0x00, 0x38}, q4_1[20] = {0x00, 0x40, 0x00, 0xBC};
    uint8_t q5_0[22] = {0x00, 0x38, 0x01, 0x00, 0x00, 0x80};
    uint8_t q5_1[24] = {0x00, 0x40, 0x00, 0xBC, 0xFF, 0xFF, 0x00, 0x00}, q8_0[34] = {0x00, 0x38};
    for (int i = 0; i < 16; i++)
        q4_0[2 + i] = q4_1[4 + i] = q5_0[6 + i] = q5_1[8 + i] = (uint8_t)(i | (15 - i) << 4);
    for (int i = 0; i < 32; i++)
        q8_0[2 + i] = (uint8_t)(i * 8 - 128);
    struct tensor_view views[] = {
        {.dtype = DTYPE_Q4_0, .data = q4_0, .size = sizeof(q4_0)},
        {.dtype = DTYPE_Q4_1, .data = q4_1, .size = sizeof(q4_1)},
        {.dtype = DTYPE_Q5_0, .data = q5_0, .size = sizeof(q5_0)},
        {.dtype = DTYPE_Q5_1, .data = q5_1, .size = sizeof(q5_1)},
        {.dtype = DTYPE_Q8_0, .data = q8_0, .size = sizeof(q8_0)},
    };
    float found[ARRAY_COUNT(views)][32];
    for (size_t i = 0; i < ARRAY_COUNT(views); i++) {
        assert_true(dtype_is_readable(views[i].dtype) && !dtype_is_float(views[i].dtype));
        assert_int_equal(dtype_size(views[i].dtype), 0);
        assert_int_equal(tensor_view_elements(&views[i]), 32);
        /* The first read ends and the second one begins inside a block. */
        tensor_view_read(&views[i], 0, 5, found[i]);
        tensor_view_read(&views[i], 5, 27, found[i] + 5);
    }
    for (int i = 0; i < 32; i++) {
        int low = i < 16 ? i : 31 - i;
        assert_true(found[0][i] == 0.5f * (float)(low - 8));
        assert_true(found[1][i] == 2 * (float)low - 1);
        assert_true(found[2][i] == 0.5f * (float)(low + (i == 0 || i == 31 ? 16 : 0) - 16));
        assert_true(found[3][i] == 2 * (float)(low + (i < 16 ? 16 : 0)) - 1);
        assert_true(found[4][i] == 0.5f * (float)(i * 8 - 128));
    }
}

/* A read from the middle of the first to the middle of the last of three blocks uses the scale of
 * each. */
static void reads_across_blocks(void **state)
{
    (void)state;
    static const uint8_t scales[] = {0x38, 0x3c, 0x40}; /* high bytes of 0.5, 1 and 2 in fp16 */
    uint8_t data[3 * 34] = {0};
    for (int block = 0; block < 3; block++) {
        data[block * 34 + 1] = scales[block];
        for (int i = 0; i < 32; i++)
            data[block * 34 + 2 + i] = (uint8_t)(i + 1);
    }
    const struct tensor_view view = {.dtype = DTYPE_Q8_0, .data = data, .size = sizeof(data)};
    float values[60];
    tensor_view_read(&view, 20, 60, values);
    for (int i = 0; i < 60; i++)
        assert_true(values[i] == ldexpf((float)((20 + i) % 32 + 1), (20 + i) / 32 - 1));
}

/* Every code of the two types of 8 bits is counted up from the smallest number. */
static void reads_eight_bits(void **state)
{
    (void)state;
    uint8_t codes[256];
    float values[256];
    for (int i = 0; i < 256; i++)
        codes[i] = (uint8_t)i;
    struct tensor_view view = {.dtype = DTYPE_F8_E4M3, .data = codes, .size = sizeof(codes)};
    for (int five = 0; five < 2; five++) {
        const int mantissa = five ? 2 : 3, bias = five ? 15 : 7, largest = five ? 0x7b : 0x7e;
        view.dtype = five ? DTYPE_F8_E5M2 : DTYPE_F8_E4M3;
        assert_true(dtype_is_readable(view.dtype) && !dtype_is_float(view.dtype));
        tensor_view_read(&view, 0, 256, values);
        for (int i = 0; i <= largest; i++) {
            const int exponent = i >> mantissa, fraction = i & ((1 << mantissa) - 1);
            const int leading = exponent ? 1 << mantissa : 0;
            const float expected =
                ldexpf((float)(leading + fraction), (exponent ? exponent : 1) - bias - mantissa);
            assert_true(values[i] == expected && values[i + 128] == -expected);
            assert_true(!signbit(values[i]) && signbit(values[i + 128]));
        }
        assert_true(isnan(values[0x7f]) && isnan(values[0xff]));
        assert_true(values[largest] == (five ? 57344 : 448));
        assert_true(!five || (values[0x7c] == INFINITY && values[0xfc] == -INFINITY));
    }
}

/* The blocks have a scale of 0.5 and a minimum of 2, group number g a scale of 7 * g + 3 and a
 * minimum of 8 * g + 7, and the integers count up. */
static void reads_large_blocks(void **state)
{
    (void)state;
    uint8_t q4_k[144] = {0x00, 0x38, 0x00, 0x40}, q5_k[176] = {0x00, 0x38, 0x00, 0x40};
    uint8_t q6_k[210] = {[209] = 0x38}, q3_k[110] = {[109] = 0x38};
    uint8_t q2_k[84] = {[81] = 0x38, [83] = 0x40};
    for (int g = 0; g < 8; g++) {
        const int scale = 7 * g + 3, minimum = 8 * g + 7;
        if (g < 4) {
            q4_k[4 + g] |= (uint8_t)scale;
            q4_k[8 + g] |= (uint8_t)minimum;
        } else {
            q4_k[8 + g] |= (uint8_t)((scale & 15) | (minimum & 15) << 4);
            q4_k[g] |= (uint8_t)(scale >> 4 << 6);
            q4_k[4 + g] |= (uint8_t)(minimum >> 4 << 6);
        }
    }
    memcpy(q5_k + 4, q4_k + 4, 12);
    for (int i = 0; i < 256; i++) {
        const int group = i / 32, half = i / 128, run = i / 32 % 4, five = i % 32, six = i % 64;
        q4_k[16 + group / 2 * 32 + i % 32] |= (uint8_t)((i & 15) << 4 * (group % 2));
        q5_k[48 + group / 2 * 32 + i % 32] |= (uint8_t)((five & 15) << 4 * (group % 2));
        q5_k[16 + i % 32] |= (uint8_t)(five >> 4 << group);
        q6_k[64 * half + 32 * (run % 2) + i % 32] |= (uint8_t)((six & 15) << 4 * (run / 2));
        q6_k[128 + 32 * half + i % 32] |= (uint8_t)(six >> 4 << 2 * run);
        q6_k[192 + i / 16] = (uint8_t)(i / 16 * 17 - 128);
        q3_k[i % 32] |= (uint8_t)((i & 7) >> 2 << group);
        q3_k[32 + 32 * half + i % 32] |= (uint8_t)((i & 3) << 2 * run);
        q2_k[16 + 32 * half + i % 32] |= (uint8_t)((i & 3) << 2 * run);
    }
    for (int g = 0; g < 16; g++) { /* Q2_K and Q3_K have 16 groups of 16 elements. */
        q2_k[g] = (uint8_t)(g | (15 - g) << 4);
        q3_k[96 + g % 8] |= (uint8_t)((4 * g + 1) % 16 << 4 * (g / 8));
        q3_k[104 + g % 4] |= (uint8_t)((4 * g + 1) / 16 << 2 * (g / 4));
    }
    struct tensor_view views[] = {
        {.dtype = DTYPE_Q4_K, .data = q4_k, .size = sizeof(q4_k)},
        {.dtype = DTYPE_Q5_K, .data = q5_k, .size = sizeof(q5_k)},
        {.dtype = DTYPE_Q6_K, .data = q6_k, .size = sizeof(q6_k)},
        {.dtype = DTYPE_Q3_K, .data = q3_k, .size = sizeof(q3_k)},
        {.dtype = DTYPE_Q2_K, .data = q2_k, .size = sizeof(q2_k)},
    };
    float found[ARRAY_COUNT(views)][256];
    for (size_t i = 0; i < ARRAY_COUNT(views); i++) {
        assert_true(dtype_is_readable(views[i].dtype) && !dtype_is_float(views[i].dtype));
        assert_int_equal(dtype_size(views[i].dtype), 0);
        assert_int_equal(tensor_view_elements(&views[i]), 256);
        tensor_view_read(&views[i], 0, 100, found[i]);
        tensor_view_read(&views[i], 100, 156, found[i] + 100);
    }
    for (int i = 0; i < 256; i++) {
        const float step = 0.5f * (float)(i / 32 * 7 + 3), lowest = 2 * (float)(i / 32 * 8 + 7);
        assert_true(found[0][i] == step * (float)(i & 15) - lowest);
        assert_true(found[1][i] == step * (float)(i % 32) - lowest);
        assert_true(found[2][i] == 0.5f * (float)(i / 16 * 17 - 128) * (float)(i % 64 - 32));
        assert_true(found[3][i] == 0.5f * (float)(i / 16 * 4 + 1 - 32) * (float)(i % 8 - 4));
        assert_true(found[4][i] == 0.5f * (float)(i / 16 * (i & 3)) - 2 * (float)(15 - i / 16));
    }
}

static void knows_unreadable_types(void **state)
{
    (void)state;
    static const uint8_t data[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    static const enum dtype types[] = {DTYPE_U8, DTYPE_I64, DTYPE_BOOL, DTYPE_U16};
    for (size_t i = 0; i < ARRAY_COUNT(types); i++) {
        const struct tensor_view view = {.dtype = types[i], .data = data, .size = sizeof(data)};
        assert_false(dtype_is_readable(types[i]));
        assert_int_equal(tensor_view_elements(&view), 8 / dtype_size(types[i]));
        assert_true(tensor_view_value(&view, 0) == 0);
    }
    assert_string_equal(dtype_name(DTYPE_Q5_1), "Q5_1");
    assert_string_equal(dtype_name(DTYPE_COUNT), "?");
    assert_int_equal(dtype_size(DTYPE_COUNT), 0);
}

static void finds_by_name(void **state)
{
    (void)state;
    struct tensor_view views[] = {{.name = "b"}, {.name = "c"}, {.name = "a"}};
    tensor_view_sort(views, ARRAY_COUNT(views));
    for (size_t i = 0; i < ARRAY_COUNT(views); i++)
        assert_ptr_equal(tensor_view_find(views, ARRAY_COUNT(views), views[i].name), &views[i]);
    assert_string_equal(views[0].name, "a");
    assert_null(tensor_view_find(views, ARRAY_COUNT(views), "ab"));
    tensor_view_sort(NULL, 0);
    assert_null(tensor_view_find(NULL, 0, "a"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_floats),           cmocka_unit_test(reads_blocks),
        cmocka_unit_test(reads_across_blocks),    cmocka_unit_test(finds_by_name),
        cmocka_unit_test(knows_unreadable_types), cmocka_unit_test(reads_eight_bits),
        cmocka_unit_test(reads_large_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
