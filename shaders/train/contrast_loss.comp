#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * CONTRAST_LOSS computes the share that each row has in the loss and in the gradient of logit_scale.
 */
#include "common.glsl"

layout(set = 0, binding = 0) readonly buffer Cosines { float cosines[]; };
layout(set = 0, binding = 1) readonly buffer LogitScale { float logit_scale[]; };
layout(set = 0, binding = 2) readonly buffer Stats { float stats[]; };
layout(set = 0, binding = 3) writeonly buffer Y { float y[]; };

layout(push_constant) uniform Args { contrast_args args; };

#include "reduce.glsl"

void main()
{
    float scale = exp(logit_scale[0]), n = float(args.n);
    for (uint row = gl_WorkGroupID.x; row < args.n; row += gl_NumWorkGroups.x) {
        float sum = 0.0;
        for (uint i = gl_LocalInvocationID.x; i < args.n; i += gl_WorkGroupSize.x) {
            float logit = scale * cosines[row * args.n + i];
            sum += (exp(logit - stats[row]) + exp(logit - stats[args.n + i])) * logit;
        }
        sum = workgroup_sum(sum);
        if (gl_LocalInvocationID.x == 0) {
            float diagonal = scale * cosines[row * args.n + row];
            y[2 * row] = (0.5 * (stats[row] + stats[args.n + row]) - diagonal) / n;
            y[2 * row + 1] = (0.5 * sum - diagonal) / n;
        }
    }
}
