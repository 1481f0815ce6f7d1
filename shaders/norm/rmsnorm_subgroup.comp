#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_arithmetic : require
/* SPDX-License-Identifier: MIT
 *
 * Computes RMSNORM where a workgroup is one subgroup, so that its sums need no barrier. Barriers are slow on
 * drivers that run the subgroups of a workgroup one after the other.
 */
#include "common.glsl"

#define workgroup_sum(value) subgroupAdd(value)
#include "norm/rmsnorm.glsl"
