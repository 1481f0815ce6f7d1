/* SPDX-License-Identifier: MIT
 *
 * Defines the loop of every variant of RMSNORM, one workgroup per row. The including file defines
 *     float workgroup_sum(float value)
 */
layout(set = 0, binding = 0) readonly buffer X { XTYPE x[]; };
layout(set = 0, binding = 1) readonly buffer Gain { XTYPE gain[]; };
layout(set = 0, binding = 3) writeonly buffer Y { XTYPE y[]; };

layout(push_constant) uniform Args { rows_args args; };

void main()
{
    for (uint row = gl_WorkGroupID.x; row < args.rows; row += gl_NumWorkGroups.x) {
        uint index = row * args.c;
        float squares = 0.0;
        for (uint i = gl_LocalInvocationID.x; i < args.c; i += gl_WorkGroupSize.x)
            squares += float(x[index + i]) * float(x[index + i]);
        float scale = 1.0 / sqrt(workgroup_sum(squares) / float(args.c) + args.epsilon);
        for (uint i = gl_LocalInvocationID.x; i < args.c; i += gl_WorkGroupSize.x)
            y[index + i] = XTYPE(float(x[index + i]) * scale * float(gain[i]));
    }
}
