#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * UNFOLD_GRAD puts the values of UNFOLD's rows back to their pixels.
 */
#include "common.glsl"

layout(set = 0, binding = 0) readonly buffer Dy { XTYPE dy[]; };
layout(set = 0, binding = 3) writeonly buffer Dx { XTYPE dx[]; };

layout(push_constant) uniform Args { avgpool_args args; };

void main()
{
    uint all = gl_NumWorkGroups.x * gl_WorkGroupSize.x, area = args.size * args.size;
    for (uint i = gl_GlobalInvocationID.x; i < args.count; i += all) {
        uint channel = i % args.c, column = i / args.c % args.w;
        uint row = i / args.c / args.w; /* counted over all items, whose rows are whole squares */
        uint square = row / args.size * args.out_w + column / args.size;
        uint place = row % args.size * args.size + column % args.size;
        dx[i] = dy[(square * args.c + channel) * area + place];
    }
}
