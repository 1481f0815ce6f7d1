/* SPDX-License-Identifier: MIT
 *
 * Defines the loop of every variant of LAYERNORM, one workgroup per row. The variance is that about the mean, because
 * the difference of two large sums would lose digits in fp32. The including file defines
 *     float workgroup_sum(float value)
 */
#include "norm/kept.glsl"

layout(set = 0, binding = 2) readonly buffer Bias { XTYPE bias[]; };
layout(set = 0, binding = 2) readonly buffer Bias4 { XVEC4 bias4[]; };
ROW_LOADER(bias)

void main()
{
    for (uint row = gl_WorkGroupID.x; row < args.rows; row += gl_NumWorkGroups.x) {
        uint first = row * C;
        vec4 sum = vec4(0.0), squares = vec4(0.0);
        keep_row(first);
        for (uint j = 0, quad = gl_LocalInvocationID.x; j < OWN; j++, quad += LANES)
            if (in_row(quad))
                sum += row_quad(first, j, quad);
        float mean = workgroup_sum(add_up(sum)) / float(C);
        for (uint j = 0, quad = gl_LocalInvocationID.x; j < OWN; j++, quad += LANES)
            if (in_row(quad)) {
                vec4 distance = cut_row(quad, row_quad(first, j, quad) - mean);
                squares += distance * distance;
            }
        float rstd = 1.0 / sqrt(workgroup_sum(add_up(squares)) / float(C) + args.epsilon);
        for (uint j = 0, quad = gl_LocalInvocationID.x; j < OWN; j++, quad += LANES)
            if (in_row(quad))
                store_y(first, quad,
                        (row_quad(first, j, quad) - mean) * rstd * load_gain(0, quad) + load_bias(0, quad));
    }
}
