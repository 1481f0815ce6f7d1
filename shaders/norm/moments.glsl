/* SPDX-License-Identifier: MIT
 *
 * Computes the mean and 1 / deviation of a row of x for LAYERNORM. The variance about the mean takes a second pass,
 * because the difference of two large sums would lose digits in fp32. The including file defines
 *     float workgroup_sum(float value)
 */
vec2 row_moments(uint index)
{
    float sum = 0.0, squares = 0.0;
    for (uint i = gl_LocalInvocationID.x; i < args.c; i += gl_WorkGroupSize.x)
        sum += float(x[index + i]);
    float mean = workgroup_sum(sum) / float(args.c);
    for (uint i = gl_LocalInvocationID.x; i < args.c; i += gl_WorkGroupSize.x) {
        float distance = float(x[index + i]) - mean;
        squares += distance * distance;
    }
    return vec2(mean, 1.0 / sqrt(workgroup_sum(squares) / float(args.c) + args.epsilon));
}
