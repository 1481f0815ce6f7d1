/* SPDX-License-Identifier: MIT
 *
 * Defines the loop of the variants of DWCONV whose invocations compute a tile of ROWS x COLS pixels of four
 * neighbouring channels. A row of pixels is read once for all rows of the tile that it adds to, and each of its pixels
 * once for all columns. C must be a multiple of four. The including file defines
 *     vec4 load_x(uint quad)    four channels of x, the quads of a pixel lie side by side
 *     vec4 load_w(uint quad)    the same tap of four channels
 */
layout(constant_id = 3) const uint ROWS = 1;
layout(constant_id = 4) const uint COLS = 4;
layout(constant_id = 5) const uint SIDE = 7;
layout(constant_id = 6) const bool FLIPPED = false;
layout(constant_id = 7) const bool BIAS = false;
layout(constant_id = 8) const bool RESIDUAL = false;

layout(set = 0, binding = 2) readonly buffer Bias { XVEC4 bias[]; };
layout(set = 0, binding = 3) buffer Y { XVEC4 y4[]; };

layout(push_constant) uniform Args { dwconv_args args; };

const uint PAD = SIDE / 2;

vec4 sum[ROWS][COLS];
vec4 weights[ROWS][SIDE]; /* of each row of the tile, for the row of pixels that is added */

/* Loads the taps that a row of pixels has in each row of the tile. It lies `row` rows below the first one that the tile
 * reads, and has no taps where it is too far away. */
void load_weights(uint row, uint quad, uint quads)
{
    for (uint r = 0; r < ROWS; r++)
        for (uint k = 0; k < SIDE; k++) {
            uint tap = min(row - r, SIDE - 1) * SIDE + k;
            vec4 value = load_w((FLIPPED ? SIDE * SIDE - 1 - tap : tap) * quads + quad);
            weights[r][k] = row - r < SIDE ? value : vec4(0.0);
        }
}

/* Adds a row of pixels to the tile. `first` is the column of the tile's first pixel, and `line` the quad of the row's
 * first pixel. */
void add_row(uint first, uint line, uint quads)
{
    [[unroll]] for (uint i = 0; i < COLS + SIDE - 1; i++) {
        int column = int(first + i) - int(PAD);
        vec4 value = load_x(line + uint(clamp(column, 0, int(args.w) - 1)) * quads);
        value = column >= 0 && column < int(args.w) ? value : vec4(0.0);
        [[unroll]] for (uint c = 0; c < COLS; c++)
            if (i - c < SIDE)
                for (uint r = 0; r < ROWS; r++)
                    sum[r][c] = fma(value, weights[r][i - c], sum[r][c]);
    }
}

void end_tile(uint item, uint y, uint x, uint quad, uint quads)
{
    for (uint r = 0; r < ROWS; r++)
        for (uint c = 0; c < COLS; c++)
            if (y + r < args.h && x + c < args.w) {
                uint index = ((item * args.h + y + r) * args.w + x + c) * quads + quad;
                vec4 total = sum[r][c];
                if (RESIDUAL)
                    total += vec4(y4[index]);
                y4[index] = XVEC4(total);
            }
}

void main()
{
    uint quads = args.c / 4, across = (args.w + COLS - 1) / COLS, down = (args.h + ROWS - 1) / ROWS;
    uint all = gl_NumWorkGroups.x * gl_WorkGroupSize.x, count = args.count * across * quads;
    for (uint i = gl_GlobalInvocationID.x; i < count; i += all) {
        uint quad = i % quads, x = i / quads % across * COLS, tile = args.first + i / quads / across;
        uint item = tile / down, y = tile % down * ROWS;
        vec4 begin = BIAS ? vec4(bias[quad]) : vec4(0.0);
        for (uint r = 0; r < ROWS; r++)
            for (uint c = 0; c < COLS; c++)
                sum[r][c] = begin;
        /* Rows above and below the picture are zeros, which add nothing. */
        uint end = min(ROWS + SIDE - 1, args.h + PAD - y);
        [[dont_unroll]] for (uint row = y < PAD ? PAD - y : 0; row < end; row++) {
            load_weights(row, quad, quads);
            add_row(x, (item * args.h + y + row - PAD) * args.w * quads + quad, quads);
        }
        end_tile(item, y, x, quad, quads);
    }
}
