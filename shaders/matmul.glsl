/* SPDX-License-Identifier: MIT
 *
 * The tiled loop of every MATMUL row: an invocation computes ROWS rows by four columns. A row of the
 * table says how operands are read:
 *     vec4 load_w(uint at)              four columns of w at element 4 * at
 *     void load_scale(uint at)          before the first load of a block, where w has W_BLOCKS
 *     vec4 load_x(uint row, uint k4)    x[row][4 * k4 ..]
 *     float load_x1(uint row, uint k)   x[row][k], for K that is no multiple of four
 * and includes this file. CONV gives a ROW and row_of(uint) in place of the row's number.
 * The epilogue adds bias, activates, adds to the residual in `y`, and applies ReLU.
 */
#ifndef ROW
#define ROW uint
#define row_of(row) (row)
#endif
layout(constant_id = 3) const uint ROWS = 4;
layout(constant_id = 4) const uint ACTIVATION = 0;
layout(constant_id = 5) const bool BIAS = false;
layout(constant_id = 6) const bool RESIDUAL = false;
layout(constant_id = 7) const bool RELU = false;
layout(constant_id = 8) const bool WALK_ROWS = false; /* workgroups walk the rows first */

#include "activation.glsl"

void main()
{
    uvec2 group = WALK_ROWS ? gl_WorkGroupID.yx : gl_WorkGroupID.xy;
    uvec2 at = group * gl_WorkGroupSize.xy + gl_LocalInvocationID.xy;
    uint seen = at.x * 4, column = args.first_column + seen;
    uint first = args.first + at.y * ROWS;
    if (column >= args.n || first >= args.m)
        return;
#ifdef W_BLOCKS
    uint panel_k = (args.k + BLOCK - 1) / BLOCK * BLOCK;
#else
    uint panel_k = args.k;
#define load_scale(at)
#endif
    /* in units of four columns */
    uint w_at = (seen / PANEL) * panel_k * (PANEL / 4) + (seen % PANEL) / 4;

    ROW row[ROWS]; /* rows past M repeat the last one */
    vec4 sum[ROWS];
    for (uint i = 0; i < ROWS; i++) {
        row[i] = row_of(min(first + i, args.m - 1));
        sum[i] = vec4(0.0);
    }
    uint k4 = 0;
    for (; k4 < args.k / 4; k4++) {
        if (k4 % (BLOCK / 4) == 0)
            load_scale(w_at);
        vec4 w0 = load_w(w_at);
        vec4 w1 = load_w(w_at + PANEL / 4);
        vec4 w2 = load_w(w_at + 2 * (PANEL / 4));
        vec4 w3 = load_w(w_at + 3 * (PANEL / 4));
        w_at += PANEL;
        for (uint i = 0; i < ROWS; i++) {
            vec4 x = load_x(row[i], k4);
            sum[i] += x.x * w0;
            sum[i] += x.y * w1;
            sum[i] += x.z * w2;
            sum[i] += x.w * w3;
        }
    }
    for (uint k = 4 * k4; k < args.k; k++) {
        if (k % BLOCK == 0)
            load_scale(w_at);
        vec4 w = load_w(w_at);
        w_at += PANEL / 4;
        for (uint i = 0; i < ROWS; i++)
            sum[i] += load_x1(row[i], k) * w;
    }

    for (uint j = 0; j < 4; j++) {
        if (column + j >= args.n)
            break;
        float add = BIAS ? float(bias[column + j]) : 0.0;
        for (uint i = 0; i < ROWS; i++) {
            if (first + i >= args.m)
                break;
            uint at = (first + i) * args.n + column + j;
            float value = activate(ACTIVATION, sum[i][j] + add);
            if (RESIDUAL)
                value += float(y[at]);
            y[at] = XTYPE(RELU ? max(value, 0.0) : value);
        }
    }
}
