/* SPDX-License-Identifier: MIT
 *
 * Defines the launch rules of the ops of explanations.
 */
#include "runtime/dispatch.h"

#include <math.h>

#include "shaders/args.h"

/* Launches one workgroup per query of an item. */
int launch_RELEVANCE(struct launch *launch)
{
    const uint32_t *y = launch->out->shape; /* [B,Q,T] */
    const uint32_t heads = launch->node->relevance.heads, c = tensor_columns(launch->in[2]);
    const uint32_t limit = gpu_limits(launch->gpu)->groups[2];
    const uint32_t step = at_most(dispatch_steps(launch, y[0]), limit);
    struct pool_args args = {
        .t = y[2], .c = c, .queries = y[1], .scale = 1.0f / sqrtf((float)(c / heads))};
    launch->dispatch.work *= (double)step / y[0];
    dispatch_workgroup(launch, 64, 1);
    dispatch_constant(launch, c / heads);
    dispatch_constant(launch, launch->node->relevance.pooled);
    int error = VKCLIP_OK;
    for (; args.first < y[0] && !error; args.first += step) {
        dispatch_args(launch, &args, sizeof(args));
        error = dispatch_emit(launch, args.queries, 1, at_most(step, y[0] - args.first));
    }
    return error;
}

int launch_MEAN_RELEVANCE(struct launch *launch)
{
    const uint32_t *y = launch->out->shape; /* [B,T] */
    const struct meantoken_args args = {.b = y[0], .p = y[1], .c = tensor_columns(launch->in[0])};
    dispatch_workgroup(launch, ELEMENTS_WORKGROUP, 1);
    dispatch_constant(launch, launch->node->mean.skip);
    dispatch_args(launch, &args, sizeof(args));
    return dispatch_elements(launch, tensor_elements(launch->out));
}
