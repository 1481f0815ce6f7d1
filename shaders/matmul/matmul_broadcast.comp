#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_ballot : require
/* SPDX-License-Identifier: MIT
 *
 * Computes MATMUL where a subgroup shares what its lanes read of x, with both operands read as texels. K must be a
 * multiple of four.
 */
#include "common.glsl"

layout(set = 1, binding = 0) uniform textureBuffer x_texels;
layout(set = 0, binding = 2) readonly buffer Bias { XTYPE bias[]; };
layout(set = 0, binding = 3) buffer Y { XTYPE y[]; };

layout(push_constant) uniform Args { matmul_args args; };

#define ROW uint /* the first quad of a row */
#define row_of(row) ((row) * (args.k / 4))
#define load_x(row, k4) texelFetch(x_texels, int((row) + (k4)))

#define TEXELS
#include "matmul/weights.glsl"
#include "matmul/broadcast.glsl"
