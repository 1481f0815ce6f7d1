#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * NORMALIZE divides each row by its length, one workgroup per row. A row of zeros stays zero, because lengths are
 * at least 1e-12, as in torch.nn.functional.normalize.
 */
#include "common.glsl"

layout(set = 0, binding = 0) readonly buffer X { XTYPE x[]; };
layout(set = 0, binding = 3) writeonly buffer Y { XTYPE y[]; };

layout(push_constant) uniform Args { rows_args args; };

#include "reduce.glsl"

void main()
{
    for (uint row = gl_WorkGroupID.x; row < args.rows; row += gl_NumWorkGroups.x) {
        uint index = row * args.c;
        float squares = 0.0;
        for (uint i = gl_LocalInvocationID.x; i < args.c; i += gl_WorkGroupSize.x)
            squares += float(x[index + i]) * float(x[index + i]);
        float norm = max(sqrt(workgroup_sum(squares)), 1e-12);
        for (uint i = gl_LocalInvocationID.x; i < args.c; i += gl_WorkGroupSize.x)
            y[index + i] = XTYPE(float(x[index + i]) / norm);
    }
}
