/* SPDX-License-Identifier: MIT
 *
 * Defines the launch rules of attention, of its gradients and of what is added to its scores.
 */
#include "runtime/dispatch.h"
#include "base/array.h"

#include <math.h>

#include "shaders/args.h"

/* Emits one dispatch per step of items that a submit may take, with a workgroup for `queries`
 * tokens of a head of an item. */
static int launch_heads(struct launch *launch, uint32_t queries)
{
    const uint32_t *shape = launch->in[0]->shape; /* [B,T,3C] */
    const uint32_t heads = launch->node->attention.heads, c = shape[2] / 3;
    const uint32_t limit = gpu_limits(launch->gpu)->groups[2];
    const uint32_t step = at_most(dispatch_steps(launch, shape[0]), limit);
    struct attention_args args = {
        .t = shape[1], .c = c, .heads = heads, .scale = launch->node->attention.scale};
    if (args.scale <= 0)
        args.scale = 1.0f / sqrtf((float)(c / heads));
    launch->dispatch.work *= (double)step / shape[0];
    int error = VKCLIP_OK;
    for (; args.first < shape[0] && !error; args.first += step) {
        dispatch_args(launch, &args, sizeof(args));
        error = dispatch_emit(launch, divide_up(args.t, queries), heads,
                              at_most(step, shape[0] - args.first));
    }
    return error;
}

/* Sets the specialization constants of shaders/attention/score.glsl after the workgroup. */
static void set_heads_constants(struct launch *launch)
{
    dispatch_constant(launch, kernels_head_width(launch->in[0], launch->node));
    dispatch_constant(launch, launch->node->attention.causal);
    if (launch->node->op == OP_ATTENTION_GRAD) {
        dispatch_constant(launch, launch->node->attention.masked);
        return;
    }
    dispatch_constant(launch, launch->in[1] != NULL);
    dispatch_constant(launch, launch->in[2] != NULL);
}

/* Launches one invocation per token of a head of an item. Texts and pictures have about 50 to 260
 * tokens, so that workgroups of 32 leave few invocations past the end, but a wider subgroup is
 * filled. */
static int launch_tokens(struct launch *launch)
{
    const uint32_t wave = gpu_limits(launch->gpu)->wave, width = wave > 32 ? wave : 32;
    dispatch_workgroup(launch, width, 1);
    dispatch_texels(launch, 0, launch->kernel->x); /* qkv */
    set_heads_constants(launch);
    return launch_heads(launch, width);
}

/* Launches subgroups that take as many queries as a matrix has rows. */
static int launch_matrices(struct launch *launch)
{
    const struct gpu_limits *limits = gpu_limits(launch->gpu);
    const uint32_t *matrix = limits->matrix;
    dispatch_workgroup(launch, limits->subgroup, ATTENTION_SUBGROUPS);
    set_heads_constants(launch);
    for (int i = 0; i < 3; i++)
        dispatch_constant(launch, matrix[i]);
    return launch_heads(launch, ATTENTION_SUBGROUPS * matrix[0]);
}

/* Launches workgroups of attention/shared.glsl. A lane has one quad of a head, or two where that
 * would take more than 128 invocations. */
static int launch_shared_heads(struct launch *launch)
{
    const uint32_t quads = divide_up(kernels_head_width(launch->in[0], launch->node), 4);
    const uint32_t lanes = quads <= 8 ? 8 : quads <= 12 ? 12 : 16, height = 8;
    dispatch_workgroup(launch, lanes, height);
    set_heads_constants(launch);
    return launch_heads(launch, 4 * height);
}

int launch_ATTENTION(struct launch *launch)
{
    if (!kernels_tile_heads(launch->kernel))
        return launch_tokens(launch);
    return launch->kernel->needs & CAP_COOPMAT16 ? launch_matrices(launch)
                                                 : launch_shared_heads(launch);
}

int launch_ATTENTION_MASKED(struct launch *launch)
{
    return launch_ATTENTION(launch);
}

/* Launches one workgroup per query of a head of an item, or one for all queries of a head's keys.
 */
static int launch_pooled_heads(struct launch *launch, bool keys)
{
    const uint32_t *shape = launch->in[1]->shape; /* [B,T,2C] */
    const uint32_t heads = launch->node->pool.heads, c = shape[2] / 2;
    const uint32_t limit = gpu_limits(launch->gpu)->groups[2];
    const uint32_t step = at_most(dispatch_steps(launch, shape[0]), limit);
    const uint32_t queries = tensor_rows(launch->in[0]);
    struct pool_args args = {shape[1], c, queries, 1.0f / sqrtf((float)(c / heads)), 0};
    launch->dispatch.work *= (double)step / shape[0];
    dispatch_workgroup(launch, 64, 1);
    dispatch_constant(launch, c / heads);
    dispatch_constant(launch, keys);
    int error = VKCLIP_OK;
    for (; args.first < shape[0] && !error; args.first += step) {
        dispatch_args(launch, &args, sizeof(args));
        const uint32_t items = at_most(step, shape[0] - args.first);
        error = dispatch_emit(launch, keys ? 1 : queries, heads, items);
    }
    return error;
}

