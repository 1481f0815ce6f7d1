#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * SELECT copies one token of each item: the class token, or the one that `rows` names, which is the end of a text.
 */
#include "common.glsl"

layout(set = 0, binding = 0) readonly buffer X { XTYPE x[]; };
layout(set = 0, binding = 1) readonly buffer Rows { int rows[]; };
layout(set = 0, binding = 3) writeonly buffer Y { XTYPE y[]; };

layout(push_constant) uniform Args { select_args args; };

void main()
{
    uint all = gl_NumWorkGroups.x * gl_WorkGroupSize.x;
    for (uint i = gl_GlobalInvocationID.x; i < args.b * args.c; i += all) {
        uint item = i / args.c;
        uint row = args.by_rows != 0 ? min(uint(rows[item]), args.t - 1) : 0;
        y[i] = x[(item * args.t + row) * args.c + i % args.c];
    }
}
