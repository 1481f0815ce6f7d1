#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * MEANTOKEN_GRAD gives each pixel its own gradient and an equal share of that of the mean.
 */
#include "common.glsl"

layout(set = 0, binding = 0) readonly buffer Dy { XTYPE dy[]; };
layout(set = 0, binding = 3) writeonly buffer Dx { XTYPE dx[]; };

layout(push_constant) uniform Args { elements_args args; };

void main()
{
    uint all = gl_NumWorkGroups.x * gl_WorkGroupSize.x;
    for (uint i = gl_GlobalInvocationID.x; i < args.n; i += all) {
        uint item = i / (args.t * args.c);
        float mean = float(dy[item * (args.t + 1) * args.c + i % args.c]);
        dx[i] = XTYPE(float(dy[i + (item + 1) * args.c]) + mean / float(args.t));
    }
}
