/* SPDX-License-Identifier: MIT
 *
 * Defines the loop of every variant of RMSNORM, one workgroup per row. The including file defines
 *     float workgroup_sum(float value)
 */
#include "norm/kept.glsl"

void main()
{
    for (uint row = gl_WorkGroupID.x; row < args.rows; row += gl_NumWorkGroups.x) {
        uint first = row * C;
        vec4 squares = vec4(0.0);
        keep_row(first);
        for (uint j = 0, quad = gl_LocalInvocationID.x; j < OWN; j++, quad += LANES)
            if (in_row(quad)) {
                vec4 values = row_quad(first, j, quad);
                squares += values * values;
            }
        float scale = 1.0 / sqrt(workgroup_sum(add_up(squares)) / float(C) + args.epsilon);
        for (uint j = 0, quad = gl_LocalInvocationID.x; j < OWN; j++, quad += LANES)
            if (in_row(quad))
                store_y(first, quad, row_quad(first, j, quad) * scale * load_gain(0, quad));
    }
}
