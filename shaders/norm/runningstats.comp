#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * RUNNINGSTATS makes statistics such as those of BATCHSTATS out of running ones. The first launch, from the running
 * mean, stores the mean; the second one, from the running variance, adds the rest.
 */
#include "common.glsl"

layout(set = 0, binding = 0) readonly buffer Running { float running[]; };
layout(set = 0, binding = 1) readonly buffer Gain { float gain[]; };
layout(set = 0, binding = 2) readonly buffer Bias { float bias[]; };
layout(set = 0, binding = 3) writeonly buffer Stats { float stats[]; };

layout(push_constant) uniform Args { running_args args; };

void main()
{
    uint all = gl_NumWorkGroups.x * gl_WorkGroupSize.x;
    for (uint i = gl_GlobalInvocationID.x; i < args.c; i += all) {
        bool variance = args.variance != 0;
        float rstd = variance ? 1.0 / sqrt(running[i] + args.epsilon) : 0.0;
        stats[i] = variance ? gain[i] * rstd : 0.0;
        stats[args.c + i] = variance ? bias[i] : 0.0;
        stats[3 * args.c + i] = rstd;
        if (!variance)
            stats[2 * args.c + i] = running[i];
    }
}
