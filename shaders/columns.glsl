/* SPDX-License-Identifier: MIT
 *
 * Sums a matrix over its columns. An invocation has four neighbouring columns, and the workgroup's rows of
 * invocations take the rows of the matrix in turn. The order of the additions is fixed, so that a run repeats to
 * the bit.
 */
/* emit_columns in src/runtime/launch.c must launch workgroups of exactly this size. */
const uint LANES = 8, HEIGHT = 4;
shared vec4 parts[HEIGHT][LANES];

/* Returns the sums of `values` over the invocations that have the same columns, to each of them. */
vec4 column_sum(vec4 values)
{
    uvec2 self = gl_LocalInvocationID.xy;
    barrier(); /* Every invocation must have read the previous sum before it is overwritten. */
    parts[self.y][self.x] = values;
    barrier();
    return (parts[0][self.x] + parts[1][self.x]) + (parts[2][self.x] + parts[3][self.x]);
}
