/* SPDX-License-Identifier: MIT
 *
 * The loop of every OUTER row: an invocation adds up ROWS rows of the result by COLS quads of it, over rows of
 * dy and x, whose values lie side by side along the result's rows and columns. A row of the table gives
 *     vec4 load_dy(uint at, uint left), load_x(uint at, uint left)    four values from element `at`, zero
 *                                                                      from `left` on
 *     float load_dy1(uint at)                                          one value
 * With SUBGROUP a workgroup is one subgroup, ROWS a multiple of its lanes: they read a value of dy each and
 * hand them out one by one, and load_dy is not needed. With BROADCAST it is one too, ROWS 32 at most, and its
 * lanes hand out quads of dy.
 */
layout(constant_id = 3) const uint ROWS = 4; /* a multiple of four */
layout(constant_id = 4) const uint COLS = 1;
layout(constant_id = 5) const bool CONV = false;
layout(constant_id = 6) const bool QUADS = false; /* N, where load_dy is used, and K, of a CONV C, go by fours */
layout(constant_id = 7) const bool BIAS = false;  /* its gradient, the sums of dy's columns, is added to too */
layout(constant_id = 0) const uint LANES = 8; /* the width of a workgroup */

layout(set = 0, binding = 2) buffer Dbias { float dbias[]; };
layout(set = 0, binding = 3) buffer Y { float y[]; };
layout(set = 0, binding = 3) buffer Y4 { vec4 y4[]; };

layout(push_constant) uniform Args { outer_args args; };

vec4 sum[ROWS][COLS];

#include "lanes.glsl"
#include "matmul/panels.glsl"
#include "matmul/pixels.glsl"

/* Four values of a row of a CONV's implicit matrix. */
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
    for (uint i = 0; i < 4 && k + i < args.k; i++)
        if (pixel_at(row, (k + i) / channels, pixel))
            values[i] = load_x(pixel * channels + (k + i) % channels, 1).x;
    return values;
}

/* Rows of dy and x at once: each of the sums, more than there are registers, is read and written once for them. */
const uint DEPTH = 4;
vec4 x[DEPTH][COLS];

/* Columns of dy that an invocation of the first workgroup along the columns adds up. */
const uint OWN = (ROWS + LANES - 1) / LANES;
float column_sum[OWN];

#ifdef SUBGROUP
float dy[DEPTH][OWN];
#define OWN_DY(d, i, at) dy[d][i]
#define ADD(c)                                                                                     \
    for (uint i = 0; i < ROWS / LANES; i++)                                                        \
        for (uint d = 0; d < DEPTH; d++) {                                                         \
            float value = subgroupBroadcast(dy[d][i], c);                                          \
            for (uint j = 0; j < COLS; j++)                                                        \
                sum[i * LANES + c][j] = fma(vec4(value), x[d][j], sum[i * LANES + c][j]);          \
        }
#define ADD_ROWS(first_m, last_m)                                                                  \
    for (uint d = 0; d < DEPTH; d++)                                                               \
        for (uint i = 0; i < ROWS / LANES; i++)                                                    \
            dy[d][i] = load_dy1(min(first_m + d, last_m) * args.n +                                \
                                min(first_n + i * LANES + gl_LocalInvocationID.x, args.n - 1));    \
    ADD_4(0)                                                                                       \
    if (LANES >= 8) {                                                                              \
        ADD_4(4)                                                                                   \
    }                                                                                              \
    if (LANES >= 16) {                                                                             \
        ADD_4(8) ADD_4(12)                                                                         \
    }                                                                                              \
    if (LANES >= 32) {                                                                             \
        ADD_16(16)                                                                                 \
    }                                                                                              \
    if (LANES >= 64) {                                                                             \
        ADD_16(32) ADD_16(48)                                                                      \
    }
#elif defined(BROADCAST)
#define OWN_DY(d, i, at) load_dy1(at)
const uint DY_QUADS = DEPTH * ROWS / 4, READS = (DY_QUADS + LANES - 1) / LANES;
vec4 dy[READS];
#define ADD(lane)                                                                                  \
    if (lane < LANES && i * LANES + lane < DY_QUADS) {                                             \
        uint n = (i * LANES + lane) / DEPTH * 4, d = (i * LANES + lane) % DEPTH;                   \
        vec4 value = subgroupBroadcast(dy[i], lane);                                               \
        for (uint c = 0; c < 4; c++)                                                               \
            for (uint j = 0; j < COLS; j++)                                                        \
                sum[n + c][j] = fma(vec4(value[c]), x[d][j], sum[n + c][j]);                       \
    }
