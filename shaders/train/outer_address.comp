#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_EXT_buffer_reference : require
#extension GL_KHR_shader_subgroup_ballot : require
/* SPDX-License-Identifier: MIT
 *
 * Computes OUTER of a MATMUL by the addresses of dy and x, for lavapipe of Mesa 26, as matmul/address.glsl describes it.
 * A vector of the processor, which is one value of each lane, has neighbouring values of a row of x, and is multiplied
 * by single values of dy. A workgroup is one subgroup. The rows of a dispatch must be a multiple of TURN, and K
 * one of the columns of a workgroup; N must be at least ROWS.
 */
#include "common.glsl"
#include "workgroup.glsl"

layout(constant_id = 3) const uint ROWS = 6;
layout(constant_id = 4) const uint COLS = 1; /* quads of vectors */
layout(constant_id = 7) const bool BIAS = false;

layout(set = 0, binding = 2) buffer Dbias { float dbias[]; };
layout(set = 0, binding = 3) buffer Y { float y[]; };

layout(buffer_reference, std430) readonly buffer Values { float values[]; };
layout(buffer_reference, std430) readonly buffer Quads { vec4 quads[]; };
layout(push_constant) uniform Args { outer_args args; Values dy; Quads x; };

#include "matmul/panels.glsl"

const uint VECTORS = 4 * COLS;
const uint TURN = 8; /* rows of dy and x that a turn adds up; OUTER_TURN of src/runtime/kernels.h */
#define lane gl_SubgroupInvocationID

float sum[ROWS][VECTORS];

/* Loads a vector of x from a quad on. */
float load_vector(uint quad)
{
    vec4 loaded = x.quads[quad];
    [[unroll]] for (uint i = 1; i < LANES / 4; i++)
        loaded = mix(loaded, x.quads[quad + i], bvec4(lane / 4 == i));
    return mix(mix(loaded.w, loaded.z, lane % 4 == 2), mix(loaded.y, loaded.x, lane % 4 == 0), lane % 4 < 2);
}

void store_sum(uint n, uint k, float total)
{
    uint index = args.panels != 0 ? panel_quad(n, k / 4, args.k / 4) * 4 + k % 4 : n * args.k + k;
    y[index] = args.add != 0 ? y[index] + total : total;
}

/* Adds the sums of the tile's columns of dy to the gradient of the bias. */
void add_bias(uint begin, uint end)
{
    for (uint n = begin + lane; n < end; n += LANES) {
        float total = 0.0;
        [[dont_unroll]] for (uint m = args.first; m < args.first + args.rows; m++)
            total += dy.values[m * args.n + n];
        dbias[n] += total;
    }
}

void main()
{
    /* The workgroups of the same columns of x follow each other, so that these stay in caches. */
    const uint group = gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;
    const uint own_n = group % gl_NumWorkGroups.y * ROWS;
    const uint first_k = group / gl_NumWorkGroups.y * VECTORS * LANES;
    /* The last tile repeats rows of the one before it, which stores them, so that all loads have constant distances. */
    const uint first_n = min(own_n, args.n - ROWS);
    const uint quads = args.k / 4, first_quad = args.first * quads + first_k / 4, first_dy = args.first * args.n + first_n;
    const uint turns = args.rows / TURN;
    [[unroll]] for (uint i = 0; i < ROWS; i++)
        [[unroll]] for (uint v = 0; v < VECTORS; v++)
            sum[i][v] = 0.0;
    /* The loop is that of matmul/address.glsl. */
    uint counter = lane;
    for (;;) {
        const uint turn = subgroupBroadcast(counter, 0u) * TURN;
        [[unroll]] for (uint d = 0; d < TURN; d++) {
            const uint quad = first_quad + (turn + d) * quads, dy_index = first_dy + (turn + d) * args.n;
            float x_values[VECTORS];
            [[unroll]] for (uint v = 0; v < VECTORS; v++)
                x_values[v] = load_vector(quad + v * LANES / 4);
            [[unroll]] for (uint i = 0; i < ROWS; i++) {
                float dy_value = dy.values[dy_index + i];
                [[unroll]] for (uint v = 0; v < VECTORS; v++)
                    sum[i][v] = fma(dy_value, x_values[v], sum[i][v]);
            }
            /* A branch that is never taken keeps the compiler from computing sum after sum. */
            if (d % 2 == 1 && args.k == 0)
                y[0] = 0.0;
        }
        counter++;
        [[dont_flatten]] if (counter - lane == turns) break;
    }
    [[unroll]] for (uint i = 0; i < ROWS; i++)
        [[unroll]] for (uint v = 0; v < VECTORS; v++)
            if (first_n + i >= own_n)
                store_sum(first_n + i, first_k + v * LANES + lane, sum[i][v]);
    if (BIAS && first_k == 0)
        add_bias(own_n, first_n + ROWS);
}
