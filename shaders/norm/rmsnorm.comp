#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * Computes RMSNORM with sums through shared memory, for any device.
 */
#include "common.glsl"
#include "reduce.glsl"
#include "norm/rmsnorm.glsl"
