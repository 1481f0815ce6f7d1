#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * SELECT_GRAD stores zeros except for the token that was selected.
 */
#include "common.glsl"

layout(set = 0, binding = 0) readonly buffer Dy { XTYPE dy[]; };
layout(set = 0, binding = 1) readonly buffer Rows { int rows[]; };
layout(set = 0, binding = 3) writeonly buffer Dx { XTYPE dx[]; };

layout(push_constant) uniform Args { elements_args args; };

void main()
{
    uint all = gl_NumWorkGroups.x * gl_WorkGroupSize.x;
    for (uint i = gl_GlobalInvocationID.x; i < args.n; i += all) {
        uint token = i / args.c, item = token / args.t;
        uint row = args.by_rows != 0 ? min(uint(rows[item]), args.t - 1) : 0;
        dx[i] = XTYPE(token == item * args.t + row ? float(dy[(item - token) * args.c + i]) : 0.0);
    }
}
