/* SPDX-License-Identifier: MIT
 *
 * Defines the loop of the variants of MATMUL and CONV that load a workgroup's part of x and w into its shared
 * memory, so that each value is read from the device's memory once per workgroup. A slab of QUADS quads along K is in
 * shared memory at once. While it is multiplied, the next slab is on its way into registers. The including file defines
 * load_x and load_x_end as for matmul.glsl.
 */
#include "matmul/tile.glsl"

layout(constant_id = 13) const bool WHOLE_SLABS = false; /* K, or the channels of CONV, is a multiple of 16 */
layout(constant_id = 1) const uint HEIGHT = 8; /* invocations of a workgroup along the rows */
const uint QUADS = 4, INVOCATIONS = LANES * HEIGHT;
const uint TILE_ROWS = ROWS * HEIGHT, TILE_COLS = COLS * LANES;
const uint X_LOADS = (QUADS * TILE_ROWS + INVOCATIONS - 1) / INVOCATIONS; /* of an invocation */
const uint W_LOADS = (QUADS * TILE_COLS + INVOCATIONS - 1) / INVOCATIONS;

/* The rows of neighbouring invocations lie side by side, in different banks. So do the same rows of different quads,
 * because a quad has two more places than rows. */
const uint X_PITCH = TILE_ROWS + 2;
shared vec4 x_slab[QUADS * X_PITCH];
shared vec4 w_slab[QUADS * TILE_COLS];

ROW x_row[X_LOADS];
uint w_first[W_LOADS]; /* the first quad of each column */
vec4 x_next[X_LOADS], w_next[W_LOADS];

/* The loads of a slab are numbered over the workgroup. Those of x walk along K first, those of w along the columns. */
#define load_number(i) (gl_LocalInvocationIndex + (i) * INVOCATIONS)
#define x_place(i) (load_number(i) % QUADS * X_PITCH + load_number(i) / QUADS)

void begin_loads()
{
    uint tile_row = args.first + tile_group().y * TILE_ROWS;
    uint tile_first = args.first_column + tile_group().x * TILE_COLS;
    [[unroll]] for (uint i = 0; i < X_LOADS; i++) {
        uint place = load_number(i) / QUADS;
        x_row[i] = row_of(min(tile_row + place % HEIGHT * ROWS + place / HEIGHT, args.m - 1));
    }
    [[unroll]] for (uint i = 0; i < W_LOADS; i++)
        w_first[i] = w_quad(tile_first + load_number(i) % TILE_COLS);
}

/* Loads the slab that begins with quad k4 into registers. Past the `quads` quads of K x is zero, and w repeats the last
 * quad. */
void load_slab(uint k4, uint quads)
{
    [[unroll]] for (uint i = 0; i < X_LOADS; i++) {
        uint x_k4 = k4 + load_number(i) % QUADS;
        if (WHOLE_SLABS)
            x_next[i] = load_x(x_row[i], x_k4);
        else
            x_next[i] = x_k4 < args.k / 4 ? load_x(x_row[i], x_k4)
                        : x_k4 < quads    ? load_x_end(x_row[i], x_k4)
                                          : vec4(0.0);
    }
    [[unroll]] for (uint i = 0; i < W_LOADS; i++) {
        uint w_k4 = k4 + load_number(i) / TILE_COLS;
        uint w_index = w_first[i] + (WHOLE_SLABS ? w_k4 : min(w_k4, quads - 1)) * PANEL;
        w_next[i] = load_w(w_index, load_scale(w_index));
    }
}

void store_slab()
{
    [[unroll]] for (uint i = 0; i < X_LOADS; i++)
        if (QUADS * TILE_ROWS % INVOCATIONS == 0 || load_number(i) < QUADS * TILE_ROWS)
            x_slab[x_place(i)] = x_next[i];
    [[unroll]] for (uint i = 0; i < W_LOADS; i++)
        if (QUADS * TILE_COLS % INVOCATIONS == 0 || load_number(i) < QUADS * TILE_COLS)
            w_slab[load_number(i)] = w_next[i];
}

void add_slab()
{
    [[unroll]] for (uint q = 0; q < QUADS; q++) {
        vec4 w[COLS];
        [[unroll]] for (uint j = 0; j < COLS; j++)
            w[j] = w_slab[q * TILE_COLS + j * LANES + gl_LocalInvocationID.x];
        [[unroll]] for (uint i = 0; i < ROWS; i++) {
            vec4 x = x_slab[q * X_PITCH + i * HEIGHT + gl_LocalInvocationID.y];
            [[unroll]] for (uint j = 0; j < COLS; j++)
                sum[i][j] = add_quad(x, w[j], sum[i][j]);
        }
    }
}

void main()
{
    begin_tile(tile_group().y * HEIGHT + gl_LocalInvocationID.y);
    begin_loads();
    uint quads = (args.k + 3) / 4, slabs = (quads + QUADS - 1) / QUADS;
    load_slab(0, quads);
    for (uint slab = 0; slab < slabs; slab++) {
        store_slab();
        barrier();
        load_slab(min(slab + 1, slabs - 1) * QUADS, quads); /* the last slab is loaded again and not used */
        add_slab();
        barrier();
    }
    end_tile();
}
