/* SPDX-License-Identifier: MIT
 *
 * Loads x of MATMUL from storage buffers. Where rows are whole quads, a load takes a quad at once: drivers do not make
 * one load of four whose alignment they do not know. This file defines row_of, load_x and load_x_end for tile.glsl.
 */
layout(constant_id = 12) const bool WHOLE_QUADS = false; /* K is a multiple of four */

layout(set = 0, binding = 0) readonly buffer X { XTYPE x_values[]; };
layout(set = 0, binding = 0) readonly buffer XQuads { XVEC4 x_quads[]; };

LOADER(load_x_at, x_values)

/* The first quad of a row, or its first value if rows are no whole quads. */
#define ROW uint
#define row_of(row) ((row) * (WHOLE_QUADS ? args.k / 4 : args.k))

vec4 load_x(uint row, uint k4)
{
    return WHOLE_QUADS ? vec4(x_quads[row + k4]) : load_x_at(row + 4 * k4, 4);
}

vec4 load_x_end(uint row, uint k4)
{
    return load_x_at(row + 4 * k4, args.k - 4 * k4);
}
