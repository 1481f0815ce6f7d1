#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * ACTIVATE applies an activation, ReLU or tanh. Training has it as an op of its own, because the gradient needs the
 * activation's argument.
 */
#include "common.glsl"

layout(set = 0, binding = 0) readonly buffer X { XTYPE x[]; };
layout(set = 0, binding = 3) writeonly buffer Y { XTYPE y[]; };

layout(constant_id = 3) const bool TANH = false;

layout(push_constant) uniform Args { activate_args args; };

#include "elementwise/activation.glsl"

void main()
{
    uint all = gl_NumWorkGroups.x * gl_WorkGroupSize.x;
    for (uint i = gl_GlobalInvocationID.x; i < args.n; i += all) {
        float value = float(x[i]);
        if (TANH) /* The built-in function overflows on some devices. */
            y[i] = XTYPE(1.0 - 2.0 / (1.0 + exp(2.0 * value)));
        else
            y[i] = XTYPE(args.relu != 0 ? max(value, 0.0) : activate(args.activation, value));
    }
}
