/* SPDX-License-Identifier: MIT
 *
 * The preferences of classes of devices and the tiles that are rejected for them.
 */
#include "base/array.h"
#include "support/testing.h"

#include <string.h>

#include "runtime/kernels.h"

static const struct kernel *find_kernel(const char *shader, enum type w)
{
    for (size_t i = 0; i < kernel_count; i++)
        if (!strcmp(kernels[i].shader, shader) && kernels[i].x == TYPE_F32 && kernels[i].w == w)
            return &kernels[i];
    fail_msg("no variant %s", shader);
    return NULL;
}

static struct kernel_choice make_choice(const char *shader, uint32_t rows, uint32_t columns)
{
    struct kernel_choice choice = {.kernel = find_kernel(shader, TYPE_F32)};
    choice.listed_tile = choice.tile = (struct tile){rows, columns, 8, WALK_COLUMNS};
    return choice;
}

/* Compares the order of four choices with the numbers that they had before. */
static void check_order(enum gpu_class class, const size_t expected[4])
{
    const struct kernel_choice before[] = {
        make_choice("matmul_texel", 16, 4), make_choice("matmul_texel", 8, 4),
        make_choice("matmul_shared", 8, 4), make_choice("matmul", 8, 4)};
    struct kernel_choice after[4];
    memcpy(after, before, sizeof(before));
    kernels_sort_choices(class, after, 4);
    for (size_t i = 0; i < 4; i++)
        assert_true(kernels_same_choice(&after[i], &before[expected[i]]));
}

static void preferred_choices_come_first(void **state)
{
    (void)state;
    check_order(GPU_OTHER, (const size_t[]){0, 1, 2, 3});
    check_order(GPU_APPLE, (const size_t[]){1, 0, 2, 3});
    check_order(GPU_NVIDIA, (const size_t[]){2, 0, 1, 3});
}

/* Matrix units come first wherever a quirk lets them be used. */
static void matrix_units_come_first(void **state)
{
    static const enum gpu_class classes[] = {GPU_RDNA, GPU_NVIDIA, GPU_INTEL};
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(classes); i++) {
        struct kernel_choice choices[] = {make_choice("matmul_texel", 16, 4),
                                          make_choice("matmul_coopmat", 2, 2)};
        kernels_sort_choices(classes[i], choices, 2);
        assert_string_equal(choices[0].kernel->shader, "matmul_coopmat");
    }
}

static bool accepts(enum gpu_class class, const char *shader, uint32_t rows, uint32_t columns,
                    uint32_t lanes)
{
    const struct tile tile = {rows, columns, 1, 1, WALK_COLUMNS};
    return kernels_accept_tile(class, find_kernel(shader, TYPE_F32), &tile, lanes);
}

static void large_tiles_are_rejected(void **state)
{
    (void)state;
    assert_true(accepts(GPU_OTHER, "matmul_subgroup", 32, 8, 16));
    assert_false(accepts(GPU_OTHER, "matmul_subgroup", 32, 8, 32));
    assert_true(accepts(GPU_RDNA, "matmul_subgroup", 32, 4, 32));
    assert_false(accepts(GPU_RDNA, "matmul_subgroup", 32, 4, 64));
    assert_true(accepts(GPU_ADRENO, "matmul_texel", 16, 4, 8));
    assert_true(accepts(GPU_ADRENO, "matmul_subgroup", 8, 4, 64));
    assert_false(accepts(GPU_ADRENO, "matmul_subgroup", 16, 4, 64));
    assert_false(accepts(GPU_APPLE, "matmul_texel", 16, 4, 8));
    assert_true(accepts(GPU_APPLE, "outer_texel", 16, 1, 8)); /* columns are quads */
    assert_false(accepts(GPU_APPLE, "outer_texel", 16, 2, 8));
}

/* A line of orders.def that names nothing would have no effect and no message. */
static void every_line_names_a_tile(void **state)
{
    static const struct {
        const char *shader;
        uint32_t rows, columns;
    } lines[] =
        {
#define PREFER(class, shader, rows, columns) {#shader, rows, columns},
#define LIMITS(class, values, products)
#include "shaders/orders.def"
        },
      tiles[] = {
#define TILE_WIDE(shader, rows, columns, height, width, walk) {#shader, rows, columns},
#include "shaders/tiles.def"
      };
    static const char *const shaders[] = {
#define KERNEL(op, shader, x, w, needs) #shader,
#define KERNEL_DOT KERNEL
#define KERNEL_COOPMAT KERNEL
#include "kernel_rows.def"
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(lines); i++) {
        size_t found = 0;
        for (size_t k = 0; k < ARRAY_COUNT(shaders) && !lines[i].rows; k++)
            found += !strcmp(shaders[k], lines[i].shader);
        for (size_t k = 0; k < ARRAY_COUNT(tiles) && lines[i].rows; k++)
            found += !strcmp(tiles[k].shader, lines[i].shader) && tiles[k].rows == lines[i].rows &&
                     tiles[k].columns == lines[i].columns;
        if (!found)
            fail_msg("orders.def: no tile %s %ux%u", lines[i].shader, lines[i].rows,
                     lines[i].columns);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(preferred_choices_come_first),
        cmocka_unit_test(matrix_units_come_first),
        cmocka_unit_test(large_tiles_are_rejected),
        cmocka_unit_test(every_line_names_a_tile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
