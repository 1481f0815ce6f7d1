/* SPDX-License-Identifier: MIT
 *
 * Defines the loop of the variants of MATMUL and CONV that multiply by cooperative matrices of the shape that the
 * device has. Their values are fp16, rounded on the way if x or w has another type, and their sums are fp32. The
 * workgroup loads a slab of TILE_K values along K of its rows of x and its columns of w into shared memory, and each
 * subgroup computes ROWS x COLS matrices from it. While it does, the next slab is on its way into registers.
 *
 * The unit of loading is an octet, eight values along K, as 16 bytes of fp16 or 32 of fp32. The including file defines
 * row_of for tile.glsl, and after this file
 *     Octet load_x(ROW row, uint slab, uint octet)    an octet of a slab of x, zero from K on
 */
layout(constant_id = 1) const uint HEIGHT = 1; /* subgroups along the rows */
layout(constant_id = 2) const uint DEPTH = 1;  /* subgroups of the same rows: WIDTH * SLICES */
layout(constant_id = 12) const uint MATRIX_M = 16;
layout(constant_id = 13) const uint MATRIX_N = 16;
layout(constant_id = 14) const uint MATRIX_K = 16;
layout(constant_id = 15) const bool WHOLE_K = false; /* K, or the channels of CONV, is a multiple of TILE_K */
layout(constant_id = 16) const bool WHOLE_N = false; /* N is a multiple of four */
layout(constant_id = 17) const uint SLICES = 1; /* subgroups that divide K among them */
const uint WIDTH = DEPTH / SLICES;              /* subgroups along the columns */
const uint SLICE_K = 32, TILE_K = SLICES * SLICE_K, TILE_OCTETS = TILE_K / 8;

#include "matmul/tile.glsl"

layout(set = 0, binding = 0) readonly buffer XWords { uvec4 x_words[]; };
layout(set = 0, binding = 2) readonly buffer BiasQuads { XVEC4 bias_quads[]; };
layout(set = 0, binding = 3) buffer YQuads { XVEC4 y_quads[]; };

#ifdef X_f16
#define X_WORDS 1
#else
#define X_WORDS 2
#endif
struct Octet {
    uvec4 words[X_WORDS];
};
Octet load_x(ROW row, uint slab, uint octet);

Octet load_octet(uint index)
{
    Octet octet;
    [[unroll]] for (uint i = 0; i < X_WORDS; i++)
        octet.words[i] = x_words[index * X_WORDS + i];
    return octet;
}

/* Rounds eight values to fp16. */
uvec4 pack_halves(vec4 low, vec4 high)
{
    f16vec4 a = f16vec4(low), b = f16vec4(high);
    return uvec4(packFloat2x16(a.xy), packFloat2x16(a.zw), packFloat2x16(b.xy), packFloat2x16(b.zw));
}

/* Makes an octet of values that were loaded one by one. */
Octet make_octet(vec4 low, vec4 high)
{
#ifdef X_f16
    return Octet(uvec4[](pack_halves(low, high)));
#else
    return Octet(uvec4[](floatBitsToUint(low), floatBitsToUint(high)));
#endif
}

uvec4 octet_halves(Octet octet)
{
#ifdef X_f16
    return octet.words[0];
#else
    return pack_halves(uintBitsToFloat(octet.words[0]), uintBitsToFloat(octet.words[1]));
#endif
}

/* ---- w --------------------------------------------------------------------------------------- */

/* Two neighbouring columns are loaded at once, because quads of fp16 and words of blocks then make loads of 8 and 16
 * bytes. `words` has them as they lie in memory. */
#if defined(W_f32)
#define PAIR_WORDS 4
#elif defined(W_f16)
#define PAIR_WORDS 2
#else
#define PAIR_WORDS 1
#endif
struct Pair {
    uvec4 words[PAIR_WORDS];
    uint scales;
};

#ifdef W_BLOCKS
layout(set = 0, binding = 1) readonly buffer WPairs { uvec2 w_pairs[]; };
#else
layout(set = 0, binding = 1) readonly buffer WPairs { uvec4 w_pairs[]; };
#endif

