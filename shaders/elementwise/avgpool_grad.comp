#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * AVGPOOL_GRAD gives each pixel its share of the mean that it went into, and zero to pixels that the pooling left
 * out at the edges.
 */
#include "common.glsl"

layout(set = 0, binding = 0) readonly buffer Dy { XTYPE dy[]; };
layout(set = 0, binding = 3) writeonly buffer Dx { XTYPE dx[]; };

layout(push_constant) uniform Args { avgpool_args args; };

void main()
{
    uint all = gl_NumWorkGroups.x * gl_WorkGroupSize.x;
    for (uint i = gl_GlobalInvocationID.x; i < args.count; i += all) {
        uint channel = i % args.c, column = i / args.c % args.w / args.size;
        uint row = i / args.c / args.w % args.h / args.size, item = i / args.c / args.w / args.h;
        uint index = ((item * args.out_h + row) * args.out_w + column) * args.c + channel;
        bool inside = row < args.out_h && column < args.out_w;
        dx[i] = XTYPE(inside ? float(dy[index]) / float(args.size * args.size) : 0.0);
    }
}
