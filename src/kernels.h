/* SPDX-License-Identifier: MIT
 *
 * The table of kernels (shaders/kernels.def) and how each op is launched: grid, specialization
 * constants, arguments. Chooses the row for a node; records its dispatches.
 */
#ifndef VKCLIP_KERNELS_H
#define VKCLIP_KERNELS_H

#include "gpu.h"
#include "graph.h"

struct kernel {
    enum op op;
    const char *shader;
    enum type x, w; /* storage of activations, and of what graph_pack packs */
    uint32_t needs; /* CAP_ bits */
    const uint32_t *code;
    size_t bytes;
};

extern const struct kernel kernels[];
extern const size_t kernel_count;

/* Slots of a node's tensors, which are also the bindings of its kernel. */
#define KERNEL_OUT NODE_INPUTS
#define KERNEL_SLOTS (NODE_INPUTS + 1)

/* Whether a row can compute a node on a device. */
bool kernels_fit(const struct gpu *gpu, const struct kernel *kernel, const struct graph *graph,
                 const struct node *node);

/* Records a node by the first row that fits and that the driver can build; `only` (NULL: any) is
 * the row to use. `ranges` are the memory of the node's in[0..2] and out; absent ones are ignored.
 */
int kernels_record(struct gpu *gpu, struct gpu_commands *commands, const struct graph *graph,
                   const struct node *node, const struct gpu_range ranges[KERNEL_SLOTS],
                   const struct kernel *only);

/* Bytes of a tensor on the device, panels' padding included. */
uint64_t kernels_tensor_bytes(const struct tensor *tensor);

#endif
