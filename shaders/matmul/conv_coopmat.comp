#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_shader_subgroup_basic : require
/* SPDX-License-Identifier: MIT
 *
 * Computes CONV with cooperative matrices, for any shape.
 */
#include "common.glsl"

layout(set = 0, binding = 0) readonly buffer X { XTYPE x_values[]; };
layout(set = 0, binding = 2) readonly buffer Bias { XTYPE bias[]; };
layout(set = 0, binding = 3) buffer Y { XTYPE y[]; };

layout(push_constant) uniform Args { conv_args args; };

#include "matmul/pixels.glsl"
#include "matmul/weights.glsl"
#include "matmul/matrices.glsl"

float load_value(ROW row, uint k)
{
    uint channels = args.k / 9, pixel;
    bool inside = pixel_at(row, k / channels, pixel) && k < args.k;
    return inside ? float(x_values[pixel * channels + k % channels]) : 0.0;
}

Octet load_x(ROW row, uint slab, uint octet)
{
    uint channels = args.k / 9, pixel;
    if (WHOLE_K) { /* A slab lies within one tap. */
        uint slabs = channels / TILE_K;
        bool inside = pixel_at(row, slab / slabs, pixel);
        Octet values = load_octet(pixel * (channels / 8) + slab % slabs * TILE_OCTETS + octet);
        [[unroll]] for (uint i = 0; i < X_WORDS; i++)
            values.words[i] = inside ? values.words[i] : uvec4(0);
        return values;
    }
    vec4 quads[2];
    [[unroll]] for (uint i = 0; i < 8; i++)
        quads[i / 4][i % 4] = load_value(row, slab * TILE_K + 8 * octet + i);
    return make_octet(quads[0], quads[1]);
}
