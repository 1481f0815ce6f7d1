#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
/* SPDX-License-Identifier: MIT
 *
 * Computes MATMUL with arithmetic on pairs of fp16 values and with both operands read as texels, for the GPUs of
 * phones: their caches of textures are faster than those of buffers, and their fp16 arithmetic is twice as fast as
 * fp32. K must be a multiple of four.
 */
#include "common.glsl"

layout(set = 1, binding = 0) uniform textureBuffer x_texels;
layout(set = 0, binding = 2) readonly buffer Bias { XTYPE bias[]; };
layout(set = 0, binding = 3) buffer Y { XTYPE y[]; };

layout(push_constant) uniform Args { matmul_args args; };

#define row_of(row) ((row) * (args.k / 4))
#define ROW uint
#define load_x(row, k4) texelFetch(x_texels, int((row) + (k4)))

#define TEXELS
#include "matmul/weights.glsl"
#define load_w_packed(quad) f16vec4(load_w(quad, 1.0))
#include "matmul/packed.glsl"
