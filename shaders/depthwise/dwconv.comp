#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * Computes DWCONV value by value, for any number of channels and any device.
 */
#include "common.glsl"

layout(constant_id = 3) const uint ROWS = 0; /* This and the next constant are for tiles only. */
layout(constant_id = 4) const uint COLS = 0;
layout(constant_id = 5) const uint SIDE = 7;
layout(constant_id = 6) const bool FLIPPED = false;
layout(constant_id = 7) const bool BIAS = false;
layout(constant_id = 8) const bool RESIDUAL = false;

layout(set = 0, binding = 0) readonly buffer X { XTYPE x[]; };
layout(set = 0, binding = 1) readonly buffer W { XTYPE w[]; };
layout(set = 0, binding = 2) readonly buffer Bias { XTYPE bias[]; };
layout(set = 0, binding = 3) buffer Y { XTYPE y[]; };

layout(push_constant) uniform Args { dwconv_args args; };

const uint PAD = SIDE / 2;

void main()
{
    uint all = gl_NumWorkGroups.x * gl_WorkGroupSize.x, count = args.count * args.w * args.c;
    for (uint i = gl_GlobalInvocationID.x; i < count; i += all) {
        uint index = args.first * args.w * args.c + i;
        uint channel = i % args.c, column = i / args.c % args.w, line = args.first + i / args.c / args.w;
        uint row = line % args.h;
        float sum = BIAS ? float(bias[channel]) : 0.0;
        for (uint tap = 0; tap < SIDE * SIDE; tap++) {
            uint down = row + tap / SIDE, across = column + tap % SIDE; /* counted from PAD outside */
            if (down < PAD || down >= args.h + PAD || across < PAD || across >= args.w + PAD)
                continue;
            uint pixel = (line + tap / SIDE - PAD) * args.w + across - PAD;
            sum = fma(float(x[pixel * args.c + channel]),
                      float(w[(FLIPPED ? SIDE * SIDE - 1 - tap : tap) * args.c + channel]), sum);
        }
        if (RESIDUAL)
            sum += float(y[index]);
        y[index] = XTYPE(sum);
    }
}