#define ADD_ROWS(first_m, last_m)                                                                  \
    for (uint i = 0; i < READS; i++) {                                                             \
        uint at = i * LANES + gl_SubgroupInvocationID;                                             \
        uint n = 4 * min(first_n / 4 + at / DEPTH, last);                                          \
        dy[i] = load_dy(min(first_m + at % DEPTH, last_m) * args.n + n, args.n - n);               \
    }                                                                                              \
    for (uint i = 0; i < READS; i++) {                                                             \
        ADD_16(0u) ADD_16(16u)                                                                     \
    }
#else
#define OWN_DY(d, i, at) load_dy1(at)
#define ADD_ROWS(first_m, last_m)                                                                  \
    for (uint i = 0; i < ROWS / 4; i++) {                                                          \
        uint n = 4 * min(first_n / 4 + i, last);                                                   \
        for (uint d = 0; d < DEPTH; d++) {                                                         \
            vec4 dy = load_dy(min(first_m + d, last_m) * args.n + n, args.n - n);                  \
            for (uint j = 0; j < COLS; j++) {                                                      \
                sum[4 * i][j] = fma(vec4(dy.x), x[d][j], sum[4 * i][j]);                           \
                sum[4 * i + 1][j] = fma(vec4(dy.y), x[d][j], sum[4 * i + 1][j]);                   \
                sum[4 * i + 2][j] = fma(vec4(dy.z), x[d][j], sum[4 * i + 2][j]);                   \
                sum[4 * i + 3][j] = fma(vec4(dy.w), x[d][j], sum[4 * i + 3][j]);                   \
            }                                                                                      \
        }                                                                                          \
    }
#endif

void main()
{
    uint first_n = (gl_WorkGroupID.y * gl_WorkGroupSize.y + gl_LocalInvocationID.y) * ROWS;
    uint quads = (args.k + 3) / 4, first_quad = gl_WorkGroupID.x * LANES * COLS + gl_LocalInvocationID.x;
    if (first_n >= args.n)
        return;
    uint quad[COLS], last = (args.n + 3) / 4 - 1; /* what lies past the end repeats the last quad */
    for (uint j = 0; j < COLS; j++) {
        quad[j] = min(first_quad + j * LANES, quads - 1);
        for (uint i = 0; i < ROWS; i++)
            sum[i][j] = vec4(0.0);
    }
    uint own_n = first_n + gl_LocalInvocationID.x;
    for (uint i = 0; i < OWN; i++)
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
        ADD_ROWS(m, end - 1)
        if (BIAS && gl_WorkGroupID.x == 0)
            for (uint d = 0; d < DEPTH; d++)
                for (uint i = 0; i < OWN; i++) {
                    float value = OWN_DY(d, i, min(m + d, end - 1) * args.n + min(own_n + i * LANES, args.n - 1));
                    column_sum[i] += m + d < end ? value : 0.0;
                }
    }
    if (BIAS && gl_WorkGroupID.x == 0)
        for (uint i = 0; i < OWN; i++)
            if (i * LANES + gl_LocalInvocationID.x < ROWS && own_n + i * LANES < args.n)
                dbias[own_n + i * LANES] += column_sum[i];
    for (uint i = 0; i < ROWS && first_n + i < args.n; i++)
        for (uint j = 0; j < COLS; j++) {
            uint n = first_n + i, k4 = first_quad + j * LANES;
            uint at = args.panels != 0 ? panel_quad(n, k4, quads) * 4
                                       : n * args.k + 4 * k4;
            uint left = k4 >= quads ? 0 : args.panels != 0 ? 4 : min(4, args.k - 4 * k4);
            if (QUADS && left != 0)
                y4[at / 4] = args.add != 0 ? y4[at / 4] + sum[i][j] : sum[i][j];
            for (uint l = 0; l < 4 && !QUADS; l++)
                if (l < left)
                    y[at + l] = args.add != 0 ? y[at + l] + sum[i][j][l] : sum[i][j][l];
        }
}
