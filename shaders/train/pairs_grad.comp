#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * PAIRS_GRAD stores the gradient of the cosines in their own place, so that only one matrix of all pairs is kept.
 */
#include "common.glsl"
#include "train/pairs.glsl"

layout(set = 0, binding = 0) readonly buffer LogitScale { float logit_scale[]; };
layout(set = 0, binding = 1) readonly buffer LogitBias { float logit_bias[]; };
layout(set = 0, binding = 3) buffer Cosines { float cosines[]; };

void main()
{
    uint all = gl_NumWorkGroups.x * gl_WorkGroupSize.x;
    float scale = exp(logit_scale[0]);
    for (uint i = gl_GlobalInvocationID.x; i < args.n * args.c; i += all) {
        bool right = i / args.c == i % args.c;
        cosines[i] = scale * pair_gradient(signed_logit(scale, logit_bias[0], cosines[i], right), right);
    }
}
