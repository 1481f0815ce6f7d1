/* SPDX-License-Identifier: MIT
 *
 * Sums over columns: a workgroup has neighbouring columns, and its rows of invocations take the rows of the
 * matrix in turn. The order is fixed, so that a run repeats to the bit.
 */
const uint LANES = 32, HEIGHT = 4; /* launch_columns in kernels.c */
shared float parts[HEIGHT][LANES];

/* Of one value an invocation, for all invocations of its column. */
float column_sum(float value)
{
    uvec2 self = gl_LocalInvocationID.xy;
    barrier(); /* the sum before this one has been read */
    parts[self.y][self.x] = value;
    barrier();
    return (parts[0][self.x] + parts[1][self.x]) + (parts[2][self.x] + parts[3][self.x]);
}
