#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * CAST turns values of type w into type x and keeps their layout.
 */
#include "common.glsl"

layout(set = 0, binding = 0) readonly buffer X { WTYPE x[]; };
layout(set = 0, binding = 3) writeonly buffer Y { XTYPE y[]; };

layout(push_constant) uniform Args { elements_args args; };

float load_x(uint i)
{
#ifdef W_WORDS
    return unpackHalf2x16(x[i / 2])[i % 2];
#else
    return x[i];
#endif
}

void main()
{
    uint all = gl_NumWorkGroups.x * gl_WorkGroupSize.x;
    for (uint i = gl_GlobalInvocationID.x; i < args.n; i += all) {
        y[i] = XTYPE(load_x(i));
    }
}
