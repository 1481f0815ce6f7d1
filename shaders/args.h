/* SPDX-License-Identifier: MIT
 *
 * The push constants of every op, and the sizes that host and shaders share. C and GLSL include
 * this file; all members are 32 bits wide. docs/layout.md draws the panels and blocks whose sizes
 * are here.
 */
#ifndef VKCLIP_ARGS_H
#define VKCLIP_ARGS_H

#ifdef __STDC__
#include <stdint.h>
#define uint uint32_t
#endif

/* The weights of MATMUL and CONV lie in panels of this many columns. */
#define PANEL 32

/* BLOCK values of a quantised type share one scale. The other sizes count the words that one block
 * of every column takes in a panel: first the scales, two per word, and then the values, four (q8)
 * or eight (q4) per word. */
#define BLOCK 32
#define Q8_BLOCK_WORDS (PANEL / 2 + BLOCK * PANEL / 4)
#define Q4_BLOCK_WORDS (PANEL / 2 + BLOCK * PANEL / 8)

/* The activations that a specialization constant selects. The values are those of enum
 * vkclip_activation. */
#define ACTIVATION_QUICK_GELU 1
#define ACTIVATION_GELU 2
#define ACTIVATION_GELU_TANH 3
#define ACTIVATION_RELU 4
#define ACTIVATION_SILU 5

struct matmul_args {
    uint m, n, k;
    uint first;        /* the row that this dispatch begins with */
    uint first_column; /* the column that this dispatch begins with; its binding of w begins there
                          too */
};

struct conv_args { /* The first members are those of matmul_args, with k = 9 c. */
    uint m, n, k;
    uint first, first_column;
    uint h, w, out_h, out_w;
    uint stride;
};

/* The longest side of DWCONV's kernels. */
#define DWCONV_SIDE 7
/* An invocation of DWCONV_SUMS adds up this many rows of pixels. Fewer rows would make more shares,
 * which another op adds up; more rows would leave a small batch without enough invocations. */
#define DWCONV_ROWS 16

struct dwconv_args { /* DWCONV, DWCONV_SUMS */
    uint b, h, w, c;
    uint first, count; /* the rows of tiles, or shares, that this dispatch computes */
};

struct avgpool_args { /* AVGPOOL, UNFOLD and their gradients */
    uint out_h, out_w, c;
    uint h, w;
    uint size, count; /* side of a square in pixels; elements of the result */
};

struct meantoken_args {
    uint b, p, c;
};

struct attention_args { /* ATTENTION, ATTENTION_MASKED, ATTENTION_GRAD */
    uint t, c, heads;   /* tokens; channels of all heads together */
    float scale;
    uint first; /* the item that this dispatch begins with */
};

/* One item has at most this many queries, of which POOL_GRAD keeps sums in shared memory. */
#define POOL_QUERIES 1024

struct pool_args { /* POOL, POOL_GRAD */
    uint t, c, queries;
    float scale;
    uint first; /* the item that this dispatch begins with */
};

/* A quarter of a RELATIVE table's buckets are for ranges of distances; this many at most. */
#define RELATIVE_STEPS 16

struct relative_args {
    uint n, t, heads;
    uint steps; /* buckets for ranges, and as many before them for one distance each */
    uint first[RELATIVE_STEPS]; /* the least distance of each range */
};

struct rope_args {
    uint n;                /* quads of values: all of x, or those of q and k */
    uint t, c, side, head; /* tokens; channels; rows and columns of patches; quads of a head */
    uint over;             /* whether the result holds the values */
    uint columns_first, back;
};

struct gate_args {
    uint n, c, activation;
};

struct rows_args { /* LAYERNORM, RMSNORM, NORMALIZE, BATCHSTATS, and the gradients of LAYERNORM,
                      NORMALIZE, BATCHNORM */
    uint rows, c;
    float epsilon;
    uint add;    /* whether to add to what the result holds */
    uint frozen; /* BATCHNORM_GRAD: whether the statistics do not depend on x */
};

/* One workgroup of LAYERNORM_SUMS adds up the gradients of gain and bias over this many rows. */
#define LAYERNORM_ROWS 32

struct embedding_args {
    uint tokens, t, c;
    uint first, count; /* the rows of the table that this dispatch sees */
};

struct classtoken_args {
    uint b, p, c;
    uint tokens; /* class tokens: 1 or 0 */
};

struct select_args {
    uint b, t, c;
    uint by_rows; /* 0: row 0 of every item is selected */
};

/* One workgroup of SUMSQ adds up the squares of this many values. */
#define SUMSQ_PART 65536

/* These arguments serve the ops with one invocation per element that need few other values: ADD,
 * MULTIPLY, AFFINE, SCALE, CAST, CLAMP, ADAMW, ATTENTION_DELTA, CLASSTOKEN_GRAD, MEANTOKEN_GRAD,
 * SELECT_GRAD.
 */
struct elements_args {
    uint n;
    uint t, c;
    uint by_rows;    /* SELECT_GRAD: 0 if row 0 of every item was selected */
    float values[4]; /* ADAMW: beta1, beta2, epsilon, decay; CLAMP: lower and upper bound */
};

struct activate_args {
    uint n, activation, relu;
};

struct batchnorm_args {
    uint n, c, add, relu;
};

struct panels_args {
    uint n, k; /* shape [n,k] of the result */
    uint rows; /* whether w lies in rows, not in panels */
    uint transposed, conv;
};

struct outer_args {
    uint m, n, k;
    uint first, rows;                /* the rows of dy and x that this dispatch adds up */
    uint add;                        /* whether to add to what the result holds */
    uint panels;                     /* whether the result lies in panels */
    uint h, w, out_h, out_w, stride; /* pictures and stride of a CONV; stride is 0 for a MATMUL */
};

struct colsum_args {
    uint rows, columns, pitch, offset, group;
    uint add; /* whether to add to what the result holds */
};

struct contrast_args {
    uint n;
};

struct running_args { /* RUNNING, RUNNINGSTATS */
    uint c, variance;
    float momentum, unbias, epsilon;
};

struct sumsq_args {
    uint n, first; /* values that are squared; index of the first sum in the result */
};

/* MAXIMA describes this many scores of a row at a time. More of them would make a search look at
 * more scores that are no hits; fewer would make it look at more descriptions. */
#define MAXIMA_BLOCK 64
/* The largest score of a block in which the mask allows none. */
#define MAXIMA_NONE (-3.0e38f)

struct maxima_args {
    uint rows, columns, blocks; /* shape of the scores; blocks of a row */
    uint masked;
};

struct peak_args {
    uint steps;
    float a, b;
};

#ifdef __STDC__
#undef uint
#endif

#endif
