#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_ballot : require
/* SPDX-License-Identifier: MIT
 *
 * Computes OUTER where a workgroup is one subgroup, whose lanes broadcast single values of dy. K, or C of a CONV,
 * must be a multiple of four.
 */
#include "common.glsl"

layout(set = 0, binding = 0) readonly buffer Dy { XTYPE dy_values[]; };
layout(set = 0, binding = 1) readonly buffer X4 { XVEC4 x4[]; };

#define load_dy1(index) float(dy_values[index])
#define load_x(index, left) vec4(x4[(index) / 4])

#define SUBGROUP
#include "train/outer.glsl"
