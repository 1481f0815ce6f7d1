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

#include "norm/normalized.glsl"

float value[OWN];

void main()
{
    for (uint row = gl_WorkGroupID.x; row < args.rows; row += gl_NumWorkGroups.x) {
        uint at = row * C;
        float rstd = normalize_row(at), of_mean = 0.0, of_deviation = 0.0;
        EACH_OWN(j, i) {
            value[j] = float(dy[at + i]) * float(gain[i]);
            of_mean += value[j];
            of_deviation += value[j] * normalized[j];
        }
        of_mean = workgroup_sum(of_mean) / float(C);
        of_deviation = workgroup_sum(of_deviation) / float(C);
        EACH_OWN(j, i) {
            float of_x = (value[j] - of_mean - normalized[j] * of_deviation) * rstd;
            dx[at + i] = XTYPE(of_x + (args.add != 0 ? float(dx[at + i]) : 0.0));
        }
    }
}
