#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * OUTER with dy and x read as texels. For N and K, of a CONV C, multiples of four.
 */
#include "common.glsl"

layout(set = 1, binding = 0) uniform textureBuffer dy_texels;
layout(set = 1, binding = 1) uniform textureBuffer x_texels;

#define load_dy(at, left) texelFetch(dy_texels, int((at) / 4))
#define load_dy1(at) texelFetch(dy_texels, int((at) / 4))[(at) % 4]
#define load_x(at, left) texelFetch(x_texels, int((at) / 4))

#include "train/outer.glsl"
