#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_ballot : require
/* SPDX-License-Identifier: MIT
 *
 * Computes OUTER where a workgroup is one subgroup, whose lanes broadcast quads of dy; dy and x are read as texels.
 * N and K, or C of a CONV, must be multiples of four.
 */
#include "common.glsl"

layout(set = 1, binding = 0) uniform textureBuffer dy_texels;
layout(set = 1, binding = 1) uniform textureBuffer x_texels;

#define load_dy(index, left) texelFetch(dy_texels, int((index) / 4))
#define load_dy1(index) texelFetch(dy_texels, int((index) / 4))[(index) % 4]
#define load_x(index, left) texelFetch(x_texels, int((index) / 4))

#define BROADCAST
#include "train/outer.glsl"
