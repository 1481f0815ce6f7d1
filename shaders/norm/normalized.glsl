/* SPDX-License-Identifier: MIT
 *
 * Normalizes a row of x for the gradients of LAYERNORM. An invocation keeps its own values of the row in registers until
 * they are needed again. The including file defines
 *     float workgroup_sum(float value)
 */
#include "norm/row.glsl"

layout(set = 0, binding = 0) readonly buffer X { XTYPE x[]; };
layout(set = 0, binding = 0) readonly buffer X4 { XVEC4 x4[]; };
ROW_LOADER(x)

vec4 normalized[OWN];

/* Normalizes the row that begins with element `first` of x, and returns 1 / deviation. The variance is that about the
 * mean, because the difference of two large sums would lose digits in fp32. */
float normalize_row(uint first)
{
    vec4 sum = vec4(0.0), squares = vec4(0.0);
    for (uint j = 0, quad = gl_LocalInvocationID.x; j < OWN; j++, quad += LANES)
        if (in_row(quad)) {
            normalized[j] = load_x(first, quad);
            sum += normalized[j];
        }
    float mean = workgroup_sum(add_up(sum)) / float(C);
    for (uint j = 0, quad = gl_LocalInvocationID.x; j < OWN; j++, quad += LANES)
        if (in_row(quad)) {
            normalized[j] = cut_row(quad, normalized[j] - mean);
            squares += normalized[j] * normalized[j];
        }
    float rstd = 1.0 / sqrt(workgroup_sum(add_up(squares)) / float(C) + args.epsilon);
    for (uint j = 0, quad = gl_LocalInvocationID.x; j < OWN; j++, quad += LANES)
        if (in_row(quad))
            normalized[j] *= rstd;
    return rstd;
}
