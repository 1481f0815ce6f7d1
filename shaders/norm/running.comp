#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * RUNNING updates a running mean or variance as torch.nn.BatchNorm2d does, with the variance made unbiased.
 */
#include "common.glsl"

layout(set = 0, binding = 0) readonly buffer Stats { float stats[]; };
layout(set = 0, binding = 3) buffer Running { float running[]; };

layout(push_constant) uniform Args { running_args args; };

void main()
{
    uint all = gl_NumWorkGroups.x * gl_WorkGroupSize.x;
    for (uint i = gl_GlobalInvocationID.x; i < args.c; i += all) {
        float rstd = stats[3 * args.c + i];
        float value = args.variance != 0 ? (1.0 / (rstd * rstd) - args.epsilon) * args.unbias
                                         : stats[2 * args.c + i];
        running[i] += args.momentum * (value - running[i]);
    }
}
