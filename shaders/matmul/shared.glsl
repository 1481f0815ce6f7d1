/* SPDX-License-Identifier: MIT
 *
 * Defines the loop of the variants of MATMUL and CONV that load a workgroup's part of x and w into its shared
 * memory, so that each value is read from the device's memory once per workgroup. The including file defines load_x
 * and load_x_end as for matmul.glsl.
 */
#include "matmul/tile.glsl"

layout(constant_id = 1) const uint HEIGHT = 8; /* invocations of a workgroup along the rows */
const uint QUADS = 4; /* quads of K that are in shared memory at once */
const uint TILE_ROWS = ROWS * HEIGHT, TILE_COLS = COLS * LANES;

shared vec4 x_tile[QUADS][TILE_ROWS];
shared vec4 w_tile[QUADS][TILE_COLS];

/* Loads the tiles that begin with quad k4 of K. Past its `quads` quads x is zero, and w repeats the last quad. */
void load_tiles(uint k4, uint quads)
{
    uint self = gl_LocalInvocationIndex, all = LANES * HEIGHT;
    for (uint i = self; i < QUADS * TILE_ROWS; i += all) {
        ROW row = row_of(min(args.first + tile_group().y * TILE_ROWS + i / QUADS, args.m - 1));
        uint quad_k4 = k4 + i % QUADS;
        x_tile[i % QUADS][i / QUADS] = quad_k4 < args.k / 4 ? load_x(row, quad_k4)
                                       : quad_k4 < quads    ? load_x_end(row, quad_k4)
                                                       : vec4(0.0);
    }
    uint first = args.first_column + tile_group().x * TILE_COLS;
    for (uint i = self; i < QUADS * TILE_COLS; i += all) {
        uint w_index = w_quad(first + i % TILE_COLS) + min(k4 + i / TILE_COLS, quads - 1) * PANEL;
        w_tile[i / TILE_COLS][i % TILE_COLS] = load_w(w_index, load_scale(w_index));
    }
}

void main()
{
    begin_tile(tile_group().y * HEIGHT + gl_LocalInvocationID.y);
    uint quads = (args.k + 3) / 4;
    for (uint k4 = 0; k4 < quads; k4 += QUADS) {
        load_tiles(k4, quads);
        barrier();
        for (uint q = 0; q < QUADS; q++) {
            vec4 w[COLS];
            for (uint j = 0; j < COLS; j++)
                w[j] = w_tile[q][j * LANES + gl_LocalInvocationID.x];
            for (uint i = 0; i < ROWS; i++) {
                vec4 x = x_tile[q][gl_LocalInvocationID.y * ROWS + i];
                for (uint j = 0; j < COLS; j++)
                    sum[i][j] = add_quad(x, w[j], sum[i][j]);
            }
        }
        barrier();
    }
    end_tile();
}
