#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * Computes ATTENTION for any shape and any device.
 */
#include "common.glsl"
#include "attention/attention.glsl"
