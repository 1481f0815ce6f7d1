/* SPDX-License-Identifier: MIT
 *
 * Defines one launch rule per op, and the steps that rules share: workgroups per element, row or
 * column, slices of weights, and steps of work.
 */
#include "runtime/launch.h"
#include "base/error.h"

#include <math.h>
#include <string.h>

#include "runtime/layout.h"
#include "shaders/args.h"

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

static uint32_t divide_up(uint64_t a, uint32_t b)
{
    return (uint32_t)((a + b - 1) / b);
}

static uint32_t at_most(uint32_t value, uint32_t limit)
{
    return value < limit ? value : limit;
}

/* ---- Dispatches ------------------------------------------------------------------------------ */

static void set_workgroup(struct launch *launch, uint32_t x, uint32_t y)
{
    launch->constants[0] = x;
    launch->constants[1] = y;
    launch->constants[2] = 1;
    launch->constant_count = 3;
}

static void add_constant(struct launch *launch, uint32_t value)
{
    launch->constants[launch->constant_count++] = value;
}

static void set_args(struct launch *launch, const void *args, uint32_t bytes)
{
    memcpy(launch->dispatch.push, args, bytes);
    launch->dispatch.push_bytes = bytes;
}

/* Binds an input as texels of the given type if the variant reads texels. */
static void set_texels(struct launch *launch, int slot, enum type type)
{
    if (!kernels_read_texels(launch->kernel))
        return;
    enum gpu_texel *texel = &launch->dispatch.texel[slot];
    if (type == TYPE_F32)
        *texel = GPU_TEXEL_RGBA32F;
    else if (type == TYPE_F16)
        *texel = GPU_TEXEL_RGBA16F;
    else
        *texel = GPU_TEXEL_R32UI; /* Quantised blocks are read as words. */
}

/* Says what makes a range smaller that cannot be bound: a weight does not depend on the batch. */
static int fail_binding(const struct launch *launch, int slot)
{
    const struct tensor *tensor = slot == KERNEL_OUT ? launch->out : launch->in[slot];
    const bool stays = tensor && tensor_stays(tensor);
    return error_fail(VKCLIP_EUNSUPPORTED,
                      "%s: a tensor of %llu bytes, the device binds %llu: choose a smaller %s",
                      (tensor ? tensor : launch->out)->name,
                      (unsigned long long)launch->dispatch.ranges[slot].size,
                      (unsigned long long)gpu_limits(launch->gpu)->buffer_range,
                      stays ? "model" : "batch or f16 (`precision`)");
}

/* Refuses a dispatch with more workgroups than the device takes or a range that it cannot bind. */
static int check_limits(const struct launch *launch)
{
    const struct gpu_limits *limits = gpu_limits(launch->gpu);
    const struct gpu_dispatch *dispatch = &launch->dispatch;
    for (int i = 0; i < 3; i++)
        if (dispatch->groups[i] > limits->groups[i])
            return error_fail(VKCLIP_EUNSUPPORTED,
                              "%s: %u workgroups, the device takes %u: choose a smaller batch",
                              launch->out->name, dispatch->groups[i], limits->groups[i]);
    for (int i = 0; i < KERNEL_SLOTS; i++)
        if (dispatch->ranges[i].size > limits->buffer_range)
            return fail_binding(launch, i);
    return VKCLIP_OK;
}

/* Gets the pipeline, or only announces it if there are no commands. */
static int find_pipeline(struct launch *launch)
{
    const struct kernel *kernel = launch->kernel;
    struct gpu_pipeline **pipeline = &launch->dispatch.pipeline;
    if (!launch->commands)
        return gpu_pipeline_announce(launch->gpu, kernel->shader, kernel->code, kernel->bytes,
                                     kernel->needs, launch->constants, launch->constant_count,
                                     pipeline);
    return gpu_pipeline_get(launch->gpu, kernel->shader, kernel->code, kernel->bytes, kernel->needs,
                            launch->constants, launch->constant_count, pipeline);
}

