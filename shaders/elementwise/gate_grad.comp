#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * GATE_GRAD computes the gradients of both halves of GATE's rows.
 */
#include "common.glsl"

layout(set = 0, binding = 0) readonly buffer X { XTYPE x[]; };
layout(set = 0, binding = 1) readonly buffer Dy { XTYPE dy[]; };
layout(set = 0, binding = 3) writeonly buffer Dx { XTYPE dx[]; };

layout(push_constant) uniform Args { gate_args args; };

#include "elementwise/gate.glsl"

void main()
{
    uint all = gl_NumWorkGroups.x * gl_WorkGroupSize.x;
    for (uint i = gl_GlobalInvocationID.x; i < args.n; i += all) {
        uint index = i + i / args.c * args.c;
        float gate = float(x[index]), value = float(x[index + args.c]), gradient = float(dy[i]);
        dx[index] = XTYPE(gradient * value * gate_slope(args.activation, gate));
        dx[index + args.c] = XTYPE(gradient * open_gate(args.activation, gate));
    }
}
