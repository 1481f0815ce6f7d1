#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * CLASSTOKEN puts the class token, if there is one, before the patches and adds the positions, as ViT does in
 * clip/model.py.
 */
#include "common.glsl"

layout(set = 0, binding = 0) readonly buffer X { XTYPE x[]; };
layout(set = 0, binding = 1) readonly buffer Token { XTYPE token[]; };
layout(set = 0, binding = 2) readonly buffer Positions { XTYPE positions[]; };
layout(set = 0, binding = 3) writeonly buffer Y { XTYPE y[]; };

layout(push_constant) uniform Args { classtoken_args args; };

void main()
{
    uint all = gl_NumWorkGroups.x * gl_WorkGroupSize.x;
    uint t = args.p + args.tokens;
    for (uint i = gl_GlobalInvocationID.x; i < args.b * t * args.c; i += all) {
        uint channel = i % args.c, position = i / args.c % t, item = i / args.c / t;
        float value = position < args.tokens
                          ? float(token[channel])
                          : float(x[(item * args.p + position - args.tokens) * args.c + channel]);
        y[i] = XTYPE(value + float(positions[position * args.c + channel]));
    }
}
