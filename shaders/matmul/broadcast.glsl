/* SPDX-License-Identifier: MIT
 *
 * Defines the loop of the variants of MATMUL and CONV whose subgroup broadcasts quads of x. A workgroup is one
 * subgroup. Its lanes load a quad of x each, lane i that of row i, and broadcast it to all lanes: one load of the
 * subgroup takes the place of one load per row in the tiled loop. ROWS is 32 at most. The including file defines
 *     vec4 load_x(ROW row, uint k4)          x[row][4 * k4 ..]
 */
#include "lanes.glsl"
#include "matmul/tile.glsl"

/* Each lane reads this many quads of x, so that the subgroup has one of every row. */
const uint READS = (ROWS + LANES - 1) / LANES;

ROW lane_row[READS];

#define BROADCAST_LANE(lane)                                                                                  \
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
            BROADCAST_16(0u) BROADCAST_16(16u)
        }
    }
    end_tile();
}
