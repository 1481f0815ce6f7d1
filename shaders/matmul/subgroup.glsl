/* SPDX-License-Identifier: MIT
 *
 * Defines the loop of the variants of MATMUL and CONV whose subgroup broadcasts single values of x. A workgroup is
 * one subgroup. Its lanes load LANES values along K of each row of x at once and broadcast them one by one, so that
 * a row of x costs one load where the tiled loop has LANES. K must be a multiple of LANES. The including file
 * defines
 *     float load_x_lane(ROW row, uint k)     x[row][k + lane]
 */

#include "matmul/tile.glsl"

float x_lane[ROWS];

/* Adds the value of x that lane k has, times component `part` of each w. */
#define ADD_LANE(k, part)                                                                             \
    for (uint i = 0; i < ROWS; i++) {                                                              \
        float x = subgroupBroadcast(x_lane[i], k);                                                 \
        for (uint j = 0; j < COLS; j++)                                                            \
            sum[i][j] = fma(x, w[j].part, sum[i][j]);                                            \
    }
/* Adds the quad that lanes k to k + 3 have. These are macros because a lane that is broadcast must be a constant
 * (lanes.glsl). */
#define ADD_QUAD(k)                                                                                \
    {                                                                                              \
        vec4 w[COLS];                                                                              \
        for (uint j = 0; j < COLS; j++)                                                            \
            w[j] = load_w(quad[j] + (k4 + (k) / 4) * PANEL, scale[j]);                             \
        ADD_LANE(k, x) ADD_LANE((k) + 1, y) ADD_LANE((k) + 2, z) ADD_LANE((k) + 3, w)                                  \
    }
#define ADD_8_LANES(k) ADD_QUAD(k) ADD_QUAD((k) + 4)
#define ADD_16_LANES(k) ADD_8_LANES(k) ADD_8_LANES((k) + 8)

void main()
{
    begin_tile(tile_group().y);
    for (uint k4 = 0; k4 < args.k / 4; k4 += LANES / 4) {
#ifdef W_BLOCKS
        if (k4 % (BLOCK / 4) == 0)
            load_scales(k4);
#endif
        for (uint i = 0; i < ROWS; i++)
            x_lane[i] = load_x_lane(row[i], 4 * k4);
        ADD_QUAD(0)
        if (LANES >= 8) {
            ADD_QUAD(4)
        }
        if (LANES >= 16) {
            ADD_8_LANES(8)
        }
        if (LANES >= 32) {
            ADD_16_LANES(16)
        }
        if (LANES >= 64) {
            load_scales(k4 + BLOCK / 4);
            ADD_16_LANES(32) ADD_16_LANES(48)
        }
    }
    end_tile();
}
