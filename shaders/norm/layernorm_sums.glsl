/* SPDX-License-Identifier: MIT
 *
 * LAYERNORM_SUMS: shares of the gradients of gain and bias, a workgroup LAYERNORM_ROWS rows. A row of the table
 * gives
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
        EACH_OWN(j, i)
            dgain[j] = dbias[j] = 0.0;
        uint end = min((group + 1) * LAYERNORM_ROWS, args.rows);
        for (uint row = group * LAYERNORM_ROWS; row < end; row++) {
            normalize_row(row * C);
            EACH_OWN(j, i) {
                float value = float(dy[row * C + i]);
                dgain[j] += value * normalized[j];
                dbias[j] += value;
            }
        }
        EACH_OWN(j, i) {
            sums[2 * group * C + i] = dgain[j];
            sums[(2 * group + 1) * C + i] = dbias[j];
        }
    }
}
