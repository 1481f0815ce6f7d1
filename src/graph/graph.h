/* SPDX-License-Identifier: MIT
 *
 * A graph is a model as a list of nodes over tensors, in execution order. There is one builder per
 * op, which refuses shapes that do not fit and appends one node. The list knows nothing of Vulkan,
 * of files or of CLIP.
 *
 * Tensors are dense and never views. A MATMUL with a residual writes over the residual's memory:
 * its result has the same `storage`. Weights of MATMUL are [N,K] as torch.nn.Linear has them, and
 * lie on the device in panels of columns (see shaders/args.h).
 */
#ifndef VKCLIP_GRAPH_GRAPH_H
#define VKCLIP_GRAPH_GRAPH_H

#include "vkclip.h"

#include <stdio.h>

/* This list has every op with what it computes. The tables of launch rules, references and test
 * cases are built from this list, so that an op with a missing part fails to compile. */
#define OPS(X)                                                                                    \
    X(MATMUL)    /* x [M,K], w [N,K], bias [N] or none -> activation(x wT + bias) (+ residual) */ \
    X(CONV)      /* x [B,H,W,C], w [N,3,3,C], bias [N] -> 3x3, padded by 1, [B,H/s,W/s,N] */      \
    X(DWCONV)    /* x [B,H,W,C], w [k k,C], bias [C] or none -> each channel's convolution with   \
                  * its own k x k kernel, padded by (k - 1) / 2 [B,H,W,C] (+ residual) */         \
    X(AVGPOOL)   /* x [B,H,W,C] -> means of s x s pixels [B,H/s,W/s,C] */                         \
    X(UNFOLD)    /* x [B,H,W,C] -> rows of s x s pixels [B,H/s,W/s,C s s] */                      \
    X(ATTENTION) /* qkv [B,T,3C] -> softmax(q kT / sqrt(d)) v [B,T,C], d = C / heads; and, in     \
                  * training, logsumexp -> the first of each of stats [B,T,heads,2]; training may \
                  * have a mask [B,T] as ATTENTION_MASKED has */                                  \
    X(ATTENTION_MASKED) /* qkv [B,T,3C], mask [B,T] or none, bias [heads,2T-1] or none ->         \
                         * softmax(q kT scale + bias at key - query) v [B,T,C] over the keys that \
                         * the mask allows; without one it weighs all keys alike */               \
    X(POOL)       /* q [..,C] of Q rows, kv [B,T,2C] -> softmax(q kT / sqrt(d)) v [B,Q,C], where  \
                   * all items have the same queries */                                           \
    X(RELATIVE)   /* table [V,heads] -> row of the bucket of every distance -T < d < T, as bias   \
                   * [heads,2T-1] (Raffel et al. 2020, section 2.1) */                            \
    X(ROPE)       /* turns [S,d/4,2], x [B,T,3C] or none -> x, or what the result holds, with the \
                   * last S S tokens' q and k turned (Su et al. 2021), d = C / heads */           \
    X(LAYERNORM)  /* x [..,C], gain [C], bias [C] -> [..,C] */                                    \
    X(RMSNORM)    /* x [..,C], gain [C] -> x / sqrt(mean of x^2) gain [..,C] */                   \
    X(GATE)       /* x [..,2C] -> activation(first C of a row) times its last C [..,C] */         \
    X(EMBEDDING)  /* ids [B,T], table [V,C], added [T,C], or [B,T,C], or with `first` a table     \
                   * whose row 0 is added to all tokens -> table[ids] + added [B,T,C] */          \
    X(PATCHES)    /* pictures [B,3,S,S], or RGB bytes [B,S,S,3] in words [B,n] and their values   \
                   * [3,256] -> patches [B,..,C p p], of which colours after the third are 0 */   \
    X(CLASSTOKEN) /* x [B,P,C], token [C] or none, positions [..,C] of P+1 rows, or of P without  \
                   * a token -> token, then x; + positions */                                     \
    X(MEANTOKEN)  /* x [B,..,C] of P rows, positions [P+1,C] -> mean of x, then x; + positions */ \
    X(SELECT)     /* x [B,T,C], rows [B] or none (row 0) -> [B,C] */                              \
    X(MEAN)       /* x [B,..,C] of T rows, mask [B,T] or none -> mean of the rows that the mask   \
                   * allows, without the first `skip` [B,C] */                                    \
    X(NORMALIZE)  /* x [B,C] -> x / L2 norm [B,C] */                                              \
    TRAINING_OPS(X)                                                                               \
    PICTURE_OPS(X)                                                                                \
    SEARCH_OPS(X)                                                                                 \
    EXPLANATION_OPS(X)

