#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_EXT_buffer_reference : require
#extension GL_KHR_shader_subgroup_ballot : require
/* SPDX-License-Identifier: MIT
 *
 * Computes DWCONV_SUMS by the addresses of x and dy, for lavapipe of Mesa 26, as matmul/address.glsl describes it. A
 * vector of the processor, which is one value of each lane, has neighbouring channels of a pixel. A workgroup is one
 * subgroup. It has a row of taps of PART channels, which are a line of the processor's cache, and adds up COLS pixels
 * of the result at a time. Those of the first row of taps add up the gradient of the bias too. C must be a multiple
 * of PART, and PART one of a subgroup's lanes.
 */
#include "common.glsl"
#include "workgroup.glsl"

layout(constant_id = 3) const uint COLS = 4;
layout(constant_id = 4) const uint SIDE = 7;
layout(constant_id = 5) const uint CHANNELS = 16; /* C, which makes the distance of pixels a constant */

const uint PART = 16; /* DWCONV_PART of src/runtime/kernels.h */

layout(set = 0, binding = 3) writeonly buffer Y { float y[]; };

layout(buffer_reference, std430) readonly buffer Parts { vec4 quads[][PART / 4]; };
layout(push_constant) uniform Args { dwconv_args args; Parts x; Parts dy; };

#define lane gl_SubgroupInvocationID
const uint PAD = SIDE / 2, PARTS = CHANNELS / PART, VECTORS = PART / LANES;

float sum[SIDE][VECTORS], bias[VECTORS];

/* Loads vector v of a part of a pixel. */
#define DEFINE_LOAD(name, tensor)                                                                                   \
    float name(uint part, uint v)                                                                                   \
    {                                                                                                               \
        vec4 loaded = tensor.quads[part][v * LANES / 4];                                                            \
        [[unroll]] for (uint i = 1; i < LANES / 4; i++)                                                             \
            loaded = mix(loaded, tensor.quads[part][v * LANES / 4 + i], bvec4(lane / 4 == i));                      \
        return mix(mix(loaded.w, loaded.z, lane % 4 == 2), mix(loaded.y, loaded.x, lane % 4 == 0), lane % 4 < 2);   \
    }
DEFINE_LOAD(load_x, x)
DEFINE_LOAD(load_dy, dy)

/* Adds up the pixels from `column` of a row of the result. `line` and `x_line` are the first parts of that row and of
 * the row of x that the taps lie on, which may lie outside the picture. */
void add_pixels(uint column, uint line, uint x_line, bool inside)
{
    float dy_values[COLS][VECTORS];
    [[unroll]] for (uint c = 0; c < COLS; c++) {
        const uint dy_part = line + min(column + c, args.w - 1) * PARTS;
        [[unroll]] for (uint v = 0; v < VECTORS; v++) {
            float value = load_dy(dy_part, v);
            dy_values[c][v] = column + c < args.w ? value : 0.0;
            bias[v] += dy_values[c][v];
        }
    }
    [[unroll]] for (uint i = 0; i < COLS + SIDE - 1; i++) {
        const int place = int(column + i) - int(PAD);
        const uint part = x_line + uint(clamp(place, 0, int(args.w) - 1)) * PARTS;
        const bool is_pixel = inside && place >= 0 && place < int(args.w);
        [[unroll]] for (uint v = 0; v < VECTORS; v++) {
            float value = load_x(part, v);
            value = is_pixel ? value : 0.0;
            [[unroll]] for (uint c = 0; c < COLS; c++)
                if (i - c < SIDE)
                    sum[i - c][v] = fma(dy_values[c][v], value, sum[i - c][v]);
        }
    }
}

void main()
{
    const uint blocks = (args.w + COLS - 1) / COLS, lines = args.b * args.h;
    const uint group = gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;
    /* The workgroups of the rows of taps follow each other, so that the pixels stay in caches. */
    const uint taps = group % SIDE, part = group / SIDE % PARTS;
    const uint share = args.first + group / SIDE / PARTS;
    const uint first = share * DWCONV_ROWS, turns = (min(first + DWCONV_ROWS, lines) - first) * blocks;
    [[unroll]] for (uint v = 0; v < VECTORS; v++) {
        [[unroll]] for (uint k = 0; k < SIDE; k++)
            sum[k][v] = 0.0;
        bias[v] = 0.0;
    }
    /* The loop is that of matmul/address.glsl. */
    uint counter = lane;
    for (;;) {
        const uint turn = subgroupBroadcast(counter, 0u), line = first + turn / blocks;
        const uint below = line % args.h + taps; /* the row of x, counted from PAD above the picture */
        const bool inside = below >= PAD && below < args.h + PAD;
        const uint x_line = inside ? line + taps - PAD : line;
        add_pixels(turn % blocks * COLS, line * args.w * PARTS + part, x_line * args.w * PARTS + part, inside);
        counter++;
        [[dont_flatten]] if (counter - lane == turns) break;
    }
    const uint index = share * (SIDE * SIDE + 1) * CHANNELS + part * PART + lane;
    [[unroll]] for (uint v = 0; v < VECTORS; v++) {
        [[unroll]] for (uint k = 0; k < SIDE; k++)
            y[index + v * LANES + (taps * SIDE + k) * CHANNELS] = sum[k][v];
        if (taps == 0)
            y[index + v * LANES + SIDE * SIDE * CHANNELS] = bias[v];
    }
}
