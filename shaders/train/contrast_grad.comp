#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * CONTRAST_GRAD stores the gradient of the cosines in their own place, so that only one matrix of all pairs is kept.
 */
#include "common.glsl"

layout(set = 0, binding = 0) readonly buffer Stats { float stats[]; };
layout(set = 0, binding = 1) readonly buffer LogitScale { float logit_scale[]; };
layout(set = 0, binding = 3) buffer Cosines { float cosines[]; };

layout(push_constant) uniform Args { contrast_args args; };

void main()
{
    uint all = gl_NumWorkGroups.x * gl_WorkGroupSize.x;
    for (uint i = gl_GlobalInvocationID.x; i < args.n * args.n; i += all) {
        uint row = i / args.n, column = i % args.n;
        float scale = exp(logit_scale[0]), logit = scale * cosines[i];
        float weight = exp(logit - stats[row]) + exp(logit - stats[args.n + column]);
        cosines[i] = scale * (0.5 * weight - (row == column ? 1.0 : 0.0)) / float(args.n);
    }
}
