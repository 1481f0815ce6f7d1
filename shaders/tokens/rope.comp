#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * ROPE turns pairs of components of queries and keys by the angles of a patch's row and column (Su et al. 2021). The
 * values are in x, or in the result itself, of which only queries and keys are then touched. An invocation has a quad
 * of values, which is two pairs. The two may belong to different halves of a head, and so to different axes.
 */
#include "common.glsl"

layout(set = 0, binding = 0) readonly buffer Turns { vec2 turns[]; };
layout(set = 0, binding = 1) readonly buffer X { XVEC4 x[]; };
layout(set = 0, binding = 3) buffer Y { XVEC4 y[]; };

layout(push_constant) uniform Args { rope_args args; };

vec2 turn_pair(vec2 pair, uvec2 axes, uint number)
{
    uint axis = number < args.head ? axes.x : axes.y;
    vec2 turn = turns[axis * args.head + number % args.head];
    if (args.back != 0)
        turn.y = -turn.y;
    return vec2(pair.x * turn.x - pair.y * turn.y, pair.y * turn.x + pair.x * turn.y);
}

void main()
{
    uint all = gl_NumWorkGroups.x * gl_WorkGroupSize.x;
    uint quads = args.c / 4, span = (args.over != 0 ? 2 : 3) * quads; /* of one token */
    uint first = args.t - args.side * args.side; /* the first token that stands for a patch */
    for (uint i = gl_GlobalInvocationID.x; i < args.n; i += all) {
        uint token = i / span, column = i % span, number = token % args.t;
        uint index = token * 3 * quads + column;
        bool turned = number >= first && column < 2 * quads;
        if (!turned && args.over != 0)
            continue;
        vec4 values = args.over != 0 ? vec4(y[index]) : vec4(x[index]);
        if (turned) {
            uint patch_number = number - first, pair = 2 * (column % args.head);
            uvec2 axes = uvec2(patch_number / args.side, patch_number % args.side);
            if (args.columns_first != 0)
                axes = axes.yx;
            values = vec4(turn_pair(values.xy, axes, pair), turn_pair(values.zw, axes, pair + 1));
        }
        y[index] = XVEC4(values);
    }
}
