#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * EMBEDDING: the table may be larger than one binding, so a dispatch sees a slice of its rows and
 * writes the tokens whose ids lie there. The host has checked that every id lies in some slice.
 */
#include "common.glsl"

layout(set = 0, binding = 0) readonly buffer Ids { int ids[]; };
layout(set = 0, binding = 1) readonly buffer Table { WTYPE table[]; };
layout(set = 0, binding = 2) readonly buffer Positions { WTYPE positions[]; };
layout(set = 0, binding = 3) writeonly buffer Y { XTYPE y[]; };

layout(push_constant) uniform Args { embedding_args args; };

void main()
{
    uint all = gl_NumWorkGroups.x * gl_WorkGroupSize.x;
    for (uint i = gl_GlobalInvocationID.x; i < args.tokens * args.c; i += all) {
        uint token = i / args.c, channel = i % args.c;
        uint row = uint(ids[token]) - args.first; /* wraps below the slice */
        if (row < args.count)
            y[i] = XTYPE(float(table[row * args.c + channel]) +
                         float(positions[token % args.t * args.c + channel]));
    }
}
