/* SPDX-License-Identifier: MIT
 *
 * The loop of the BROADCAST rows of MATMUL and CONV: a workgroup is one subgroup, whose lanes read a quad of
 * x each, lane i that of row i, and hand it out to all. So a quad of x is one load of the subgroup where the
 * tiled loop has one a row. ROWS are 32 at most. A row of the table gives
 *     vec4 load_x(ROW row, uint k4)          x[row][4 * k4 ..]
 */
#include "lanes.glsl"
#include "matmul/tile.glsl"

const uint READS = (ROWS + LANES - 1) / LANES; /* of the subgroup for a quad of all rows */

ROW lane_row[READS];

#define ADD(lane)                                                                                  \
    if (lane < LANES && i * LANES + lane < ROWS) {                                                 \
        vec4 x = subgroupBroadcast(x_lane[i], lane);                                               \
        for (uint j = 0; j < COLS; j++)                                                            \
            sum[i * LANES + lane][j] = add_quad(x, w[j], sum[i * LANES + lane][j]);                \
    }

void main()
{
    begin_tile(tile_group().y);
    for (uint i = 0; i < READS; i++)
        lane_row[i] = row_of(min(first_row + i * LANES + gl_SubgroupInvocationID, args.m - 1));
    for (uint k4 = 0; k4 < args.k / 4; k4++) {
        begin_block(k4)
        vec4 w[COLS], x_lane[READS];
        for (uint j = 0; j < COLS; j++)
            w[j] = load_w(quad[j] + k4 * PANEL, scale[j]);
        for (uint i = 0; i < READS; i++)
            x_lane[i] = load_x(lane_row[i], k4);
        for (uint i = 0; i < READS; i++) {
            ADD_16(0u) ADD_16(16u)
        }
    }
    end_tile();
}
