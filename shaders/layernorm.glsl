/* SPDX-License-Identifier: MIT
 *
 * LAYERNORM, a workgroup a row: mean first, then the variance about it, as fp32 wants it. A row of the table
 * gives
 *     float workgroup_sum(float value)
 */
layout(set = 0, binding = 0) readonly buffer X { XTYPE x[]; };
layout(set = 0, binding = 1) readonly buffer Gain { XTYPE gain[]; };
layout(set = 0, binding = 2) readonly buffer Bias { XTYPE bias[]; };
layout(set = 0, binding = 3) writeonly buffer Y { XTYPE y[]; };

layout(push_constant) uniform Args { layernorm_args args; };

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
        float variance = workgroup_sum(squares) / float(args.c);
        float scale = 1.0 / sqrt(variance + args.epsilon);
        for (uint i = gl_LocalInvocationID.x; i < args.c; i += gl_WorkGroupSize.x)
            y[at + i] = XTYPE((float(x[at + i]) - mean) * scale * float(gain[i]) + float(bias[i]));
    }
}
