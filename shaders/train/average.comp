#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * AVERAGE moves an exponential average of weights towards them, unless the step has changed nothing. What the values
 * of the step are is in graph/optimiser.h.
 */
#include "common.glsl"

layout(set = 0, binding = 0) readonly buffer W { float w[]; };
layout(set = 0, binding = 1) readonly buffer Step { float step_values[]; };
layout(set = 0, binding = 3) buffer Average { float average[]; };

layout(push_constant) uniform Args { elements_args args; };

void main()
{
    uint all = gl_NumWorkGroups.x * gl_WorkGroupSize.x;
    for (uint i = gl_GlobalInvocationID.x; i < args.n && step_values[5] != 0.0; i += all)
        average[i] += (1.0 - args.values[0]) * (w[i] - average[i]);
}
