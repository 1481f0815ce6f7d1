#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * ACTIVATE_GRAD.
 */
#include "common.glsl"

layout(set = 0, binding = 0) readonly buffer X { XTYPE x[]; };
layout(set = 0, binding = 1) readonly buffer Dy { XTYPE dy[]; };
layout(set = 0, binding = 3) writeonly buffer Dx { XTYPE dx[]; };

layout(push_constant) uniform Args { activate_args args; };

#include "activation.glsl"

float slope(float x)
{
    if (args.relu != 0)
        return x > 0.0 ? 1.0 : 0.0;
    if (args.activation == ACTIVATION_QUICK_GELU) {
        float s = 1.0 / (1.0 + exp(-1.702 * x));
        return s * (1.0 + 1.702 * x * (1.0 - s));
    }
    return 0.5 * (1.0 + erf_of(x * 0.70710678118654752)) + x * 0.3989422804014327 * exp(-0.5 * x * x);
}

void main()
{
    uint all = gl_NumWorkGroups.x * gl_WorkGroupSize.x;
    for (uint i = gl_GlobalInvocationID.x; i < args.n; i += all) {
        dx[i] = XTYPE(float(dy[i]) * slope(float(x[i])));
    }
}
