/* SPDX-License-Identifier: MIT
 *
 * Defines the launch rules of sums and of the objective.
 */
#include "runtime/dispatch.h"

#include "shaders/args.h"

int launch_COLSUM(struct launch *launch)
{
    const struct node *node = launch->node;
    const uint32_t pitch = node->colsum.pitch, offset = node->colsum.offset;
    uint32_t rows = divide_up((uint32_t)tensor_elements(launch->in[0]) - offset, pitch);
    uint32_t group = node->colsum.group ? node->colsum.group : rows;
    uint32_t groups = divide_up(rows, group);
    struct colsum_args args = {.rows = rows,
                               .columns = node->colsum.columns
                                              ? node->colsum.columns
                                              : (uint32_t)(tensor_elements(launch->out) / groups),
                               .pitch = pitch,
                               .offset = offset,
                               .group = group,
                               .add = node->residual};
    dispatch_args(launch, &args, sizeof(args));
    return dispatch_columns(launch, args.columns, groups);
}

int launch_SUMSQ(struct launch *launch)
{
    struct sumsq_args args = {.n = (uint32_t)tensor_elements(launch->in[0]),
                              .first = launch->node->sumsq.offset};
    dispatch_args(launch, &args, sizeof(args));
    return dispatch_rows(launch, divide_up(args.n, SUMSQ_PART));
}

int launch_CLIP(struct launch *launch)
{
    struct sumsq_args args = {.n = (uint32_t)tensor_elements(launch->in[0])};
    dispatch_args(launch, &args, sizeof(args));
    return dispatch_rows(launch, 1);
}

/* Emits one workgroup per row and one per column of the matrix. */
int launch_CONTRAST_STATS(struct launch *launch)
{
    struct contrast_args args = {.n = launch->in[0]->shape[0]};
    dispatch_args(launch, &args, sizeof(args));
    return dispatch_rows(launch, 2 * args.n);
}

int launch_CONTRAST_LOSS(struct launch *launch)
{
    struct contrast_args args = {.n = launch->in[0]->shape[0]};
    dispatch_args(launch, &args, sizeof(args));
    return dispatch_rows(launch, args.n);
}

int launch_CONTRAST_GRAD(struct launch *launch)
{
    struct contrast_args args = {.n = launch->out->shape[0]};
    dispatch_args(launch, &args, sizeof(args));
    return dispatch_elements(launch, (uint64_t)args.n * args.n);
}

/* Sets the arguments of PAIRS_LOSS or its gradient for cosines [M,N]. */
static void set_pairs_args(struct launch *launch, const struct tensor *cosines)
{
    struct elements_args args = {.n = cosines->shape[0], .c = cosines->shape[1]};
    dispatch_args(launch, &args, sizeof(args));
}

int launch_PAIRS_LOSS(struct launch *launch)
{
    set_pairs_args(launch, launch->in[0]);
    return dispatch_rows(launch, launch->in[0]->shape[0]);
}

int launch_PAIRS_GRAD(struct launch *launch)
{
    set_pairs_args(launch, launch->out);
    return dispatch_elements(launch, tensor_elements(launch->out));
}
