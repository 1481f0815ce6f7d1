#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * NORMALIZE_GRAD removes the part of dy along x, since the length of x does not change the result. Each row has one
 * workgroup.
 */
#include "common.glsl"

layout(set = 0, binding = 0) readonly buffer X { XTYPE x[]; };
layout(set = 0, binding = 1) readonly buffer Dy { XTYPE dy[]; };
layout(set = 0, binding = 3) writeonly buffer Dx { XTYPE dx[]; };

layout(push_constant) uniform Args { rows_args args; };

#include "reduce.glsl"

void main()
{
    for (uint row = gl_WorkGroupID.x; row < args.rows; row += gl_NumWorkGroups.x) {
        uint index = row * args.c;
        float squares = 0.0, product = 0.0;
        for (uint i = gl_LocalInvocationID.x; i < args.c; i += gl_WorkGroupSize.x) {
            squares += float(x[index + i]) * float(x[index + i]);
            product += float(x[index + i]) * float(dy[index + i]);
        }
        float norm = max(sqrt(workgroup_sum(squares)), 1e-12);
        product = workgroup_sum(product) / (norm * norm);
        for (uint i = gl_LocalInvocationID.x; i < args.c; i += gl_WorkGroupSize.x)
            dx[index + i] = XTYPE((float(dy[index + i]) - product * float(x[index + i])) / norm);
    }
}