/* Loads an octet of an even column and of the next one. The octet's first quads are `quad` and `quad` + 1, its second
 * ones lie `next` quads further, except in q4, whose words have both. */
Pair load_pair(uint quad, uint next)
{
    Pair pair;
    pair.scales = 0;
#if defined(W_f32)
    pair.words = uvec4[](w_pairs[quad], w_pairs[quad + 1], w_pairs[quad + next], w_pairs[quad + next + 1]);
#elif defined(W_f16)
    pair.words = uvec4[](w_pairs[quad / 2], w_pairs[(quad + next) / 2]);
#else
    uint block = quad / (BLOCK / 4 * PANEL);
#ifdef W_q8
    uint word = scale_words(quad) + quad;
    pair.words[0] = uvec4(w_pairs[word / 2], w_pairs[(word + next) / 2]);
    pair.scales = w_words[block * Q8_BLOCK_WORDS + quad % PANEL / 2];
#else
    uint word = scale_words(quad) + quad / (2 * PANEL) * PANEL + quad % PANEL;
    pair.words[0] = uvec4(w_pairs[word / 2], 0, 0);
    pair.scales = w_words[block * Q4_BLOCK_WORDS + quad % PANEL / 2];
#endif
#endif
    return pair;
}

/* Makes two values of the integers in the low bits of two halves: 0x6400 is 1024 in fp16, where integers follow each
 * other. The difference is exact, so that only the product is rounded. */
uint scale_integers(uint integers, float16_t zero, float16_t scale)
{
    f16vec2 values = unpackFloat2x16(integers | 0x64006400) - (float16_t(1024.0) + zero);
    return packFloat2x16(values * scale);
}

uvec2 decode_q8(uint word, float16_t scale)
{
    word ^= 0x80808080; /* from signed to 128 more */
    uint low = (word & 0xff) | (word & 0xff00) << 8, high = (word >> 16 & 0xff) | (word >> 8 & 0xff0000);
    return uvec2(scale_integers(low, float16_t(128.0), scale), scale_integers(high, float16_t(128.0), scale));
}

uvec2 decode_q4(uint word, float16_t scale)
{
    uint low = (word & 0xf) | (word & 0xf0) << 12, high = (word >> 8 & 0xf) | (word & 0xf000) << 4;
    return uvec2(scale_integers(low, float16_t(8.0), scale), scale_integers(high, float16_t(8.0), scale));
}

/* Returns the eight values of one of the pair's columns. */
uvec4 pair_halves(Pair pair, uint column)
{
#if defined(W_f32)
    return pack_halves(uintBitsToFloat(pair.words[column]), uintBitsToFloat(pair.words[2 + column]));
#elif defined(W_f16)
    return column == 0 ? uvec4(pair.words[0].xy, pair.words[1].xy) : uvec4(pair.words[0].zw, pair.words[1].zw);
#else
    float16_t scale = unpackFloat2x16(pair.scales)[column];
    uint word = pair.words[0][column];
#ifdef W_q8
    return uvec4(decode_q8(word, scale), decode_q8(pair.words[0][2 + column], scale));
#else
    return uvec4(decode_q4(word, scale), decode_q4(word >> 16, scale));
#endif
#endif
}

/* ---- Slabs ----------------------------------------------------------------------------------- */

const uint TILE_ROWS = ROWS * MATRIX_M * HEIGHT, TILE_COLS = COLS * MATRIX_N * WIDTH;
const uint INVOCATIONS = LANES * HEIGHT * DEPTH;
const uint X_OCTETS = TILE_ROWS * TILE_OCTETS, W_PAIRS = TILE_COLS / 2 * TILE_OCTETS; /* of a slab */
const uint X_LOADS = (X_OCTETS + INVOCATIONS - 1) / INVOCATIONS;                      /* of an invocation */
const uint W_LOADS = (W_PAIRS + INVOCATIONS - 1) / INVOCATIONS;
/* A row or column in shared memory is an octet longer than its values, so that the same octet of eight neighbours lies
 * in different banks. */
const uint PITCH = TILE_OCTETS + 1;

