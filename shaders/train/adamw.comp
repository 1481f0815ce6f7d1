#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * ADAMW updates weights and moments, and sets the gradient to zero for the next step to add to. What the values of
 * the step are is in graph/grad.h.
 */
#include "common.glsl"

layout(set = 0, binding = 0) buffer Gradient { float gradient[]; };
layout(set = 0, binding = 1) buffer Moments { vec2 moments[]; };
layout(set = 0, binding = 2) readonly buffer Step { float step_values[]; };
layout(set = 0, binding = 3) buffer W { float w[]; };

layout(push_constant) uniform Args { elements_args args; };

void main()
{
    uint all = gl_NumWorkGroups.x * gl_WorkGroupSize.x;
    for (uint i = gl_GlobalInvocationID.x; i < args.n; i += all) {
        float factor = step_values[5], rate = step_values[0], beta1 = args.values[0], beta2 = args.values[1];
        if (factor != 0.0) {
            float g = gradient[i] * factor, m = moments[i].x, v = moments[i].y;
            m = beta1 * m + (1.0 - beta1) * g;
            v = beta2 * v + (1.0 - beta2) * g * g;
            moments[i] = vec2(m, v);
            float value = w[i] * (1.0 - rate * args.values[3]);
            w[i] = value - rate * (m * step_values[1]) / (sqrt(v * step_values[2]) + args.values[2]);
        }
        gradient[i] = 0.0;
    }
}
