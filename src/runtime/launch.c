/* SPDX-License-Identifier: MIT
 *
 * Defines one launch rule per op: which constants, arguments and bindings its kernels take, and
 * into how many dispatches the node is split.
 */
#include "runtime/launch.h"
#include "base/error.h"

#include <string.h>

#include "runtime/dispatch.h"
#include "runtime/layout.h"
#include "shaders/args.h"

/* ---- Matrix products ------------------------------------------------------------------------- */

/* Says what MATMUL and CONV do to a sum before they store it. */
struct epilogue {
    enum vkclip_activation activation;
    bool slope, relu;
};

/* Sets the specialization constants of shaders/matmul/tile.glsl, quads.glsl, shared.glsl
 * and matrices.glsl. */
static void set_tile_constants(struct launch *launch, const struct tile *tile,
                               const struct kernel_span *span, const struct epilogue *epilogue)
{
    dispatch_workgroup(launch, span->lanes, tile_height(tile));
    launch->constants[2] = tile_slices(tile) * tile->width;
    dispatch_constant(launch, tile->rows);
    dispatch_constant(launch, tile->columns);
    dispatch_constant(launch, epilogue->activation);
    dispatch_constant(launch, launch->in[2] && !epilogue->slope);
    dispatch_constant(launch, launch->node->residual);
    dispatch_constant(launch, epilogue->relu);
    dispatch_constant(launch, tile->walk == WALK_ROWS);
    dispatch_constant(launch, epilogue->slope);
    dispatch_constant(launch, gpu_limits(launch->gpu)->stored_rows);
    if (!span->matrices) {
        dispatch_constant(launch, tensor_columns(launch->in[0]) % 4 == 0);
        dispatch_constant(launch, tensor_columns(launch->in[0]) % 16 == 0);
        return;
    }
    for (int i = 0; i < 3; i++)
        dispatch_constant(launch, span->matrices[i]);
    dispatch_constant(launch, tensor_columns(launch->in[0]) % (BLOCK * tile_slices(tile)) == 0);
    dispatch_constant(launch, tensor_columns(launch->out) % 4 == 0);
    dispatch_constant(launch, tile_slices(tile));
}

/* Launches the tiled loop of MATMUL and CONV over [M,K] and [K,N]: one dispatch per slice of w that
 * can be bound and per step of rows that a submit may take. */
