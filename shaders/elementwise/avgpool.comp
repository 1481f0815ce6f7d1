#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * AVGPOOL takes the mean of size x size pixels. clip/model.py uses it where other ResNets have a stride.
 */
#include "common.glsl"

layout(set = 0, binding = 0) readonly buffer X { XTYPE x[]; };
layout(set = 0, binding = 3) writeonly buffer Y { XTYPE y[]; };

layout(push_constant) uniform Args { avgpool_args args; };

void main()
{
    uint all = gl_NumWorkGroups.x * gl_WorkGroupSize.x;
    for (uint i = gl_GlobalInvocationID.x; i < args.count; i += all) {
        uint channel = i % args.c, column = i / args.c % args.out_w;
        uint row = i / args.c / args.out_w; /* row of the result, counted over all items */
        uint item = row / args.out_h;
        uint index = ((item * args.h + row % args.out_h * args.size) * args.w + column * args.size);
        float sum = 0.0;
        for (uint dy = 0; dy < args.size; dy++)
            for (uint dx = 0; dx < args.size; dx++)
                sum += float(x[(index + dy * args.w + dx) * args.c + channel]);
        y[i] = XTYPE(sum / float(args.size * args.size));
    }
}
