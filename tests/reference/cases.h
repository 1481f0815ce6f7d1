/* SPDX-License-Identifier: MIT
 *
 * Shapes for every op, awkward ones for the tests and the real models' for the benchmarks.
 */
#ifndef VKCLIP_TESTS_REFERENCE_CASES_H
#define VKCLIP_TESTS_REFERENCE_CASES_H

#include "graph/graph.h"

/* One node to build; what the numbers mean depends on the op. */
struct op_case {
    enum op op;
    uint32_t shape[4]; /* MATMUL M,N,K; CONV B,side,C,N; AVGPOOL B,side,C; MEANTOKEN B,P,C;
                        * ATTENTION B,T,C,heads; LAYERNORM rows,C; EMBEDDING B,T,V,C; CLASSTOKEN
                        * B,P,C; SELECT B,T,C; NORMALIZE B,C. Of training: OUTER M,N,K, with a
                        * stride B,side,C,N; PANELS N,K, with a stride N,C; COLSUM rows,columns,
                        * pitch,group; EMBEDDING_GRAD B,T,V,C; ..TOKEN_GRAD B,P,C; CONTRAST_.. N;
                        * SUMSQ, CLIP, ADAMW, CLAMP n; others as the op they belong to, or rows,C */
    bool bias;         /* MATMUL; SELECT: by rows; PANELS: from rows; OUTER: its
                        * gradient too; ATTENTION: as in training, with statistics */
    bool residual;     /* where the op adds to its result */
    bool slope;        /* MATMUL: times the activation's at another matrix */
    bool causal;       /* ATTENTION; PANELS: transposed */
    bool relu;         /* MATMUL, CONV, BATCHNORM, ACTIVATE */
    uint32_t stride;   /* CONV, AVGPOOL, OUTER, PANELS; COLSUM: offset;
                        * BATCHNORM_GRAD: frozen; RUNNING..: of the variance */
    enum vkclip_activation activation; /* MATMUL, ACTIVATE */
};

extern const struct op_case op_cases[];
extern const size_t op_case_count;

/* A graph of that one node: its last node. */
void case_build(const struct op_case *test_case, enum type type, struct graph *graph);

#endif
