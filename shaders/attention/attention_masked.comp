#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * Computes ATTENTION_MASKED on storage buffers alone, for any shape and any device.
 */
#include "common.glsl"

layout(set = 0, binding = 0) readonly buffer Qkv { XTYPE qkv[]; };
layout(set = 0, binding = 0) readonly buffer Qkv4 { XVEC4 qkv4[]; };
layout(set = 0, binding = 3) writeonly buffer Y { XTYPE y[]; };

LOADER(load_qkv_any, qkv)
#define load_qkv(index, left) (D % 4 == 0 ? vec4(qkv4[(index) / 4]) : load_qkv_any(index, left))

#define MASKED
#include "attention/attention.glsl"
