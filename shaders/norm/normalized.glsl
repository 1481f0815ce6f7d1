/* SPDX-License-Identifier: MIT
 *
 * A row of x, normalized: an invocation keeps its values of it, every gl_WorkGroupSize.x-th, so that
 * it has them in registers when they are needed again. A row of the table gives
 *     float workgroup_sum(float value)
 */
layout(constant_id = 3) const uint C = 64; /* columns */
const uint OWN = (C + gl_WorkGroupSize.x - 1) / gl_WorkGroupSize.x;
float normalized[OWN];

/* For each own value j of a row: column i. */
#define EACH_OWN(j, i)                                                                             \
    for (uint j = 0, i = gl_LocalInvocationID.x; j < OWN; j++, i += gl_WorkGroupSize.x)            \
        if (C % gl_WorkGroupSize.x == 0 || i < C)

/* The row at element `at` of x; returns 1 / deviation. Mean first, then the variance about it, as fp32 wants
 * it. */
float normalize_row(uint at)
{
    float sum = 0.0, squares = 0.0;
    EACH_OWN(j, i) {
        normalized[j] = float(x[at + i]);
        sum += normalized[j];
    }
    float mean = workgroup_sum(sum) / float(C);
    EACH_OWN(j, i) {
        normalized[j] -= mean;
        squares += normalized[j] * normalized[j];
    }
    float rstd = 1.0 / sqrt(workgroup_sum(squares) / float(C) + args.epsilon);
    EACH_OWN(j, i)
        normalized[j] *= rstd;
    return rstd;
}
