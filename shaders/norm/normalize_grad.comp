#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * NORMALIZE_GRAD, a workgroup a row.
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
        uint at = row * args.c;
        float squares = 0.0, along = 0.0;
        for (uint i = gl_LocalInvocationID.x; i < args.c; i += gl_WorkGroupSize.x) {
            squares += float(x[at + i]) * float(x[at + i]);
            along += float(x[at + i]) * float(dy[at + i]);
        }
        float norm = max(sqrt(workgroup_sum(squares)), 1e-12);
        along = workgroup_sum(along) / (norm * norm);
        for (uint i = gl_LocalInvocationID.x; i < args.c; i += gl_WorkGroupSize.x)
            dx[at + i] = XTYPE((float(dy[at + i]) - along * float(x[at + i])) / norm);
    }
}
