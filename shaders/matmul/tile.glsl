/* SPDX-License-Identifier: MIT
 *
 * Defines what every variant of MATMUL and CONV has around its loop: which rows and columns of the result an
 * invocation computes, and the epilogue. The epilogue adds the bias, activates, adds to the residual in `y` and
 * applies ReLU; with SLOPE it multiplies by the slope of an activation instead. The LANES invocations of a
 * workgroup take neighbouring columns, COLS times.
 */
#ifndef ROW
#define ROW uint
#define row_of(row) (row)
#endif
#include "workgroup.glsl"

layout(constant_id = 3) const uint ROWS = 4;
layout(constant_id = 4) const uint COLS = 4;
layout(constant_id = 5) const uint ACTIVATION = 0;
layout(constant_id = 6) const bool BIAS = false;
layout(constant_id = 7) const bool RESIDUAL = false;
layout(constant_id = 8) const bool RELU = false;
layout(constant_id = 9) const bool WALK_ROWS = false; /* whether neighbouring workgroups have neighbouring rows */
layout(constant_id = 10) const bool SLOPE = false; /* `bias` has the activation's argument */
layout(constant_id = 11) const uint STORED_ROWS = 0; /* rows that a turn of end_tile's loop stores; 0: no loop */

#include "elementwise/activation.glsl"

float sum[ROWS][COLS];
ROW row[ROWS];     /* rows of x; those past M repeat the last one */
uint quad[COLS];   /* the first quad of each column of w */
float scale[COLS]; /* scales of the columns' current blocks */
uint first_row, first_column;

/* Give number j of an invocation's columns, and what that column has of w at quad k4. With PAIRS, columns are pairs of
 * neighbours, and must be loaded in their order. */
#ifdef PAIRS
#define lane_column (2 * gl_LocalInvocationID.x)
#define tile_column(j) (first_column + (j) / 2 * 2 * LANES + (j) % 2)
uvec4 pair;

vec4 load_column(uint j, uint k4)
{
    if (j % 2 == 0)
        pair = load_pair(quad[j] + k4 * PANEL);
    uvec2 words = j % 2 == 0 ? pair.xy : pair.zw;
    return vec4(unpackHalf2x16(words.x), unpackHalf2x16(words.y));
}
#else
#define lane_column gl_LocalInvocationID.x
#define tile_column(j) (first_column + (j) * LANES)
#define load_column(j, k4) load_w(quad[j] + (k4) * PANEL, scale[j])
#endif

float add_quad(vec4 x, vec4 w, float total)
{
    return fma(x.w, w.w, fma(x.z, w.z, fma(x.y, w.y, fma(x.x, w.x, total))));
}

/* Returns the workgroup's position along the columns (x) and the rows (y) of the result. */
uvec2 tile_group()
{
    return WALK_ROWS ? gl_WorkGroupID.yx : gl_WorkGroupID.xy;
}

/* Returns the first quad of a column in this dispatch's binding of w. Columns past N repeat the last one. */
uint w_quad(uint column)
{
#ifdef W_BLOCKS
    uint quads = (args.k + BLOCK - 1) / BLOCK * (BLOCK / 4);
#else
    uint quads = (args.k + 3) / 4;
#endif
    uint seen = min(column, args.n - 1) - args.first_column;
    return panel_column(seen, quads);
}

void begin_tile(uint tile)
{
    first_row = args.first + tile * ROWS;
    first_column = args.first_column + tile_group().x * COLS * LANES + lane_column;
    for (uint j = 0; j < COLS; j++)
        quad[j] = w_quad(tile_column(j));
    for (uint i = 0; i < ROWS; i++) {
        row[i] = row_of(min(first_row + i, args.m - 1));
        for (uint j = 0; j < COLS; j++)
            sum[i][j] = 0.0;
    }
}

/* Loads the scales of the blocks that begin with quad k4. */
void load_scales(uint k4)
{
    for (uint j = 0; j < COLS; j++)
        scale[j] = load_scale(quad[j] + k4 * PANEL);
}

/* Stores one value after the epilogue; `add` is the column's bias. */
void end_value(uint row_index, uint column, float value, float add)
{
    uint index = row_index * args.n + column;
    value = SLOPE ? value * slope(ACTIVATION, float(bias[index])) : activate(ACTIVATION, value + add);
    if (RESIDUAL)
        value += float(y[index]);
    y[index] = XTYPE(RELU ? max(value, 0.0) : value);
}

/* Stores the sum of row i and column j of the tile if they lie inside the result. */
void end_sum(uint i, uint j, float total)
{
    uint row_index = first_row + i, column = tile_column(j);
    if (row_index < args.m && column < args.n)
        end_value(row_index, column, total, BIAS ? float(bias[column]) : 0.0);
}

/* A store has several branches. Where those make the compiler slow, the rows are stored by a loop, whose turns pick the
 * sums of their rows by selections: an index that is no constant would move them to memory. */
void end_tile()
{
    for (uint i = 0; i < ROWS && STORED_ROWS == 0; i++)
        for (uint j = 0; j < COLS; j++)
            end_sum(i, j, sum[i][j]);
    [[dont_unroll]] for (uint first = 0; first < ROWS && STORED_ROWS > 0; first += STORED_ROWS)
        for (uint i = 0; i < min(STORED_ROWS, ROWS); i++)
            for (uint j = 0; j < COLS; j++) {
                float total = sum[i][j];
                for (uint r = i + STORED_ROWS; r < ROWS; r += STORED_ROWS)
                    total = r == first + i ? sum[r][j] : total;
                if (first + i < ROWS)
                    end_sum(first + i, j, total);
            }
}
