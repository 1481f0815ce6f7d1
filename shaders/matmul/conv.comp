#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
/* SPDX-License-Identifier: MIT
 *
 * Computes CONV on storage buffers alone, for any shape and any device.
 */
#include "common.glsl"

layout(set = 0, binding = 0) readonly buffer X { XTYPE x_values[]; };
layout(set = 0, binding = 0) readonly buffer XQuads { XVEC4 x_quads[]; };
layout(set = 0, binding = 2) readonly buffer Bias { XTYPE bias[]; };
layout(set = 0, binding = 3) buffer Y { XTYPE y[]; };

#define load_pixels(index) vec4(x_quads[(index) / 4])
#define load_pixel(index) float(x_values[index])

#include "matmul/weights.glsl"
#include "matmul/conv.glsl"
#include "matmul/matmul.glsl"
