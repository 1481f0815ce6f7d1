/* SPDX-License-Identifier: MIT
 *
 * What every MATMUL and CONV row has around its loop: which rows and columns of the result an invocation
 * computes, and the epilogue, which adds bias, activates, adds to the residual in `y`, and applies ReLU; or which multiplies
 * by the activation's slope.
 * A workgroup's LANES invocations take neighbouring columns, COLS times.
 */
#ifndef ROW
#define ROW uint
#define row_of(row) (row)
#endif
layout(constant_id = 3) const uint ROWS = 4;
layout(constant_id = 4) const uint COLS = 4;
layout(constant_id = 5) const uint ACTIVATION = 0;
layout(constant_id = 6) const bool BIAS = false;
layout(constant_id = 7) const bool RESIDUAL = false;
layout(constant_id = 8) const bool RELU = false;
layout(constant_id = 9) const bool WALK_ROWS = false; /* neighbouring workgroups walk the rows first */
layout(constant_id = 10) const bool SLOPE = false; /* of the activation: `bias` has its x */
layout(constant_id = 0) const uint LANES = 8; /* the width of a workgroup */

#include "elementwise/activation.glsl"

float sum[ROWS][COLS];
ROW row[ROWS];     /* rows past M repeat the last one */
uint quad[COLS];   /* of w, at k = 0 */
float scale[COLS]; /* of the quads' block: load_scales */
uint first_row, first_column;

float add_quad(vec4 x, vec4 w, float to)
{
    return fma(x.w, w.w, fma(x.z, w.z, fma(x.y, w.y, fma(x.x, w.x, to))));
}

uvec2 tile_group()
{
    return WALK_ROWS ? gl_WorkGroupID.yx : gl_WorkGroupID.xy;
}

/* A column's quad at k = 0; columns past N repeat the last one. */
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
    first_column = args.first_column + tile_group().x * COLS * LANES + gl_LocalInvocationID.x;
    for (uint j = 0; j < COLS; j++)
        quad[j] = w_quad(first_column + j * LANES);
    for (uint i = 0; i < ROWS; i++) {
        row[i] = row_of(min(first_row + i, args.m - 1));
        for (uint j = 0; j < COLS; j++)
            sum[i][j] = 0.0;
    }
}

void load_scales(uint k4)
{
    for (uint j = 0; j < COLS; j++)
        scale[j] = load_scale(quad[j] + k4 * PANEL);
}

#ifdef W_BLOCKS
#define begin_block(k4)                                                                            \
    if ((k4) % (BLOCK / 4) == 0)                                                                   \
        load_scales(k4);
#else
#define begin_block(k4)
#endif

/* The epilogue of one value; `add` is the column's bias. */
void end_value(uint to_row, uint column, float value, float add)
{
    uint at = to_row * args.n + column;
    value = SLOPE ? value * slope(ACTIVATION, float(bias[at])) : activate(ACTIVATION, value + add);
    if (RESIDUAL)
        value += float(y[at]);
    y[at] = XTYPE(RELU ? max(value, 0.0) : value);
}

void end_tile()
{
    for (uint j = 0; j < COLS; j++) {
        uint column = first_column + j * LANES;
        if (column >= args.n)
            break;
        float add = BIAS ? float(bias[column]) : 0.0;
        for (uint i = 0; i < ROWS; i++) {
            if (first_row + i >= args.m)
                break;
            end_value(first_row + i, column, sum[i][j], add);
        }
    }
}
