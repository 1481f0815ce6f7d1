/* SPDX-License-Identifier: MIT
 *
 * Converting many values gives the bits that converting each gives: at all exponents and signs,
 * next to values that round to even, to a subnormal or to infinity, and for infinities and NaN.
 */
#include "base/half.h"
#include "support/testing.h"

static void many_are_as_each(void **state)
{
    enum { COUNT = 1 << 17 };
    float *values = malloc(COUNT * sizeof(*values));
    uint16_t *halves = malloc(COUNT * sizeof(*halves));
    size_t count = 0;
    (void)state;
    assert_true(values && halves);
    for (uint32_t top = 0; top < 1 << 14; top++) /* sign, exponent, five bits of the mantissa */
        for (uint32_t i = 0; i < 8; i++) {
            static const uint32_t rests[8] = {0, 1, 0xfff, 0x1000, 0x1001, 0x3000, 0x1fff, 0x2fff};
            const uint32_t bits = top << 18 | rests[i];
            memcpy(&values[count++], &bits, sizeof(bits));
        }
    for (size_t first = 0; first < 9; first++) { /* Groups of eight begin at every place. */
        half_from_floats(values + first, count - first, halves);
        for (size_t i = first; i < count; i++)
            assert_int_equal(halves[i - first], half_from_float(values[i]));
    }
    free(values);
    free(halves);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(many_are_as_each)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
