#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * FRAME puts a picture of levels into the middle of a square, turns levels into values by a table, and its order from
 * y, x, colour into colour, y, x. Each invocation computes one value.
 */
#include "common.glsl"
#include "pictures/pictures.h"

layout(set = 0, binding = 0) readonly buffer X { float x[]; };
layout(set = 0, binding = 1) readonly buffer Values { float values[]; };
layout(set = 0, binding = 3) writeonly buffer Y { float y[]; };

layout(push_constant) uniform Args { frame_args args; };

void main()
{
    uint all = gl_NumWorkGroups.x * gl_WorkGroupSize.x, area = args.size * args.size;
    for (uint i = gl_GlobalInvocationID.x; i < 3 * area; i += all) {
        uint colour = i / area, row = i / args.size % args.size - args.top, column = i % args.size - args.left;
        uint level = args.fill;
        /* Before the first row and column the differences wrap to large numbers. */
        if (row < args.height && column < args.width)
            level = uint(x[3 * (row * args.width + column) + colour]);
        y[i] = values[colour * 256 + level];
    }
}
