/* SPDX-License-Identifier: MIT
 *
 * Chooses among the kernels (shaders/kernels.def) and their tiles (shaders/tiles.def): which
 * variants can compute a node on a device, and in which order they are preferred. launch.h launches
 * a variant; tune.h measures which one is the fastest.
 */
#ifndef VKCLIP_RUNTIME_KERNELS_H
#define VKCLIP_RUNTIME_KERNELS_H

#include "vulkan/gpu.h"
#include "graph/graph.h"

/* Describes a variant: one row of the table, a shader compiled for one pair of types. */
struct kernel {
    enum op op;
    const char *shader;
    enum type x, w; /* types of the activations, and of what graph_pack packs or CAST reads */
    uint32_t needs; /* CAP_ bits */
    struct spirv code;
    const char *name; /* shader and types, such as "matmul_texel f32 f16", for what is remembered */
};

extern const struct kernel kernels[];
extern const size_t kernel_count;

/* Says how a workgroup covers a result: see shaders/tiles.def. */
enum walk { WALK_COLUMNS, WALK_ROWS, WALK_ONCE, WALK_SLICES };
struct tile {
    uint32_t rows, columns, height, width; /* all 0: the shader has no tiles */
    enum walk walk;
};
/* Returns the invocations of a workgroup that have rows of their own, and those that divide K. */
static inline uint32_t tile_height(const struct tile *tile)
{
    return tile->walk == WALK_SLICES ? 1 : tile->height;
}
static inline uint32_t tile_slices(const struct tile *tile)
{
    return tile->walk == WALK_SLICES ? tile->height : 1;
}

/* Describes one way to compute a node: a variant and its tile. */
struct kernel_choice {
    const struct kernel *kernel;
    struct tile tile;        /* tile cut down to the node's rows */
    struct tile listed_tile; /* tile as listed in tiles.def */
};
#define KERNEL_CHOICES 64

/* A node's tensors have the slots in[0] to in[2] and out, which are also the bindings of its
 * kernel. */
#define KERNEL_OUT NODE_INPUTS
#define KERNEL_SLOTS (NODE_INPUTS + 1)

/* Tells whether a variant can compute a node on a device. */
bool kernels_fit(const struct gpu *gpu, const struct kernel *kernel, const struct graph *graph,
                 const struct node *node);

/* Lists the ways in which a device can compute a node and returns their number. Their order, the
 * fixed order, is that of the variants in kernels.def, and for each variant that of its shader's
 * tiles in tiles.def, after the choices that the device's class prefers (runtime/order.h). Tiles
 * that divide K into many slices come before all others, because others would leave most of the
 * device idle. */
size_t kernels_choices(const struct gpu *gpu, const struct graph *graph, const struct node *node,
                       struct kernel_choice choices[KERNEL_CHOICES]);
/* Appends the choices of one variant, which need not be in the table, to a list of `count`. Returns
 * the new count. */
size_t kernels_add_choices(const struct gpu *gpu, const struct kernel *kernel,
                           const struct graph *graph, const struct node *node,
                           struct kernel_choice choices[KERNEL_CHOICES], size_t count);
/* Moves the choices that a class of devices prefers to the front. Those of equal preference keep
 * their order. */
void kernels_sort_choices(enum gpu_class class, struct kernel_choice *choices, size_t count);
/* Tells whether a class of devices has the registers for a tile with `lanes` invocations along its
 * columns. Others are not offered, because compiling what spills thousands of registers takes up to
 * 20 s; the smallest tile of a variant that hands no values around is offered nevertheless. */
bool kernels_accept_tile(enum gpu_class class, const struct kernel *kernel, const struct tile *tile,
                         uint32_t lanes);
/* Returns the capabilities for which this build has variants. */
uint32_t kernels_caps(void);

/* Tells whether two choices have the same variant and listed tile, however the tiles are cut down.
 */
bool kernels_same_choice(const struct kernel_choice *a, const struct kernel_choice *b);
/* Writes a name such as "16x4x8 columns", or with its width "4x2x2x4 columns". */
#define TILE_NAME 48
void kernels_tile_name(const struct tile *tile, char name[TILE_NAME]);
/* Writes a name such as "matmul_texel 16x4x8 columns", with the tile as tiles.def lists it. */
#define KERNEL_CHOICE_NAME 80
void kernels_choice_name(const struct kernel_choice *choice, char name[KERNEL_CHOICE_NAME]);

/* Says what the invocations of one workgroup of a variant cover. */
struct kernel_span {
    uint32_t lanes;           /* invocations along the columns of the result */
    uint32_t rows, columns;   /* rows and columns of the result per row and column of a tile */
    const uint32_t *matrices; /* M, N and K of cooperative matrices; NULL without them */
};
struct kernel_span kernels_span(const struct gpu *gpu, const struct kernel *kernel);
/* Tells whether a variant reads its inputs as texels. */
bool kernels_read_texels(const struct kernel *kernel);
/* Tells whether a variant reads w in texels of two columns (PAIRS in matmul/tile.glsl). */
bool kernels_read_pairs(const struct kernel *kernel);
/* Tells whether a variant rounds fp32 to fp16 before it multiplies, for which the graph must be
 * allowed to (compute_f16). */
bool kernels_round_factors(const struct kernel *kernel);
/* Tells whether the lanes of a subgroup each read single values and broadcast them to one another.
 */
bool kernels_share_values(const struct kernel *kernel);
/* Subgroups of a workgroup of attention/matrices.glsl and attention_grad_coopmat.comp. */
#define ATTENTION_SUBGROUPS 4
/* Rows of dy and x that train/outer_address.comp adds up in a turn of its loop. */
#define OUTER_TURN 8
/* Channels of a workgroup of depthwise/dwconv_sums_address.comp. */
#define DWCONV_PART 16
/* Tells whether the invocations of a variant of ATTENTION, ATTENTION_MASKED or ATTENTION_GRAD share
 * the queries and keys of a head. */
bool kernels_tile_heads(const struct kernel *kernel);
/* Returns the width of a head of an ATTENTION or its gradient. */
uint32_t kernels_head_width(const struct tensor *qkv, const struct node *node);

/* One operation of attention counts as this many of a matrix product where its speed is not known,
 * because attention loads its operands for every operation and a tile reuses them. */
#define ATTENTION_COST 8

/* Bounds the difference that a variant's rounding of activations makes if activations and weights
 * are random in [-1, 1). It is 0 for all variants but those of CAP_DOT and those that round
 * fp32 to fp16. */
double kernels_rounding(const struct kernel *kernel, const struct graph *graph,
                        const struct node *node);

/* Returns the least bytes that a node reads and writes, each counted once. */
uint64_t kernels_node_bytes(const struct graph *graph, const struct node *node);
/* Writes a shape such as "50x768x3072": rows, columns and depth of a matrix product, or the
 * dimensions of any other result. */
#define KERNEL_SHAPE 64
void kernels_node_shape(const struct graph *graph, const struct node *node,
                        char shape[KERNEL_SHAPE]);

#endif
