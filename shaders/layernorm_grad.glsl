/* SPDX-License-Identifier: MIT
 *
 * LAYERNORM_GRAD, a workgroup a row. A row of the table gives
 *     float workgroup_sum(float value)
 */
layout(set = 0, binding = 0) readonly buffer X { XTYPE x[]; };
layout(set = 0, binding = 1) readonly buffer Gain { XTYPE gain[]; };
layout(set = 0, binding = 2) readonly buffer Dy { XTYPE dy[]; };
layout(set = 0, binding = 3) buffer Dx { XTYPE dx[]; };

layout(push_constant) uniform Args { rows_args args; };

#include "moments.glsl"

void main()
{
    for (uint row = gl_WorkGroupID.x; row < args.rows; row += gl_NumWorkGroups.x) {
        uint at = row * args.c;
        vec2 moments = row_moments(at);
        float of_mean = 0.0, of_deviation = 0.0;
        for (uint i = gl_LocalInvocationID.x; i < args.c; i += gl_WorkGroupSize.x) {
            float value = float(dy[at + i]) * float(gain[i]);
            of_mean += value;
            of_deviation += value * (float(x[at + i]) - moments.x) * moments.y;
        }
        of_mean = workgroup_sum(of_mean) / float(args.c);
        of_deviation = workgroup_sum(of_deviation) / float(args.c);
        for (uint i = gl_LocalInvocationID.x; i < args.c; i += gl_WorkGroupSize.x) {
            float value = float(dy[at + i]) * float(gain[i]) - of_mean -
                          (float(x[at + i]) - moments.x) * moments.y * of_deviation;
            dx[at + i] = XTYPE(value * moments.y + (args.add != 0 ? float(dx[at + i]) : 0.0));
        }
    }
}
