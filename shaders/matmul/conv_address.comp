#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_EXT_buffer_reference : require
#extension GL_KHR_shader_subgroup_ballot : require
/* SPDX-License-Identifier: MIT
 *
 * Computes CONV by the addresses of x and w. C must be a multiple of BLOCK.
 */
#include "common.glsl"

layout(set = 0, binding = 2) readonly buffer Bias { XTYPE bias[]; };
layout(set = 0, binding = 3) buffer Y { XTYPE y[]; };

#define OP_ARGS conv_args
#include "matmul/addresses.glsl"
#include "matmul/pixels.glsl"

/* A pixel's channels take this many turns. */
#define pixel_turns (args.k / 9 / BLOCK)

uint turn_of(ROW row, uint turn)
{
    uint pixel;
    pixel_at(row, turn / pixel_turns, pixel);
    return pixel * pixel_turns + turn % pixel_turns;
}

bool is_inside(ROW row, uint turn)
{
    uint pixel;
    return pixel_at(row, turn / pixel_turns, pixel);
}

#include "matmul/address.glsl"
