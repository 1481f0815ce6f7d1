/* SPDX-License-Identifier: MIT
 *
 * Mean and 1 / deviation of a row of x, for LAYERNORM: mean first, then the variance about it, as fp32 wants
 * it. A row of the table gives
 *     float workgroup_sum(float value)
 */
vec2 row_moments(uint at)
{
    float sum = 0.0, squares = 0.0;
    for (uint i = gl_LocalInvocationID.x; i < args.c; i += gl_WorkGroupSize.x)
        sum += float(x[at + i]);
    float mean = workgroup_sum(sum) / float(args.c);
    for (uint i = gl_LocalInvocationID.x; i < args.c; i += gl_WorkGroupSize.x) {
        float distance = float(x[at + i]) - mean;
        squares += distance * distance;
    }
    return vec2(mean, 1.0 / sqrt(workgroup_sum(squares) / float(args.c) + args.epsilon));
}