/* Records one dispatch, or announces its pipeline if there are no commands. */
static int emit(struct launch *launch, uint32_t x, uint32_t y, uint32_t z)
{
    const uint32_t groups[] = {x, y, z};
    struct gpu_range *ranges = launch->dispatch.ranges;
    memcpy(launch->dispatch.groups, groups, sizeof(groups));
    /* Every binding must be valid, even one that the kernel is specialized not to read. */
    for (int i = 0; i < NODE_INPUTS; i++)
        if (!launch->in[i])
            ranges[i] = ranges[KERNEL_OUT];
    int error = check_limits(launch);
    if (!error)
        error = find_pipeline(launch);
    if (!error && launch->commands)
        error = gpu_commands_dispatch(launch->commands, &launch->dispatch);
    return error;
}

/* This many workgroups keep any device busy; more of them would only add the overhead of starting
 * them. */
#define BUSY_GROUPS 4096
/* An invocation takes at most this many elements before more workgroups are started. Its elements
 * are a whole grid apart, so that in a large tensor each of them lies on another page. */
#define ELEMENTS_PER_INVOCATION 16

/* Emits one invocation per element. The kernel loops if there are fewer invocations. */
static int emit_elements(struct launch *launch, uint64_t elements)
{
    uint32_t groups = divide_up(elements, 64), limit = gpu_limits(launch->gpu)->groups[0];
    if (groups > BUSY_GROUPS * ELEMENTS_PER_INVOCATION)
        groups /= ELEMENTS_PER_INVOCATION;
    else if (groups > BUSY_GROUPS)
        groups = BUSY_GROUPS;
    set_workgroup(launch, 64, 1);
    return emit(launch, groups < limit ? groups : limit, 1, 1);
}

static void set_row_workgroup(struct launch *launch)
{
    bool subgroup = launch->kernel->needs & CAP_SUBGROUP;
    set_workgroup(launch, subgroup ? gpu_limits(launch->gpu)->subgroup : 64, 1);
}

/* Emits `groups` workgroups for rows. The kernel loops if the device takes fewer. */
static int emit_row_groups(struct launch *launch, uint32_t groups)
{
    return emit(launch, at_most(groups, gpu_limits(launch->gpu)->groups[0]), 1, 1);
}

/* Emits one workgroup per row. */
static int emit_rows(struct launch *launch, uint32_t rows)
{
    set_row_workgroup(launch);
    return emit_row_groups(launch, rows);
}

/* Emits one workgroup per 32 neighbouring columns, as shaders/columns.glsl expects it. */
static int emit_columns(struct launch *launch, uint32_t columns, uint32_t groups)
{
    set_workgroup(launch, 8, 4);
    return emit(launch, divide_up(columns, 32), groups, 1);
}

/* ---- Splitting ------------------------------------------------------------------------------- */

/* Returns how many of a dispatch's `count` equal steps have at most `work` operations. */
static uint32_t steps_of_work(const struct launch *launch, uint32_t count, double work)
{
    const double steps = fmax(work / (launch->dispatch.work / count), 1);
    return steps > count ? count : (uint32_t)steps;
}

/* Returns how many of a node's `count` equal steps one dispatch may take, so that no submit exceeds
 * the device's work per submit. */
static uint32_t steps_per_dispatch(const struct launch *launch, uint32_t count)
{
    const struct gpu_dispatch *dispatch = &launch->dispatch;
    return steps_of_work(launch, count,
                         gpu_submit_work(launch->gpu, dispatch->row, dispatch->weight));
}

/* Computes how many of a tensor's `count` units of `bytes` bytes one binding spans, such that the
 * next slice begins at a multiple of the device's alignment. */
static int units_per_binding(const struct launch *launch, const struct tensor *tensor,
                             uint64_t bytes, uint32_t count, uint32_t *result)
{
    const struct gpu_limits *limits = gpu_limits(launch->gpu);
    uint64_t units = limits->buffer_range / bytes, multiple = 1;
    while (multiple * bytes % limits->alignment)
        multiple *= 2;
    *result = units >= count ? count : (uint32_t)(units / multiple * multiple);
    if (!*result)
        return error_fail(VKCLIP_EUNSUPPORTED,
                          "%s: %llu bytes of it must be bound at once, the device binds %llu",
                          tensor->name, (unsigned long long)(multiple * bytes),
                          (unsigned long long)limits->buffer_range);
    return VKCLIP_OK;
}

