#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_EXT_integer_dot_product : require
/* SPDX-License-Identifier: MIT
 *
 * Computes MATMUL with products of 8-bit integers, for any shape.
 */
#include "common.glsl"

layout(set = 0, binding = 0) readonly buffer X { XTYPE x_values[]; };
layout(set = 0, binding = 2) readonly buffer Bias { XTYPE bias[]; };
layout(set = 0, binding = 3) buffer Y { XTYPE y[]; };

layout(push_constant) uniform Args { matmul_args args; };

#define load_x(row, k4) load_x_at((row) * args.k + 4 * (k4), 4)
#define load_x_end(row, k4) load_x_at((row) * args.k + 4 * (k4), args.k - 4 * (k4))
LOADER(load_x_at, x_values)

#include "matmul/weights.glsl"
#include "matmul/dot.glsl"
