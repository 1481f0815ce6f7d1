/* SPDX-License-Identifier: MIT
 *
 * The loop of the BROADCAST rows of MATMUL and CONV: a workgroup is one subgroup, whose lanes read a quad of
 * x each, lane i that of row i, and hand it out to all. So a quad of x is one load of the subgroup where the
 * tiled loop has one a row. ROWS are 32 at most. A row of the table gives
 *     vec4 load_x(ROW row, uint k4)          x[row][4 * k4 ..]
 */
#include "tile.glsl"

const uint READS = (ROWS + LANES - 1) / LANES; /* of the subgroup for a quad of all rows */

ROW lane_row[READS];

/* The lane that is broadcast must be a constant: hence no loop. */
#define ADD_LANE(lane)                                                                             \
    if (lane < LANES && i * LANES + lane < ROWS) {                                                 \
        vec4 x = subgroupBroadcast(x_lane[i], lane);                                               \
        for (uint j = 0; j < COLS; j++)                                                            \
            sum[i * LANES + lane][j] = add_quad(x, w[j], sum[i * LANES + lane][j]);                \
    }
#define ADD_LANES_4(lane) ADD_LANE(lane) ADD_LANE(lane + 1) ADD_LANE(lane + 2) ADD_LANE(lane + 3)
#define ADD_LANES_16(lane)                                                                         \
    ADD_LANES_4(lane) ADD_LANES_4(lane + 4) ADD_LANES_4(lane + 8) ADD_LANES_4(lane + 12)

void main()
{
    begin_tile(tile_group().y);
    for (uint i = 0; i < READS; i++)
        lane_row[i] = row_of(min(first_row + i * LANES + gl_SubgroupInvocationID, args.m - 1));
    for (uint k4 = 0; k4 < args.k / 4; k4++) {
#ifdef W_BLOCKS
        if (k4 % (BLOCK / 4) == 0)
            load_scales(k4);
#endif
        vec4 w[COLS], x_lane[READS];
        for (uint j = 0; j < COLS; j++)
            w[j] = load_w(quad[j] + k4 * PANEL, scale[j]);
        for (uint i = 0; i < READS; i++)
            x_lane[i] = load_x(lane_row[i], k4);
        for (uint i = 0; i < READS; i++) {
            ADD_LANES_16(0u) ADD_LANES_16(16u)
        }
    }
    end_tile();
}