/* ---- Matrix products ------------------------------------------------------------------------- */

/* Says what MATMUL and CONV do to a sum before they store it. */
struct epilogue {
    enum vkclip_activation activation;
    bool slope, relu;
};

/* Sets the specialization constants of shaders/matmul/tile.glsl. */
static void set_tile_constants(struct launch *launch, const struct tile *tile,
                               const struct kernel_span *span, const struct epilogue *epilogue)
{
    set_workgroup(launch, span->lanes, tile->height);
    add_constant(launch, tile->rows);
    add_constant(launch, tile->columns);
    add_constant(launch, epilogue->activation);
    add_constant(launch, launch->in[2] && !epilogue->slope);
    add_constant(launch, launch->node->residual);
    add_constant(launch, epilogue->relu);
    add_constant(launch, tile->walk);
    add_constant(launch, epilogue->slope);
    for (int i = 0; i < 3 && span->matrices; i++)
        add_constant(launch, span->matrices[i]);
}

/* Launches the tiled loop of MATMUL and CONV over [M,K] and [K,N]: one dispatch per slice of w that
 * can be bound and per step of rows that a submit may take. */
static int launch_tiles(struct launch *launch, struct epilogue epilogue, struct conv_args *args,
                        uint32_t arg_bytes)
{
    const struct tile untiled = {1, 4, 1, WALK_COLUMNS};
    const struct tile *tile = launch->tile.rows ? &launch->tile : &untiled;
    const struct kernel_span span = kernels_span(launch->gpu, launch->kernel);
    const uint32_t columns = span.columns * tile->columns; /* columns of a workgroup */
    const uint32_t height = tile->rows * span.rows * tile->height;
    set_tile_constants(launch, tile, &span, &epilogue);
    set_texels(launch, 0, launch->kernel->x);
    set_texels(launch, 1, launch->kernel->w);
    uint32_t groups = divide_up(args->m, height), step = steps_per_dispatch(launch, groups);
    step = at_most(step, gpu_limits(launch->gpu)->groups[tile->walk == WALK_ROWS ? 0 : 1]);
    launch->dispatch.work *= (double)step / groups;

    const struct gpu_range w = launch->dispatch.ranges[1];
    const uint32_t panels = divide_up(args->n, PANEL), unit = divide_up(columns, PANEL);
    const uint64_t panel_bytes = w.size / panels;
    uint32_t units = 0;
    int error = units_per_binding(launch, launch->in[1], panel_bytes * unit,
                                  divide_up(panels, unit), &units);
    for (uint32_t panel = 0; panel < panels && !error; panel += units * unit) {
        uint32_t left = panels - panel, width = left < units * unit ? left : units * unit;
        uint32_t across = divide_up(width * PANEL, columns);
        args->first_column = panel * PANEL;
        launch->dispatch.ranges[1].offset = w.offset + panel * panel_bytes;
        launch->dispatch.ranges[1].size = width * panel_bytes;
        for (uint32_t first = 0; first < groups && !error; first += step) {
            uint32_t down = step < groups - first ? step : groups - first;
            args->first = first * height;
            set_args(launch, args, arg_bytes);
            error = tile->walk == WALK_ROWS ? emit(launch, down, across, 1)
                                            : emit(launch, across, down, 1);
        }
    }
    return error;
}

static int launch_MATMUL(struct launch *launch)
{
    const struct node *node = launch->node;
    struct conv_args args = {.m = tensor_rows(launch->out),
                             .n = tensor_columns(launch->out),
                             .k = tensor_columns(launch->in[0])};
    struct epilogue epilogue = {node->matmul.activation, node->matmul.slope, node->matmul.relu};
    return launch_tiles(launch, epilogue, &args, sizeof(struct matmul_args));
}

