#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * NORMALIZE, a workgroup a row. A row of zeros stays zero (torch.nn.functional.normalize's 1e-12).
 */
#include "common.glsl"

layout(set = 0, binding = 0) readonly buffer X { XTYPE x[]; };
layout(set = 0, binding = 3) writeonly buffer Y { XTYPE y[]; };

layout(push_constant) uniform Args { rows_args args; };

#include "reduce.glsl"

void main()
{
    for (uint row = gl_WorkGroupID.x; row < args.rows; row += gl_NumWorkGroups.x) {
        uint at = row * args.c;
        float squares = 0.0;
        for (uint i = gl_LocalInvocationID.x; i < args.c; i += gl_WorkGroupSize.x)
            squares += float(x[at + i]) * float(x[at + i]);
        float norm = max(sqrt(workgroup_sum(squares)), 1e-12);
        for (uint i = gl_LocalInvocationID.x; i < args.c; i += gl_WorkGroupSize.x)
            y[at + i] = XTYPE(float(x[at + i]) / norm);
    }
}
