#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * MEAN_GRAD gives each row of the mean an equal share of its gradient, and the others zero. An invocation has one
 * channel of an item, so that rows are counted once for all of them.
 */
#include "common.glsl"

layout(set = 0, binding = 0) readonly buffer Dy { XTYPE dy[]; };
layout(set = 0, binding = 1) readonly buffer Mask { int mask[]; };
layout(set = 0, binding = 3) writeonly buffer Dx { XTYPE dx[]; };

layout(constant_id = 3) const uint SKIP = 0; /* rows at the begin of each item that are left out */
layout(constant_id = 4) const bool MASKED = false;

layout(push_constant) uniform Args { meantoken_args args; };

bool is_taken(uint row, uint t)
{
    return t >= SKIP && (!MASKED || mask[row + t] != 0);
}

void main()
{
    uint all = gl_NumWorkGroups.x * gl_WorkGroupSize.x;
    for (uint i = gl_GlobalInvocationID.x; i < args.b * args.c; i += all) {
        uint row = i / args.c * args.p, channel = i % args.c;
        float count = 0.0;
        for (uint t = 0; t < args.p; t++)
            count += is_taken(row, t) ? 1.0 : 0.0;
        float share = float(dy[i]) / max(count, 1.0);
        for (uint t = 0; t < args.p; t++)
            dx[(row + t) * args.c + channel] = XTYPE(is_taken(row, t) ? share : 0.0);
    }
}
