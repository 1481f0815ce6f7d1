#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * RELATIVE spreads a table of relative positions over all distances from a query to a key, for ATTENTION_MASKED. The
 * host computes where the ranges of distances begin, because a rounding error of a logarithm would move them.
 */
#include "common.glsl"

layout(set = 0, binding = 0) readonly buffer Table { XTYPE table[]; };
layout(set = 0, binding = 3) writeonly buffer Y { XTYPE y[]; };

layout(push_constant) uniform Args { relative_args args; };

void main()
{
    uint all = gl_NumWorkGroups.x * gl_WorkGroupSize.x;
    for (uint i = gl_GlobalInvocationID.x; i < args.n; i += all) {
        uint columns = 2 * args.t - 1, head = i / columns;
        int distance = int(i % columns) - int(args.t - 1);
        uint steps_away = uint(abs(distance)), bucket = min(steps_away, args.steps - 1);
        for (uint step = 0; step < args.steps; step++)
            bucket += steps_away >= args.first[step] ? 1 : 0;
        if (distance > 0)
            bucket += 2 * args.steps;
        y[i] = table[bucket * args.heads + head];
    }
}
