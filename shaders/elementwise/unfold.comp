#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * UNFOLD makes a row of every square of size x size pixels, in the order channel, y, x.
 */
#include "common.glsl"

layout(set = 0, binding = 0) readonly buffer X { XTYPE x[]; };
layout(set = 0, binding = 3) writeonly buffer Y { XTYPE y[]; };

layout(push_constant) uniform Args { avgpool_args args; };

void main()
{
    uint all = gl_NumWorkGroups.x * gl_WorkGroupSize.x, area = args.size * args.size;
    for (uint i = gl_GlobalInvocationID.x; i < args.count; i += all) {
        uint place = i % area, channel = i / area % args.c, square = i / area / args.c;
        uint row = square / args.out_w * args.size + place / args.size; /* counted over all items */
        uint column = square % args.out_w * args.size + place % args.size;
        y[i] = x[(row * args.w + column) * args.c + channel];
    }
}
