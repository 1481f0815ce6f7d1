/* SPDX-License-Identifier: MIT
 *
 * Defines the loop of every variant of LAYERNORM_SUMS: a workgroup adds up the gradients of gain and bias over
 * LAYERNORM_ROWS rows. COLSUM adds up these shares. The including file defines
 *     float workgroup_sum(float value)
 */
layout(push_constant) uniform Args { rows_args args; };

#include "norm/normalized.glsl"

layout(set = 0, binding = 1) readonly buffer Dy { XTYPE dy[]; };
layout(set = 0, binding = 1) readonly buffer Dy4 { XVEC4 dy4[]; };
layout(set = 0, binding = 3) writeonly buffer Sums { float sums[]; };
layout(set = 0, binding = 3) writeonly buffer Sums4 { vec4 sums4[]; };
ROW_LOADER(dy)
ROW_STORER(sums, float, vec4)

vec4 dgain[OWN], dbias[OWN];

void main()
{
    uint groups = (args.rows + LAYERNORM_ROWS - 1) / LAYERNORM_ROWS;
    for (uint group = gl_WorkGroupID.x; group < groups; group += gl_NumWorkGroups.x) {
        for (uint j = 0; j < OWN; j++)
            dgain[j] = dbias[j] = vec4(0.0);
        uint end = min((group + 1) * LAYERNORM_ROWS, args.rows);
        for (uint row = group * LAYERNORM_ROWS; row < end; row++) {
            normalize_row(row * C);
            for (uint j = 0, quad = gl_LocalInvocationID.x; j < OWN; j++, quad += LANES)
                if (in_row(quad)) {
                    vec4 value = load_dy(row * C, quad);
                    dgain[j] += value * normalized[j];
                    dbias[j] += value;
                }
        }
        for (uint j = 0, quad = gl_LocalInvocationID.x; j < OWN; j++, quad += LANES)
            if (in_row(quad)) {
                store_sums(2 * group * C, quad, dgain[j]);
                store_sums((2 * group + 1) * C, quad, dbias[j]);
            }
    }
}
