/* SPDX-License-Identifier: MIT
 *
 * Sums a value over a workgroup, whose invocations are a power of two, through shared memory. The order of the
 * additions is fixed, so that a run repeats to the bit.
 */
#include "workgroup.glsl"

shared float partial[LANES];

float workgroup_sum(float value)
{
    uint lane = gl_LocalInvocationID.x;
    barrier(); /* Every invocation must have read the previous sum before it is overwritten. */
    partial[lane] = value;
    for (uint half_size = LANES / 2; half_size > 0; half_size /= 2) {
        barrier();
        if (lane < half_size)
            partial[lane] += partial[lane + half_size];
    }
    barrier();
    return partial[0];
}
