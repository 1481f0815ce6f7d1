#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
/* SPDX-License-Identifier: MIT
 *
 * Computes OUTER on storage buffers alone, for any shape and any device.
 */
#include "common.glsl"

layout(set = 0, binding = 0) readonly buffer Dy { XTYPE dy_values[]; };
layout(set = 0, binding = 0) readonly buffer Dy4 { XVEC4 dy4[]; };
layout(set = 0, binding = 1) readonly buffer X { XTYPE x_values[]; };
layout(set = 0, binding = 1) readonly buffer X4 { XVEC4 x4[]; };

LOADER(load_dy_any, dy_values)
LOADER(load_x_any, x_values)
#define load_dy(index, left) (QUADS ? vec4(dy4[(index) / 4]) : load_dy_any(index, left))
#define load_dy1(index) float(dy_values[index])
#define load_x(index, left) (QUADS ? vec4(x4[(index) / 4]) : load_x_any(index, left))

#include "train/outer.glsl"
