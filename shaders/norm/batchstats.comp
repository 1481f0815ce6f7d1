#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * BATCHSTATS computes the mean of each channel first and then the variance about it, because the difference of two
 * large sums would lose digits in fp32.
 */
#include "common.glsl"

layout(set = 0, binding = 0) readonly buffer X { XTYPE x[]; };
layout(set = 0, binding = 1) readonly buffer Gain { XTYPE gain[]; };
layout(set = 0, binding = 2) readonly buffer Bias { XTYPE bias[]; };
layout(set = 0, binding = 3) writeonly buffer Stats { float stats[]; };

layout(push_constant) uniform Args { rows_args args; };

#include "columns.glsl"

LOADER(load_x, x)

void main()
{
    uint channel = 4 * gl_GlobalInvocationID.x, left = channel < args.c ? args.c - channel : 0;
    vec4 sum = vec4(0.0), squares = vec4(0.0);
    for (uint row = gl_LocalInvocationID.y; row < args.rows && left > 0; row += HEIGHT)
        sum += load_x(row * args.c + channel, left);
    vec4 mean = column_sum(sum) / float(args.rows);
    for (uint row = gl_LocalInvocationID.y; row < args.rows && left > 0; row += HEIGHT) {
        vec4 distance = load_x(row * args.c + channel, left) - mean;
        squares += distance * distance;
    }
    vec4 variance = column_sum(squares) / float(args.rows);
    for (uint i = 0; i < min(left, 4) && gl_LocalInvocationID.y == 0; i++) {
        float rstd = 1.0 / sqrt(variance[i] + args.epsilon);
        stats[channel + i] = float(gain[channel + i]) * rstd;
        stats[args.c + channel + i] = float(bias[channel + i]);
        stats[2 * args.c + channel + i] = mean[i];
        stats[3 * args.c + channel + i] = rstd;
    }
}
