/* SPDX-License-Identifier: MIT
 *
 * Defines the launch rules of depthwise convolutions, of the ops that prepare pictures, and of
 * those that gather squares of pixels.
 */
#include "runtime/dispatch.h"

#include "shaders/args.h"
#include "shaders/pictures/pictures.h"

/* ---- Depthwise convolutions ------------------------------------------------------------------ */

static struct dwconv_args picture_args(const struct tensor *x)
{
    return (struct dwconv_args){
        .b = x->shape[0], .h = x->shape[1], .w = x->shape[2], .c = x->shape[3]};
}

/* Emits dispatches for `count` rows of tiles or shares, each of which has `elements` elements. A
 * submit takes as many of them as the device computes in its time. */
static int launch_parts(struct launch *launch, struct dwconv_args args, uint32_t count,
                        uint64_t elements)
{
    const uint32_t step = dispatch_steps(launch, count);
    int error = VKCLIP_OK;
    launch->dispatch.work *= (double)step / count;
    for (; args.first < count && !error; args.first += step) {
        args.count = at_most(count - args.first, step);
        dispatch_args(launch, &args, sizeof(args));
        error = dispatch_elements(launch, args.count * elements);
    }
    return error;
}

/* Emits `groups` workgroups for each share. */
static int launch_shares(struct launch *launch, struct dwconv_args args, uint32_t shares,
                         uint32_t groups)
{
    const uint32_t most = gpu_limits(launch->gpu)->groups[1];
    const uint32_t step = at_most(dispatch_steps(launch, shares), most);
    int error = VKCLIP_OK;
    launch->dispatch.work *= (double)step / shares;
    for (; args.first < shares && !error; args.first += step) {
        args.count = at_most(shares - args.first, step);
        dispatch_args(launch, &args, sizeof(args));
        dispatch_addresses(launch);
        error = dispatch_emit(launch, groups, args.count, 1);
    }
    return error;
}

/* A variant without tiles computes one channel of one pixel at a time. */
int launch_DWCONV(struct launch *launch)
{
    const struct dwconv_args args = picture_args(launch->out);
    const bool tiled = launch->tile.rows > 0;
    const uint32_t rows = tiled ? launch->tile.rows : 1, columns = tiled ? launch->tile.columns : 1;
    dispatch_workgroup(launch, ELEMENTS_WORKGROUP, 1);
    dispatch_constant(launch, rows);
    dispatch_constant(launch, columns);
    dispatch_constant(launch, launch->node->dwconv.side);
    dispatch_constant(launch, launch->node->dwconv.flipped);
    dispatch_constant(launch, launch->in[2] != NULL);
    dispatch_constant(launch, launch->node->residual);
    dispatch_texels(launch, 0, launch->kernel->x);
    dispatch_texels(launch, 1, launch->kernel->x);
    return launch_parts(launch, args, args.b * divide_up(args.h, rows),
                        (uint64_t)divide_up(args.w, columns) * (tiled ? args.c / 4 : args.c));
}

/* An invocation of DWCONV_SUMS has this many pixels in registers. More would leave fewer
 * invocations per unit; fewer would load a pixel more often. */
#define SUMS_COLUMNS 8

int launch_DWCONV_SUMS(struct launch *launch)
{
    struct dwconv_args args = picture_args(launch->in[0]);
    const uint32_t side = launch->node->dwconv.side, shares = launch->out->shape[0];
    const bool addressed = launch->kernel->needs & CAP_ADDRESS;
    const uint32_t lanes = kernels_span(launch->gpu, launch->kernel).lanes;
    dispatch_workgroup(launch, addressed ? lanes : ELEMENTS_WORKGROUP, 1);
    dispatch_constant(launch, divide_up(args.w, divide_up(args.w, SUMS_COLUMNS)));
    dispatch_constant(launch, side);
    if (!addressed) {
        dispatch_constant(launch, args.c % 4 == 0);
        return launch_parts(launch, args, shares, (uint64_t)side * divide_up(args.c, 4));
    }
    dispatch_constant(launch, args.c);
    return launch_shares(launch, args, shares, side * (args.c / DWCONV_PART));
}

/* ---- Preparing pictures ---------------------------------------------------------------------- */

/* x has pixels of all rows, or whole columns, that the taps name. */
int launch_RESAMPLE(struct launch *launch)
{
    const uint32_t *x = launch->in[0]->shape, *y = launch->out->shape;
    const uint32_t stride = launch->node->resample.stride;
    const struct resample_args args = {.rows = y[0],
                                       .columns = y[1],
                                       .width = stride ? launch->node->resample.width : x[1],
                                       .height = x[0],
                                       .words = x[1],
                                       .taps = launch->in[1]->shape[1] - 1};
    dispatch_workgroup(launch, ELEMENTS_WORKGROUP, 1);
    dispatch_constant(launch, launch->node->resample.down);
    dispatch_constant(launch, launch->node->resample.swapped);
    dispatch_constant(launch, stride);
    dispatch_args(launch, &args, sizeof(args));
    return dispatch_elements(launch, (uint64_t)y[0] * y[1]);
}

int launch_FRAME(struct launch *launch)
{
    const uint32_t *x = launch->in[0]->shape;
    const struct frame_args args = {.height = x[0],
                                    .width = x[1],
                                    .size = launch->node->frame.size,
                                    .top = launch->node->frame.top,
                                    .left = launch->node->frame.left,
                                    .fill = launch->node->frame.fill};
    dispatch_args(launch, &args, sizeof(args));
    return dispatch_elements(launch, tensor_elements(launch->out));
}

/* ---- Squares of pixels ----------------------------------------------------------------------- */

/* Launches an op from pictures `large` to squares of `size` pixels, or its gradient from the
 * squares to the pictures. */
static int launch_squares(struct launch *launch, const struct tensor *large, uint32_t size)
{
    const uint32_t *x = large->shape; /* [B,H,W,C] */
    struct avgpool_args args = {.out_h = x[1] / size,
                                .out_w = x[2] / size,
                                .c = x[3],
                                .h = x[1],
                                .w = x[2],
                                .size = size,
                                .count = (uint32_t)tensor_elements(launch->out)};
    dispatch_args(launch, &args, sizeof(args));
    return dispatch_elements(launch, args.count);
}

int launch_AVGPOOL(struct launch *launch)
{
    return launch_squares(launch, launch->in[0], launch->node->avgpool.size);
}

int launch_AVGPOOL_GRAD(struct launch *launch)
{
    return launch_squares(launch, launch->out, launch->node->avgpool.size);
}

int launch_UNFOLD(struct launch *launch)
{
    return launch_squares(launch, launch->in[0], launch->node->unfold.size);
}

int launch_UNFOLD_GRAD(struct launch *launch)
{
    return launch_squares(launch, launch->out, launch->node->unfold.size);
}
