#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
/* SPDX-License-Identifier: MIT
 *
 * Computes DWCONV in tiles with x and w read as texels. C must be a multiple of four.
 */
#include "common.glsl"

layout(set = 1, binding = 0) uniform textureBuffer x_texels;
layout(set = 1, binding = 1) uniform textureBuffer w_texels;

#define load_x(quad) texelFetch(x_texels, int(quad))
#define load_w(quad) texelFetch(w_texels, int(quad))

#include "depthwise/tile.glsl"
