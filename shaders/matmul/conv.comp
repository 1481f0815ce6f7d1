#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
/* SPDX-License-Identifier: MIT
 *
 * Computes CONV on storage buffers alone, for any shape and any device.
 */
#include "common.glsl"

layout(set = 0, binding = 0) readonly buffer X { XTYPE x_values[]; };
layout(set = 0, binding = 2) readonly buffer Bias { XTYPE bias[]; };
layout(set = 0, binding = 3) buffer Y { XTYPE y[]; };

LOADER(load_x_at, x_values)
#define load_pixels(index) load_x_at(index, 4)
#define load_pixel(index) float(x_values[index])

#include "matmul/weights.glsl"
#include "matmul/conv.glsl"
#include "matmul/matmul.glsl"
