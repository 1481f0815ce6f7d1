/* SPDX-License-Identifier: MIT
 *
 * Lets SLICES invocations of a workgroup, which lie along z, divide K among them: where a result is small, more of the
 * device computes it. Each of them has a slice of K, and all have the same rows and columns. Workgroups of slices have
 * one row of invocations (WALK_SLICES in runtime/kernels.h). The order of the additions is fixed.
 */
#include "matmul/tile.glsl"

layout(constant_id = 2) const uint SLICES = 1;

/* The sums of all slices. A place of one more slice, which none uses, keeps lanes off the same banks of memory. */
shared float slice_sums[SLICES > 1 ? ROWS * COLS * (SLICES + 1) * LANES : 1];
#define slice_sum(value, slice) slice_sums[((value) * (SLICES + 1) + (slice)) * LANES + gl_LocalInvocationID.x]

/* Adds up the sums of the slices and stores them. Each slice does so for a share of the tile's values. */
void end_slices()
{
    if (SLICES == 1) {
        end_tile();
        return;
    }
    for (uint i = 0; i < ROWS; i++)
        for (uint j = 0; j < COLS; j++)
            slice_sum(i * COLS + j, gl_LocalInvocationID.z) = sum[i][j];
    barrier();
    for (uint value = gl_LocalInvocationID.z; value < ROWS * COLS; value += SLICES) {
        uint row_index = first_row + value / COLS, column = tile_column(value % COLS);
        float total = 0.0;
        for (uint slice = 0; slice < SLICES; slice++)
            total += slice_sum(value, slice);
        if (row_index < args.m && column < args.n)
            end_value(row_index, column, total, BIAS ? float(bias[column]) : 0.0);
    }
}
