/* SPDX-License-Identifier: MIT
 *
 * ROWSTATS, a workgroup a row. A row of the table gives
 *     float workgroup_sum(float value)
 */
layout(set = 0, binding = 0) readonly buffer X { XTYPE x[]; };
layout(set = 0, binding = 3) writeonly buffer Stats { float stats[]; };

layout(push_constant) uniform Args { rows_args args; };

void main()
{
    for (uint row = gl_WorkGroupID.x; row < args.rows; row += gl_NumWorkGroups.x) {
        uint at = row * args.c;
        float sum = 0.0, squares = 0.0;
        for (uint i = gl_LocalInvocationID.x; i < args.c; i += gl_WorkGroupSize.x)
            sum += float(x[at + i]);
        float mean = workgroup_sum(sum) / float(args.c);
        for (uint i = gl_LocalInvocationID.x; i < args.c; i += gl_WorkGroupSize.x) {
            float distance = float(x[at + i]) - mean;
            squares += distance * distance;
        }
        float rstd = 1.0 / sqrt(workgroup_sum(squares) / float(args.c) + args.epsilon);
        if (gl_LocalInvocationID.x == 0) {
            stats[2 * row] = mean;
            stats[2 * row + 1] = rstd;
        }
    }
}
