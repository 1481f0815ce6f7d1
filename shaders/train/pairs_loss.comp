#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * PAIRS_LOSS computes the share that each row has in the sigmoid loss and in the gradients of logit_scale and
 * logit_bias.
 */
#include "common.glsl"
#include "train/pairs.glsl"

layout(set = 0, binding = 0) readonly buffer Cosines { float cosines[]; };
layout(set = 0, binding = 1) readonly buffer LogitScale { float logit_scale[]; };
layout(set = 0, binding = 2) readonly buffer LogitBias { float logit_bias[]; };
layout(set = 0, binding = 3) writeonly buffer Y { float y[]; };

#include "reduce.glsl"

/* Returns log(1 + exp(-x)). Nearly all pairs of a batch have a large x, where 1 + exp(-x) would round their loss
 * away, so that a small exponential takes a series. */
float pair_loss(float x)
{
    float small = exp(-abs(x));
    float rest = small < 0.03 ? small * (1.0 - small * (0.5 - small * (1.0 / 3.0 - small * 0.25))) : log(1.0 + small);
    return max(-x, 0.0) + rest;
}

void main()
{
    float scale = exp(logit_scale[0]), bias = logit_bias[0];
    for (uint row = gl_WorkGroupID.x; row < args.n; row += gl_NumWorkGroups.x) {
        float loss = 0.0, of_scale = 0.0, of_bias = 0.0;
        for (uint i = gl_LocalInvocationID.x; i < args.c; i += gl_WorkGroupSize.x) {
            float cosine = cosines[row * args.c + i], x = signed_logit(scale, bias, cosine, i == row);
            float gradient = pair_gradient(x, i == row);
            loss += pair_loss(x);
            of_scale += gradient * scale * cosine;
            of_bias += gradient;
        }
        loss = workgroup_sum(loss);
        of_scale = workgroup_sum(of_scale);
        of_bias = workgroup_sum(of_bias);
        if (gl_LocalInvocationID.x == 0) {
            y[3 * row] = loss / float(args.c);
            y[3 * row + 1] = of_scale;
            y[3 * row + 2] = of_bias;
        }
    }
}
