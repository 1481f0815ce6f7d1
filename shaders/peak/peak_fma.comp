#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * Multiplies and adds on registers alone, in SUMS chains that do not wait for each other, to measure the peak of
 * arithmetic.
 */
#include "args.h"

#ifdef X_vec4
#define VALUE vec4
#else
#define VALUE float
#endif
#ifdef W_fma
#define STEP(x) fma(x, a, b)
#else
#define STEP(x) (x) * a + b
#endif

layout(local_size_x_id = 0, local_size_y_id = 1, local_size_z_id = 2) in;
layout(constant_id = 3) const uint SUMS = 16;
layout(constant_id = 4) const uint UNROLLED = 8;

layout(set = 0, binding = 0) buffer Y { float y[]; };

layout(push_constant) uniform Args { peak_args args; };

void main()
{
    VALUE sum[SUMS], a = VALUE(args.a), b = VALUE(args.b);
    for (uint i = 0; i < SUMS; i++)
        sum[i] = VALUE(float(gl_GlobalInvocationID.x + i));
    for (uint step = 0; step < args.steps; step++)
        for (uint j = 0; j < UNROLLED; j++)
            for (uint i = 0; i < SUMS; i++)
                sum[i] = STEP(sum[i]);
    VALUE total = VALUE(0.0);
    for (uint i = 0; i < SUMS; i++)
        total += sum[i];
    /* Every sum goes into what is stored, so that the compiler leaves none of them out. */
    y[gl_GlobalInvocationID.x] = dot(vec4(total), vec4(1.0));
}
