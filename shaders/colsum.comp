#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * COLSUM: rows of dy added up by groups, for gradients of biases, gains and positions.
 */
#include "common.glsl"

layout(set = 0, binding = 0) readonly buffer Dy { XTYPE dy[]; };
layout(set = 0, binding = 1) readonly buffer X { XTYPE x[]; };
layout(set = 0, binding = 2) readonly buffer Stats { float stats[]; };
layout(set = 0, binding = 3) buffer Y { float y[]; };

layout(push_constant) uniform Args { colsum_args args; };

#include "columns.glsl"

void main()
{
    uint column = gl_GlobalInvocationID.x, group = gl_WorkGroupID.y;
    uint end = min((group + 1) * args.group, args.rows);
    float sum = 0.0;
    for (uint row = group * args.group + gl_LocalInvocationID.y; row < end && column < args.columns;
         row += HEIGHT) {
        uint at = args.offset + row * args.pitch + column;
        float value = float(dy[at]);
        if (args.scaled != 0)
            value *= (float(x[at]) - stats[2 * row]) * stats[2 * row + 1];
        sum += value;
    }
    sum = column_sum(sum);
    if (gl_LocalInvocationID.y == 0 && column < args.columns) {
        uint at = group * args.columns + column;
        y[at] = args.add != 0 ? y[at] + sum : sum;
    }
}
