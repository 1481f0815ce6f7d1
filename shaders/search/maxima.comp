#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * MAXIMA describes every MAXIMA_BLOCK scores of a row by three numbers: the largest score that the mask allows, the sum
 * of all and the sum of their squares. Each invocation describes one block.
 */
#include "common.glsl"

layout(set = 0, binding = 0) readonly buffer Scores { float scores[]; };
layout(set = 0, binding = 1) readonly buffer Mask { uint mask[]; };
layout(set = 0, binding = 3) writeonly buffer Y { float y[]; };

layout(push_constant) uniform Args { maxima_args args; };

void main()
{
    uint all = gl_NumWorkGroups.x * gl_WorkGroupSize.x;
    for (uint i = gl_GlobalInvocationID.x; i < args.rows * args.blocks; i += all) {
        uint first = i % args.blocks * MAXIMA_BLOCK, end = min(first + MAXIMA_BLOCK, args.columns);
        uint begin = i / args.blocks * args.columns;
        float best = MAXIMA_NONE, sum = 0.0, squares = 0.0;
        for (uint column = first; column < end; column++) {
            float score = scores[begin + column];
            bool allowed = args.masked == 0 || (mask[column / 32] >> column % 32 & 1u) != 0;
            best = allowed ? max(best, score) : best;
            sum += score;
            squares += score * score;
        }
        y[3 * i] = best;
        y[3 * i + 1] = sum;
        y[3 * i + 2] = squares;
    }
}
