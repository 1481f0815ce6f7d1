/* SPDX-License-Identifier: MIT
 *
 * Compares blocks of quantised weights with GGUF's definition. How blocks lie on the device is the
 * subject of tests/runtime/layout.c.
 */
#include "base/array.h"
#include "base/half.h"
#include "support/testing.h"

#include <math.h>

#include "graph/quant.h"

static float next_value(uint32_t *state)
{
    *state ^= *state << 13, *state ^= *state >> 17, *state ^= *state << 5;
    return (float)((double)*state / 2147483648.0 - 1);
}

/* Rounds a value to fp16. */
static double rounded_to_half(double value)
{
    return half_to_float(half_from_float((float)value));
}

/* GGUF defines Q8_0 by d = fp16(max |x| / 127) and q = round(x * 127 / max |x|). */
static void q8_matches_q8_0(void **state)
{
    (void)state;
    uint32_t random = 88172645;
    for (int round_ = 0; round_ < 1000; round_++) {
        float x[QUANT_BLOCK], most = 0, spread = ldexpf(1, round_ % 20 - 12);
        struct quant_block block;
        for (int i = 0; i < QUANT_BLOCK; i++) {
            x[i] = next_value(&random) * spread;
            most = fmaxf(most, fabsf(x[i]));
        }
        assert_true(quant_pack(TYPE_Q8, x, QUANT_BLOCK, &block));
        double scale = rounded_to_half((double)most / 127);
        for (int i = 0; i < QUANT_BLOCK; i++) {
            double exact = (double)x[i] * 127 / (double)most;
            assert_true(fabs(block.q[i] - exact) <= 0.5001 && abs(block.q[i]) <= 127);
            assert_true((double)quant_value(&block, (size_t)i) == scale * block.q[i]);
        }
    }
}

static double squared_error(const float *x, const struct quant_block *block)
{
    double sum = 0;
    for (size_t i = 0; i < QUANT_BLOCK; i++)
        sum += pow((double)x[i] - (double)quant_value(block, i), 2);
    return sum;
}

/* GGUF's own rule for Q4_0 is d = fp16(x of largest magnitude / -8) and q = min(15, trunc(x / d +
 * 8.5)). quant_pack writes the same format. None of its blocks may be further from x than GGUF's,
 * and their total squared error must be smaller by a tenth. */
static void q4_is_nearer_than_q4_0(void **state)
{
    (void)state;
    uint32_t random = 88172645;
    double all = 0, all_plain = 0;
    for (int round_ = 0; round_ < 1000; round_++) {
        float x[QUANT_BLOCK], most = 0;
        struct quant_block block, plain;
        for (int i = 0; i < QUANT_BLOCK; i++) {
            x[i] = next_value(&random) + next_value(&random) + next_value(&random);
            most = fabsf(x[i]) > fabsf(most) ? x[i] : most;
        }
        plain.scale = half_from_float(most / -8);
        for (int i = 0; i < QUANT_BLOCK; i++)
            plain.q[i] = (int8_t)(fminf(15, truncf(x[i] / (most / -8) + 8.5f)) - 8);
        assert_true(quant_pack(TYPE_Q4, x, QUANT_BLOCK, &block));
        for (int i = 0; i < QUANT_BLOCK; i++)
            assert_true(block.q[i] >= -8 && block.q[i] <= 7);
        double error = squared_error(x, &block), plain_error = squared_error(x, &plain);
        assert_true(error <= plain_error * 1.001);
        all += error;
        all_plain += plain_error;
    }
    printf("squared error: %.3f times that of Q4_0's own rule\n", all / all_plain);
    assert_true(all < 0.9 * all_plain);
}

/* Values that blocks hold exactly, as those from a GGUF file, do not change when they are packed
 * again. */
static void packing_again_changes_nothing(void **state)
{
    (void)state;
    uint32_t random = 2463534242u;
    for (int round_ = 0; round_ < 2000; round_++) {
        enum type type = round_ % 2 ? TYPE_Q8 : TYPE_Q4;
        float x[QUANT_BLOCK];
        struct quant_block first, second;
        size_t count = (size_t)round_ / 2 % QUANT_BLOCK + 1;
        for (size_t i = 0; i < count; i++)
            x[i] = next_value(&random) * ldexpf(1, round_ % 13 - 9);
        assert_true(quant_pack(type, x, count, &first));
        for (size_t i = 0; i < count; i++)
            x[i] = quant_value(&first, i);
        assert_true(quant_pack(type, x, count, &second));
        for (size_t i = 0; i < count; i++)
            assert_true(quant_value(&second, i) == x[i]);
        if (type == TYPE_Q8)
            assert_memory_equal(&first, &second, sizeof(first));
    }
}

static void extreme_values(void **state)
{
    (void)state;
    struct quant_block block;
    const float zeros[QUANT_BLOCK] = {0}, bad[] = {1, NAN}, large[] = {1e30f, -1e30f},
                endless[] = {-INFINITY}, tiny[] = {1e-44f, -1e-44f, 1e-45f}, one[] = {-3};
    for (enum type type = TYPE_Q8; type <= TYPE_Q4; type++) {
        assert_true(quant_pack(type, zeros, QUANT_BLOCK, &block));
        for (size_t i = 0; i < QUANT_BLOCK; i++)
            assert_true(quant_value(&block, i) == 0);
        assert_true(quant_pack(type, tiny, 3, &block)); /* The scale is 0 in fp16. */
        assert_true(quant_value(&block, 0) == 0 && quant_value(&block, 1) == 0);
        assert_false(quant_pack(type, bad, 2, &block));
        assert_true(isnan(quant_value(&block, 0)));
        assert_false(quant_pack(type, large, 2, &block));
        assert_true(isnan(quant_value(&block, 1)));
        assert_false(quant_pack(type, endless, 1, &block));
        assert_true(isnan(quant_value(&block, 0)));
        assert_true(quant_pack(type, one, 1, &block)); /* A row may end inside a block. */
        assert_true(fabsf(quant_value(&block, 0) + 3) < 2e-3f && quant_value(&block, 1) == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(q8_matches_q8_0),
        cmocka_unit_test(q4_is_nearer_than_q4_0),
        cmocka_unit_test(packing_again_changes_nothing),
        cmocka_unit_test(extreme_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
