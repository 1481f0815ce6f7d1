#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * ADD adds two tensors of one shape.
 */
#include "common.glsl"

layout(set = 0, binding = 0) readonly buffer A { XTYPE a[]; };
layout(set = 0, binding = 1) readonly buffer B { XTYPE b[]; };
layout(set = 0, binding = 3) writeonly buffer Y { XTYPE y[]; };

layout(push_constant) uniform Args { elements_args args; };

void main()
{
    uint all = gl_NumWorkGroups.x * gl_WorkGroupSize.x;
    for (uint i = gl_GlobalInvocationID.x; i < args.n; i += all) {
        y[i] = XTYPE(float(a[i]) + float(b[i]));
    }
}
