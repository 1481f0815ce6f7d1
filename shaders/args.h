/* SPDX-License-Identifier: MIT
 *
 * Push constants of every op, included by C and by GLSL. All members are 32 bits.
 *
 * Weights of MATMUL and CONV lie in panels of PANEL columns. A panel is [K/4][PANEL] quads, each the
 * four values of one column that follow each other along K; columns past N and values past K are zero.
 * Neighbouring invocations read neighbouring quads, a workgroup walks its panel from front to back, and
 * a quad is one load in every type.
 *
 * Quantised weights have blocks of BLOCK values along K with one fp16 scale: value = scale * q, q of 8
 * bits (q8), or scale * (q - 8), q of 4 bits (q4): those of GGUF's Q8_0 and Q4_0. A panel is then, for
 * each BLOCK of k, PANEL scales, two in a word of 32 bits, and the quads: for q8 a word each, for q4 two
 * that follow each other along K in a word; lowest bits first. A row of a quantised table is its blocks'
 * scales, two in a word, and then its values, four (q8) or eight (q4) in a word.
 */
#ifndef VKCLIP_ARGS_H
#define VKCLIP_ARGS_H

#ifdef __STDC__
#include <stdint.h>
#define uint uint32_t
#endif

#define PANEL 32

#define BLOCK 32
#define Q8_BLOCK_WORDS (PANEL / 2 + BLOCK * PANEL / 4)
#define Q4_BLOCK_WORDS (PANEL / 2 + BLOCK * PANEL / 8)

/* Values of the activation's specialization constant: enum vkclip_activation. */
#define ACTIVATION_QUICK_GELU 1
#define ACTIVATION_GELU 2

struct matmul_args {
    uint m, n, k;
    uint first;        /* row that this dispatch begins with */
    uint first_column; /* of this dispatch, which sees w from there on */
};

struct conv_args { /* begins as matmul_args: k = 9 c */
    uint m, n, k;
    uint first, first_column;
    uint h, w, out_h, out_w;
    uint stride;
};

struct avgpool_args {
    uint out_h, out_w, c;
    uint h, w;
    uint size, count; /* count: of elements of the result */
};

struct meantoken_args {
    uint b, p, c;
};

struct attention_args { /* ATTENTION, ATTENTION_GRAD */
    uint t, c, heads; /* tokens, channels of all heads */
    float scale;
    uint first; /* item that this dispatch begins with */
};

struct rows_args { /* LAYERNORM, NORMALIZE, BATCHSTATS and their gradients */
    uint rows, c;
    float epsilon;
    uint add;    /* to what the result holds */
    uint frozen; /* BATCHNORM_GRAD: stats do not depend on x */
};

/* Rows whose shares of the gradients of gain and bias LAYERNORM_SUMS adds up. */
#define LAYERNORM_ROWS 32

struct embedding_args {
    uint tokens, t, c;
    uint first, count; /* rows of the table that this dispatch sees */
};

struct classtoken_args {
    uint b, p, c;
};

struct select_args {
    uint b, t, c;
    uint by_rows; /* 0: always row 0 */
};

/* Training. Values that SUMSQ adds up to one. */
#define SUMSQ_PART 65536

struct elements_args { /* ADD, ATTENTION_DELTA, AFFINE, CLASSTOKEN_GRAD, MEANTOKEN_GRAD, SELECT_GRAD, CLAMP, ADAMW, ... */
    uint n;
    uint t, c;
    uint by_rows; /* SELECT_GRAD: 0: always row 0 */
    float values[4];
};

struct activate_args {
    uint n, activation, relu;
};

struct batchnorm_args {
    uint n, c, add, relu;
};

struct panels_args { /* n, k: of the result */
    uint n, k;
    uint rows, transposed, conv; /* rows: w is not in panels */
};

struct outer_args {
    uint m, n, k;
    uint first, rows; /* of m, that this dispatch adds up */
    uint add, panels; /* to what the result holds; which lies in panels */
    uint h, w, out_h, out_w, stride; /* of a CONV; stride 0: none */
};

struct colsum_args {
    uint rows, columns, pitch, offset, group;
    uint add; /* to what the result holds */
};

struct contrast_args {
    uint n;
};

struct running_args { /* RUNNING, RUNNINGSTATS */
    uint c, variance;
    float momentum, unbias, epsilon;
};

struct sumsq_args {
    uint n, first;
};

struct peak_args {
    uint steps;
    float a, b;
};

#ifdef __STDC__
#undef uint
#endif

#endif
