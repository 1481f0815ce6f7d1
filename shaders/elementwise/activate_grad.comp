#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * ACTIVATE_GRAD multiplies dy by the slope of the activation, of ReLU or of tanh.
 */
#include "common.glsl"

layout(set = 0, binding = 0) readonly buffer X { XTYPE x[]; };
layout(set = 0, binding = 1) readonly buffer Dy { XTYPE dy[]; };
layout(set = 0, binding = 3) writeonly buffer Dx { XTYPE dx[]; };

layout(constant_id = 3) const bool TANH = false;

layout(push_constant) uniform Args { activate_args args; };

#include "elementwise/activation.glsl"

void main()
{
    uint all = gl_NumWorkGroups.x * gl_WorkGroupSize.x;
    for (uint i = gl_GlobalInvocationID.x; i < args.n; i += all) {
        float value = float(x[i]), relu_slope = value > 0.0 ? 1.0 : 0.0;
        float reached = 1.0 - 2.0 / (1.0 + exp(2.0 * value)); /* tanh, as in activate.comp */
        if (TANH)
            dx[i] = XTYPE(float(dy[i]) * (1.0 - reached * reached));
        else
            dx[i] = XTYPE(float(dy[i]) * (args.relu != 0 ? relu_slope : slope(args.activation, value)));
    }
}
