/* SPDX-License-Identifier: MIT
 *
 * Defines the loop of every variant of LAYERNORM_SUMS: a workgroup adds up the gradients of gain and bias over
 * LAYERNORM_ROWS rows. COLSUM adds up these shares. The including file defines
 *     float workgroup_sum(float value)
 */
layout(set = 0, binding = 0) readonly buffer X { XTYPE x[]; };
layout(set = 0, binding = 1) readonly buffer Dy { XTYPE dy[]; };
layout(set = 0, binding = 3) writeonly buffer Sums { float sums[]; };

layout(push_constant) uniform Args { rows_args args; };

#include "norm/normalized.glsl"

float dgain[OWN], dbias[OWN];

void main()
{
    uint groups = (args.rows + LAYERNORM_ROWS - 1) / LAYERNORM_ROWS;
    for (uint group = gl_WorkGroupID.x; group < groups; group += gl_NumWorkGroups.x) {
        for (uint j = 0, i = gl_LocalInvocationID.x; j < OWN; j++, i += gl_WorkGroupSize.x)
            if (in_row(i))
                dgain[j] = dbias[j] = 0.0;
        uint end = min((group + 1) * LAYERNORM_ROWS, args.rows);
        for (uint row = group * LAYERNORM_ROWS; row < end; row++) {
            normalize_row(row * C);
            for (uint j = 0, i = gl_LocalInvocationID.x; j < OWN; j++, i += gl_WorkGroupSize.x)
                if (in_row(i)) {
                    float value = float(dy[row * C + i]);
                    dgain[j] += value * normalized[j];
                    dbias[j] += value;
                }
        }
        for (uint j = 0, i = gl_LocalInvocationID.x; j < OWN; j++, i += gl_WorkGroupSize.x)
            if (in_row(i)) {
                sums[2 * group * C + i] = dgain[j];
                sums[(2 * group + 1) * C + i] = dbias[j];
            }
    }
}
