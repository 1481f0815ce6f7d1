/* SPDX-License-Identifier: MIT
 *
 * Normalizes a row of x. An invocation keeps its own values of the row, every LANES-th, in registers
 * until they are needed again. The including file defines
 *     float workgroup_sum(float value)
 */
#include "workgroup.glsl"

layout(constant_id = 3) const uint C = 64; /* columns of x */
const uint OWN = (C + LANES - 1) / LANES;
float normalized[OWN];

/* Tells whether column i is in the row, because the last of an invocation's columns may lie past the row's end. */
#define in_row(i) (C % LANES == 0 || (i) < C)

/* Normalizes the row that begins with element `index` of x, and returns 1 / deviation. The variance is that about the
 * mean, because the difference of two large sums would lose digits in fp32. */
float normalize_row(uint index)
{
    float sum = 0.0, squares = 0.0;
    for (uint j = 0, i = gl_LocalInvocationID.x; j < OWN; j++, i += LANES)
        if (in_row(i)) {
            normalized[j] = float(x[index + i]);
            sum += normalized[j];
        }
    float mean = workgroup_sum(sum) / float(C);
    for (uint j = 0, i = gl_LocalInvocationID.x; j < OWN; j++, i += LANES)
        if (in_row(i)) {
            normalized[j] -= mean;
            squares += normalized[j] * normalized[j];
        }
    float rstd = 1.0 / sqrt(workgroup_sum(squares) / float(C) + args.epsilon);
    for (uint j = 0, i = gl_LocalInvocationID.x; j < OWN; j++, i += LANES)
        if (in_row(i))
            normalized[j] *= rstd;
    return rstd;
}
