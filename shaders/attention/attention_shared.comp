#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
/* SPDX-License-Identifier: MIT
 *
 * Computes ATTENTION through shared memory. The width of a head must be 128 at most.
 */
#include "common.glsl"
#include "attention/shared.glsl"
