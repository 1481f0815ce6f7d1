/* SPDX-License-Identifier: MIT
 *
 * Sums over columns: an invocation has four neighbouring columns, and a workgroup's rows of invocations take
 * the rows of the matrix in turn. The order is fixed, so that a run repeats to the bit.
 */
const uint LANES = 8, HEIGHT = 4; /* emit_columns in launch.c */
shared vec4 parts[HEIGHT][LANES];

/* Of four values an invocation, for all invocations of its columns. */
vec4 column_sum(vec4 values)
{
    uvec2 self = gl_LocalInvocationID.xy;
    barrier(); /* the sum before this one has been read */
    parts[self.y][self.x] = values;
    barrier();
    return (parts[0][self.x] + parts[1][self.x]) + (parts[2][self.x] + parts[3][self.x]);
}
