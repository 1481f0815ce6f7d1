#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * CONV with both operands read as texels of four values. For C a multiple of four.
 */
#include "common.glsl"

layout(set = 1, binding = 0) uniform textureBuffer x_texels;
layout(set = 1, binding = 1) uniform textureBuffer w_texels;
layout(set = 0, binding = 2) readonly buffer Bias { WTYPE bias[]; };
layout(set = 0, binding = 3) buffer Y { XTYPE y[]; };

#define load_w(at) texelFetch(w_texels, int(at))
#define load_pixels(at) texelFetch(x_texels, int((at) / 4))
#define load_pixel(at) 0.0

#include "conv.glsl"
