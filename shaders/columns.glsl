/* SPDX-License-Identifier: MIT
 *
 * Sums over the columns of a matrix. An invocation has four neighbouring columns, and the workgroup's rows of
 * invocations take the rows of the matrix in turn. The order of the additions is fixed, so that a run repeats to
 * the bit.
 */
/* The size of a workgroup, which emit_columns in src/runtime/launch.c gives too. */
const uint LANES = 8, HEIGHT = 4;
shared vec4 parts[HEIGHT][LANES];

/* Returns the sums of `values` over the invocations that have the same columns, to each of them. */
vec4 column_sum(vec4 values)
{
    uvec2 self = gl_LocalInvocationID.xy;
    barrier(); /* until all have read the sum before this one */
    parts[self.y][self.x] = values;
    barrier();
    return (parts[0][self.x] + parts[1][self.x]) + (parts[2][self.x] + parts[3][self.x]);
}
