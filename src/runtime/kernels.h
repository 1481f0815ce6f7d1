/* SPDX-License-Identifier: MIT
 *
 * The table of kernels (shaders/kernels.def), their tiles (shaders/tiles.def), and how each op is
 * launched: grid, specialization constants, arguments. Lists the choices that a node has; records
 * the dispatches of one. Which one is the fastest is not known here: see tune.h.
 */
#ifndef VKCLIP_RUNTIME_KERNELS_H
#define VKCLIP_RUNTIME_KERNELS_H

#include "vulkan/gpu.h"
#include "graph/graph.h"

struct kernel {
    enum op op;
    const char *shader;
    enum type x, w; /* storage of activations, and of what graph_pack packs or CAST reads */
    uint32_t needs; /* CAP_ bits */
    const uint32_t *code;
    size_t bytes;
};

extern const struct kernel kernels[];
extern const size_t kernel_count;

/* How a workgroup covers a result: shaders/tiles.def. */
enum walk { WALK_COLUMNS, WALK_ROWS };
struct tile {
    uint32_t rows, columns, height; /* 0: the shader has no tiles */
    enum walk walk;
};

/* One way to compute a node. */
struct kernel_choice {
    const struct kernel *kernel;
    struct tile tile, whole; /* whole: before it was cut down to the node */
};
#define KERNEL_CHOICES 64

/* Slots of a node's tensors, which are also the bindings of its kernel. */
#define KERNEL_OUT NODE_INPUTS
#define KERNEL_SLOTS (NODE_INPUTS + 1)

/* Whether a row can compute a node on a device. */
bool kernels_fit(const struct gpu *gpu, const struct kernel *kernel, const struct graph *graph,
                 const struct node *node);

/* The ways that a device has to compute a node, in the fixed order: rows as in kernels.def, for
 * each the tiles of its shader as in tiles.def, cut down to the node's rows. Returns their number.
 */
size_t kernels_choices(const struct gpu *gpu, const struct graph *graph, const struct node *node,
                       struct kernel_choice choices[KERNEL_CHOICES]);
/* The choices of one row, which may be none of the table, appended to `count` others. */
size_t kernels_add_choices(const struct gpu *gpu, const struct kernel *kernel,
                           const struct graph *graph, const struct node *node,
                           struct kernel_choice choices[KERNEL_CHOICES], size_t count);
/* Whether two are the same row and tile, however cut down. */
bool kernels_same_choice(const struct kernel_choice *a, const struct kernel_choice *b);
/* "matmul_texel 16x4x8 columns": the tile as in tiles.def */
#define KERNEL_CHOICE_NAME 80
void kernels_choice_name(const struct kernel_choice *choice, char name[KERNEL_CHOICE_NAME]);

/* Records a node by one choice, or not at all: EDEVICE where the driver cannot build it. `ranges`
 * are the memory of the node's in[0..2] and out; absent ones are ignored. `commands` NULL: only
 * announces the pipelines that recording will need (gpu_pipeline_announce). */
int kernels_record_choice(struct gpu *gpu, struct gpu_commands *commands, const struct graph *graph,
                          const struct node *node, const struct gpu_range ranges[KERNEL_SLOTS],
                          const struct kernel_choice *choice);
/* Records a node by `first` (NULL, or without a kernel: none), else by the first choice that the
 * driver can build. */
int kernels_record(struct gpu *gpu, struct gpu_commands *commands, const struct graph *graph,
                   const struct node *node, const struct gpu_range ranges[KERNEL_SLOTS],
                   const struct kernel_choice *first);

/* Largest difference that a row's rounding of activations makes where they and the weights are
 * random in [-1, 1): 0 but for CAP_DOT. */
double kernels_rounding(const struct kernel *kernel, const struct graph *graph,
                        const struct node *node);

/* Bytes that a node reads and writes at least, each once. */
uint64_t kernels_node_bytes(const struct graph *graph, const struct node *node);
/* "50x768x3072": rows, columns and depth of a matrix product, else the result's dimensions. */
#define KERNEL_SHAPE 64
void kernels_node_shape(const struct graph *graph, const struct node *node,
                        char shape[KERNEL_SHAPE]);

#endif
