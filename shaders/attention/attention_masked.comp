#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * Computes ATTENTION_MASKED for any shape and any device.
 */
#include "common.glsl"
#define MASKED
#include "attention/attention.glsl"
