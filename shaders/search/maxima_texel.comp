#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * MAXIMA as in maxima.comp, with four scores read at once as a texel, and the mask once per word. The scores of a row
 * must be a multiple of four.
 */
#include "common.glsl"

layout(set = 1, binding = 0) uniform textureBuffer scores;
layout(set = 0, binding = 1) readonly buffer Mask { uint mask[]; };
layout(set = 0, binding = 3) writeonly buffer Y { float y[]; };

layout(push_constant) uniform Args { maxima_args args; };

void main()
{
    uint all = gl_NumWorkGroups.x * gl_WorkGroupSize.x;
    for (uint i = gl_GlobalInvocationID.x; i < args.rows * args.blocks; i += all) {
        uint first = i % args.blocks * MAXIMA_BLOCK, end = min(first + MAXIMA_BLOCK, args.columns);
        uint begin = i / args.blocks * args.columns;
        vec4 best = vec4(MAXIMA_NONE), sum = vec4(0.0), squares = vec4(0.0);
        uint allowed = 0; /* the mask's bits of this column and the next ones */
        for (uint column = first; column < end; column += 4) {
            if (column % 32 == 0)
                allowed = args.masked != 0 ? mask[column / 32] : 0xffffffffu;
            vec4 score = texelFetch(scores, int((begin + column) / 4));
            bvec4 bits = notEqual(uvec4(allowed) & uvec4(1, 2, 4, 8), uvec4(0));
            best = mix(best, max(best, score), bits);
            sum += score;
            squares += score * score;
            allowed >>= 4;
        }
        y[3 * i] = max(max(best.x, best.y), max(best.z, best.w));
        y[3 * i + 1] = (sum.x + sum.y) + (sum.z + sum.w);
        y[3 * i + 2] = (squares.x + squares.y) + (squares.z + squares.w);
    }
}
