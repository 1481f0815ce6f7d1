#version 450
/* SPDX-License-Identifier: MIT
 *
 * A MATMUL that is fast and gives wrong results. The test of tuning adds it to the table, where it must
 * never be chosen.
 */
layout(local_size_x_id = 0, local_size_y_id = 1, local_size_z_id = 2) in;
layout(set = 0, binding = 3) buffer Y { float y[]; };

void main()
{
    y[gl_GlobalInvocationID.x] = 0.5;
}