static int launch_CONV(struct launch *launch)
{
    const uint32_t *x = launch->in[0]->shape, *y = launch->out->shape; /* [B,H,W,C] */
    struct conv_args args = {.m = tensor_rows(launch->out),
                             .n = y[3],
                             .k = 9 * x[3],
                             .h = x[1],
                             .w = x[2],
                             .out_h = y[1],
                             .out_w = y[2],
                             .stride = launch->node->conv.stride};
    struct epilogue epilogue = {.relu = launch->node->conv.relu};
    return launch_tiles(launch, epilogue, &args, sizeof(args));
}

/* One dispatch of OUTER adds up about this many rows of dy and x, so that they stay in caches while
 * the whole result passes over them; fewer rows would read and write the result more often. */
#define OUTER_ROWS 1024

/* Returns the rows of dy and x per dispatch: equal shares of about OUTER_ROWS, or fewer if these
 * would take a slow device of this type more than a second. The measured speed does not count,
 * because the order of the sums, and with it a result's last bits, must not depend on it. */
static uint32_t outer_step(const struct launch *launch, uint32_t m)
{
    uint32_t shares = (m + OUTER_ROWS / 2) / OUTER_ROWS;
    uint32_t step = divide_up(m, shares ? shares : 1);
    const struct gpu_limits *limits = gpu_limits(launch->gpu);
    const double seconds = limits->submit_seconds > 0 ? limits->submit_seconds : 1;
    return at_most(step, steps_of_work(launch, m, limits->work / seconds));
}

static struct outer_args outer_args(const struct launch *launch)
{
    const struct tensor *dy = launch->in[0], *x = launch->in[1];
    const uint32_t stride = launch->node->outer.stride; /* 0 unless the weight is a CONV's */
    struct outer_args args = {.m = tensor_rows(dy),
                              .n = tensor_columns(dy),
                              .k = tensor_columns(x) * (stride ? 9 : 1),
                              .add = launch->node->residual,
                              .panels = launch->out->layout != LAYOUT_ROWS};
    if (stride) {
        args.h = x->shape[1];
        args.w = x->shape[2];
        args.out_h = dy->shape[1];
        args.out_w = dy->shape[2];
        args.stride = stride;
    }
    return args;
}

static int launch_OUTER(struct launch *launch)
{
    struct outer_args args = outer_args(launch);
    const bool shares = kernels_share_values(launch->kernel);
    const uint32_t lanes = kernels_span(launch->gpu, launch->kernel).lanes;
    const uint32_t unit = shares ? lanes : 4; /* Rows of the tile are a multiple of this. */
    const uint32_t rows = divide_up(launch->tile.rows, unit) * unit;
    const uint32_t columns = 4 * launch->tile.columns * lanes; /* columns of a workgroup */
    const bool quads = (shares || args.n % 4 == 0) && tensor_columns(launch->in[1]) % 4 == 0;
    set_workgroup(launch, lanes, launch->tile.height);
    add_constant(launch, rows);
    add_constant(launch, launch->tile.columns);
    add_constant(launch, args.stride != 0);
    add_constant(launch, quads);
    add_constant(launch, launch->in[2] != NULL);
    set_texels(launch, 0, launch->kernel->x);
    set_texels(launch, 1, launch->kernel->x);
    const uint32_t across = divide_up(args.k, columns);
    const uint32_t down = divide_up(args.n, rows * launch->tile.height);
    const uint32_t step = outer_step(launch, args.m);
    launch->dispatch.work *= (double)step / args.m;
    int error = VKCLIP_OK;
    for (; args.first < args.m && !error; args.first += step) {
        args.rows = at_most(args.m - args.first, step);
        set_args(launch, &args, sizeof(args));
        error = emit(launch, across, down, 1);
        args.add = true; /* The next dispatch adds to what this one has stored. */
    }
    return error;
}

/* Returns the number of stored elements, including the zeros that fill up panels. */
static uint64_t stored_elements(const struct tensor *tensor)
{
    return layout_tensor_bytes(tensor) / type_size(tensor->type);
}

