/* SPDX-License-Identifier: MIT
 *
 * The tiled loop of MATMUL and CONV: an invocation computes ROWS rows by COLS columns. The including file defines
 *     vec4 load_x(ROW row, uint k4)        x[row][4 * k4 ..]
 *     vec4 load_x_end(ROW row, uint k4)    x[row][4 * k4 ..] with zeros past K, for K that is no multiple of four
 * A ROW is the number of a row of x in MATMUL, and a pixel in CONV (pixels.glsl).
 */
#include "matmul/slices.glsl"

/* Adds the quads k4 of all rows and columns, with x read by `load`. Loads are unconditional, and all indices are
 * constants when the loops are unrolled, so that the sums stay in registers. */
#define ADD_QUAD(load, k4)                                                                         \
    {                                                                                              \
        vec4 w[COLS];                                                                              \
        for (uint j = 0; j < COLS; j++)                                                            \
            w[j] = load_column(j, k4);                                                             \
        for (uint i = 0; i < ROWS; i++) {                                                          \
            vec4 x = load(row[i], k4);                                                             \
            for (uint j = 0; j < COLS; j++)                                                        \
                sum[i][j] = add_quad(x, w[j], sum[i][j]);                                          \
        }                                                                                          \
    }

void main()
{
    begin_tile(tile_group().y * gl_WorkGroupSize.y + gl_LocalInvocationID.y);
    if (SLICES == 1 && first_row >= args.m)
        return;
    uint k4 = SLICES > 1 ? gl_LocalInvocationID.z : 0; /* Neighbouring slices have neighbouring quads. */
    for (; k4 < args.k / 4; k4 += SLICES) {
#ifdef W_BLOCKS
        if (SLICES > 1 || k4 % (BLOCK / 4) == 0)
            load_scales(k4);
#endif
        ADD_QUAD(load_x, k4)
    }
    if (args.k % 4 != 0 && k4 == args.k / 4) {
        load_scales(k4);
        ADD_QUAD(load_x_end, k4)
    }
    end_slices();
}
