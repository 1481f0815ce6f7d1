/* SPDX-License-Identifier: MIT
 *
 * Defines the loop of every variant of OUTER. An invocation adds up ROWS rows of the result by COLS quads of it,
 * over the rows of dy and x, whose values lie side by side along the result's rows and columns. The including file
 * defines
 *     vec4 load_dy(uint index, uint left)    four values of dy from element `index`, zero from `left` on
 *     vec4 load_x(uint index, uint left)     four values of x from element `index`, zero from `left` on
 *     float load_dy1(uint index)             one value of dy
 * With SUBGROUP a workgroup is one subgroup: its lanes load one value of dy each and broadcast them one by one. ROWS is
 * a multiple of its lanes, and load_dy is not needed. With BROADCAST a workgroup is one subgroup too, whose lanes
 * broadcast quads of dy; ROWS is 32 at most.
 */
#include "workgroup.glsl"

layout(constant_id = 3) const uint ROWS = 4; /* a multiple of four */
layout(constant_id = 4) const uint COLS = 1;
layout(constant_id = 5) const bool CONV = false;
/* Whether rows consist of whole quads: K (C of a CONV), and N where load_dy is used, are multiples of four. */
layout(constant_id = 6) const bool QUADS = false;
/* Whether the sums of dy's columns, the gradient of a bias, are added to dbias too. */
layout(constant_id = 7) const bool BIAS = false;
layout(constant_id = 8) const uint STORED_ROWS = 0; /* as in matmul/tile.glsl */

layout(set = 0, binding = 2) buffer Dbias { float dbias[]; };
layout(set = 0, binding = 3) buffer Y { float y[]; };
layout(set = 0, binding = 3) buffer Y4 { vec4 y4[]; };

layout(push_constant) uniform Args { outer_args args; };

vec4 sum[ROWS][COLS];

#include "lanes.glsl"
#include "matmul/panels.glsl"
#include "matmul/pixels.glsl"

/* Returns four values of a row of a CONV's implicit matrix. */
vec4 load_conv(uint m, uint k)
{
    uint channels = args.k / 9, pixel;
    ROW row = row_of(m);
    if (channels % 4 == 0) {
        bool inside = pixel_at(row, k / channels, pixel);
        vec4 values = load_x(pixel * channels + k % channels, 4);
        return inside ? values : vec4(0.0);
    }
    vec4 values = vec4(0.0);
    for (uint i = 0; i < 4; i++)
        if (k + i < args.k && pixel_at(row, (k + i) / channels, pixel))
            values[i] = load_x(pixel * channels + (k + i) % channels, 1).x;
    return values;
}

/* DEPTH rows of dy and x are added at once. The sums do not all fit into registers, and each of them is read and
 * written only once per DEPTH rows. */
const uint DEPTH = 4;
vec4 x[DEPTH][COLS];

/* In the workgroups that have the result's first columns, an invocation adds up this many columns of dy for dbias. */
const uint BIAS_COLS = (ROWS + LANES - 1) / LANES;
float column_sum[BIAS_COLS];

/* Each variant has its own copy of dy, and its own way to broadcast it. BIAS_DY is the value of dy in row d for
 * column i of BIAS_COLS, which SUBGROUP has loaded already. */
#if defined(SUBGROUP)
#define LANE gl_SubgroupInvocationID /* whose value subgroupBroadcast hands out */
float dy[DEPTH][BIAS_COLS];
#define BIAS_DY(d, i, index) dy[d][i]
#define BROADCAST_LANE(lane)                                                                                          \
    for (uint i = 0; i < ROWS / LANES; i++)                                                                            \
        for (uint d = 0; d < DEPTH; d++) {                                                                             \
            float value = subgroupBroadcast(dy[d][i], lane);                                                           \
            for (uint j = 0; j < COLS; j++)                                                                            \
                sum[i * LANES + lane][j] = fma(vec4(value), x[d][j], sum[i * LANES + lane][j]);                        \
        }
#elif defined(BROADCAST)
#define LANE gl_LocalInvocationID.x
const uint DY_QUADS = DEPTH * ROWS / 4, READS = (DY_QUADS + LANES - 1) / LANES;
vec4 dy[READS];
#define BIAS_DY(d, i, index) load_dy1(index)
#define BROADCAST_LANE(lane)                                                                                          \
    if (lane < LANES && i * LANES + lane < DY_QUADS) {                                                                 \
        uint n = (i * LANES + lane) / DEPTH * 4, d = (i * LANES + lane) % DEPTH;                                       \
        vec4 value = subgroupBroadcast(dy[i], lane);                                                                   \
        for (uint c = 0; c < 4; c++)                                                                                   \
            for (uint j = 0; j < COLS; j++)                                                                            \
                sum[n + c][j] = fma(vec4(value[c]), x[d][j], sum[n + c][j]);                                           \
    }
#else
#define LANE gl_LocalInvocationID.x
#define BIAS_DY(d, i, index) load_dy1(index)
#endif

