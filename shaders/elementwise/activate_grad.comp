#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * ACTIVATE_GRAD multiplies dy by the slope of the activation or of ReLU.
 */
#include "common.glsl"

layout(set = 0, binding = 0) readonly buffer X { XTYPE x[]; };
layout(set = 0, binding = 1) readonly buffer Dy { XTYPE dy[]; };
layout(set = 0, binding = 3) writeonly buffer Dx { XTYPE dx[]; };

layout(push_constant) uniform Args { activate_args args; };

#include "elementwise/activation.glsl"

void main()
{
    uint all = gl_NumWorkGroups.x * gl_WorkGroupSize.x;
    for (uint i = gl_GlobalInvocationID.x; i < args.n; i += all) {
        float value = float(x[i]), relu_slope = value > 0.0 ? 1.0 : 0.0;
        dx[i] = XTYPE(float(dy[i]) * (args.relu != 0 ? relu_slope : slope(args.activation, value)));
    }
}
