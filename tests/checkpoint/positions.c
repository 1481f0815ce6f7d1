/* SPDX-License-Identifier: MIT
 *
 * Positions for pictures of another size are compared with values of
 * torch.nn.functional.interpolate(mode="bicubic", antialias=True, align_corners=False) in float64,
 * which is what OpenCLIP's resize_pos_embed calls.
 */
#include "support/testing.h"

#include <math.h>

#include "checkpoint/positions.h"

static void resizes_as_torch(void **state)
{
    (void)state;
    static const double up[] = {-1.4198113, -1.2383836, -0.8820755, -0.4003098, -0.1211285,
                                -0.6291538, -0.3897305, -0.0914179, -0.4505875, -0.7234582,
                                0.4622642,  0.7761194,  1.0,        -0.4384328, -1.4198113,
                                -0.1086314, 0.1307919,  0.4291045,  0.0699348,  -0.2029358,
                                -0.6132075, -0.4317798, -0.0754717, 0.406294,   0.6854753};
    static const double down[] = {-0.3995733, -0.4497049, 0.1180832, 0.0679516};
    float positions[10] = {42}, out[26];
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            positions[1 + 3 * i + j] = (float)((i * 7 + j * 13) % 11 - 5) / 4;
    assert_true(positions_resize(positions, 1, 3, 5, 1, out));
    assert_true(out[0] == 42);
    for (int i = 0; i < 25; i++)
        assert_true(fabs(out[1 + i] - up[i]) < 1e-6);
    assert_true(positions_resize(positions, 1, 3, 2, 1, out));
    for (int i = 0; i < 4; i++)
        assert_true(fabs(out[1 + i] - down[i]) < 1e-6);
}

/* A resize to the same size changes nothing, which also shows that channels are not mixed. */
static void keeps_the_same_size(void **state)
{
    (void)state;
    enum { GRID = 7, WIDTH = 5, COUNT = (1 + GRID * GRID) * WIDTH };
    float positions[COUNT], out[COUNT];
    for (int i = 0; i < COUNT; i++)
        positions[i] = (float)sin(i * 1.7);
    assert_true(positions_resize(positions, 1, GRID, GRID, WIDTH, out));
    for (int i = 0; i < COUNT; i++)
        assert_true(fabs(out[i] - positions[i]) < 1e-6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(resizes_as_torch),
                                       cmocka_unit_test(keeps_the_same_size)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
