#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_arithmetic : require
/* SPDX-License-Identifier: MIT
 *
 * LAYERNORM_SUMS where a workgroup is one subgroup, and needs no barrier for its sums: these are dear where a
 * driver runs a workgroup's subgroups in turn.
 */
#include "common.glsl"

#define workgroup_sum(value) subgroupAdd(value)
#include "norm/layernorm_sums.glsl"