/* The rows of x, then the columns of w. At the end, a row of each subgroup's matrices. */
const uint SLAB_OCTETS = (TILE_ROWS + TILE_COLS) * PITCH;
const uint SUM_OCTETS = HEIGHT * DEPTH * MATRIX_M * COLS * MATRIX_N / 4;
shared uvec4 tile[SLAB_OCTETS > SUM_OCTETS ? SLAB_OCTETS : SUM_OCTETS];

ROW x_row[X_LOADS];
uint w_first[W_LOADS]; /* the first quad of each pair of columns */
Octet x_next[X_LOADS];
Pair w_next[W_LOADS];

#define x_load(i) (gl_LocalInvocationIndex + (i) * INVOCATIONS)
#define w_load(i) (gl_LocalInvocationIndex + (i) * INVOCATIONS)

void begin_loads(uint tile_row, uint tile_column)
{
    [[unroll]] for (uint i = 0; i < X_LOADS; i++)
        x_row[i] = row_of(min(tile_row + x_load(i) / TILE_OCTETS, args.m - 1));
    [[unroll]] for (uint i = 0; i < W_LOADS; i++)
        w_first[i] = w_quad(min(tile_column + w_load(i) % (TILE_COLS / 2) * 2, (args.n - 1) / 2 * 2));
}

/* Begins to load a slab. Past K x is zero, and w repeats its last quad. */
void load_slab(uint slab)
{
    [[unroll]] for (uint i = 0; i < X_LOADS; i++)
        x_next[i] = load_x(x_row[i], slab, x_load(i) % TILE_OCTETS);
    [[unroll]] for (uint i = 0; i < W_LOADS; i++) {
        uint k4 = 2 * (slab * TILE_OCTETS + min(w_load(i) / (TILE_COLS / 2), TILE_OCTETS - 1)), next = 1;
#ifndef W_BLOCKS
        if (!WHOLE_K) {
            uint last = (args.k + 3) / 4 - 1;
            k4 = min(k4, last);
            next = min(last - k4, 1);
        }
#endif
        w_next[i] = load_pair(w_first[i] + k4 * PANEL, next * PANEL);
    }
}

void store_slab()
{
    [[unroll]] for (uint i = 0; i < X_LOADS; i++)
        if (X_OCTETS % INVOCATIONS == 0 || x_load(i) < X_OCTETS)
            tile[x_load(i) / TILE_OCTETS * PITCH + x_load(i) % TILE_OCTETS] = octet_halves(x_next[i]);
    [[unroll]] for (uint i = 0; i < W_LOADS; i++)
        if (W_PAIRS % INVOCATIONS == 0 || w_load(i) < W_PAIRS) {
            uint place = (TILE_ROWS + w_load(i) % (TILE_COLS / 2) * 2) * PITCH + w_load(i) / (TILE_COLS / 2);
            tile[place] = pair_halves(w_next[i], 0);
            tile[place + PITCH] = pair_halves(w_next[i], 1);
        }
}

/* ---- Products -------------------------------------------------------------------------------- */

coopmat<float, gl_ScopeSubgroup, MATRIX_M, MATRIX_N, gl_MatrixUseAccumulator> total[ROWS][COLS];

/* Adds the products of a slice of a slab, for the matrices that begin at a row and a column of the tile. */
void add_slab(uint row, uint column, uint slice)
{
    [[unroll]] for (uint k4 = 0; k4 < SLICE_K / 4; k4 += MATRIX_K / 4) {
        uint k = slice * SLICE_K + 4 * k4;
        coopmat<float16_t, gl_ScopeSubgroup, MATRIX_K, MATRIX_N, gl_MatrixUseB> w[COLS];
        [[unroll]] for (uint j = 0; j < COLS; j++)
            coopMatLoad(w[j], tile, (TILE_ROWS + column + j * MATRIX_N) * PITCH + k / 8, PITCH,
                        gl_CooperativeMatrixLayoutColumnMajor);
        [[unroll]] for (uint i = 0; i < ROWS; i++) {
            coopmat<float16_t, gl_ScopeSubgroup, MATRIX_M, MATRIX_K, gl_MatrixUseA> x;
            coopMatLoad(x, tile, (row + i * MATRIX_M) * PITCH + k / 8, PITCH,
                        gl_CooperativeMatrixLayoutRowMajor);
            [[unroll]] for (uint j = 0; j < COLS; j++)
                total[i][j] = coopMatMulAdd(x, w[j], total[i][j]);
        }
    }
}

