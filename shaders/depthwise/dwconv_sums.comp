#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
/* SPDX-License-Identifier: MIT
 *
 * DWCONV_SUMS adds up the gradients of DWCONV's weight and bias over shares of DWCONV_ROWS rows of pixels. An invocation
 * has a row of taps of four neighbouring channels, and adds up COLS pixels of the result at a time, so that each pixel
 * of x is read once for all of them. Those of the first row of taps add up the gradient of the bias too.
 */
#include "common.glsl"

layout(constant_id = 3) const uint COLS = 4;
layout(constant_id = 4) const uint SIDE = 7;
layout(constant_id = 5) const bool QUADS = false; /* C is a multiple of four */

layout(set = 0, binding = 0) readonly buffer X { XTYPE x_values[]; };
layout(set = 0, binding = 0) readonly buffer XQuads { XVEC4 x_quads[]; };
layout(set = 0, binding = 1) readonly buffer Dy { XTYPE dy_values[]; };
layout(set = 0, binding = 1) readonly buffer DyQuads { XVEC4 dy_quads[]; };
layout(set = 0, binding = 3) writeonly buffer Y { float y[]; };
layout(set = 0, binding = 3) writeonly buffer YQuads { vec4 y_quads[]; };

layout(push_constant) uniform Args { dwconv_args args; };

LOADER(load_x_any, x_values)
LOADER(load_dy_any, dy_values)

const uint PAD = SIDE / 2;

vec4 sum[SIDE], bias;
vec4 dy[COLS];

vec4 load_x(uint pixel, uint channel)
{
    uint index = pixel * args.c + channel;
    return QUADS ? vec4(x_quads[index / 4]) : load_x_any(index, args.c - channel);
}

vec4 load_dy(uint pixel, uint channel)
{
    uint index = pixel * args.c + channel;
    return QUADS ? vec4(dy_quads[index / 4]) : load_dy_any(index, args.c - channel);
}

/* Adds up the pixels from `column` of a row of the result. `line` and `x_line` are the first pixels of that row and of
 * the row of x that the taps lie on, which may lie outside the picture. */
void add_pixels(uint column, uint line, uint x_line, bool inside, uint channel)
{
    for (uint c = 0; c < COLS; c++) {
        vec4 value = load_dy(line + min(column + c, args.w - 1), channel);
        dy[c] = column + c < args.w ? value : vec4(0.0);
        bias += dy[c];
    }
    [[unroll]] for (uint i = 0; i < COLS + SIDE - 1; i++) {
        int place = int(column + i) - int(PAD);
        vec4 value = load_x(x_line + uint(clamp(place, 0, int(args.w) - 1)), channel);
        value = inside && place >= 0 && place < int(args.w) ? value : vec4(0.0);
        [[unroll]] for (uint c = 0; c < COLS; c++)
            if (i - c < SIDE)
                sum[i - c] = fma(dy[c], value, sum[i - c]);
    }
}

void store_quad(uint share, uint row, uint channel, vec4 value)
{
    uint index = (share * (SIDE * SIDE + 1) + row) * args.c + channel;
    if (QUADS)
        y_quads[index / 4] = value;
    for (uint l = 0; l < 4 && !QUADS; l++)
        if (channel + l < args.c)
            y[index + l] = value[l];
}

void main()
{
    uint quads = (args.c + 3) / 4, lines = args.b * args.h;
    uint all = gl_NumWorkGroups.x * gl_WorkGroupSize.x, count = args.count * SIDE * quads;
    for (uint i = gl_GlobalInvocationID.x; i < count; i += all) {
        uint channel = 4 * (i % quads), taps = i / quads % SIDE, share = args.first + i / quads / SIDE;
        uint end = min((share + 1) * DWCONV_ROWS, lines);
        for (uint k = 0; k < SIDE; k++)
            sum[k] = vec4(0.0);
        bias = vec4(0.0);
        for (uint line = share * DWCONV_ROWS; line < end; line++) {
            uint below = line % args.h + taps; /* the row of x, counted from PAD above the picture */
            bool inside = below >= PAD && below < args.h + PAD;
            uint x_line = inside ? line + taps - PAD : line;
            [[dont_unroll]] for (uint column = 0; column < args.w; column += COLS)
                add_pixels(column, line * args.w, x_line * args.w, inside, channel);
        }
        for (uint k = 0; k < SIDE; k++)
            store_quad(share, taps * SIDE + k, channel, sum[k]);
        if (taps == 0)
            store_quad(share, SIDE * SIDE, channel, bias);
    }
}
