/* SPDX-License-Identifier: MIT
 *
 * Defines the loop of every variant of LAYERNORM_GRAD. A workgroup computes whole rows. The including file defines
 *     float workgroup_sum(float value)
 */
layout(set = 0, binding = 0) readonly buffer X { XTYPE x[]; };
layout(set = 0, binding = 1) readonly buffer Gain { XTYPE gain[]; };
layout(set = 0, binding = 2) readonly buffer Dy { XTYPE dy[]; };
layout(set = 0, binding = 3) buffer Dx { XTYPE dx[]; };

layout(push_constant) uniform Args { rows_args args; };

#include "norm/normalized.glsl"

float value[OWN];

void main()
{
    for (uint row = gl_WorkGroupID.x; row < args.rows; row += gl_NumWorkGroups.x) {
        uint index = row * C;
        float rstd = normalize_row(index), mean_part = 0.0, deviation_part = 0.0;
        for (uint j = 0, i = gl_LocalInvocationID.x; j < OWN; j++, i += gl_WorkGroupSize.x)
            if (in_row(i)) {
                value[j] = float(dy[index + i]) * float(gain[i]);
                mean_part += value[j];
                deviation_part += value[j] * normalized[j];
            }
        mean_part = workgroup_sum(mean_part) / float(C);
        deviation_part = workgroup_sum(deviation_part) / float(C);
        for (uint j = 0, i = gl_LocalInvocationID.x; j < OWN; j++, i += gl_WorkGroupSize.x)
            if (in_row(i)) {
                float x_part = (value[j] - mean_part - normalized[j] * deviation_part) * rstd;
                dx[index + i] = XTYPE(x_part + (args.add != 0 ? float(dx[index + i]) : 0.0));
            }
    }
}