/* Stores four neighbouring columns of a row after the epilogue. */
void end_quad(uint row, uint column, vec4 sums)
{
    if (row >= args.m || column >= args.n)
        return;
    if (!WHOLE_N) {
        [[unroll]] for (uint c = 0; c < 4; c++)
            if (column + c < args.n)
                end_value(row, column + c, sums[c], BIAS ? float(bias[column + c]) : 0.0);
        return;
    }
    uint index = row * (args.n / 4) + column / 4;
    vec4 other = SLOPE ? vec4(bias_quads[index]) : BIAS ? vec4(bias_quads[column / 4]) : vec4(0.0);
    [[unroll]] for (uint c = 0; c < 4; c++)
        sums[c] = SLOPE ? sums[c] * slope(ACTIVATION, other[c]) : activate(ACTIVATION, sums[c] + other[c]);
    if (RESIDUAL)
        sums += vec4(y_quads[index]);
    y_quads[index] = XVEC4(RELU ? max(sums, vec4(0.0)) : sums);
}

/* Waits until those subgroups have written or read sums that add them up together. */
void sums_barrier()
{
    if (SLICES > 1)
        barrier();
    else
        subgroupBarrier();
}

/* Adds up the sums of the slices in their order, and stores them. The slabs' memory takes a row of the subgroup's
 * matrices at a time, from which each invocation stores quads of neighbouring columns: the device's memory gets wider
 * accesses than from the matrices themselves. */
void end_matrices(uint row, uint column)
{
    const uint quads = COLS * MATRIX_N / 4; /* in a row of the matrices */
    const uint places = HEIGHT * WIDTH; /* subgroups of a slice */
    uint slice = gl_SubgroupID / places, place = gl_SubgroupID % places;
    [[unroll]] for (uint i = 0; i < ROWS; i++) {
        [[unroll]] for (uint j = 0; j < COLS; j++)
            coopMatStore(total[i][j], tile, gl_SubgroupID * MATRIX_M * quads + j * MATRIX_N / 4, quads,
                         gl_CooperativeMatrixLayoutRowMajor);
        sums_barrier();
        [[unroll]] for (uint e = slice * LANES + gl_SubgroupInvocationID; e < MATRIX_M * quads; e += SLICES * LANES) {
            vec4 sums = vec4(0.0);
            [[unroll]] for (uint s = 0; s < SLICES; s++)
                sums += uintBitsToFloat(tile[(s * places + place) * MATRIX_M * quads + e]);
            end_quad(row + i * MATRIX_M + e / quads, column + e % quads * 4, sums);
        }
        sums_barrier();
    }
}

void main()
{
    uint tile_row = args.first + tile_group().y * TILE_ROWS;
    uint tile_column = args.first_column + tile_group().x * TILE_COLS;
    uint row = gl_SubgroupID / WIDTH % HEIGHT * ROWS * MATRIX_M; /* within the tile */
    uint column = gl_SubgroupID % WIDTH * COLS * MATRIX_N;
    uint slabs = (args.k + TILE_K - 1) / TILE_K;
    [[unroll]] for (uint i = 0; i < ROWS; i++)
        [[unroll]] for (uint j = 0; j < COLS; j++)
            total[i][j] = coopmat<float, gl_ScopeSubgroup, MATRIX_M, MATRIX_N, gl_MatrixUseAccumulator>(0.0);
    begin_loads(tile_row, tile_column);
    load_slab(0);
    for (uint slab = 0; slab < slabs; slab++) {
        barrier();
        store_slab();
        barrier();
        load_slab(min(slab + 1, slabs - 1));
        add_slab(row, column, gl_SubgroupID / (HEIGHT * WIDTH));
    }
    barrier();
    end_matrices(tile_row + row, tile_column + column);
}
