#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
/* SPDX-License-Identifier: MIT
 *
 * Computes MATMUL with both operands read as texels: drivers that run loads from storage buffers lane by lane
 * vectorise these, and on others they pass through the texture cache. K must be a multiple of four.
 */
#include "common.glsl"

layout(set = 1, binding = 0) uniform textureBuffer x_texels;
layout(set = 0, binding = 2) readonly buffer Bias { XTYPE bias[]; };
layout(set = 0, binding = 3) buffer Y { XTYPE y[]; };

layout(push_constant) uniform Args { matmul_args args; };

#define ROW uint /* the first quad of a row */
#define row_of(row) ((row) * (args.k / 4))
#define load_x(row, k4) texelFetch(x_texels, int((row) + (k4)))
#define load_x_end(row, k4) vec4(0.0)

#define TEXELS
#include "matmul/weights.glsl"
#include "matmul/matmul.glsl"
