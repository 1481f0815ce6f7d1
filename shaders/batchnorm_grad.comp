#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * BATCHNORM_GRAD: the sums over a channel that its gradients are made of.
 */
#include "common.glsl"

layout(set = 0, binding = 0) readonly buffer X { XTYPE x[]; };
layout(set = 0, binding = 1) readonly buffer Dy { XTYPE dy[]; };
layout(set = 0, binding = 2) readonly buffer Stats { float stats[]; };
layout(set = 0, binding = 3) writeonly buffer Of { float of[]; };

layout(push_constant) uniform Args { rows_args args; };

#include "columns.glsl"

void main()
{
    uint channel = gl_GlobalInvocationID.x, own = min(channel, args.c - 1);
    float scale = stats[own], mean = stats[2 * args.c + own], rstd = stats[3 * args.c + own];
    float sum = 0.0, product = 0.0;
    for (uint row = gl_LocalInvocationID.y; row < args.rows; row += HEIGHT) {
        float value = float(dy[row * args.c + own]);
        sum += value;
        product += value * (float(x[row * args.c + own]) - mean) * rstd;
    }
    sum = column_sum(sum);
    product = column_sum(product);
    if (channel < args.c && gl_LocalInvocationID.y == 0) {
        of[channel] = scale;
        of[args.c + channel] = -scale * rstd * product / float(args.rows);
        of[2 * args.c + channel] = -scale * sum / float(args.rows);
        of[3 * args.c + channel] = mean;
        of[4 * args.c + channel] = product;
        of[5 * args.c + channel] = sum;
    }
}
