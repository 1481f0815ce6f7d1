/* SPDX-License-Identifier: MIT
 *
 * Awkward shapes for every op. The tests compute them with every variant of the kernel table.
 */
#ifndef VKCLIP_TESTS_REFERENCE_CASES_H
#define VKCLIP_TESTS_REFERENCE_CASES_H

#include "graph/graph.h"

/* Describes one node to build. */
struct op_case {
    struct node node;   /* its op, whether it adds to its result, and the op's own values that the
                         * shape does not give; its tensors are made by case_build */
    uint32_t shape[4];  /* MATMUL M,N,K; CONV B,side,C,N; AVGPOOL B,side,C; MEANTOKEN B,P,C;
                         * ATTENTION B,T,C,heads; LAYERNORM rows,C; EMBEDDING B,T,V,C; CLASSTOKEN
                         * B,P,C; SELECT B,T,C; NORMALIZE B,C. Of training: OUTER M,N,K, or with a
                         * stride B,side,C,N; PANELS N,K, or of a CONV N,C; COLSUM rows,columns,
                         * pitch,group; EMBEDDING_GRAD B,T,V,C; ..TOKEN_GRAD B,P,C; CONTRAST_.. N;
                         * SUMSQ, CLIP, ADAMW, CLAMP n; others as the op they belong to, or rows,C */
    bool optional;      /* the case has the tensor that the op may be without: the bias of MATMUL,
                         * its gradient for OUTER, the rows of SELECT and SELECT_GRAD, the residual
                         * of BATCHNORM, the statistics of ATTENTION */
    enum layout layout; /* layout of the weight of PANELS */
};

extern const struct op_case op_cases[];
extern const size_t op_case_count;

/* Builds a graph whose last node is that of the case. */
void case_build(const struct op_case *test_case, enum type type, struct graph *graph);

#endif
