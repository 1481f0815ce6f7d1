/* SPDX-License-Identifier: MIT
 *
 * ROWSTATS, a workgroup a row. A row of the table gives
 *     float workgroup_sum(float value)
 */
layout(set = 0, binding = 0) readonly buffer X { XTYPE x[]; };
layout(set = 0, binding = 3) writeonly buffer Stats { float stats[]; };

layout(push_constant) uniform Args { rows_args args; };

#include "moments.glsl"

void main()
{
    for (uint row = gl_WorkGroupID.x; row < args.rows; row += gl_NumWorkGroups.x) {
        uint at = row * args.c;
        vec2 moments = row_moments(at);
        if (gl_LocalInvocationID.x == 0) {
            stats[2 * row] = moments.x;
            stats[2 * row + 1] = moments.y;
        }
    }
}
