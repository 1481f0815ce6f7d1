#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
/* SPDX-License-Identifier: MIT
 *
 * Computes OUTER with dy and x read as texels. N and K, or C of a CONV, must be multiples of four.
 */
#include "common.glsl"

layout(set = 1, binding = 0) uniform textureBuffer dy_texels;
layout(set = 1, binding = 1) uniform textureBuffer x_texels;

#define load_dy(index, left) texelFetch(dy_texels, int((index) / 4))
#define load_dy1(index) texelFetch(dy_texels, int((index) / 4))[(index) % 4]
#define load_x(index, left) texelFetch(x_texels, int((index) / 4))

#include "train/outer.glsl"