/* Stores quad k4 of row n of the result, or adds to it. Nothing is stored outside the result. */
void end_quad(uint n, uint k4, uint quads, vec4 total)
{
    if (n >= args.n || k4 >= quads)
        return;
    uint index = args.panels != 0 ? panel_quad(n, k4, quads) * 4 : n * args.k + 4 * k4;
    uint left = args.panels != 0 ? 4 : min(4, args.k - 4 * k4);
    if (QUADS)
        y4[index / 4] = args.add != 0 ? y4[index / 4] + total : total;
    for (uint l = 0; l < 4 && !QUADS; l++)
        if (l < left)
            y[index + l] = args.add != 0 ? y[index + l] + total[l] : total[l];
}

/* The result is stored as by end_tile of matmul/tile.glsl. */
void main()
{
    uint first_n = (gl_WorkGroupID.y * gl_WorkGroupSize.y + gl_LocalInvocationID.y) * ROWS;
    uint quads = (args.k + 3) / 4, first_quad = gl_WorkGroupID.x * LANES * COLS + gl_LocalInvocationID.x;
    if (first_n >= args.n)
        return;
    uint quad[COLS], last = (args.n + 3) / 4 - 1; /* loads past the end repeat the last quad */
    for (uint j = 0; j < COLS; j++) {
        quad[j] = min(first_quad + j * LANES, quads - 1);
        for (uint i = 0; i < ROWS; i++)
            sum[i][j] = vec4(0.0);
    }
    uint bias_n = first_n + LANE;
    for (uint i = 0; i < BIAS_COLS; i++)
        column_sum[i] = 0.0;
    uint end = args.first + args.rows;
    for (uint m = args.first; m < end; m += DEPTH) {
        for (uint d = 0; d < DEPTH; d++)
            for (uint j = 0; j < COLS; j++) {
                uint row = min(m + d, end - 1);
                vec4 values = CONV ? load_conv(row, 4 * quad[j])
                                   : load_x(row * args.k + 4 * quad[j], args.k - 4 * quad[j]);
                x[d][j] = m + d < end ? values : vec4(0.0);
            }
#if defined(SUBGROUP)
        for (uint d = 0; d < DEPTH; d++)
            for (uint i = 0; i < ROWS / LANES; i++)
                dy[d][i] = load_dy1(min(m + d, end - 1) * args.n +
                                    min(first_n + i * LANES + LANE, args.n - 1));
        BROADCAST_4(0)
        if (LANES >= 8) {
            BROADCAST_4(4)
        }
        if (LANES >= 16) {
            BROADCAST_4(8) BROADCAST_4(12)
        }
        if (LANES >= 32) {
            BROADCAST_16(16)
        }
        if (LANES >= 64) {
            BROADCAST_16(32) BROADCAST_16(48)
        }
#elif defined(BROADCAST)
        for (uint i = 0; i < READS; i++) {
            uint part = i * LANES + gl_SubgroupInvocationID;
            uint n = 4 * min(first_n / 4 + part / DEPTH, last);
            dy[i] = load_dy(min(m + part % DEPTH, end - 1) * args.n + n, args.n - n);
        }
        for (uint i = 0; i < READS; i++) {
            BROADCAST_16(0u) BROADCAST_16(16u)
        }
#else
        for (uint i = 0; i < ROWS / 4; i++) {
            uint n = 4 * min(first_n / 4 + i, last);
            for (uint d = 0; d < DEPTH; d++) {
                vec4 dy = load_dy(min(m + d, end - 1) * args.n + n, args.n - n);
                for (uint j = 0; j < COLS; j++) {
                    sum[4 * i][j] = fma(vec4(dy.x), x[d][j], sum[4 * i][j]);
                    sum[4 * i + 1][j] = fma(vec4(dy.y), x[d][j], sum[4 * i + 1][j]);
                    sum[4 * i + 2][j] = fma(vec4(dy.z), x[d][j], sum[4 * i + 2][j]);
                    sum[4 * i + 3][j] = fma(vec4(dy.w), x[d][j], sum[4 * i + 3][j]);
                }
            }
        }
#endif
        if (BIAS && gl_WorkGroupID.x == 0)
            for (uint d = 0; d < DEPTH; d++)
                for (uint i = 0; i < BIAS_COLS; i++) {
                    float value = BIAS_DY(d, i, min(m + d, end - 1) * args.n + min(bias_n + i * LANES, args.n - 1));
                    column_sum[i] += m + d < end ? value : 0.0;
                }
    }
    if (BIAS && gl_WorkGroupID.x == 0)
        for (uint i = 0; i < BIAS_COLS; i++)
            if (i * LANES + LANE < ROWS && bias_n + i * LANES < args.n)
                dbias[bias_n + i * LANES] += column_sum[i];
    for (uint i = 0; i < ROWS && STORED_ROWS == 0; i++)
        for (uint j = 0; j < COLS; j++)
            end_quad(first_n + i, first_quad + j * LANES, quads, sum[i][j]);
    [[dont_unroll]] for (uint first = 0; first < ROWS && STORED_ROWS > 0; first += STORED_ROWS)
        for (uint i = 0; i < STORED_ROWS; i++)
            for (uint j = 0; j < COLS; j++) {
                vec4 total = sum[i][j];
                for (uint r = i + STORED_ROWS; r < ROWS; r += STORED_ROWS)
                    total = r == first + i ? sum[r][j] : total;
                end_quad(first_n + first + i, first_quad + j * LANES, quads, total);
            }
}
