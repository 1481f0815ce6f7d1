#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * BATCHNORM_GRAD computes the sums over each channel from which AFFINE makes the gradient of x, and the gradients
 * of gain and bias.
 */
#include "common.glsl"

layout(set = 0, binding = 0) readonly buffer X { XTYPE x[]; };
layout(set = 0, binding = 1) readonly buffer Dy { XTYPE dy[]; };
layout(set = 0, binding = 2) readonly buffer Stats { float stats[]; };
layout(set = 0, binding = 3) writeonly buffer Terms { float terms[]; };

layout(push_constant) uniform Args { rows_args args; };

#include "columns.glsl"

LOADER(load_x, x)
LOADER(load_dy, dy)
LOADER(load_stats, stats)

void main()
{
    uint channel = 4 * gl_GlobalInvocationID.x, left = channel < args.c ? args.c - channel : 0;
    uint first_channel = left > 0 ? channel : 0;
    vec4 mean = load_stats(2 * args.c + first_channel, left), rstd = load_stats(3 * args.c + first_channel, left);
    vec4 sum = vec4(0.0), product = vec4(0.0);
    for (uint row = gl_LocalInvocationID.y; row < args.rows && left > 0; row += HEIGHT) {
        vec4 values = load_dy(row * args.c + channel, left);
        sum += values;
        product += values * (load_x(row * args.c + channel, left) - mean) * rstd;
    }
    sum = column_sum(sum);
    product = column_sum(product);
    for (uint i = 0; i < min(left, 4) && gl_LocalInvocationID.y == 0; i++) {
        float scale = stats[channel + i];
        terms[channel + i] = scale;
        /* The gradient that reaches x through the mean and the deviation. */
        float through = args.frozen != 0 ? 0.0 : -scale / float(args.rows);
        terms[args.c + channel + i] = through * rstd[i] * product[i];
        terms[2 * args.c + channel + i] = through * sum[i];
        terms[3 * args.c + channel + i] = mean[i];
        terms[4 * args.c + channel + i] = product[i];
        terms[5 * args.c + channel + i] = sum[i];
    }
}