static int launch_PANELS(struct launch *launch)
{
    const struct tensor *y = launch->out;
    uint32_t n = tensor_n(y), k = (uint32_t)(tensor_elements(y) / n);
    struct panels_args args = {.n = n,
                               .k = k,
                               .rows = launch->in[0]->layout == LAYOUT_ROWS,
                               .transposed = launch->node->panels.transposed,
                               .conv = y->layout == LAYOUT_CONV};
    set_args(launch, &args, sizeof(args));
    return emit_elements(launch, stored_elements(y) / 4);
}

/* ---- Attention and embedding ----------------------------------------------------------------- */

/* Launches ATTENTION or its gradient with one invocation per token of a head of an item. Texts and
 * pictures have about 50 to 260 tokens, so that workgroups of 32 leave few invocations past the
 * end, but a wider subgroup is filled. */
static int launch_heads(struct launch *launch, int texel_slots)
{
    const struct gpu_limits *limits = gpu_limits(launch->gpu);
    const uint32_t *shape = launch->in[0]->shape; /* [B,T,3C] */
    const uint32_t width = limits->wave > 32 ? limits->wave : 32;
    uint32_t heads = launch->node->attention.heads, c = shape[2] / 3, d = c / heads;
    uint32_t step = steps_per_dispatch(launch, shape[0]);
    struct attention_args args = {
        .t = shape[1], .c = c, .heads = heads, .scale = 1.0f / sqrtf((float)d)};
    step = at_most(step, limits->groups[2]);
    set_workgroup(launch, width, 1);
    add_constant(launch, d);
    add_constant(launch, launch->node->attention.causal);
    add_constant(launch, launch->in[1] != NULL);
    for (int slot = 0; slot < texel_slots; slot++)
        set_texels(launch, slot, launch->kernel->x);
    launch->dispatch.work *= (double)step / shape[0];
    int error = VKCLIP_OK;
    for (; args.first < shape[0] && !error; args.first += step) {
        set_args(launch, &args, sizeof(args));
        error = emit(launch, divide_up(args.t, width), heads, at_most(step, shape[0] - args.first));
    }
    return error;
}

static int launch_ATTENTION(struct launch *launch)
{
    return launch_heads(launch, 1); /* qkv */
}

static int launch_ATTENTION_GRAD(struct launch *launch)
{
    return launch_heads(launch, 2); /* qkv and dy */
}

static int launch_ATTENTION_DELTA(struct launch *launch)
{
    struct elements_args args = {.n = (uint32_t)tensor_elements(launch->out) / 2,
                                 .c = tensor_columns(launch->in[0]) / launch->out->shape[2]};
    set_args(launch, &args, sizeof(args));
    return emit_elements(launch, args.n);
}

/* Launches EMBEDDING or its gradient for the tokens [B,T,C], with one dispatch per slice of the
 * table, which is in `slot`. */
static int launch_table(struct launch *launch, int slot, const struct tensor *table,
                        const struct tensor *tokens)
{
    const uint32_t *shape = tokens->shape;
    const uint32_t vocabulary = table->shape[0];
    struct gpu_range *range = &launch->dispatch.ranges[slot];
    struct embedding_args args = {.tokens = shape[0] * shape[1], .t = shape[1], .c = shape[2]};
    uint64_t begin = range->offset, row_bytes = layout_row_bytes(table->type, args.c);
    uint32_t rows = 0;
    int error = units_per_binding(launch, table, row_bytes, vocabulary, &rows);
    for (uint64_t first = 0; first < vocabulary && !error; first += rows) {
        args.first = (uint32_t)first;
        args.count = at_most(vocabulary - args.first, rows);
        range->offset = begin + first * row_bytes;
        range->size = (args.count * row_bytes + 3) / 4 * 4;
        set_args(launch, &args, sizeof(args));
        error = emit_elements(launch, (uint64_t)args.tokens * args.c);
    }
    return error;
}

static int launch_EMBEDDING(struct launch *launch)
{
    return launch_table(launch, 1, launch->in[1], launch->out);
}

static int launch_EMBEDDING_GRAD(struct launch *launch)
{
    return launch_table(launch, KERNEL_OUT, launch->out, launch->in[0]);
}

/* ---- Normalisations -------------------------------------------------------------------------- */

