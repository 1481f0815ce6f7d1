#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
/* SPDX-License-Identifier: MIT
 *
 * Computes ATTENTION_MASKED through shared memory. The width of a head must be 128 at most.
 */
#include "common.glsl"
#define MASKED
#include "attention/shared.glsl"
