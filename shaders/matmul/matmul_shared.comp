#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
/* SPDX-License-Identifier: MIT
 *
 * Computes MATMUL through shared memory, on storage buffers, for any shape.
 */
#include "common.glsl"

layout(set = 0, binding = 2) readonly buffer Bias { XTYPE bias[]; };
layout(set = 0, binding = 3) buffer Y { XTYPE y[]; };

layout(push_constant) uniform Args { matmul_args args; };

#include "matmul/quads.glsl"
#include "matmul/weights.glsl"
#include "matmul/shared.glsl"
