/* SPDX-License-Identifier: MIT
 *
 * Defines the loop of the variants of MATMUL and CONV that compute in fp16: products and short sums of pairs of
 * values that follow each other along K, added to sums in fp32 after every SHORT quads. K must be a multiple of
 * four. The including file defines load_x as for matmul.glsl.
 */
#include "matmul/tile.glsl"

/* A short sum has this many quads. Longer sums are faster and less exact. */
const uint SHORT = 4;

void main()
{
    begin_tile(tile_group().y * gl_WorkGroupSize.y + gl_LocalInvocationID.y);
    if (first_row >= args.m)
        return;
    f16vec2 part[ROWS][COLS];
    for (uint k4 = 0; k4 < args.k / 4;) {
        for (uint i = 0; i < ROWS; i++)
            for (uint j = 0; j < COLS; j++)
                part[i][j] = f16vec2(0.0);
        for (uint end = min(k4 + SHORT, args.k / 4); k4 < end; k4++) {
            f16vec4 w[COLS];
            for (uint j = 0; j < COLS; j++)
                w[j] = w_quads[quad[j] + k4 * PANEL];
            for (uint i = 0; i < ROWS; i++) {
                f16vec4 x = f16vec4(load_x(row[i], k4));
                for (uint j = 0; j < COLS; j++)
                    part[i][j] = fma(x.zw, w[j].zw, fma(x.xy, w[j].xy, part[i][j]));
            }
        }
        for (uint i = 0; i < ROWS; i++)
            for (uint j = 0; j < COLS; j++)
                sum[i][j] += float(part[i][j].x) + float(part[i][j].y);
    }
    end_tile();
}