/* This list has the ops that only training has: those that inference fuses or folds away, gradients
 * (grad.c), the objective (objective.c) and the optimiser (optimiser.c). dy is the gradient of an
 * op's result; `->>` says that the op adds to the values that its result holds. */
#define TRAINING_OPS(X)                                                                            \
    X(CAST)       /* x of another type -> x in the result's type */                                \
    X(ACTIVATE)   /* x -> activation(x), ReLU or tanh */                                           \
    X(ADD)        /* x, y -> x + y */                                                              \
    X(MULTIPLY)   /* x [..,C], y of its shape or [C] -> x y */                                     \
    X(BATCHSTATS) /* x [R,C], gain, bias -> scale, bias, mean, 1/deviation [4,C] */                \
    X(BATCHNORM)  /* x [..,C], stats [4,C], residual or none -> (x - mean) scale + bias (+) */     \
    X(PANELS)     /* w [N,K] in panels or rows -> w, or its transpose, in panels */                \
    X(OUTER)      /* dy [M,N], x [M,K] -> dyT x [N,K], ->> the gradient of a weight, which for a   \
                   * CONV is [N,9,C]; dy summed over rows ->> dbias [N] or none */                 \
    X(COLSUM)     /* x summed over rows, ->> */                                                    \
    X(LAYERNORM_SUMS)  /* x, dy [..,C] -> shares of dgain, of dbias [R/LAYERNORM_ROWS,2,C] */      \
    X(LAYERNORM_GRAD)  /* x [..,C], gain, dy -> dx, ->> */                                         \
    X(ATTENTION_DELTA) /* y, dy [B,T,C], mask [B,T] or none -> y.dy in ATTENTION's stats           \
                        * [B,T,heads,2], and MASKED_STAT for tokens that the mask leaves out */    \
    X(ATTENTION_GRAD)  /* qkv, dy, stats -> dqkv [B,T,3C]; dy of a token that the mask leaves out, \
                        * which nothing may read, counts as 0 */                                   \
    X(POOL_GRAD)       /* q, kv, dy [B,Q,C] -> dkv [B,T,2C], or each item's share of dq [B,Q,C] */ \
    X(EMBEDDING_GRAD)  /* dy [B,T,C], order [BT], runs [BT+1,2] (see grad_sort_ids) ->> dtable     \
                        * [V,C] */                                                                 \
    X(CLASSTOKEN_GRAD) /* dy [B,P+1,C] -> dx [B,P,C] */                                            \
    X(MEANTOKEN_GRAD)  /* dy [B,P+1,C] -> dx [B,..,C] */                                           \
    X(SELECT_GRAD)     /* dy [B,C], rows [B] or none -> dx [B,T,C] */                              \
    X(MEAN_GRAD)       /* dy [B,C], mask [B,T] or none -> dx [B,..,C] */                           \
    X(NORMALIZE_GRAD)  /* x, dy [B,C] -> dx [B,C] */                                               \
    X(DWCONV_SUMS)     /* x, dy [B,H,W,C] -> shares of dw, of dbias [BH/DWCONV_ROWS,k k + 1,C] */  \
    X(AVGPOOL_GRAD)    /* dy [B,H/s,W/s,C] -> dx [B,H,W,C] */                                      \
    X(UNFOLD_GRAD)     /* dy [B,H/s,W/s,C s s] -> dx [B,H,W,C] */                                  \
    X(GATE_GRAD)       /* x [..,2C], dy [..,C] -> dx [..,2C] */                                    \
    X(ACTIVATE_GRAD)   /* x, dy -> dx; where the activation is ReLU, x may be its result */        \
    X(BATCHNORM_GRAD)  /* x, dy [..,C], stats -> a, b, c, mean, dgain, dbias [6,C] */              \
    X(AFFINE)          /* dy, x [..,C], a, b, c, mean [6,C] -> a dy + b (x - mean) + c */          \
    X(CONTRAST_STATS)  /* cos [N,N], logit_scale -> logsumexp of its rows, of its columns [2,N] */ \
    X(CONTRAST_LOSS)   /* cos, logit_scale, stats -> per row its share of the loss and of the      \
                        * gradient of logit_scale [N,2] */                                         \
    X(CONTRAST_GRAD)   /* stats, logit_scale; cos -> dcos in its place [N,N] */                    \
    X(PAIRS_LOSS)      /* cos [M,N], logit_scale, logit_bias -> per row its share of the sigmoid   \
                        * loss and of the gradients of logit_scale and logit_bias [M,3]; the right \
                        * pairs are (i,i), and the mean is that of N pictures */                   \
    X(PAIRS_GRAD)      /* logit_scale, logit_bias; cos -> dcos in its place [M,N] */               \
    X(SCALE)           /* x, factor [1] -> x factor */                                             \
    X(RUNNING)         /* stats [4,C] ->> running mean or variance [C] */                          \
    X(RUNNINGSTATS)    /* mean [C] -> stats [4,C]; variance, gain, bias ->> the rest of stats */   \
    X(SUMSQ)           /* x [n] -> sums of squares of SUMSQ_PART values each, into [parts] */      \
    X(CLIP)            /* parts [P], step [8] -> step [8] with norm and factor for gradients */    \
    X(ADAMW)           /* dw [n], m and v [n,2], step [8] ->> w [n]; dw becomes 0 */               \
    X(AVERAGE)         /* w [n], step [8] ->> average of w over the steps [n] */                   \
    X(CLAMP)           /* w [1] ->> w within bounds */

