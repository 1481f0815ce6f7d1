/* SPDX-License-Identifier: MIT
 *
 * Defines the loop of every variant of LAYERNORM_GRAD. A workgroup computes whole rows. The including file defines
 *     float workgroup_sum(float value)
 */
layout(push_constant) uniform Args { rows_args args; };

#include "norm/normalized.glsl"

layout(set = 0, binding = 1) readonly buffer Gain { XTYPE gain[]; };
layout(set = 0, binding = 1) readonly buffer Gain4 { XVEC4 gain4[]; };
layout(set = 0, binding = 2) readonly buffer Dy { XTYPE dy[]; };
layout(set = 0, binding = 2) readonly buffer Dy4 { XVEC4 dy4[]; };
layout(set = 0, binding = 3) buffer Dx { XTYPE dx[]; };
layout(set = 0, binding = 3) buffer Dx4 { XVEC4 dx4[]; };
ROW_LOADER(gain)
ROW_LOADER(dy)
ROW_LOADER(dx)
ROW_STORER(dx, XTYPE, XVEC4)

vec4 value[OWN];

void main()
{
    for (uint row = gl_WorkGroupID.x; row < args.rows; row += gl_NumWorkGroups.x) {
        uint first = row * C;
        float rstd = normalize_row(first);
        vec4 mean_parts = vec4(0.0), deviation_parts = vec4(0.0);
        for (uint j = 0, quad = gl_LocalInvocationID.x; j < OWN; j++, quad += LANES)
            if (in_row(quad)) {
                value[j] = load_dy(first, quad) * load_gain(0, quad);
                mean_parts += value[j];
                deviation_parts += value[j] * normalized[j];
            }
        float mean_part = workgroup_sum(add_up(mean_parts)) / float(C);
        float deviation_part = workgroup_sum(add_up(deviation_parts)) / float(C);
        for (uint j = 0, quad = gl_LocalInvocationID.x; j < OWN; j++, quad += LANES)
            if (in_row(quad)) {
                vec4 x_part = (value[j] - mean_part - normalized[j] * deviation_part) * rstd;
                store_dx(first, quad, args.add != 0 ? x_part + load_dx(first, quad) : x_part);
            }
    }
}
