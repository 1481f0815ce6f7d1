#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * Computes LAYERNORM_GRAD with sums through shared memory, for any device.
 */
#include "common.glsl"
#include "reduce.glsl"
#include "norm/layernorm_grad.glsl"
