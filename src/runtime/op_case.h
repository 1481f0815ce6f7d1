/* SPDX-License-Identifier: MIT
 *
 * A case is one op with a small shape and its options, from which a graph is made. The self-test
 * and the tests run kernels on cases. Knows nothing of devices.
 */
#ifndef VKCLIP_RUNTIME_OP_CASE_H
#define VKCLIP_RUNTIME_OP_CASE_H

#include "graph/graph.h"

/* Describes one node to build. */
struct op_case {
    struct node node;   /* its op, whether it adds to its result, and the op's own values that the
                         * shape does not give; its tensors are made by op_case_build */
    uint32_t shape[4];  /* MATMUL M,N,K; CONV B,side,C,N; MEANTOKEN B,P,C; DWCONV
                         * B,side,C,k; AVGPOOL, UNFOLD B,side,C;
                         * ATTENTION B,T,C,heads; POOL B,T,C,Q; RELATIVE T,V,heads; LAYERNORM,
                         * RMSNORM, GATE rows,C; EMBEDDING B,T,V,C; PATCHES B,S,patch,C; CLASSTOKEN
                         * B,P,C; SELECT, MEAN B,T,C; NORMALIZE B,C. Of training: OUTER M,N,K, or
                         * with a stride B,side,C,N; PANELS N,K, or of a CONV N,C; COLSUM rows,
                         * columns,pitch,group; EMBEDDING_GRAD B,T,V,C; ..TOKEN_GRAD B,P,C;
                         * CONTRAST_.. N; PAIRS_.. M,N; SUMSQ, CLIP, ADAMW, CLAMP n; others as the op
                         * they belong to, or rows,C. Of pictures: RESAMPLE H,W,N,K; FRAME H,W,S. Of
                         * search: MAXIMA Q,N. RELEVANCE B,T,C,Q;  MEAN_RELEVANCE B,T,C. ROPE
                         * B,S,d/4,heads, with a token before the  patches */
    bool optional;      /* the case has the tensor that the op may be without: the bias of MATMUL,
                         * its gradient for OUTER, the token of CLASSTOKEN, the rows of SELECT and
                         * SELECT_GRAD, the residual of BATCHNORM, the statistics of ATTENTION, the
                         * mask of ATTENTION_MASKED, MEAN, MEAN_GRAD and MAXIMA, the bias of DWCONV, the
                         * values of PATCHES, the mask of ATTENTION_DELTA; MULTIPLY has one row of
                         * factors, and EMBEDDING adds a row of its own to every token */
    bool biased;        /* ATTENTION_MASKED has its bias, ATTENTION its mask */
    enum layout layout; /* layout of the weight of PANELS */
};

/* Builds a graph whose last node is that of the case. */
void op_case_build(const struct op_case *op_case, enum type type, struct graph *graph);

#endif