static struct rows_args set_rows_args(struct launch *launch, float epsilon, bool frozen)
{
    struct rows_args args = {.rows = tensor_rows(launch->in[0]),
                             .c = tensor_columns(launch->in[0]),
                             .epsilon = epsilon,
                             .add = launch->node->residual,
                             .frozen = frozen};
    set_args(launch, &args, sizeof(args));
    return args;
}

static int launch_LAYERNORM(struct launch *launch)
{
    return emit_rows(launch, set_rows_args(launch, launch->node->layernorm.epsilon, false).rows);
}

/* Launches a gradient of LAYERNORM. A workgroup takes several rows, because starting it takes as
 * long as computing one. */
static int launch_row_sets(struct launch *launch, uint32_t rows_per_group)
{
    struct rows_args args = set_rows_args(launch, launch->node->layernorm.epsilon, false);
    set_row_workgroup(launch);
    add_constant(launch, args.c);
    return emit_row_groups(launch, divide_up(args.rows, rows_per_group));
}

static int launch_LAYERNORM_SUMS(struct launch *launch)
{
    return launch_row_sets(launch, LAYERNORM_ROWS);
}

static int launch_LAYERNORM_GRAD(struct launch *launch)
{
    return launch_row_sets(launch, 4);
}

static int launch_NORMALIZE(struct launch *launch)
{
    return emit_rows(launch, set_rows_args(launch, 0, false).rows);
}

static int launch_NORMALIZE_GRAD(struct launch *launch)
{
    return launch_NORMALIZE(launch);
}

static int launch_BATCHSTATS(struct launch *launch)
{
    float epsilon = launch->node->batchstats.epsilon;
    return emit_columns(launch, set_rows_args(launch, epsilon, false).c, 1);
}

static int launch_BATCHNORM_GRAD(struct launch *launch)
{
    return emit_columns(launch, set_rows_args(launch, 0, launch->node->batchnorm_grad.frozen).c, 1);
}

static int launch_BATCHNORM(struct launch *launch)
{
    struct batchnorm_args args = {.n = (uint32_t)tensor_elements(launch->out),
                                  .c = tensor_columns(launch->out),
                                  .add = launch->in[2] != NULL,
                                  .relu = launch->node->batchnorm.relu};
    set_args(launch, &args, sizeof(args));
    return emit_elements(launch, args.n);
}

static int launch_RUNNING(struct launch *launch)
{
    const struct node *node = launch->node;
    struct running_args args = {.c = tensor_columns(launch->in[0]),
                                .variance = node->running.variance,
                                .momentum = node->running.momentum,
                                .unbias = node->running.unbias,
                                .epsilon = node->running.epsilon};
    set_args(launch, &args, sizeof(args));
    return emit_elements(launch, args.c);
}

static int launch_RUNNINGSTATS(struct launch *launch)
{
    struct running_args args = {.c = tensor_columns(launch->in[0]),
                                .variance = launch->node->runningstats.variance,
                                .epsilon = launch->node->runningstats.epsilon};
    set_args(launch, &args, sizeof(args));
    return emit_elements(launch, args.c);
}

/* ---- Pixels and tokens ----------------------------------------------------------------------- */

/* Launches AVGPOOL from `large` to `small`, or its gradient from `small` to `large`. */
static int launch_pool(struct launch *launch, const struct tensor *large,
                       const struct tensor *small)
{
    const uint32_t *x = large->shape, *y = small->shape; /* [B,H,W,C] */
    struct avgpool_args args = {.out_h = y[1],
                                .out_w = y[2],
                                .c = y[3],
                                .h = x[1],
                                .w = x[2],
                                .size = launch->node->avgpool.size,
                                .count = (uint32_t)tensor_elements(launch->out)};
    set_args(launch, &args, sizeof(args));
    return emit_elements(launch, args.count);
}

static int launch_AVGPOOL(struct launch *launch)
{
    return launch_pool(launch, launch->in[0], launch->out);
}

static int launch_AVGPOOL_GRAD(struct launch *launch)
{
    return launch_pool(launch, launch->out, launch->in[0]);
}

