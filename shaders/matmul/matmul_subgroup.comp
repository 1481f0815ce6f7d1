#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_ballot : require
/* SPDX-License-Identifier: MIT
 *
 * Computes MATMUL where a subgroup shares what its lanes read of x. K must be a multiple of the subgroup's width.
 */
#include "common.glsl"

layout(set = 0, binding = 0) readonly buffer X { XTYPE x_values[]; };
layout(set = 0, binding = 2) readonly buffer Bias { XTYPE bias[]; };
layout(set = 0, binding = 3) buffer Y { XTYPE y[]; };

layout(push_constant) uniform Args { matmul_args args; };

#define ROW uint /* the first value of a row */
#define row_of(row) ((row) * args.k)
#define load_x_lane(row, first_k) float(x_values[(row) + (first_k) + gl_SubgroupInvocationID])

#include "matmul/weights.glsl"
#include "matmul/subgroup.glsl"
