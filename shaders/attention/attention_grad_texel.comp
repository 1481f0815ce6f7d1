#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * Computes ATTENTION_GRAD with qkv and dy read as texels of four values. The width of a head must be a multiple of
 * four.
 */
#include "common.glsl"

layout(set = 1, binding = 0) uniform textureBuffer qkv_texels;
layout(set = 1, binding = 1) uniform textureBuffer dy_texels;
layout(set = 0, binding = 2) readonly buffer Stats { float stats[]; };
layout(set = 0, binding = 3) writeonly buffer Dx { XTYPE dx[]; };

#define load_qkv(index, left) texelFetch(qkv_texels, int((index) / 4))
#define load_dy(index, left) texelFetch(dy_texels, int((index) / 4))

#include "attention/attention_grad.glsl"
