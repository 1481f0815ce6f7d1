/* SPDX-License-Identifier: MIT
 *
 * Defines the loop of the variants of MATMUL and CONV that compute in fp16: products and short sums of pairs of
 * values that follow each other along K, added to sums in fp32 after every SHORT quads. K must be a multiple of
 * four. The including file defines load_x as for matmul.glsl.
 */
#include "matmul/slices.glsl"

#ifndef load_w_packed
#define load_w_packed(quad) w_quads[quad]
#endif

/* A short sum has this many quads. Longer sums are faster and less exact. */
const uint SHORT = 4;

/* Adds `count` quads of all rows and columns from quad k4 on: a short sum for each. */
void add_quads(uint k4, uint count)
{
    f16vec2 part[ROWS][COLS];
    [[unroll]] for (uint i = 0; i < ROWS; i++)
        [[unroll]] for (uint j = 0; j < COLS; j++)
            part[i][j] = f16vec2(0.0);
    [[unroll]] for (uint q = 0; q < count; q++) {
        f16vec4 w[COLS];
        [[unroll]] for (uint j = 0; j < COLS; j++)
            w[j] = load_w_packed(quad[j] + (k4 + q) * PANEL);
        [[unroll]] for (uint i = 0; i < ROWS; i++) {
            f16vec4 x = f16vec4(load_x(row[i], k4 + q));
            [[unroll]] for (uint j = 0; j < COLS; j++)
                part[i][j] = fma(x.zw, w[j].zw, fma(x.xy, w[j].xy, part[i][j]));
        }
    }
    [[unroll]] for (uint i = 0; i < ROWS; i++)
        [[unroll]] for (uint j = 0; j < COLS; j++)
            sum[i][j] += float(part[i][j].x) + float(part[i][j].y);
}

void main()
{
    begin_tile(tile_group().y * gl_WorkGroupSize.y + gl_LocalInvocationID.y);
    if (SLICES == 1 && first_row >= args.m)
        return;
    uint k4 = SLICES > 1 ? gl_LocalInvocationID.z * SHORT : 0, quads = args.k / 4;
    for (; k4 + SHORT <= quads; k4 += SHORT * SLICES)
        add_quads(k4, SHORT);
    if (k4 < quads)
        add_quads(k4, quads - k4);
    end_slices();
}
