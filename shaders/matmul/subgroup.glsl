/* SPDX-License-Identifier: MIT
 *
 * The loop of the SUBGROUP rows of MATMUL and CONV: a workgroup is one subgroup. Its lanes read LANES
 * values along K of each row of x in one load, and hand them out one by one, so that x costs one load a
 * row where the tiled loop has LANES. For K a multiple of LANES. A row of the table gives
 *     float load_x_lane(uint row, uint k)    x[row][k + lane]
 */

#include "matmul/tile.glsl"

float x_lane[ROWS];

#define ADD(k, w_part)                                                                             \
    for (uint i = 0; i < ROWS; i++) {                                                              \
        float x = subgroupBroadcast(x_lane[i], k);                                                 \
        for (uint j = 0; j < COLS; j++)                                                            \
            sum[i][j] = fma(x, w[j].w_part, sum[i][j]);                                            \
    }
/* The lane that is broadcast must be a constant: hence no loop. */
#define ADD_QUAD(k)                                                                                \
    {                                                                                              \
        vec4 w[COLS];                                                                              \
        for (uint j = 0; j < COLS; j++)                                                            \
            w[j] = load_w(quad[j] + (k4 + (k) / 4) * PANEL, scale[j]);                             \
        ADD(k, x) ADD((k) + 1, y) ADD((k) + 2, z) ADD((k) + 3, w)                                  \
    }
#define ADD_QUADS_8(k) ADD_QUAD(k) ADD_QUAD((k) + 4)
#define ADD_QUADS_16(k) ADD_QUADS_8(k) ADD_QUADS_8((k) + 8)

void main()
{
    begin_tile(tile_group().y);
    for (uint k4 = 0; k4 < args.k / 4; k4 += LANES / 4) {
        begin_block(k4)
        for (uint i = 0; i < ROWS; i++)
            x_lane[i] = load_x_lane(row[i], 4 * k4);
        ADD_QUAD(0)
        if (LANES >= 8) {
            ADD_QUAD(4)
        }
        if (LANES >= 16) {
            ADD_QUADS_8(8)
        }
        if (LANES >= 32) {
            ADD_QUADS_16(16)
        }
        if (LANES >= 64) {
            load_scales(k4 + BLOCK / 4);
            ADD_QUADS_16(32) ADD_QUADS_16(48)
        }
    }
    end_tile();
}
