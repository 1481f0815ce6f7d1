/* SPDX-License-Identifier: MIT
 *
 * What the launch rules of launch.c share: a rule fills a dispatch with constants, arguments and
 * bindings and emits it as often as needed, with workgroups per element, row or column. Refuses
 * more workgroups than the device takes and ranges that it cannot bind.
 */
#ifndef VKCLIP_RUNTIME_DISPATCH_H
#define VKCLIP_RUNTIME_DISPATCH_H

#include "runtime/kernels.h"

/* State of a node while it is launched. */
struct launch {
    struct gpu *gpu;
    struct gpu_commands *commands;
    const struct kernel *kernel;
    struct tile tile;
    const struct node *node;
    const struct tensor *in[NODE_INPUTS], *out; /* NULL: the node has no such tensor */
    struct gpu_dispatch dispatch;
    uint32_t constants[GPU_CONSTANTS]; /* The first three are the workgroup's size. */
    uint32_t constant_count;
};

static inline uint32_t divide_up(uint64_t a, uint32_t b)
{
    return (uint32_t)((a + b - 1) / b);
}

static inline uint32_t at_most(uint32_t value, uint32_t limit)
{
    return value < limit ? value : limit;
}

void dispatch_workgroup(struct launch *launch, uint32_t x, uint32_t y);
void dispatch_constant(struct launch *launch, uint32_t value);
void dispatch_args(struct launch *launch, const void *args, uint32_t bytes);
/* Appends the addresses of the first two inputs to the arguments, at the next multiple of eight
 * bytes, if the variant reads memory by its address. */
void dispatch_addresses(struct launch *launch);
/* Binds an input as texels of the given type if the variant reads texels. */
void dispatch_texels(struct launch *launch, int slot, enum type type);

/* The functions below record one dispatch, or announce its pipeline if there are no commands. */
int dispatch_emit(struct launch *launch, uint32_t x, uint32_t y, uint32_t z);
/* Emits one invocation per element. The kernel loops if there are fewer invocations. A rule with
 * constants of its own sets the workgroup's size ELEMENTS_WORKGROUP and these before. */
#define ELEMENTS_WORKGROUP 64
int dispatch_elements(struct launch *launch, uint64_t elements);
/* Emits one workgroup per row. */
int dispatch_rows(struct launch *launch, uint32_t rows);
/* Emits `groups` workgroups for rows, whose size dispatch_row_workgroup has set. The kernel loops
 * if the device takes fewer. */
int dispatch_row_groups(struct launch *launch, uint32_t groups);
void dispatch_row_workgroup(struct launch *launch);
/* Emits one workgroup per 32 neighbouring columns, as shaders/columns.glsl expects it. */
int dispatch_columns(struct launch *launch, uint32_t columns, uint32_t groups);

/* Returns how many of a dispatch's `count` equal steps have at most `work` operations. */
uint32_t dispatch_steps_of_work(const struct launch *launch, uint32_t count, double work);
/* Returns how many of a node's `count` equal steps one dispatch may take, so that no submit exceeds
 * the device's work per submit. */
uint32_t dispatch_steps(const struct launch *launch, uint32_t count);
/* Computes how many of a tensor's `count` units of `bytes` bytes one binding spans, such that the
 * next slice begins at a multiple of the device's alignment. */
int dispatch_units(const struct launch *launch, const struct tensor *tensor, uint64_t bytes,
                   uint32_t count, uint32_t *result);

/* The rules of launch_pixels.c. */
int launch_DWCONV(struct launch *launch);
int launch_DWCONV_SUMS(struct launch *launch);
int launch_AVGPOOL(struct launch *launch);
int launch_AVGPOOL_GRAD(struct launch *launch);
int launch_UNFOLD(struct launch *launch);
int launch_UNFOLD_GRAD(struct launch *launch);
int launch_RESAMPLE(struct launch *launch);
int launch_FRAME(struct launch *launch);
/* The rules of launch_relevance.c. */
int launch_RELEVANCE(struct launch *launch);
int launch_MEAN_RELEVANCE(struct launch *launch);

/* The rules of launch_attention.c. */
int launch_ATTENTION(struct launch *launch);
int launch_ATTENTION_MASKED(struct launch *launch);
int launch_POOL(struct launch *launch);
int launch_POOL_GRAD(struct launch *launch);
int launch_RELATIVE(struct launch *launch);
int launch_ATTENTION_GRAD(struct launch *launch);
int launch_ATTENTION_DELTA(struct launch *launch);

/* The rules of launch_sums.c. */
int launch_COLSUM(struct launch *launch);
int launch_SUMSQ(struct launch *launch);
int launch_CLIP(struct launch *launch);
int launch_CONTRAST_STATS(struct launch *launch);
int launch_CONTRAST_LOSS(struct launch *launch);
int launch_CONTRAST_GRAD(struct launch *launch);
int launch_PAIRS_LOSS(struct launch *launch);
int launch_PAIRS_GRAD(struct launch *launch);

#endif
