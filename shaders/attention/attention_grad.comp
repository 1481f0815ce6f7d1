#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * Computes ATTENTION_GRAD on storage buffers alone, for any shape and any device.
 */
#include "common.glsl"

layout(set = 0, binding = 0) readonly buffer Qkv { XTYPE qkv[]; };
layout(set = 0, binding = 0) readonly buffer Qkv4 { XVEC4 qkv4[]; };
layout(set = 0, binding = 1) readonly buffer Dy { XTYPE dy[]; };
layout(set = 0, binding = 1) readonly buffer Dy4 { XVEC4 dy4[]; };
layout(set = 0, binding = 2) readonly buffer Stats { float stats[]; };
layout(set = 0, binding = 3) writeonly buffer Dx { XTYPE dx[]; };

LOADER(load_qkv_any, qkv)
#define load_qkv(index, left) (D % 4 == 0 ? vec4(qkv4[(index) / 4]) : load_qkv_any(index, left))
LOADER(load_dy_any, dy)
#define load_dy(index, left) (D % 4 == 0 ? vec4(dy4[(index) / 4]) : load_dy_any(index, left))

#include "attention/attention_grad.glsl"