static int launch_MEANTOKEN(struct launch *launch)
{
    const uint32_t *y = launch->out->shape; /* [B,P+1,C] */
    struct meantoken_args args = {.b = y[0], .p = y[1] - 1, .c = y[2]};
    set_args(launch, &args, sizeof(args));
    return emit_elements(launch, (uint64_t)args.b * args.c);
}

static int launch_CLASSTOKEN(struct launch *launch)
{
    const uint32_t *shape = launch->in[0]->shape; /* [B,P,C] */
    struct classtoken_args args = {.b = shape[0], .p = shape[1], .c = shape[2]};
    set_args(launch, &args, sizeof(args));
    return emit_elements(launch, tensor_elements(launch->out));
}

static int launch_SELECT(struct launch *launch)
{
    const uint32_t *shape = launch->in[0]->shape; /* [B,T,C] */
    struct select_args args = {
        .b = shape[0], .t = shape[1], .c = shape[2], .by_rows = launch->in[1] != NULL};
    set_args(launch, &args, sizeof(args));
    return emit_elements(launch, tensor_elements(launch->out));
}

/* ---- Elements -------------------------------------------------------------------------------- */

/* Emits one invocation per element of a result [items,t,c]. `values` are further arguments of the
 * op. */
static int launch_elements(struct launch *launch, const float values[4])
{
    struct elements_args args = {.n = (uint32_t)tensor_elements(launch->out),
                                 .t = tensor_rows(launch->out) / launch->out->shape[0],
                                 .c = tensor_columns(launch->out)};
    args.by_rows = launch->node->op == OP_SELECT_GRAD && launch->in[1];
    memcpy(args.values, values, sizeof(args.values));
    set_args(launch, &args, sizeof(args));
    return emit_elements(launch, args.n);
}

static int launch_ADD(struct launch *launch)
{
    return launch_elements(launch, (const float[4]){0});
}

static int launch_AFFINE(struct launch *launch)
{
    return launch_ADD(launch);
}

static int launch_SCALE(struct launch *launch)
{
    return launch_ADD(launch);
}

static int launch_CLASSTOKEN_GRAD(struct launch *launch)
{
    return launch_ADD(launch);
}

static int launch_MEANTOKEN_GRAD(struct launch *launch)
{
    return launch_ADD(launch);
}

static int launch_SELECT_GRAD(struct launch *launch)
{
    return launch_ADD(launch);
}

static int launch_ADAMW(struct launch *launch)
{
    const struct node *node = launch->node;
    const float values[4] = {node->adamw.beta1, node->adamw.beta2, node->adamw.epsilon,
                             node->adamw.decay};
    return launch_elements(launch, values);
}

static int launch_CLAMP(struct launch *launch)
{
    const float values[4] = {launch->node->clamp.least, launch->node->clamp.most};
    return launch_elements(launch, values);
}

/* Casts also the zeros that fill up panels, in slices that can be bound. Each begins at a multiple
 * of the device's alignment, and ends at a whole word as the tensors' memory does. */
static int launch_CAST(struct launch *launch)
{
    const struct gpu_limits *limits = gpu_limits(launch->gpu);
    const size_t from = type_size(launch->in[0]->type), to = type_size(launch->out->type);
    const uint64_t x = stored_elements(launch->in[0]), y = stored_elements(launch->out);
    const uint64_t step =
        limits->buffer_range / sizeof(float) / limits->alignment * limits->alignment;
    struct gpu_range *source = &launch->dispatch.ranges[0];
    struct gpu_range *target = &launch->dispatch.ranges[KERNEL_OUT];
    int error = VKCLIP_OK;
    for (uint64_t left = x < y ? x : y, n; left && !error; left -= n) {
        n = left < step ? left : step;
        struct elements_args args = {.n = (uint32_t)n};
        source->size = (n * from + 3) / 4 * 4;
        target->size = (n * to + 3) / 4 * 4;
        set_args(launch, &args, sizeof(args));
        error = emit_elements(launch, args.n);
        source->offset += step * from;
        target->offset += step * to;
    }
    return error;
}

