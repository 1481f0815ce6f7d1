#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * MEAN averages the rows of each item that the mask allows, without the first ones. The mean of no rows is zero. An
 * invocation has one channel of an item.
 */
#include "common.glsl"

layout(set = 0, binding = 0) readonly buffer X { XTYPE x[]; };
layout(set = 0, binding = 1) readonly buffer Mask { int mask[]; };
layout(set = 0, binding = 3) writeonly buffer Y { XTYPE y[]; };

layout(constant_id = 3) const uint SKIP = 0; /* rows at the begin of each item that are left out */
layout(constant_id = 4) const bool MASKED = false;

layout(push_constant) uniform Args { meantoken_args args; };

void main()
{
    uint all = gl_NumWorkGroups.x * gl_WorkGroupSize.x;
    for (uint i = gl_GlobalInvocationID.x; i < args.b * args.c; i += all) {
        uint row = i / args.c * args.p, channel = i % args.c;
        float sum = 0.0, count = 0.0;
        for (uint t = SKIP; t < args.p; t++)
            if (!MASKED || mask[row + t] != 0) {
                sum += float(x[(row + t) * args.c + channel]);
                count += 1.0;
            }
        y[i] = XTYPE(sum / max(count, 1.0));
    }
}
