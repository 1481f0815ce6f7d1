#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_shader_subgroup_basic : require
/* SPDX-License-Identifier: MIT
 *
 * Computes ATTENTION_MASKED with cooperative matrices. The width of a head must be 128 at most.
 */
#include "common.glsl"
#define MASKED
#include "attention/matrices.glsl"