static int launch_ACTIVATE(struct launch *launch)
{
    struct activate_args args = {.n = (uint32_t)tensor_elements(launch->out),
                                 .activation = launch->node->activate.activation,
                                 .relu = launch->node->activate.relu};
    set_args(launch, &args, sizeof(args));
    return emit_elements(launch, args.n);
}

static int launch_ACTIVATE_GRAD(struct launch *launch)
{
    return launch_ACTIVATE(launch);
}

/* ---- Sums and the objective ------------------------------------------------------------------ */

static int launch_COLSUM(struct launch *launch)
{
    const struct node *node = launch->node;
    const uint32_t pitch = node->colsum.pitch, offset = node->colsum.offset;
    uint32_t rows = divide_up((uint32_t)tensor_elements(launch->in[0]) - offset, pitch);
    uint32_t group = node->colsum.group ? node->colsum.group : rows;
    uint32_t groups = divide_up(rows, group);
    struct colsum_args args = {.rows = rows,
                               .columns = (uint32_t)(tensor_elements(launch->out) / groups),
                               .pitch = pitch,
                               .offset = offset,
                               .group = group,
                               .add = node->residual};
    set_args(launch, &args, sizeof(args));
    return emit_columns(launch, args.columns, groups);
}

static int launch_SUMSQ(struct launch *launch)
{
    struct sumsq_args args = {.n = (uint32_t)tensor_elements(launch->in[0]),
                              .first = launch->node->sumsq.offset};
    set_args(launch, &args, sizeof(args));
    return emit_rows(launch, divide_up(args.n, SUMSQ_PART));
}

static int launch_CLIP(struct launch *launch)
{
    struct sumsq_args args = {.n = (uint32_t)tensor_elements(launch->in[0])};
    set_args(launch, &args, sizeof(args));
    return emit_rows(launch, 1);
}

/* Emits one workgroup per row and one per column of the matrix. */
static int launch_CONTRAST_STATS(struct launch *launch)
{
    struct contrast_args args = {.n = launch->in[0]->shape[0]};
    set_args(launch, &args, sizeof(args));
    return emit_rows(launch, 2 * args.n);
}

static int launch_CONTRAST_LOSS(struct launch *launch)
{
    struct contrast_args args = {.n = launch->in[0]->shape[0]};
    set_args(launch, &args, sizeof(args));
    return emit_rows(launch, args.n);
}

static int launch_CONTRAST_GRAD(struct launch *launch)
{
    struct contrast_args args = {.n = launch->out->shape[0]};
    set_args(launch, &args, sizeof(args));
    return emit_elements(launch, (uint64_t)args.n * args.n);
}

static int launch_MAXIMA(struct launch *launch)
{
    const uint32_t *x = launch->in[0]->shape, *y = launch->out->shape; /* [Q,N], [Q,blocks,3] */
    struct maxima_args args = {x[0], x[1], y[1], launch->in[1] != NULL};
    set_args(launch, &args, sizeof(args));
    return emit_elements(launch, (uint64_t)y[0] * y[1]);
}

/* ---- Recording a node ------------------------------------------------------------------------ */

int launch_choice(struct gpu *gpu, struct gpu_commands *commands, const struct graph *graph,
                  const struct node *node, const struct gpu_range ranges[KERNEL_SLOTS],
                  const struct kernel_choice *choice)
{
    static int (*const rules[])(struct launch *) = {
#define X(op) launch_##op,
        OPS(X)
#undef X
    };
    struct launch launch = {.gpu = gpu,
                            .commands = commands,
                            .kernel = choice->kernel,
                            .tile = choice->tile,
                            .node = node,
                            .out = &graph->tensors[node->out]};
    launch.dispatch.row = choice->kernel->name;
    launch.dispatch.work = node_work(graph, node);
    launch.dispatch.weight = graph_attends(node->op) ? ATTENTION_COST : 1;
    for (int i = 0; i < NODE_INPUTS; i++)
        if (node->in[i] >= 0)
            launch.in[i] = &graph->tensors[node->in[i]];
    memcpy(launch.dispatch.ranges, ranges, sizeof(launch.dispatch.ranges));
    return rules[node->op](&launch);
}