/* This list has the ops that prepare a picture on the device, to the values that image/prepare.h
 * gives it on the host. Levels are whole numbers from 0 to 255. */
#define PICTURE_OPS(X)                                                                          \
    X(RESAMPLE) /* rows of pixels, as bytes in words [H,n] or as levels [H,W,3], taps [N,1+K]   \
                 * -> levels of weighted sums of K pixels of a row [H,N,3] or a column [N,W,3]; \
                 * a tap is the first pixel's number and weights in units of 2^-22 */           \
    X(FRAME)    /* levels [H,W,3], values [3,256] -> values of a picture that has these pixels  \
                 * in its middle [1,3,S,S] */

/* This list has the ops that only a search has, which reads the scores of queries with vectors. */
#define SEARCH_OPS(X)                                                                          \
    X(MAXIMA) /* scores [Q,N], mask [N/32] or none -> of every MAXIMA_BLOCK scores the largest \
               * that the mask allows, the sum and the sum of squares [Q,blocks,3] */

/* This list has the ops that only an explanation has (grad_relevance). They tell how far each row
 * that is attended to speaks for the objective: its weight times the gradient of that weight, where
 * this is positive, as mean of the heads (Chefer et al. 2021). dy is the gradient of the result of
 * the op that attends. */
#define EXPLANATION_OPS(X)                                                                        \
    X(RELEVANCE)      /* qkv [B,T,3C], relevance [B,T] of the queries, dy [B,T,C] of ATTENTION -> \
                       * of every query its relevance times that of the keys for it, to which its \
                       * own key adds 1 [B,T,T]; or q, kv, dy [B,Q,C] of POOL -> relevance of the \
                       * keys for every query [B,Q,T] */                                          \
    X(MEAN_RELEVANCE) /* x [B,..,C] of T rows, dy [B,C] of MEAN -> relevance of the rows, except  \
                       * the first `skip`, which have none [B,T] */

enum op {
#define X(name) OP_##name,
    OPS(X)
#undef X
        OP_COUNT
};
const char *op_name(enum op op);

enum type { TYPE_F32, TYPE_F16, TYPE_I32, TYPE_Q8, TYPE_Q4 };
/* Returns the number of bytes of an element, or 0 for Q8 and Q4, which store blocks of elements
 * (quant.h). */
size_t type_size(enum type type);
const char *type_name(enum type type);

enum role {
    ROLE_ACTIVATION, /* a node's result; its memory is reused once nothing reads it any more */
    ROLE_INPUT,      /* written by the host before a run */
    ROLE_WEIGHT,     /* stays from run to run; its memory is found by its name, the checkpoint's */
    ROLE_STATE       /* stays from run to run; its memory is given by its index (plan.h) */
};

