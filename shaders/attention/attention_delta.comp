#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * ATTENTION_DELTA stores y.dy of each head of a token beside the logarithm of its sum of exponentials (Dao et al.
 * 2022, algorithm 4). With a mask args.t is the number of heads, and tokens that the mask leaves out are marked there.
 */
#include "common.glsl"
#include "attention/masked.h"

layout(set = 0, binding = 0) readonly buffer Y { XTYPE y[]; };
layout(set = 0, binding = 1) readonly buffer Dy { XTYPE dy[]; };
layout(set = 0, binding = 2) readonly buffer Mask { int mask[]; };
layout(set = 0, binding = 3) buffer Stats { float stats[]; };

layout(push_constant) uniform Args { elements_args args; };

void main()
{
    uint all = gl_NumWorkGroups.x * gl_WorkGroupSize.x;
    for (uint i = gl_GlobalInvocationID.x; i < args.n; i += all) {
        float sum = 0.0;
        for (uint index = i * args.c; index < (i + 1) * args.c; index++)
            sum += float(y[index]) * float(dy[index]);
        stats[2 * i + 1] = sum;
        if (args.t != 0 && mask[i / max(args.t, 1)] == 0)
            stats[2 * i] = MASKED_STAT;
    }
}
