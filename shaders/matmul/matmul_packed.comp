#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
/* SPDX-License-Identifier: MIT
 *
 * Computes MATMUL with arithmetic on pairs of fp16 values. K must be a multiple of four.
 */
#include "common.glsl"

layout(set = 0, binding = 0) readonly buffer X { XVEC4 x_quads[]; };
layout(set = 0, binding = 2) readonly buffer Bias { XTYPE bias[]; };
layout(set = 0, binding = 3) buffer Y { XTYPE y[]; };

layout(push_constant) uniform Args { matmul_args args; };

#define ROW uint
#define row_of(row) ((row) * (args.k / 4))
#define load_x(row, k4) x_quads[(row) + (k4)]

#include "matmul/weights.glsl"
#include "matmul/packed.glsl"
