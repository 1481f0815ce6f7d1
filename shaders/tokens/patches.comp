#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * PATCHES cuts pictures into patches, each of which becomes a row in the order channel, y, x. A picture is fp32
 * values in the order channel, y, x, or RGB bytes in the order y, x, colour, four in a word, which a table turns into
 * values. Channels that a picture does not have are zero.
 */
#include "common.glsl"

layout(constant_id = 3) const uint SIZE = 2; /* pixels along each side of a picture */
layout(constant_id = 4) const uint PATCH = 1; /* pixels along each side of a patch */
layout(constant_id = 5) const uint CHANNELS = 4;
layout(constant_id = 6) const uint BYTES = 1;

layout(set = 0, binding = 0) readonly buffer X { uint x[]; };
layout(set = 0, binding = 1) readonly buffer Values { float values[]; };
layout(set = 0, binding = 3) writeonly buffer Y { XTYPE y[]; };

layout(push_constant) uniform Args { elements_args args; };

const uint PIXELS = SIZE * SIZE, SIDE = SIZE / PATCH, AREA = PATCH * PATCH;

float load_value(uint item, uint channel, uint pixel)
{
    if (BYTES == 0)
        return uintBitsToFloat(x[(item * 3 + channel) * PIXELS + pixel]);
    uint i = pixel * 3 + channel;
    uint word = x[item * ((PIXELS * 3 + 3) / 4) + i / 4];
    return values[channel * 256 + bitfieldExtract(word, int(i % 4) * 8, 8)];
}

void main()
{
    uint all = gl_NumWorkGroups.x * gl_WorkGroupSize.x;
    for (uint i = gl_GlobalInvocationID.x; i < args.n; i += all) {
        uint patch_number = i / (CHANNELS * AREA), place = i % AREA, channel = i / AREA % CHANNELS;
        uint item = patch_number / (SIDE * SIDE);
        uint row = patch_number / SIDE % SIDE * PATCH + place / PATCH;
        uint column = patch_number % SIDE * PATCH + place % PATCH;
        float value = 0.0;
        if (channel < 3)
            value = load_value(item, channel, row * SIZE + column);
        y[i] = XTYPE(value);
    }
}
