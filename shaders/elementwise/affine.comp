#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * AFFINE applies what BATCHNORM_GRAD computed: a dy + b (x - mean) + c, with a, b, c and mean of each channel.
 */
#include "common.glsl"

layout(set = 0, binding = 0) readonly buffer Dy { XTYPE dy[]; };
layout(set = 0, binding = 1) readonly buffer X { XTYPE x[]; };
layout(set = 0, binding = 2) readonly buffer Terms { float terms[]; };
layout(set = 0, binding = 3) writeonly buffer Dx { XTYPE dx[]; };

layout(push_constant) uniform Args { elements_args args; };

void main()
{
    uint all = gl_NumWorkGroups.x * gl_WorkGroupSize.x;
    for (uint i = gl_GlobalInvocationID.x; i < args.n; i += all) {
        uint channel = i % args.c;
        dx[i] = XTYPE(terms[channel] * float(dy[i]) +
                      terms[args.c + channel] * (float(x[i]) - terms[3 * args.c + channel]) +
                      terms[2 * args.c + channel]);
    }
}