int launch_POOL(struct launch *launch)
{
    return launch_pooled_heads(launch, false);
}

int launch_POOL_GRAD(struct launch *launch)
{
    return launch_pooled_heads(launch, !launch->node->pool.queries);
}

/* Finds the distances at which ranges begin in fp32, as torch does, because another rounding of a
 * logarithm may put a distance into the next bucket. */
int launch_RELATIVE(struct launch *launch)
{
    const struct tensor *y = launch->out; /* [heads,2T-1] */
    struct relative_args args = {.n = (uint32_t)tensor_elements(y),
                                 .t = (y->shape[1] + 1) / 2,
                                 .heads = y->shape[0],
                                 .steps = launch->in[0]->shape[0] / 4};
    const float steps = (float)args.steps, farthest = (float)launch->node->relative.farthest;
    const float range = (float)log((double)farthest / (double)steps);
    uint32_t distance = args.steps;
    for (uint32_t step = 0; step < args.steps; step++) {
        while (logf((float)distance / steps) / range * steps < (float)step)
            distance++;
        args.first[step] = distance;
    }
    dispatch_args(launch, &args, sizeof(args));
    return dispatch_elements(launch, args.n);
}

/* Launches attention_grad_shared.comp: once for the gradients of queries and once for those of keys
 * and values. Two tokens per invocation with wider heads would need more than the 16 KiB of shared
 * memory that every device has. */
static int launch_gradient_tiles(struct launch *launch)
{
    const uint32_t lanes = 8, width = kernels_head_width(launch->in[0], launch->node);
    const uint32_t tokens = width > 88 ? 1 : launch->tile.rows;
    const double work = launch->dispatch.work / 2;
    int error = VKCLIP_OK;
    for (uint32_t keys = 0; keys < 2 && !error; keys++) {
        launch->dispatch.work = work;
        dispatch_workgroup(launch, lanes, lanes);
        dispatch_constant(launch, width);
        dispatch_constant(launch, launch->node->attention.causal);
        dispatch_constant(launch, tokens);
        dispatch_constant(launch, keys);
        dispatch_constant(launch, launch->node->attention.masked);
        error = launch_heads(launch, tokens * lanes);
    }
    return error;
}

/* What a pass over the tokens computes is a set of these gradients. */
enum { GRADIENT_Q = 1, GRADIENT_K = 2, GRADIENT_V = 4 };
/* Up to this width the sums of dk and dv together fit into the registers of RDNA 3. One pass for
 * both computes an eighth less than two. */
#define PAIR_WIDTH 96

static int launch_gradient_matrices(struct launch *launch)
{
    const struct gpu_limits *limits = gpu_limits(launch->gpu);
    const uint32_t width = kernels_head_width(launch->in[0], launch->node);
    const uint32_t pair = GRADIENT_K | GRADIENT_V;
    const uint32_t narrow[] = {GRADIENT_Q, pair}, wide[] = {GRADIENT_Q, GRADIENT_K, GRADIENT_V};
    const uint32_t *passes = width > PAIR_WIDTH ? wide : narrow;
    const uint32_t count = width > PAIR_WIDTH ? ARRAY_COUNT(wide) : ARRAY_COUNT(narrow);
    const double work = launch->dispatch.work / count;
    int error = VKCLIP_OK;
    for (uint32_t i = 0; i < count && !error; i++) {
        launch->dispatch.work = work;
        dispatch_workgroup(launch, limits->subgroup, ATTENTION_SUBGROUPS);
        dispatch_constant(launch, width);
        dispatch_constant(launch, launch->node->attention.causal);
        dispatch_constant(launch, (passes[i] & pair) != 0);
        dispatch_constant(launch, passes[i] != GRADIENT_V);
        dispatch_constant(launch, (passes[i] & GRADIENT_V) != 0);
        for (int side = 0; side < 3; side++)
            dispatch_constant(launch, limits->matrix[side]);
        error = launch_heads(launch, ATTENTION_SUBGROUPS * limits->matrix[0]);
    }
    return error;
}

int launch_ATTENTION_GRAD(struct launch *launch)
{
    if (launch->kernel->needs & CAP_COOPMAT16)
        return launch_gradient_matrices(launch);
    if (launch->tile.rows)
        return launch_gradient_tiles(launch);
    dispatch_texels(launch, 1, launch->kernel->x); /* dy */
    return launch_tokens(launch);
}

int launch_ATTENTION_DELTA(struct launch *launch)
{
    struct elements_args args = {.n = (uint32_t)tensor_elements(launch->out) / 2,
                                 .t = launch->in[2] ? launch->out->shape[2] : 0,
                                 .c = tensor_columns(launch->in[0]) / launch->out->shape[2]};
    dispatch_args(launch, &args, sizeof(args));
    return dispatch_elements(launch, args.n);
}
