#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * LAYERNORM_GRAD on any device.
 */
#include "common.glsl"
#include "reduce.glsl"
#include "norm/layernorm_grad.glsl"
