/* SPDX-License-Identifier: MIT
 *
 * Sum over a workgroup of a power of two invocations, through shared memory: the order is fixed, so
 * that a run repeats to the bit.
 */
shared float partial[gl_WorkGroupSize.x];

float workgroup_sum(float value)
{
    uint lane = gl_LocalInvocationID.x;
    barrier(); /* the sum before this one has been read */
    partial[lane] = value;
    for (uint half_size = gl_WorkGroupSize.x / 2; half_size > 0; half_size /= 2) {
        barrier();
        if (lane < half_size)
            partial[lane] += partial[lane + half_size];
    }
    barrier();
    return partial[0];
}
