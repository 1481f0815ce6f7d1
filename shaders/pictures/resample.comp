#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * RESAMPLE computes pixels as weighted sums of the pixels of a row, or of a column, and rounds them to levels from 0
 * to 255, as Pillow does it in integers: results are the same to the bit. Each invocation computes one pixel.
 */
#include "common.glsl"
#include "pictures/pictures.h"

layout(constant_id = 3) const uint DOWN = 0;
layout(constant_id = 4) const uint SWAPPED = 0; /* bytes are blue, green, red */
layout(constant_id = 5) const uint STRIDE = 4;  /* bytes from one pixel to the next; 0: x is levels */

layout(set = 0, binding = 0) readonly buffer X { uint x[]; };
layout(set = 0, binding = 1) readonly buffer Taps { int taps[]; };
layout(set = 0, binding = 3) writeonly buffer Y { float y[]; };

layout(push_constant) uniform Args { resample_args args; };

int load_byte(uint row, uint i)
{
    return int(bitfieldExtract(x[row * args.words + i / 4], int(i % 4) * 8, 8));
}

ivec3 load_pixel(uint row, uint column)
{
    if (STRIDE == 0) {
        uint i = 3 * (row * args.width + column);
        return ivec3(uintBitsToFloat(x[i]), uintBitsToFloat(x[i + 1]), uintBitsToFloat(x[i + 2]));
    }
    ivec3 pixel;
    if (STRIDE == 4) {
        uint word = x[row * args.words + column];
        pixel = ivec3(word & 255u, word >> 8 & 255u, word >> 16 & 255u);
    } else {
        uint i = column * STRIDE;
        pixel = ivec3(load_byte(row, i), load_byte(row, i + 1), load_byte(row, i + 2));
    }
    return SWAPPED != 0 ? pixel.zyx : pixel;
}

void main()
{
    uint all = gl_NumWorkGroups.x * gl_WorkGroupSize.x;
    for (uint i = gl_GlobalInvocationID.x; i < args.rows * args.columns; i += all) {
        uint row = i / args.columns, column = i % args.columns;
        uint tap = (DOWN != 0 ? row : column) * (args.taps + 1);
        uint first = uint(taps[tap]);
        uint end = min(args.taps, (DOWN != 0 ? args.height : args.width) - first);
        ivec3 sum = ivec3(1 << (RESAMPLE_BITS - 1));
        for (uint k = 0; k < end; k++) {
            ivec3 pixel = DOWN != 0 ? load_pixel(first + k, column) : load_pixel(row, first + k);
            sum += pixel * taps[tap + 1 + k];
        }
        sum = clamp(sum >> RESAMPLE_BITS, ivec3(0), ivec3(255));
        y[3 * i] = float(sum.x);
        y[3 * i + 1] = float(sum.y);
        y[3 * i + 2] = float(sum.z);
    }
}
