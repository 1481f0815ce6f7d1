#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * CLIP computes the norm of all gradients and the factor that they are multiplied by, as
 * torch.nn.utils.clip_grad_norm_ does. What the values of the step are is in graph/grad.h.
 */
#include "common.glsl"

layout(set = 0, binding = 0) readonly buffer Parts { float parts[]; };
layout(set = 0, binding = 1) readonly buffer Step { float step_in[]; };
layout(set = 0, binding = 3) writeonly buffer Clipped { float step_out[]; };

layout(push_constant) uniform Args { sumsq_args args; };

#include "reduce.glsl"

void main()
{
    float sum = 0.0;
    for (uint i = gl_LocalInvocationID.x; i < args.n; i += gl_WorkGroupSize.x)
        sum += parts[i];
    float unscale = step_in[4], most = step_in[3];
    float norm = sqrt(workgroup_sum(sum)) * unscale;
    if (gl_LocalInvocationID.x < 5)
        step_out[gl_LocalInvocationID.x] = step_in[gl_LocalInvocationID.x];
    if (gl_LocalInvocationID.x == 0) {
        float factor = most > 0.0 ? min(most / (norm + 1e-6), 1.0) : 1.0;
        bool finite = norm < 3.0e38; /* false also where it is not a number */
        step_out[5] = finite ? factor * unscale : 0.0;
        step_out[6] = norm;
        step_out[7] = 0.0;
    }
}
