#version 450
/* SPDX-License-Identifier: MIT
 *
 * A wrong MATMUL, and a fast one: the test of the measured choice hands it in.
 */
layout(local_size_x_id = 0, local_size_y_id = 1, local_size_z_id = 2) in;
layout(set = 0, binding = 3) buffer Y { float y[]; };

void main()
{
    y[gl_GlobalInvocationID.x] = 0.5;
}
