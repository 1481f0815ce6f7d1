#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
/* SPDX-License-Identifier: MIT
 *
 * Computes MATMUL of few rows of x, as a search does: its time is that of reading w, so that every load takes the quads
 * of two columns in fp16 and a row of x is loaded for many columns. Both operands are read as texels. K must be a
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
#define load_x_end(row, k4) vec4(0.0)

#define PAIRS
#include "matmul/weights.glsl"
#include "matmul/matmul.glsl"
