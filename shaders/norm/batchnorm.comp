#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * BATCHNORM scales and shifts each channel about its mean, then adds the residual and applies ReLU.
 */
#include "common.glsl"

layout(set = 0, binding = 0) readonly buffer X { XTYPE x[]; };
layout(set = 0, binding = 1) readonly buffer Stats { float stats[]; };
layout(set = 0, binding = 2) readonly buffer Residual { XTYPE residual[]; };
layout(set = 0, binding = 3) writeonly buffer Y { XTYPE y[]; };

layout(push_constant) uniform Args { batchnorm_args args; };

void main()
{
    uint all = gl_NumWorkGroups.x * gl_WorkGroupSize.x;
    for (uint i = gl_GlobalInvocationID.x; i < args.n; i += all) {
        uint channel = i % args.c;
        float value = (float(x[i]) - stats[2 * args.c + channel]) * stats[channel] + stats[args.c + channel];
        value += args.add != 0 ? float(residual[i]) : 0.0;
        y[i] = XTYPE(args.relu != 0 ? max(value, 0.0) : value);
    }
}