/* The layout says how a weight lies in the checkpoint and on the device. */
enum layout {
    LAYOUT_ROWS,      /* row by row in the checkpoint and on the device */
    LAYOUT_PANELS,    /* [N,K] in the checkpoint, packed in panels for MATMUL */
    LAYOUT_PANELS_KN, /* [K,N] in the checkpoint, packed in panels for MATMUL */
    LAYOUT_CONV,      /* [N,C,3,3] in the checkpoint, packed as [N,K] with K = (y, x, c) */
    LAYOUT_TAPS       /* [C,1,k,k] in the checkpoint, [k k,C] row by row on the device */
};

#define GRAPH_MAX_RANK 4

struct tensor {
    char name[64]; /* weights: the checkpoint's name; others: a name for messages and dumps */
    enum role role;
    enum type type;
    enum layout layout;
    unsigned rank;
    uint32_t shape[GRAPH_MAX_RANK];
    int storage;   /* the tensor whose memory this is: itself, or the residual it was added to */
    char norm[64]; /* weights: the batch norm or the scale folded into them, "" for none */
    int weight;    /* the weight that this is, or was cast from; -1: none */
    int gradient;  /* weights: the state that their gradient is added to; -1: none yet */
    bool locked;   /* weights: no gradient is wanted */
    float *values; /* inputs: what they hold at first, which the graph owns; NULL: zeros */
    bool delicate; /* weights: Q4 would lose too much accuracy here, so that it becomes Q8 */
};

#define NODE_INPUTS 3

struct node {
    enum op op;
    int in[NODE_INPUTS]; /* in the order of OPS; -1: none */
    int out;
    bool residual;    /* the result is added to the values that `out` holds */
    uint32_t segment; /* see graph_begin_segment; 0: none */

    /* This union has the options of an op, which are what it has besides its tensors. An op reads
     * its own member only; an op without a member has no options. The first member is the largest,
     * so that a node that names no member has zeros in all of them. */
    union {
        struct {
            float beta1, beta2, epsilon, decay;
        } adamw;
        struct {
            enum vkclip_activation activation; /* AUTO: none */
            bool slope; /* the product is multiplied by the activation's slope at in[2], which is
                         * then no bias */
            bool relu;  /* after all else */
        } matmul;
        struct {
            uint32_t stride;
            bool relu; /* after all else */
        } conv;
        struct {
            uint32_t side; /* k */
            bool flipped;  /* The taps are read in reverse order, as the gradient of x needs. */
        } dwconv;          /* DWCONV, DWCONV_SUMS */
        struct {
            uint32_t size; /* pixels along each side of what becomes one pixel */
        } avgpool;         /* AVGPOOL, AVGPOOL_GRAD */
        struct {
            uint32_t size; /* pixels along each side of what becomes one row */
        } unfold;          /* UNFOLD, UNFOLD_GRAD */
        struct {
            uint32_t heads;
            bool causal;
            bool masked; /* ATTENTION_GRAD: the statistics mark tokens that are left out */
            float scale; /* 0: 1 / sqrt(d) */
        } attention;     /* ATTENTION, ATTENTION_MASKED, ATTENTION_GRAD */
        struct {
            uint32_t heads;
            bool queries; /* POOL_GRAD: the result is dq, not dkv */
        } pool;           /* POOL, POOL_GRAD */
        struct {
            uint32_t heads;
            bool pooled; /* of POOL, not of ATTENTION */
        } relevance;
        struct {
            uint32_t farthest; /* All larger distances share a bucket with this one. */
        } relative;
        struct {
            uint32_t heads;
            bool columns_first; /* A head's first half is turned by the column, not by the row. */
            bool back;          /* Angles are negative, as for gradients. */
        } rope;
        struct {
            float epsilon;
        } layernorm; /* LAYERNORM, RMSNORM, LAYERNORM_SUMS, LAYERNORM_GRAD */
        struct {
            enum vkclip_activation activation;
        } gate; /* GATE, GATE_GRAD */
        struct {
            bool first; /* Row 0 of in[2] is added to all tokens. */
        } embedding;
        struct {
            enum vkclip_activation activation;
            bool relu, tanh; /* instead of the activation */
        } activate;          /* ACTIVATE, ACTIVATE_GRAD */
        struct {
            uint32_t skip; /* rows at the begin of each item that are left out */
        } mean;            /* MEAN, MEAN_GRAD, MEAN_RELEVANCE */
        struct {
            uint32_t size, patch; /* pixels along each side of a picture, and of a patch */
        } patches;
        struct {
            bool down;       /* sums are of a column, not of a row */
            bool swapped;    /* bytes are blue, green, red */
            uint32_t width;  /* of bytes: pixels of a row */
            uint32_t stride; /* of bytes: from one pixel to the next, 3 or 4; 0: x is levels */
        } resample;
        struct {
            uint32_t size, top, left; /* of the picture, and of pixels before the first one */
            uint32_t fill;            /* the level of pixels around */
        } frame;
        struct {
            float epsilon;
        } batchstats;
        struct {
            bool relu; /* after all else */
        } batchnorm;
        struct {
            bool frozen; /* the statistics do not depend on x */
        } batchnorm_grad;
        struct {
            bool transposed;
        } panels;
        struct {
            uint32_t stride; /* of the CONV; 0: the weight is a MATMUL's */
        } outer;
        struct {
            uint32_t pitch;   /* elements from the begin of a row to that of the next */
            uint32_t offset;  /* elements before the first row */
            uint32_t group;   /* rows that are summed to one row of the result; 0: all */
            uint32_t columns; /* of the sum, which is added to the first elements of the result; 0:
                               * all elements of a row of the result */
        } colsum;
        struct {
            bool variance; /* the result is the running variance, else the running mean */
            float epsilon; /* of BATCHSTATS, which is taken out of the variance again */
            float momentum;
            float unbias; /* n / (n - 1): turns a variance of n values into an unbiased one */
        } running;
        struct {
            bool variance; /* in[0] is the running variance, else the running mean */
            float epsilon;
        } runningstats;
        struct {
            uint32_t offset; /* of the first sum in the result */
        } sumsq;
        struct {
            float decay; /* the share of the average that stays in a step */
        } average;
        struct {
            float least, most;
        } clamp;
    };
};

