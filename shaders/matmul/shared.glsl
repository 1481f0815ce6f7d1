/* SPDX-License-Identifier: MIT
 *
 * The loop of the rows of MATMUL and CONV that bring what a workgroup reads through its shared memory: each
 * value of x and of w leaves the device's memory once a workgroup. A row of the table gives load_x and
 * load_x_end as for matmul.glsl.
 */
#include "matmul/tile.glsl"

layout(constant_id = 1) const uint HEIGHT = 8; /* of the workgroup */
const uint QUADS = 4;                           /* along K that are brought at once */
const uint TILE_ROWS = ROWS * HEIGHT, TILE_COLS = COLS * LANES;

shared vec4 x_tile[QUADS][TILE_ROWS];
shared vec4 w_tile[QUADS][TILE_COLS];

void bring(uint k4, uint quads)
{
    uint self = gl_LocalInvocationIndex, all = LANES * HEIGHT;
    for (uint i = self; i < QUADS * TILE_ROWS; i += all) {
        ROW from = row_of(min(args.first + tile_group().y * TILE_ROWS + i / QUADS, args.m - 1));
        uint at = k4 + i % QUADS;
        x_tile[i % QUADS][i / QUADS] = at < args.k / 4 ? load_x(from, at)
                                       : at < quads    ? load_x_end(from, at)
                                                       : vec4(0.0);
    }
    uint first = args.first_column + tile_group().x * TILE_COLS;
    for (uint i = self; i < QUADS * TILE_COLS; i += all) {
        uint from = w_quad(first + i % TILE_COLS) + min(k4 + i / TILE_COLS, quads - 1) * PANEL;
        w_tile[i / TILE_COLS][i % TILE_COLS] = load_w(from, load_scale(from));
    }
}

void main()
{
    begin_tile(tile_group().y * HEIGHT + gl_LocalInvocationID.y);
    uint quads = (args.k + 3) / 4;
    for (uint k4 = 0; k4 < quads; k4 += QUADS) {
        bring(k4, quads);
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
