#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * Computes ATTENTION_MASKED with qkv read as texels of four values. The width of a head must be a multiple of four.
 */
#include "common.glsl"
#define MASKED
#define TEXELS
#include "attention/attention.glsl"
