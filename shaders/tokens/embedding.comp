#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * EMBEDDING looks up the rows of a table and adds the positions. The table may be larger than one binding: a
 * dispatch sees a slice of its rows and writes only the tokens whose ids lie there. The host has checked that every
 * id lies in the table. docs/layout.md draws the rows.
 */
#include "common.glsl"

layout(set = 0, binding = 0) readonly buffer Ids { int ids[]; };
layout(set = 0, binding = 1) readonly buffer Table { WTYPE table[]; };
layout(set = 0, binding = 2) readonly buffer Positions { XTYPE positions[]; };
layout(set = 0, binding = 3) writeonly buffer Y { XTYPE y[]; };

layout(push_constant) uniform Args { embedding_args args; };

#ifdef W_WORDS
float load_half(uint index, uint i)
{
    return unpackHalf2x16(table[index + i / 2])[i % 2];
}
#endif

float load_table(uint row, uint channel)
{
#ifndef W_WORDS
    return float(table[row * args.c + channel]);
#elif defined(W_f16)
    return load_half(0, row * args.c + channel);
#else
    uint blocks = (args.c + BLOCK - 1) / BLOCK, scales = (blocks + 1) / 2;
#ifdef W_q8
    uint index = row * (scales + blocks * (BLOCK / 4));
    int q = bitfieldExtract(int(table[index + scales + channel / 4]), int(channel % 4) * 8, 8);
#else
    uint index = row * (scales + blocks * (BLOCK / 8));
    int q = int(table[index + scales + channel / 8] >> channel % 8 * 4 & 15u) - 8;
#endif
    return load_half(index, channel / BLOCK) * float(q);
#endif
}

void main()
{
    uint all = gl_NumWorkGroups.x * gl_WorkGroupSize.x;
    for (uint i = gl_GlobalInvocationID.x; i < args.tokens * args.c; i += all) {
        uint token = i / args.c, channel = i % args.c;
        uint row = uint(ids[token]) - args.first; /* ids below the slice wrap around to large rows */
        if (row < args.count)
            y[i] = XTYPE(load_table(row, channel) +
                         float(positions[token % args.t * args.c + channel]));
    }
}