struct graph {
    struct tensor *tensors;
    struct node *nodes;
    size_t tensor_count, node_count, tensor_capacity, node_capacity;
    enum type type;    /* of activations, and of weights until graph_pack */
    bool training;     /* builders do not fuse what a gradient needs apart */
    bool frozen;       /* in training, batch norm uses its running statistics and leaves them */
    bool mixed;        /* weights are stored in fp32 and cast; features are fp32 */
    bool compute_f16;  /* kernels may round the factors of fp32 products to fp16 */
    uint32_t segment;  /* of the nodes appended next; 0: none */
    uint32_t segments; /* begun so far */
    /* `training` becomes true when this many segments have been begun and ended, because no
     * gradient passes through them; 0: it stays as it is. */
    uint32_t locked_segments;
    int error; /* of the first builder that failed; later builders do nothing */
};

void graph_init(struct graph *graph, enum type type);
void graph_free(struct graph *graph);

/* ---- Builders --------------------------------------------------------------------------------
 *
 * A builder returns the index of its result, or -1 with graph->error set. A builder that gets -1
 * for a tensor that must not be absent returns -1 too, so that only the last call needs a check. A
 * result whose name is NULL is named after its op and number. */

int graph_input(struct graph *graph, const char *name, enum type type, unsigned rank,
                const uint32_t *shape);
/* Adds an fp32 input that holds `values`, a copy of which the graph keeps, until something else is
 * written to it. */
int graph_constant(struct graph *graph, const char *name, unsigned rank, const uint32_t *shape,
                   const float *values);
int graph_weight(struct graph *graph, const char *name, enum layout layout, unsigned rank,
                 const uint32_t *shape);
/* Adds a weight that is fp32 whatever the type of activations is. */
int graph_weight_f32(struct graph *graph, const char *name, enum layout layout, unsigned rank,
                     const uint32_t *shape);
/* Adds an fp32 tensor of ROLE_STATE. */
int graph_add_state(struct graph *graph, const char *name, enum layout layout, unsigned rank,
                    const uint32_t *shape);

int graph_matmul(struct graph *graph, const char *name, int x, int w, int bias,
                 enum vkclip_activation activation, int residual);
/* Folds the batch norm `norm` into a weight when it is loaded: the weight becomes w * gain /
 * deviation, and the vector whose name is the norm's and ".bias" gets the bias of the folded
 * norm. If `norm` names a tensor itself, it is a vector with a factor for each row of the weight.
 */