static int launch_tiles(struct launch *launch, struct epilogue epilogue, struct conv_args *args,
                        uint32_t arg_bytes)
{
    const struct tile untiled = {1, 4, 1, 1, WALK_COLUMNS};
    const struct tile *tile = launch->tile.rows ? &launch->tile : &untiled;
    const struct kernel_span span = kernels_span(launch->gpu, launch->kernel);
    const uint32_t columns = span.columns * tile->columns * tile->width; /* of a workgroup */
    const uint32_t height = tile->rows * span.rows * tile_height(tile);
    set_tile_constants(launch, tile, &span, &epilogue);
    dispatch_texels(launch, 0, launch->kernel->x);
    dispatch_texels(launch, 1, launch->kernel->w);
    uint32_t groups = divide_up(args->m, height), step = dispatch_steps(launch, groups);
    step = at_most(step, gpu_limits(launch->gpu)->groups[tile->walk == WALK_ROWS ? 0 : 1]);
    launch->dispatch.work *= (double)step / groups;

    const struct gpu_range w = launch->dispatch.ranges[1];
    const uint32_t panels = divide_up(args->n, PANEL), unit = divide_up(columns, PANEL);
    const uint64_t panel_bytes = w.size / panels;
    uint32_t units = 0;
    int error =
        dispatch_units(launch, launch->in[1], panel_bytes * unit, divide_up(panels, unit), &units);
    for (uint32_t panel = 0; panel < panels && !error; panel += units * unit) {
        uint32_t left = panels - panel, width = left < units * unit ? left : units * unit;
        uint32_t across = divide_up(width * PANEL, columns);
        args->first_column = panel * PANEL;
        launch->dispatch.ranges[1].offset = w.offset + panel * panel_bytes;
        launch->dispatch.ranges[1].size = width * panel_bytes;
        for (uint32_t first = 0; first < groups && !error; first += step) {
            uint32_t down = step < groups - first ? step : groups - first;
            args->first = first * height;
            dispatch_args(launch, args, arg_bytes);
            dispatch_addresses(launch);
            error = tile->walk == WALK_ROWS ? dispatch_emit(launch, down, across, 1)
                                            : dispatch_emit(launch, across, down, 1);
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
    step = at_most(step, dispatch_steps_of_work(launch, m, limits->work / seconds));
    return divide_up(step, OUTER_TURN) * OUTER_TURN;
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
    const bool addressed = launch->kernel->needs & CAP_ADDRESS;
    const uint32_t lanes = kernels_span(launch->gpu, launch->kernel).lanes;
    /* Rows of the tile are a multiple of this. */
    const uint32_t unit = shares ? lanes : addressed ? 1 : 4;
    const uint32_t rows = divide_up(launch->tile.rows, unit) * unit;
    const uint32_t columns = 4 * launch->tile.columns * lanes; /* columns of a workgroup */
    const bool quads = (shares || args.n % 4 == 0) && tensor_columns(launch->in[1]) % 4 == 0;
    dispatch_workgroup(launch, lanes, launch->tile.height);
    dispatch_constant(launch, rows);
    dispatch_constant(launch, launch->tile.columns);
    dispatch_constant(launch, args.stride != 0);
    dispatch_constant(launch, quads);
    dispatch_constant(launch, launch->in[2] != NULL);
    dispatch_constant(launch, gpu_limits(launch->gpu)->stored_rows);
    dispatch_texels(launch, 0, launch->kernel->x);
    dispatch_texels(launch, 1, launch->kernel->x);
    const uint32_t across = divide_up(args.k, columns);
    const uint32_t down = divide_up(args.n, rows * launch->tile.height);
    const uint32_t step = outer_step(launch, args.m);
    launch->dispatch.work *= (double)step / args.m;
    int error = VKCLIP_OK;
    for (; args.first < args.m && !error; args.first += step) {
        args.rows = at_most(args.m - args.first, step);
        dispatch_args(launch, &args, sizeof(args));
        dispatch_addresses(launch);
        error = dispatch_emit(launch, across, down, 1);
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
    dispatch_args(launch, &args, sizeof(args));
    return dispatch_elements(launch, stored_elements(y) / 4);
}

/* ---- Embedding -------------------------------------------------------------------------------- */

/* Launches EMBEDDING or its gradient for the tokens [B,T,C], with one dispatch per slice of the
 * table, which is in `slot`. EMBEDDING adds `added` rows to the tokens, one after the other and
 * from the first one again. */
static int launch_table(struct launch *launch, int slot, const struct tensor *table,
                        const struct tensor *tokens, uint32_t added)
{
    const uint32_t *shape = tokens->shape;
    const uint32_t vocabulary = table->shape[0];
    struct gpu_range *range = &launch->dispatch.ranges[slot];
    struct embedding_args args = {.tokens = shape[0] * shape[1], .t = added, .c = shape[2]};
    uint64_t begin = range->offset, row_bytes = layout_row_bytes(table->type, args.c);
    uint32_t rows = 0;
    int error = dispatch_units(launch, table, row_bytes, vocabulary, &rows);
    for (uint64_t first = 0; first < vocabulary && !error; first += rows) {
        args.first = (uint32_t)first;
        args.count = at_most(vocabulary - args.first, rows);
        range->offset = begin + first * row_bytes;
        range->size = (args.count * row_bytes + 3) / 4 * 4;
        dispatch_args(launch, &args, sizeof(args));
        error = dispatch_elements(launch, (uint64_t)args.tokens * args.c);
    }
    return error;
}

static int launch_EMBEDDING(struct launch *launch)
{
    const uint32_t added = launch->node->embedding.first ? 1 : tensor_rows(launch->in[2]);
    return launch_table(launch, 1, launch->in[1], launch->out, added);
}

static int launch_EMBEDDING_GRAD(struct launch *launch)
{
    return launch_table(launch, KERNEL_OUT, launch->out, launch->in[0], 0);
}

/* ---- Normalisations -------------------------------------------------------------------------- */

static struct rows_args set_rows_args(struct launch *launch, float epsilon, bool frozen)
{
    struct rows_args args = {.rows = tensor_rows(launch->in[0]),
                             .c = tensor_columns(launch->in[0]),
                             .epsilon = epsilon,
                             .add = launch->node->residual,
                             .frozen = frozen};
    dispatch_args(launch, &args, sizeof(args));
    return args;
}

/* Launches a kernel of rows whose width is a constant, with `rows` rows per workgroup. */
static int launch_row_sets(struct launch *launch, uint32_t rows)
{
    struct rows_args args = set_rows_args(launch, launch->node->layernorm.epsilon, false);
    dispatch_row_workgroup(launch);
    dispatch_constant(launch, args.c);
    return dispatch_row_groups(launch, divide_up(args.rows, rows));
}

static int launch_LAYERNORM(struct launch *launch)
{
    return launch_row_sets(launch, 1);
}

static int launch_RMSNORM(struct launch *launch)
{
    return launch_row_sets(launch, 1);
}

static int launch_LAYERNORM_SUMS(struct launch *launch)
{
    return launch_row_sets(launch, LAYERNORM_ROWS);
}

/* A workgroup takes several rows, because starting it takes as long as computing one. */
static int launch_LAYERNORM_GRAD(struct launch *launch)
{
    return launch_row_sets(launch, 4);
}

static int launch_NORMALIZE(struct launch *launch)
{
    return dispatch_rows(launch, set_rows_args(launch, 0, false).rows);
}

static int launch_NORMALIZE_GRAD(struct launch *launch)
{
    return launch_NORMALIZE(launch);
}

static int launch_BATCHSTATS(struct launch *launch)
{
    float epsilon = launch->node->batchstats.epsilon;
    return dispatch_columns(launch, set_rows_args(launch, epsilon, false).c, 1);
}

static int launch_BATCHNORM_GRAD(struct launch *launch)
{
    return dispatch_columns(launch, set_rows_args(launch, 0, launch->node->batchnorm_grad.frozen).c,
                            1);
}

static int launch_BATCHNORM(struct launch *launch)
{
    struct batchnorm_args args = {.n = (uint32_t)tensor_elements(launch->out),
                                  .c = tensor_columns(launch->out),
                                  .add = launch->in[2] != NULL,
                                  .relu = launch->node->batchnorm.relu};
    dispatch_args(launch, &args, sizeof(args));
    return dispatch_elements(launch, args.n);
}

static int launch_RUNNING(struct launch *launch)
{
    const struct node *node = launch->node;
    struct running_args args = {.c = tensor_columns(launch->in[0]),
                                .variance = node->running.variance,
                                .momentum = node->running.momentum,
                                .unbias = node->running.unbias,
                                .epsilon = node->running.epsilon};
    dispatch_args(launch, &args, sizeof(args));
    return dispatch_elements(launch, args.c);
}

static int launch_RUNNINGSTATS(struct launch *launch)
{
    struct running_args args = {.c = tensor_columns(launch->in[0]),
                                .variance = launch->node->runningstats.variance,
                                .epsilon = launch->node->runningstats.epsilon};
    dispatch_args(launch, &args, sizeof(args));
    return dispatch_elements(launch, args.c);
}

/* ---- Tokens ---------------------------------------------------------------------------------- */

static int launch_MEANTOKEN(struct launch *launch)
{
    const uint32_t *y = launch->out->shape; /* [B,P+1,C] */
    struct meantoken_args args = {.b = y[0], .p = y[1] - 1, .c = y[2]};
    dispatch_args(launch, &args, sizeof(args));
    return dispatch_elements(launch, (uint64_t)args.b * args.c);
}

static int launch_CLASSTOKEN(struct launch *launch)
{
    const uint32_t *shape = launch->in[0]->shape; /* [B,P,C] */
    struct classtoken_args args = {
        .b = shape[0], .p = shape[1], .c = shape[2], .tokens = launch->in[1] != NULL};
    dispatch_args(launch, &args, sizeof(args));
    return dispatch_elements(launch, tensor_elements(launch->out));
}

static int launch_SELECT(struct launch *launch)
{
    const uint32_t *shape = launch->in[0]->shape; /* [B,T,C] */
    struct select_args args = {
        .b = shape[0], .t = shape[1], .c = shape[2], .by_rows = launch->in[1] != NULL};
    dispatch_args(launch, &args, sizeof(args));
    return dispatch_elements(launch, tensor_elements(launch->out));
}

/* Launches MEAN of the rows of `rows` [B,..,C], or its gradient. */
static int launch_rows_mean(struct launch *launch, const struct tensor *rows)
{
    struct meantoken_args args = {
        .b = rows->shape[0], .p = tensor_rows(rows) / rows->shape[0], .c = tensor_columns(rows)};
    dispatch_workgroup(launch, ELEMENTS_WORKGROUP, 1);
    dispatch_constant(launch, launch->node->mean.skip);
    dispatch_constant(launch, launch->in[1] != NULL);
    dispatch_args(launch, &args, sizeof(args));
    return dispatch_elements(launch, (uint64_t)args.b * args.c);
}

static int launch_MEAN(struct launch *launch)
{
    return launch_rows_mean(launch, launch->in[0]);
}

static int launch_MEAN_GRAD(struct launch *launch)
{
    return launch_rows_mean(launch, launch->out);
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
    dispatch_args(launch, &args, sizeof(args));
    return dispatch_elements(launch, args.n);
}

static int launch_PATCHES(struct launch *launch)
{
    const uint32_t size = launch->node->patches.size, patch = launch->node->patches.patch;
    dispatch_workgroup(launch, ELEMENTS_WORKGROUP, 1);
    dispatch_constant(launch, size);
    dispatch_constant(launch, patch);
    dispatch_constant(launch, tensor_columns(launch->out) / (patch * patch));
    dispatch_constant(launch, launch->in[1] != NULL);
    return launch_elements(launch, (const float[4]){0});
}

static int launch_ADD(struct launch *launch)
{
    return launch_elements(launch, (const float[4]){0});
}

static int launch_MULTIPLY(struct launch *launch)
{
    struct elements_args args = {.n = (uint32_t)tensor_elements(launch->out),
                                 .c = (uint32_t)tensor_elements(launch->in[1])};
    dispatch_args(launch, &args, sizeof(args));
    return dispatch_elements(launch, args.n);
}

/* These ops have no further arguments either. */
#define launch_AFFINE launch_ADD
#define launch_SCALE launch_ADD
#define launch_CLASSTOKEN_GRAD launch_ADD
#define launch_MEANTOKEN_GRAD launch_ADD
#define launch_SELECT_GRAD launch_ADD

static int launch_ADAMW(struct launch *launch)
{
    const struct node *node = launch->node;
    const float values[4] = {node->adamw.beta1, node->adamw.beta2, node->adamw.epsilon,
                             node->adamw.decay};
    return launch_elements(launch, values);
}

static int launch_AVERAGE(struct launch *launch)
{
    return launch_elements(launch, (const float[4]){launch->node->average.decay});
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
        dispatch_args(launch, &args, sizeof(args));
        error = dispatch_elements(launch, args.n);
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
    dispatch_workgroup(launch, ELEMENTS_WORKGROUP, 1);
    dispatch_constant(launch, launch->node->activate.tanh);
    dispatch_args(launch, &args, sizeof(args));
    return dispatch_elements(launch, args.n);
}

static int launch_ROPE(struct launch *launch)
{
    const uint32_t *x = launch->out->shape, *turns = launch->in[0]->shape; /* [B,T,3C], [S,d/4,2] */
    const uint32_t over = launch->node->residual;
    struct rope_args args = {.n = x[0] * x[1] * (x[2] / 12) * (over ? 2 : 3),
                             .t = x[1],
                             .c = x[2] / 3,
                             .side = turns[0],
                             .head = turns[1],
                             .over = over,
                             .columns_first = launch->node->rope.columns_first,
                             .back = launch->node->rope.back};
    dispatch_args(launch, &args, sizeof(args));
    return dispatch_elements(launch, args.n);
}

/* Launches GATE, whose result is y, or its gradient. */
static int launch_gates(struct launch *launch, const struct tensor *y)
{
    struct gate_args args = {.n = (uint32_t)tensor_elements(y),
                             .c = tensor_columns(y),
                             .activation = launch->node->gate.activation};
    dispatch_args(launch, &args, sizeof(args));
    return dispatch_elements(launch, args.n);
}

static int launch_GATE(struct launch *launch)
{
    return launch_gates(launch, launch->out);
}

static int launch_GATE_GRAD(struct launch *launch)
{
    return launch_gates(launch, launch->in[1]);
}

static int launch_ACTIVATE_GRAD(struct launch *launch)
{
    return launch_ACTIVATE(launch);
}

/* ---- Search ---------------------------------------------------------------------------------- */

static int launch_MAXIMA(struct launch *launch)
{
    const uint32_t *x = launch->in[0]->shape, *y = launch->out->shape; /* [Q,N], [Q,blocks,3] */
    struct maxima_args args = {x[0], x[1], y[1], launch->in[1] != NULL};
    dispatch_texels(launch, 0, TYPE_F32);
    dispatch_args(launch, &args, sizeof(args));
    return dispatch_elements(launch, (uint64_t)y[0] * y[1]);
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
