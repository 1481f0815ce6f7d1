#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * GATE multiplies the second half of each row by the activation of its first half (Shazeer 2020, "GLU Variants").
 */
#include "common.glsl"

layout(set = 0, binding = 0) readonly buffer X { XTYPE x[]; };
layout(set = 0, binding = 3) writeonly buffer Y { XTYPE y[]; };

layout(push_constant) uniform Args { gate_args args; };

#include "elementwise/gate.glsl"

void main()
{
    uint all = gl_NumWorkGroups.x * gl_WorkGroupSize.x;
    for (uint i = gl_GlobalInvocationID.x; i < args.n; i += all) {
        uint index = i + i / args.c * args.c;
        y[i] = XTYPE(open_gate(args.activation, float(x[index])) * float(x[index + args.c]));
    }
}