void graph_fold(struct graph *graph, int weight, const char *norm);
/* Gives a result another name. */
void graph_rename(struct graph *graph, int result, const char *name);
/* The nodes between graph_begin_segment and graph_end_segment are a segment, a block of the model.
 * The inner results of a segment can be recomputed from its inputs for its gradient, instead of
 * being kept in memory until then. */
void graph_begin_segment(struct graph *graph);
void graph_end_segment(struct graph *graph);
/* Makes the last node, a MATMUL or a CONV that computes `result`, end with ReLU. */
void graph_relu(struct graph *graph, int result);
int graph_conv(struct graph *graph, const char *name, int x, int w, int bias, uint32_t stride);
/* A kernel has an odd side of at most DWCONV_SIDE (shaders/args.h). */
int graph_dwconv(struct graph *graph, const char *name, int x, int w, int bias);
int graph_avgpool(struct graph *graph, const char *name, int x, uint32_t size);
int graph_unfold(struct graph *graph, const char *name, int x, uint32_t size);
int graph_meantoken(struct graph *graph, const char *name, int x, int positions);
int graph_attention(struct graph *graph, const char *name, int qkv, uint32_t heads, bool causal);
/* `mask` has a zero for every key that is left out; `mask` and `bias` may be -1. */
int graph_attention_masked(struct graph *graph, const char *name, int qkv, int mask, int bias,
                           uint32_t heads, bool causal, float scale);
/* Appends an attention pool. A row of `kv` has a key and after it a value. The queries, which may
 * be at most POOL_QUERIES, can be a weight or what layers have made of one. */
int graph_pool(struct graph *graph, const char *name, int q, int kv, uint32_t heads);
/* Half of the table's buckets are for keys after the query. Half of those are for one distance
 * each, and the others share the distances up to `farthest` by their logarithms. */
int graph_relative(struct graph *graph, const char *name, int table, uint32_t tokens,
                   uint32_t farthest);
/* Turns pairs of neighbouring components of q and k by angles that depend on the row and on the
 * column of a patch. `turns` has cosine and sine of every angle: those of row or column i are
 * turns[i]. Tokens before the last S S keep their values. The result takes the memory of x, except
 * in training. */
int graph_rope(struct graph *graph, const char *name, int x, int turns, uint32_t heads,
               bool columns_first);
int graph_layernorm(struct graph *graph, const char *name, int x, int gain, int bias,
                    float epsilon);
int graph_rmsnorm(struct graph *graph, const char *name, int x, int gain, float epsilon);
int graph_gate(struct graph *graph, const char *name, int x, enum vkclip_activation activation);
int graph_embedding(struct graph *graph, const char *name, int ids, int table, int added);
/* Adds row 0 of the table `firsts` to the row of every token. */
int graph_embedding_first(struct graph *graph, const char *name, int ids, int table, int firsts);
/* The result has one row per patch, or one per pixel where `patch` is 1, and its shape must have B
 * first and a row's values last. With `values` -1 the pictures are values. Pixels at the right and
 * lower edge that fill no patch are unused. */
int graph_patches(struct graph *graph, const char *name, int pictures, int values, uint32_t size,
                  uint32_t patch, unsigned rank, const uint32_t *shape);
/* In a row of words, pixel i begins with byte i * stride. */
int graph_resample_bytes(struct graph *graph, const char *name, int x, int taps, uint32_t width,
                         uint32_t stride, bool swapped, bool down);
int graph_resample(struct graph *graph, const char *name, int x, int taps, bool down);
/* The result is a square of `size` pixels. */
int graph_frame(struct graph *graph, const char *name, int x, int values, uint32_t size,
                uint32_t top, uint32_t left, uint32_t fill);
/* With `token` -1 only the positions are added. */
int graph_classtoken(struct graph *graph, const char *name, int x, int token, int positions);
int graph_select(struct graph *graph, const char *name, int x, int rows);
/* `mask` has a zero for every row that is left out, as the first `skip` rows are; it may be -1. */
int graph_mean(struct graph *graph, const char *name, int x, int mask, uint32_t skip);
int graph_normalize(struct graph *graph, const char *name, int x);
/* Bit (i % 32) of word i / 32 of the mask allows column i; `mask` may be -1. */
int graph_maxima(struct graph *graph, const char *name, int scores, int mask);

