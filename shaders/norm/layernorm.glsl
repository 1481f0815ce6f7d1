/* SPDX-License-Identifier: MIT
 *
 * LAYERNORM, a workgroup a row. A row of the table gives
 *     float workgroup_sum(float value)
 */
layout(set = 0, binding = 0) readonly buffer X { XTYPE x[]; };
layout(set = 0, binding = 1) readonly buffer Gain { XTYPE gain[]; };
layout(set = 0, binding = 2) readonly buffer Bias { XTYPE bias[]; };
layout(set = 0, binding = 3) writeonly buffer Y { XTYPE y[]; };

layout(push_constant) uniform Args { rows_args args; };

#include "norm/moments.glsl"

void main()
{
    for (uint row = gl_WorkGroupID.x; row < args.rows; row += gl_NumWorkGroups.x) {
        uint at = row * args.c;
        vec2 moments = row_moments(at);
        for (uint i = gl_LocalInvocationID.x; i < args.c; i += gl_WorkGroupSize.x)
            y[at + i] = XTYPE((float(x[at + i]) - moments.x) * moments.y * float(gain[i]) + float(bias[i]));
    }
}
