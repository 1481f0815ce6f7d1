#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_ballot : require
/* SPDX-License-Identifier: MIT
 *
 * OUTER by one subgroup a workgroup. For K, of a CONV C, a multiple of four.
 */
#include "common.glsl"

layout(set = 0, binding = 0) readonly buffer Dy { XTYPE dy_values[]; };
layout(set = 0, binding = 1) readonly buffer X4 { XVEC4 x4[]; };

#define load_dy1(at) float(dy_values[at])
#define load_x(at, left) vec4(x4[(at) / 4])

#define SUBGROUP
#include "train/outer.glsl"
