#version 450
/* SPDX-License-Identifier: MIT
 *
 * Copies sixteen bytes with each invocation, to measure the bandwidth of memory.
 */
layout(local_size_x_id = 0, local_size_y_id = 1, local_size_z_id = 2) in;

layout(set = 0, binding = 0) readonly buffer X { vec4 x[]; };
layout(set = 0, binding = 1) writeonly buffer Y { vec4 y[]; };

void main()
{
    y[gl_GlobalInvocationID.x] = x[gl_GlobalInvocationID.x];
}