/* Tells whether the second input of an op may be stored in another type than the activations': the
 * matrices of MATMUL and CONV and the table of EMBEDDING. */
bool graph_packs(enum op op);
/* Stores the second inputs of the ops that graph_packs accepts as `type`, except that `delicate`
 * weights become Q8 where `type` is Q4. Biases, gains, positions and all other weights keep the
 * type of the activations. */
void graph_pack(struct graph *graph, enum type type);

/* ---- Nodes without checks --------------------------------------------------------------------
 *
 * The builders, the gradient, the objective and the optimiser append nodes with these functions.
 * The caller must give shapes that fit.
 */

/* Appends a node whose result is a new tensor. */
int graph_append(struct graph *graph, const char *name, struct node node, unsigned rank,
                 const uint32_t *shape);
/* Appends a node whose result is a new tensor of the shape, type and layout of `like`. */
int graph_append_like(struct graph *graph, struct node node, int like);
/* Appends a node that writes to a tensor that exists already. */
int graph_append_into(struct graph *graph, struct node node, int tensor);
/* Appends a node whose result takes the memory of the activation `tensor`, whose values the node
 * reads. */
int graph_append_over(struct graph *graph, const char *name, struct node node, int tensor);

/* ---- Ops of training ------------------------------------------------------------------------- */

int graph_activate(struct graph *graph, const char *name, int x, enum vkclip_activation activation,
                   bool relu);
int graph_tanh(struct graph *graph, const char *name, int x);
int graph_sum(struct graph *graph, const char *name, int x, int y);
int graph_multiply(struct graph *graph, const char *name, int x, int y);
/* graph_batchstats appends the statistics [4,C] that batch norm computes of its batch, and
 * graph_runningstats those that it takes from four weights. */
int graph_batchstats(struct graph *graph, int x, int gain, int bias, float epsilon);
int graph_runningstats(struct graph *graph, int mean, int variance, int gain, int bias,
                       float epsilon);
/* Appends batch norm with given statistics. ReLU comes last, after the residual is added. */
int graph_batchnorm(struct graph *graph, const char *name, int x, int stats, int residual,
                    bool relu);
/* Appends the packing of the matrix w [N,K], or of its transpose, in panels. */
int graph_panels(struct graph *graph, int w, bool transposed);
/* Appends the conversion of values to another type. The layout does not change. */
int graph_cast(struct graph *graph, int x, enum type type);

/* ---- Reading a graph ------------------------------------------------------------------------- */

/* Tells whether an op sums activations of any type in fp32. Its result is fp32. */
bool graph_sums(enum op op);
/* Tells whether an op writes its input number `input` in addition to its result. */
bool graph_writes(enum op op, int input);
/* Tells whether an op's nodes have `attention`: heads and causality. */
bool graph_attends(enum op op);

/* Returns the index of a tensor by its name, or -1 if there is none. */
int graph_find(const struct graph *graph, const char *name);
uint64_t tensor_elements(const struct tensor *tensor);
/* Tells whether a tensor has memory of its own that stays from run to run, as weights and states
 * have. */
bool tensor_stays(const struct tensor *tensor);
/* Tells whether a tensor lies row by row on the device, and not in panels. */
bool tensor_in_rows(const struct tensor *tensor);
/* tensor_rows returns the product of all dimensions but the last, and tensor_columns the last
 * dimension. */
uint32_t tensor_rows(const struct tensor *tensor);
uint32_t tensor_columns(const struct tensor *tensor);
/* Returns the N of a weight in panels. Its K is the number of elements divided by N. */
uint32_t tensor_n(const struct tensor *tensor);
/* Returns the number of floating-point operations of a node, by which work is split into
 * submits. */
double node_work(const struct graph *graph, const struct node *node);

/* Returns an activation's name after a blank, as " gelu"; AUTO, which is none, is "". */
const char *activation_option(enum vkclip_activation activation);
/* Writes the options that a node has in its op's member of the union, as " gelu relu" or " heads=2
 * causal". */
#define NODE_OPTIONS 64
void node_options(const struct node *node, char text[NODE_OPTIONS]);
/* Writes the list of nodes as text, one line per node. */
void graph_dump(const struct graph *graph, FILE *file);

#endif
