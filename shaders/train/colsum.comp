#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * COLSUM adds up groups of rows of x: the gradient of what was added to every row.
 */
#include "common.glsl"

layout(set = 0, binding = 0) readonly buffer X { XTYPE x[]; };
layout(set = 0, binding = 3) buffer Y { float y[]; };

layout(push_constant) uniform Args { colsum_args args; };

#include "columns.glsl"

LOADER(load_x, x)

void main()
{
    uint column = 4 * gl_GlobalInvocationID.x, group = gl_WorkGroupID.y;
    uint end = min((group + 1) * args.group, args.rows);
    uint left = column < args.columns ? args.columns - column : 0;
    vec4 sum = vec4(0.0);
    for (uint row = group * args.group + gl_LocalInvocationID.y; row < end && left > 0; row += HEIGHT)
        sum += load_x(args.offset + row * args.pitch + column, left);
    sum = column_sum(sum);
    uint index = group * args.columns + column;
    for (uint i = 0; i < min(left, 4) && gl_LocalInvocationID.y == 0; i++)
        y[index + i] = (args.add != 0 ? y[index + i] : 0.0) + sum[i];
}
