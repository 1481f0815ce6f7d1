#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
/* SPDX-License-Identifier: MIT
 *
 * Computes CONV with both operands read as texels. C must be a multiple of four.
 */
#include "common.glsl"

layout(set = 1, binding = 0) uniform textureBuffer x_texels;
layout(set = 0, binding = 2) readonly buffer Bias { XTYPE bias[]; };
layout(set = 0, binding = 3) buffer Y { XTYPE y[]; };

#define load_pixels(index) texelFetch(x_texels, int((index) / 4))
#define load_pixel(index) 0.0

#define TEXELS
#include "matmul/weights.glsl"
#include "matmul/conv.glsl"
#include "matmul/matmul.glsl"
