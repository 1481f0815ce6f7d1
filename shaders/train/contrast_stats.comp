#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * CONTRAST_STATS computes the logarithm of the sum of exponentials of each row and each column of the logits, with
 * one workgroup for each.
 */
#include "common.glsl"

layout(set = 0, binding = 0) readonly buffer Cosines { float cosines[]; };
layout(set = 0, binding = 1) readonly buffer LogitScale { float logit_scale[]; };
layout(set = 0, binding = 3) writeonly buffer Stats { float stats[]; };

layout(push_constant) uniform Args { contrast_args args; };

#include "reduce.glsl"

void main()
{
    float scale = exp(logit_scale[0]);
    for (uint line = gl_WorkGroupID.x; line < 2 * args.n; line += gl_NumWorkGroups.x) {
        uint index = line < args.n ? line * args.n : line - args.n, stride = line < args.n ? 1 : args.n;
        /* Cosines are at most 1, so that no exponential overflows. */
        float sum = 0.0;
        for (uint i = gl_LocalInvocationID.x; i < args.n; i += gl_WorkGroupSize.x)
            sum += exp(scale * (cosines[index + i * stride] - 1.0));
        sum = workgroup_sum(sum);
        if (gl_LocalInvocationID.x == 0)
            stats[line] = scale + log(sum);
    }
}
