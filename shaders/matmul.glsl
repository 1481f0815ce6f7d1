/* SPDX-License-Identifier: MIT
 *
 * The tiled loop of every MATMUL row: an invocation computes ROWS rows by four columns. A row of the
 * table says how operands are read:
 *     vec4 load_w(uint at)              four columns of w at element 4 * at
 *     vec4 load_x(uint row, uint k4)    x[row][4 * k4 ..], zero past K
 * and includes this file. The epilogue adds bias, activates, and adds to the residual in `y`.
 */
layout(constant_id = 3) const uint ROWS = 4;
layout(constant_id = 4) const uint ACTIVATION = 0;
layout(constant_id = 5) const bool BIAS = false;
layout(constant_id = 6) const bool RESIDUAL = false;

layout(push_constant) uniform Args { matmul_args args; };

#include "activation.glsl"

void main()
{
    uint column = gl_GlobalInvocationID.x * 4;
    uint first = gl_GlobalInvocationID.y * ROWS;
    if (column >= args.n || first >= args.m)
        return;
    uint last = args.m - 1;
    /* in units of four columns */
    uint w_at = (column / PANEL) * args.k * (PANEL / 4) + (column % PANEL) / 4;

    vec4 sum[ROWS];
    for (uint i = 0; i < ROWS; i++)
        sum[i] = vec4(0.0);
    for (uint k = 0; k < args.k; k += 4) {
        vec4 w0 = load_w(w_at);
        vec4 w1 = k + 1 < args.k ? load_w(w_at + PANEL / 4) : vec4(0.0);
        vec4 w2 = k + 2 < args.k ? load_w(w_at + 2 * (PANEL / 4)) : vec4(0.0);
        vec4 w3 = k + 3 < args.k ? load_w(w_at + 3 * (PANEL / 4)) : vec4(0.0);
        w_at += PANEL;
        for (uint i = 0; i < ROWS; i++) {
            vec4 x = load_x(min(first + i, last), k / 4); /* rows past M repeat the last one */
            sum[i] = fma(vec4(x.x), w0, sum[i]);
            sum[i] = fma(vec4(x.y), w1, sum[i]);
            sum[i] = fma(vec4(x.z), w2, sum[i]);
            sum[i] = fma(vec4(x.w), w3, sum[i]);
        }
    }

    for (uint j = 0; j < 4 && column + j < args.n; j++) {
        float add = BIAS ? float(bias[column + j]) : 0.0;
        for (uint i = 0; i < ROWS && first + i < args.m; i++) {
            uint at = (first + i) * args.n + column + j;
            float value = activate(ACTIVATION, sum[i][j] + add);
            if (RESIDUAL)
                value += float(y[at]);
            y[at] = XTYPE(value);
        }
    }
}
