#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * MEANTOKEN puts the mean of all pixels before them and adds the positions, as AttentionPool2d does in
 * clip/model.py. An invocation has one channel of an item.
 */
#include "common.glsl"

layout(set = 0, binding = 0) readonly buffer X { XTYPE x[]; };
layout(set = 0, binding = 1) readonly buffer Positions { XTYPE positions[]; };
layout(set = 0, binding = 3) writeonly buffer Y { XTYPE y[]; };

layout(push_constant) uniform Args { meantoken_args args; };

void main()
{
    uint all = gl_NumWorkGroups.x * gl_WorkGroupSize.x;
    for (uint i = gl_GlobalInvocationID.x; i < args.b * args.c; i += all) {
        uint item = i / args.c, channel = i % args.c;
        uint x_at = item * args.p * args.c + channel, y_at = x_at + item * args.c;
        float sum = 0.0;
        for (uint p = 1; p <= args.p; p++) {
            float value = float(x[x_at + (p - 1) * args.c]);
            sum += value;
            y[y_at + p * args.c] = XTYPE(value + float(positions[p * args.c + channel]));
        }
        y[y_at] = XTYPE(sum / float(args.p) + float(positions[channel]));
    }
}
