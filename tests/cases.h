/* SPDX-License-Identifier: MIT
 *
 * Shapes for every op, awkward ones for the tests and the real models' for the benchmarks.
 */
#ifndef VKCLIP_CASES_H
#define VKCLIP_CASES_H

#include "graph.h"

/* One node to build; what the numbers mean depends on the op. */
struct op_case {
    enum op op;
    uint32_t shape[4]; /* MATMUL M,N,K; CONV B,side,C,N; AVGPOOL B,side,C; MEANTOKEN B,P,C;
                        * ATTENTION B,T,C,heads; LAYERNORM rows,C; EMBEDDING B,T,V,C; CLASSTOKEN
                        * B,P,C; SELECT B,T,C; NORMALIZE B,C */
    bool bias;         /* MATMUL; SELECT: by rows */
    bool residual;     /* MATMUL */
    bool causal;       /* ATTENTION */
    bool relu;         /* MATMUL, CONV */
    uint32_t stride;   /* CONV, AVGPOOL */
    enum vkclip_activation activation; /* MATMUL */
};

extern const struct op_case op_cases[];
extern const size_t op_case_count;

/* A graph of that one node: its last node. */
void case_build(const struct op_case *test_case, enum type type, struct graph *graph);

#endif
