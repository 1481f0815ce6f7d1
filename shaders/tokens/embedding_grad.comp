#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * EMBEDDING_GRAD: an invocation adds up the tokens of one id, so that no two invocations add to one value. The
 * table may be larger than one binding: a dispatch sees a slice of its rows.
 */
#include "common.glsl"

layout(set = 0, binding = 0) readonly buffer Dy { XTYPE dy[]; };
layout(set = 0, binding = 1) readonly buffer Order { int order[]; };
layout(set = 0, binding = 2) readonly buffer Runs { ivec2 runs[]; };
layout(set = 0, binding = 3) buffer Table { float table[]; };

layout(push_constant) uniform Args { embedding_args args; };

void main()
{
    uint all = gl_NumWorkGroups.x * gl_WorkGroupSize.x;
    for (uint i = gl_GlobalInvocationID.x; i < args.tokens * args.c; i += all) {
        uint run = i / args.c, channel = i % args.c;
        uint row = uint(runs[run].y) - args.first; /* ids below the slice wrap around to large rows */
        if (runs[run].y < 0 || row >= args.count)
            continue;
        float sum = 0.0;
        for (int j = runs[run].x; j < runs[run + 1].x; j++)
            sum += float(dy[uint(order[j]) * args.c + channel]);
        table[row * args.c + channel] += sum;
    }
}
