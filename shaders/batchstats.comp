#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * BATCHSTATS: mean first, then the variance about it.
 */
#include "common.glsl"

layout(set = 0, binding = 0) readonly buffer X { XTYPE x[]; };
layout(set = 0, binding = 1) readonly buffer Gain { XTYPE gain[]; };
layout(set = 0, binding = 2) readonly buffer Bias { XTYPE bias[]; };
layout(set = 0, binding = 3) writeonly buffer Stats { float stats[]; };

layout(push_constant) uniform Args { rows_args args; };

#include "columns.glsl"

void main()
{
    uint channel = gl_GlobalInvocationID.x, own = min(channel, args.c - 1);
    float sum = 0.0, squares = 0.0;
    for (uint row = gl_LocalInvocationID.y; row < args.rows; row += HEIGHT)
        sum += float(x[row * args.c + own]);
    float mean = column_sum(sum) / float(args.rows);
    for (uint row = gl_LocalInvocationID.y; row < args.rows; row += HEIGHT) {
        float distance = float(x[row * args.c + own]) - mean;
        squares += distance * distance;
    }
    float variance = column_sum(squares) / float(args.rows);
    if (channel < args.c && gl_LocalInvocationID.y == 0) {
        float rstd = 1.0 / sqrt(variance + args.epsilon);
        stats[channel] = float(gain[channel]) * rstd;
        stats[args.c + channel] = float(bias[channel]);
        stats[2 * args.c + channel] = mean;
        stats[3 * args.c + channel] = rstd;
    }
}
