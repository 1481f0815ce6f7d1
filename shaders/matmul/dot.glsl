/* SPDX-License-Identifier: MIT
 *
 * Defines the loop of the variants of MATMUL and CONV for w in blocks of 8 bits. A workgroup rounds its part of x
 * to such blocks too, in shared memory, and multiplies four values by four as integers, whose sums are exact. The
 * including file defines load_x and load_x_end as for matmul.glsl.
 */
#include "matmul/tile.glsl"

layout(constant_id = 1) const uint HEIGHT = 4; /* invocations of a workgroup along the rows */
const uint DEPTH = 4; /* blocks of K that are in shared memory at once */
const uint WORDS = BLOCK / 4;

shared uint x_words[ROWS * HEIGHT][DEPTH][WORDS];
shared float x_scales[ROWS * HEIGHT][DEPTH];

/* Rounds one block of x: the one that is `block` blocks after first_block, in row `row` of the workgroup. */
void round_block(uint row, uint first_block, uint block)
{
    ROW x_row = row_of(min(args.first + tile_group().y * ROWS * HEIGHT + row, args.m - 1));
    vec4 x[WORDS];
    float largest = 0.0;
    for (uint i = 0; i < WORDS; i++) {
        uint k4 = (first_block + block) * WORDS + i;
        x[i] = k4 < args.k / 4   ? load_x(x_row, k4)
               : 4 * k4 < args.k ? load_x_end(x_row, k4)
                                 : vec4(0.0);
        vec4 size = abs(x[i]);
        largest = max(largest, max(max(size.x, size.y), max(size.z, size.w)));
    }
    float inverse = largest > 1e-30 ? 1.0 / largest : 0.0;
    for (uint i = 0; i < WORDS; i++)
        x_words[row][block][i] = packSnorm4x8(x[i] * inverse); /* rounds 127 x */
    x_scales[row][block] = largest / 127.0;
}

/* Adds the products of one block to the sums. */
void add_block(uint block, uint first_block)
{
    uint first = gl_LocalInvocationID.y * ROWS;
    int part[ROWS][COLS];
    load_scales((first_block + block) * WORDS);
    for (uint i = 0; i < ROWS; i++)
        for (uint j = 0; j < COLS; j++)
            part[i][j] = 0;
    for (uint k4 = 0; k4 < WORDS; k4++) {
        int w[COLS];
        for (uint j = 0; j < COLS; j++)
            w[j] = load_w_word(quad[j] + ((first_block + block) * WORDS + k4) * PANEL);
        for (uint i = 0; i < ROWS; i++) {
            int x = int(x_words[first + i][block][k4]);
            for (uint j = 0; j < COLS; j++)
                part[i][j] += dotPacked4x8EXT(x, w[j]);
        }
    }
    for (uint i = 0; i < ROWS; i++)
        for (uint j = 0; j < COLS; j++)
            sum[i][j] = fma(float(part[i][j]), x_scales[first + i][block] * scale[j], sum[i][j]);
}

void main()
{
    begin_tile(tile_group().y * HEIGHT + gl_LocalInvocationID.y);
    uint blocks = (args.k + BLOCK - 1) / BLOCK;
    for (uint first_block = 0; first_block < blocks; first_block += DEPTH) {
        for (uint i = gl_LocalInvocationIndex; i < ROWS * HEIGHT * DEPTH; i += LANES * HEIGHT)
            round_block(i / DEPTH, first_block, i % DEPTH);
        barrier();
        for (uint block = 0; block < min(DEPTH, blocks - first_block); block++)
            add_block(block, first_block);
        barrier();
    }
    end_tile();
}
