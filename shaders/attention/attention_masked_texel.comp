#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * Computes ATTENTION_MASKED with qkv read as texels of four values. The width of a head must be a multiple of four.
 */
#include "common.glsl"

layout(set = 1, binding = 0) uniform textureBuffer qkv_texels;
layout(set = 0, binding = 3) writeonly buffer Y { XTYPE y[]; };

#define load_qkv(index, left) texelFetch(qkv_texels, int((index) / 4))

#define MASKED
#include "attention/attention.glsl"
