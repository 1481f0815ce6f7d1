#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_EXT_buffer_reference : require
#extension GL_KHR_shader_subgroup_ballot : require
/* SPDX-License-Identifier: MIT
 *
 * Computes MATMUL by the addresses of x and w. K must be a multiple of BLOCK.
 */
#include "common.glsl"

layout(set = 0, binding = 2) readonly buffer Bias { XTYPE bias[]; };
layout(set = 0, binding = 3) buffer Y { XTYPE y[]; };

#define OP_ARGS matmul_args
#include "matmul/addresses.glsl"

#define ROW uint /* where the row begins */
#define row_of(row) ((row) * (args.k / BLOCK))
#define turn_of(row, turn) ((row) + (turn))
#define is_inside(row, turn) true

#include "matmul/address.glsl"
