/* SPDX-License-Identifier: MIT
 *
 * The tiled loop of MATMUL rows: an invocation computes ROWS rows by COLS columns. A row of the table says
 * how x is read:
 *     vec4 load_x(uint row, uint k4)         x[row][4 * k4 ..]
 *     vec4 load_x_end(uint row, uint k4)     the same with zeros past K, for K that is no multiple of four
 * and includes this file. CONV gives a ROW and row_of(uint) in place of the row's number.
 */
#include "matmul/tile.glsl"

/* Unconditional loads, and sums that stay in registers: all indices are constants when unrolled. */
#define ADD_QUAD(load, k4)                                                                         \
    {                                                                                              \
        vec4 w[COLS];                                                                              \
        for (uint j = 0; j < COLS; j++)                                                            \
            w[j] = load_w(quad[j] + (k4) * PANEL, scale[j]);                                       \
        for (uint i = 0; i < ROWS; i++) {                                                          \
            vec4 x = load(row[i], k4);                                                             \
            for (uint j = 0; j < COLS; j++)                                                        \
                sum[i][j] = add_quad(x, w[j], sum[i][j]);                                          \
        }                                                                                          \
    }

void main()
{
    begin_tile(tile_group().y * gl_WorkGroupSize.y + gl_LocalInvocationID.y);
    if (first_row >= args.m)
        return;
    uint k4 = 0;
    for (; k4 < args.k / 4; k4++) {
        begin_block(k4)
        ADD_QUAD(load_x, k4)
    }
    if (args.k % 4 != 0) {
        load_scales(k4);
        ADD_QUAD(load_x_end, k4)
    }
    end_tile();
}
