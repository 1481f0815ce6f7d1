#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * ATTENTION_STATS with qkv read as texels of four values.
 */
#include "common.glsl"

layout(set = 1, binding = 0) uniform textureBuffer qkv_texels;
layout(set = 0, binding = 1) readonly buffer Y { XTYPE y[]; };
layout(set = 0, binding = 2) readonly buffer Dy { XTYPE dy[]; };
layout(set = 0, binding = 3) writeonly buffer Stats { float stats[]; };

#define load_qkv(at, left) texelFetch(qkv_texels, int((at) / 4))

#include "attention_stats.glsl"
