#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_shader_subgroup_basic : require
/* SPDX-License-Identifier: MIT
 *
 * Computes MATMUL with cooperative matrices, for any shape.
 */
#include "common.glsl"

layout(set = 0, binding = 0) readonly buffer X { XTYPE x_values[]; };
layout(set = 0, binding = 2) readonly buffer Bias { XTYPE bias[]; };
layout(set = 0, binding = 3) buffer Y { XTYPE y[]; };

layout(push_constant) uniform Args { matmul_args args; };

LOADER(load_x_at, x_values)
/* The first octet of a row, or its first value if rows are no whole octets. */
#define ROW uint
#define row_of(row) ((row) * (WHOLE_K ? args.k / 8 : args.k))

#include "matmul/weights.glsl"
#include "matmul/matrices.glsl"

Octet load_x(uint row, uint slab, uint octet)
{
    uint k8 = slab * TILE_OCTETS + octet, k = 8 * k8;
    if (WHOLE_K)
        return load_octet(row + k8);
    return make_octet(k < args.k ? load_x_at(row + k, args.k - k) : vec4(0.0),
                      k + 4 < args.k ? load_x_at(row + k + 4, args.k - k - 4) : vec4(0.0));
}
