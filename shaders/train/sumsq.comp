#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * SUMSQ adds up the squares of SUMSQ_PART values with each workgroup.
 */
#include "common.glsl"

layout(set = 0, binding = 0) readonly buffer X { float x[]; };
layout(set = 0, binding = 3) writeonly buffer Parts { float parts[]; };

layout(push_constant) uniform Args { sumsq_args args; };

#include "reduce.glsl"

void main()
{
    for (uint part = gl_WorkGroupID.x; part * SUMSQ_PART < args.n; part += gl_NumWorkGroups.x) {
        uint end = min((part + 1) * SUMSQ_PART, args.n);
        float sum = 0.0;
        for (uint i = part * SUMSQ_PART + gl_LocalInvocationID.x; i < end; i += gl_WorkGroupSize.x)
            sum += x[i] * x[i];
        sum = workgroup_sum(sum);
        if (gl_LocalInvocationID.x == 0)
            parts[args.first + part] = sum;
    }
}
