#version 450
#extension GL_GOOGLE_include_directive : require
/* SPDX-License-Identifier: MIT
 *
 * ROWSTATS on any device.
 */
#include "common.glsl"
#include "reduce.glsl"
#include "rowstats.glsl"
