#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * Computes MEAN_RELEVANCE: a row's share of the mean times the gradient of that, where the product is positive. An
 * invocation has one row.
 */
#include "common.glsl"

layout(set = 0, binding = 0) readonly buffer X { float x[]; };
layout(set = 0, binding = 1) readonly buffer Dy { float dy[]; };
layout(set = 0, binding = 3) writeonly buffer Y { float y[]; };

layout(constant_id = 3) const uint SKIP = 0; /* rows at the begin of each item that are left out */

layout(push_constant) uniform Args { meantoken_args args; };

void main()
{
    uint all = gl_NumWorkGroups.x * gl_WorkGroupSize.x;
    for (uint i = gl_GlobalInvocationID.x; i < args.b * args.p; i += all) {
        uint item = i / args.p;
        float product = 0.0;
        for (uint c = 0; c < args.c; c++)
            product = fma(x[i * args.c + c], dy[item * args.c + c], product);
        y[i] = i % args.p < SKIP ? 0.0 : max(product, 0.0) / float(args.p - SKIP);
    }
}
