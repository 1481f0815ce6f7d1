#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
/* SPDX-License-Identifier: MIT
 *
 * Computes DWCONV in tiles on storage buffers. C must be a multiple of four.
 */
#include "common.glsl"

layout(set = 0, binding = 0) readonly buffer X { XVEC4 x4[]; };
layout(set = 0, binding = 1) readonly buffer W { XVEC4 w4[]; };

#define load_x(quad) vec4(x4[quad])
#define load_w(quad) vec4(w4[quad])

#include "depthwise/tile.glsl"
