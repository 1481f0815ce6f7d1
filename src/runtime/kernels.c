/* SPDX-License-Identifier: MIT
 *
 * The tables of kernels and tiles, and a launch rule an op.
 */
#include "runtime/kernels.h"
#include "base/array.h"
#include "base/error.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "runtime/layout.h"

#include "kernels_spirv.h"
#include "shaders/args.h"

#define TYPE_f32 TYPE_F32
#define TYPE_f16 TYPE_F16
#define TYPE_q8 TYPE_Q8
#define TYPE_q4 TYPE_Q4
const struct kernel kernels[] = {
#define KERNEL(op, shader, x, w, needs) \
    {OP_##op,                           \
     #shader,                           \
     TYPE_##x,                          \
     TYPE_##w,                          \
     (needs),                           \
     spirv_##shader##_##x##_##w,        \
     sizeof(spirv_##shader##_##x##_##w)},
#include "shaders/kernels.def"
#undef KERNEL
};
const size_t kernel_count = ARRAY_COUNT(kernels);

static const struct {
    const char *shader;
    struct tile tile;
} tiles[] = {
#define TILE(shader, rows, columns, height, walk) {#shader, {rows, columns, height, WALK_##walk}},
#include "shaders/tiles.def"
#undef TILE
};

struct launch {
    struct gpu *gpu;
    struct gpu_commands *commands;
    const struct kernel *kernel;
    struct tile tile;
    const struct node *node;
    const struct tensor *in[NODE_INPUTS], *out; /* NULL: absent */
    struct gpu_dispatch dispatch;
    uint32_t constants[GPU_CONSTANTS],
        constant_count; /* the first three are the workgroup's size */
};

static uint32_t divide_up(uint64_t a, uint32_t b)
{
    return (uint32_t)((a + b - 1) / b);
}

uint64_t kernels_node_bytes(const struct graph *graph, const struct node *node)
{
    const struct tensor *out = &graph->tensors[node->out];
    uint64_t bytes = layout_tensor_bytes(out) * (node->residual ? 2 : 1);
    for (int i = 0; i < NODE_INPUTS; i++) {
        const struct tensor *in = node->in[i] < 0 ? NULL : &graph->tensors[node->in[i]];
        if (in && node->op == OP_EMBEDDING && i == 1) /* the rows of the ids */
            bytes += layout_tensor_bytes(in) / in->shape[0] * tensor_rows(out);
        else if (in && node->op == OP_SELECT && !i) /* one row of an item */
            bytes += layout_tensor_bytes(out);
        else if (in)
            bytes += layout_tensor_bytes(in);
    }
    return bytes;
}

void kernels_node_shape(const struct graph *graph, const struct node *node,
                        char shape[KERNEL_SHAPE])
{
    const struct tensor *out = &graph->tensors[node->out];
    if (node->op == OP_MATMUL || node->op == OP_CONV) {
        uint32_t depth = tensor_columns(&graph->tensors[node->in[0]]);
        snprintf(shape, KERNEL_SHAPE, "%ux%ux%u", tensor_rows(out), tensor_columns(out),
                 node->op == OP_CONV ? 9 * depth : depth);
        return;
    }
    size_t at = 0;
    for (unsigned i = 0; i < out->rank; i++)
        at += (size_t)snprintf(shape + at, KERNEL_SHAPE - at, "%s%u", i ? "x" : "", out->shape[i]);
}

static bool is_texel(const struct kernel *kernel)
{
    return kernel->needs & CAP_TEXEL;
}

static enum gpu_texel texel_format(enum type type)
{
    return type == TYPE_F32   ? GPU_TEXEL_RGBA32F
           : type == TYPE_F16 ? GPU_TEXEL_RGBA16F
                              : GPU_TEXEL_R32UI; /* blocks */
}

static bool fits_texels(const struct gpu *gpu, const struct tensor *tensor)
{
    uint64_t size = type_size(tensor->type); /* 0: blocks, read by words */
    uint64_t texels = layout_tensor_bytes(tensor) / (size ? 4 * size : 4);
    return texels <= gpu_limits(gpu)->texel_elements;
}

/* The lanes of a subgroup read single values and hand them out. */
static bool shares_values(const struct kernel *kernel)
{
    return kernel->needs & CAP_SUBGROUP && !is_texel(kernel);
}

bool kernels_fit(const struct gpu *gpu, const struct kernel *kernel, const struct graph *graph,
                 const struct node *node)
{
    const struct tensor *tensors = graph->tensors, *x = &tensors[node->in[0]];
    enum type type = graph_sums(node->op) ? x->type : tensors[node->out].type;
    if (kernel->op != node->op || kernel->x != type ||
        (kernel->needs & gpu_caps(gpu)) != kernel->needs ||
        (node->op == OP_CAST && kernel->w != x->type))
        return false;
    for (int i = 1; i < NODE_INPUTS; i++) {
        bool packed = i == 1 && graph_packs(node->op);
        if (node->in[i] >= 0 && (packed || tensors[node->in[i]].role == ROLE_WEIGHT) &&
            tensors[node->in[i]].type != (packed ? kernel->w : kernel->x) && node->op != OP_OUTER)
            return false;
    }
    if (shares_values(kernel) && node->op == OP_OUTER)
        return tensor_columns(&tensors[node->in[1]]) % 4 == 0;
    if (shares_values(kernel) && graph_packs(node->op))
        return tensor_columns(x) % gpu_limits(gpu)->subgroup == 0;
    if (kernel->needs & CAP_F16MATH) /* whose sums scaled gradients would leave */
        return tensor_columns(x) % 4 == 0 && !graph->mixed;
    if (!is_texel(kernel))
        return true;
    if (node->op == OP_MATMUL || node->op == OP_CONV)
        return tensor_columns(x) % 4 == 0 && fits_texels(gpu, x) &&
               fits_texels(gpu, &tensors[node->in[1]]);
    if (node->op == OP_OUTER)
        return tensor_columns(x) % 4 == 0 && tensor_columns(&tensors[node->in[1]]) % 4 == 0 &&
               fits_texels(gpu, x) && fits_texels(gpu, &tensors[node->in[1]]);
    return tensor_columns(x) / 3 / node->attention.heads % 4 == 0 &&
           fits_texels(gpu, x); /* ATTENTION, ATTENTION_GRAD */
}

double kernels_rounding(const struct kernel *kernel, const struct graph *graph,
                        const struct node *node)
{
    if (!(kernel->needs & CAP_DOT))
        return 0;
    /* Each of K products is off by up to half a step, 1/254, times a weight: on the average by
     * 1/254/3, and they add up like a random walk. Six deviations of that. */
    const struct tensor *w = &graph->tensors[node->in[1]];
    return 2.0 / 254 * sqrt((double)(tensor_elements(w) / tensor_n(w)));
}

/* ---- Choices --------------------------------------------------------------------------------- */

/* What one workgroup of a row of the table covers. */
struct span {
    uint32_t lanes;           /* invocations along the columns */
    uint32_t rows, columns;   /* of the result for each of the tile's; 1 and `lanes`, or a matrix */
    const uint32_t *matrices; /* M, N and K of those it computes with; NULL: none */
};

static struct span span_of(const struct gpu *gpu, const struct kernel *kernel)
{
    const struct gpu_limits *limits = gpu_limits(gpu);
    if (kernel->needs & CAPS_COOPMAT) {
        const uint32_t *matrices = limits->matrices[(kernel->needs & CAP_COOPMAT16) != 0];
        return (struct span){limits->subgroup, matrices[0], matrices[1], matrices};
    }
    uint32_t lanes = kernel->needs & CAP_SUBGROUP ? limits->subgroup
                     : kernel->needs & CAP_DOT    ? PANEL /* x is rounded once for so many */
                                                  : PANEL / 4;
    return (struct span){lanes, 1, lanes, NULL};
}

/* No larger than a result of m rows needs; where the last workgroup would idle, with fewer rows. */
static struct tile cut_tile(struct tile tile, uint32_t m)
{
    while (tile.height > 1 && tile.height / 2 * tile.rows >= m)
        tile.height /= 2;
    uint32_t height = tile.rows * tile.height, groups = divide_up(m, height);
    if (groups * height - m > m / 8)
        tile.rows = divide_up(m, groups * tile.height);
    return tile;
}

static bool fits_workgroup(const struct gpu *gpu, const struct kernel *kernel,
                           const struct span *span, const struct tile *tile)
{
    uint32_t shared = 0;
    if (span->matrices) { /* x, w and sums of matmul_coopmat.comp */
        const uint32_t *matrix = span->matrices;
        uint32_t values =
            2 * matrix[2] * (tile->rows * tile->height * matrix[0] + tile->columns * matrix[1]);
        shared = values * (uint32_t)type_size(kernel->x) + tile->height * matrix[0] * matrix[1] * 4;
    }
    return span->lanes * tile->height <= gpu_limits(gpu)->invocations &&
           shared <= gpu_limits(gpu)->shared_bytes;
}

static bool same_tile(const struct tile *a, const struct tile *b)
{
    return a->rows == b->rows && a->columns == b->columns && a->height == b->height &&
           a->walk == b->walk;
}

bool kernels_same_choice(const struct kernel_choice *a, const struct kernel_choice *b)
{
    return a->kernel == b->kernel && same_tile(&a->whole, &b->whole);
}

static bool is_choice(const struct kernel_choice *choices, size_t count,
                      const struct kernel_choice *choice)
{
    for (size_t i = 0; i < count; i++)
        if (choices[i].kernel == choice->kernel && same_tile(&choices[i].tile, &choice->tile))
            return true;
    return false;
}

size_t kernels_add_choices(const struct gpu *gpu, const struct kernel *kernel,
                           const struct graph *graph, const struct node *node,
                           struct kernel_choice choices[KERNEL_CHOICES], size_t count)
{
    if (!kernels_fit(gpu, kernel, graph, node))
        return count;
    bool tiled = false;
    for (size_t i = 0; i < ARRAY_COUNT(tiles); i++) {
        if (strcmp(tiles[i].shader, kernel->shader))
            continue;
        tiled = true;
        uint32_t m = tensor_rows(&graph->tensors[node->out]);
        struct span span = span_of(gpu, kernel);
        struct kernel_choice choice = {kernel, cut_tile(tiles[i].tile, divide_up(m, span.rows)),
                                       tiles[i].tile};
        if (fits_workgroup(gpu, kernel, &span, &choice.tile) && count < KERNEL_CHOICES &&
            !is_choice(choices, count, &choice))
            choices[count++] = choice;
    }
    if (!tiled && count < KERNEL_CHOICES)
        choices[count++] = (struct kernel_choice){.kernel = kernel};
    return count;
}

size_t kernels_choices(const struct gpu *gpu, const struct graph *graph, const struct node *node,
                       struct kernel_choice choices[KERNEL_CHOICES])
{
    size_t count = 0;
    for (size_t i = 0; i < kernel_count; i++)
        count = kernels_add_choices(gpu, &kernels[i], graph, node, choices, count);
    return count;
}

void kernels_choice_name(const struct kernel_choice *choice, char name[KERNEL_CHOICE_NAME])
{
    const struct tile *tile = &choice->whole;
    if (tile->rows)
        snprintf(name, KERNEL_CHOICE_NAME, "%s %ux%ux%u %s", choice->kernel->shader, tile->rows,
                 tile->columns, tile->height, tile->walk == WALK_ROWS ? "rows" : "columns");
    else
        snprintf(name, KERNEL_CHOICE_NAME, "%s", choice->kernel->shader);
}

/* ---- Launch rules ---------------------------------------------------------------------------- */

static void set_workgroup(struct launch *l, uint32_t x, uint32_t y)
{
    l->constants[0] = x;
    l->constants[1] = y;
    l->constants[2] = 1;
    l->constant_count = 3;
}

static void add_constant(struct launch *l, uint32_t value)
{
    l->constants[l->constant_count++] = value;
}

static void set_args(struct launch *l, const void *args, uint32_t bytes)
{
    memcpy(l->dispatch.push, args, bytes);
    l->dispatch.push_bytes = bytes;
}

static int emit(struct launch *l, uint32_t x, uint32_t y, uint32_t z)
{
    const struct gpu_limits *limits = gpu_limits(l->gpu);
    const uint32_t groups[] = {x, y, z};
    for (int i = 0; i < 3; i++)
        if (groups[i] > limits->groups[i])
            return error_fail(VKCLIP_EUNSUPPORTED,
                              "%s: %u workgroups, the device takes %u: choose "
                              "a smaller batch",
                              l->out->name, groups[i], limits->groups[i]);
    for (int i = 0; i < KERNEL_SLOTS; i++)
        if (l->dispatch.ranges[i].size > limits->buffer_range)
            return error_fail(VKCLIP_EUNSUPPORTED,
                              "%s: a tensor of %llu bytes, the device binds %llu"
                              ": choose a smaller batch or f16 (`precision`)",
                              l->out->name, (unsigned long long)l->dispatch.ranges[i].size,
                              (unsigned long long)limits->buffer_range);
    memcpy(l->dispatch.groups, groups, sizeof(groups));
    int error = (l->commands ? gpu_pipeline_get : gpu_pipeline_announce)(
        l->gpu, l->kernel->shader, l->kernel->code, l->kernel->bytes, l->kernel->needs,
        l->constants, l->constant_count, &l->dispatch.pipeline);
    return error || !l->commands ? error : gpu_commands_dispatch(l->commands, &l->dispatch);
}

/* Workgroups that keep any device busy. More would only cost their start, but for tensors so large
 * that an invocation's loop would leap from page to page too often. */
#define BUSY_GROUPS 4096
#define MOST_LEAPS 16

/* One invocation an element, looping where there are more than enough or than a grid holds. */
static int emit_elements(struct launch *l, uint64_t elements)
{
    uint32_t groups = divide_up(elements, 64), limit = gpu_limits(l->gpu)->groups[0];
    if (groups > BUSY_GROUPS)
        groups = groups / MOST_LEAPS > BUSY_GROUPS ? groups / MOST_LEAPS : BUSY_GROUPS;
    set_workgroup(l, 64, 1);
    return emit(l, groups < limit ? groups : limit, 1, 1);
}

static void set_row_workgroup(struct launch *l)
{
    set_workgroup(l, l->kernel->needs & CAP_SUBGROUP ? gpu_limits(l->gpu)->subgroup : 64, 1);
}

/* One workgroup a row, likewise. */
static int emit_row_workgroups(struct launch *l, uint32_t rows)
{
    uint32_t limit = gpu_limits(l->gpu)->groups[0];
    return emit(l, rows < limit ? rows : limit, 1, 1);
}

static int emit_rows(struct launch *l, uint32_t rows)
{
    set_row_workgroup(l);
    return emit_row_workgroups(l, rows);
}

/* How many of `count` equal steps of a node one dispatch may take, so that no submit runs for long.
 */
static uint32_t steps_at_once(const struct launch *l, uint32_t count)
{
    double steps = gpu_limits(l->gpu)->work / (l->dispatch.work / count);
    return steps < 1 ? 1 : steps > count ? count : (uint32_t)steps;
}

/* How many of a tensor's `count` units of `bytes` bytes one binding spans, such that the offset
 * behind them is aligned. */
static int units_at_once(const struct launch *l, const struct tensor *of, uint64_t bytes,
                         uint32_t count, uint32_t *seen)
{
    const struct gpu_limits *limits = gpu_limits(l->gpu);
    uint64_t units = limits->buffer_range / bytes, multiple = 1;
    while (multiple * bytes % limits->alignment)
        multiple *= 2;
    *seen = units >= count ? count : (uint32_t)(units / multiple * multiple);
    return *seen ? VKCLIP_OK
                 : error_fail(VKCLIP_EUNSUPPORTED,
                              "%s: %llu bytes of it must be bound at once, the device binds %llu",
                              of->name, (unsigned long long)(multiple * bytes),
                              (unsigned long long)limits->buffer_range);
}

/* What is done to the sums of MATMUL and CONV. */
struct finish {
    enum vkclip_activation activation;
    bool slope, relu;
};

/* The tiled loop of MATMUL and CONV over [M,K] and [K,N]. */
static int launch_tiles(struct launch *l, struct finish finish, struct conv_args *args,
                        uint32_t arg_bytes)
{
    const struct tile none = {1, 4, 1, WALK_COLUMNS}, *tile = l->tile.rows ? &l->tile : &none;
    struct span span = span_of(l->gpu, l->kernel);
    uint32_t columns = span.columns * tile->columns;
    set_workgroup(l, span.lanes, tile->height);
    add_constant(l, tile->rows);
    add_constant(l, tile->columns);
    add_constant(l, finish.activation);
    add_constant(l, l->in[2] && !finish.slope);
    add_constant(l, l->node->residual);
    add_constant(l, finish.relu);
    add_constant(l, tile->walk);
    add_constant(l, finish.slope);
    for (int i = 0; i < 3 && span.matrices; i++)
        add_constant(l, span.matrices[i]);
    if (is_texel(l->kernel)) {
        l->dispatch.texel[0] = texel_format(l->kernel->x);
        l->dispatch.texel[1] = texel_format(l->kernel->w);
    }
    uint32_t height = tile->rows * span.rows * tile->height, groups = divide_up(args->m, height),
             step = steps_at_once(l, groups);
    l->dispatch.work *= (double)step / groups;

    struct gpu_range w = l->dispatch.ranges[1];
    uint32_t panels = divide_up(args->n, PANEL), unit = divide_up(columns, PANEL), seen = 0;
    uint64_t panel_bytes = w.size / panels;
    int error = units_at_once(l, l->in[1], panel_bytes * unit, divide_up(panels, unit), &seen);
    for (uint32_t panel = 0; panel < panels && !error; panel += seen * unit) {
        uint32_t width = panels - panel < seen * unit ? panels - panel : seen * unit;
        uint32_t across = divide_up(width * PANEL, columns);
        args->first_column = panel * PANEL;
        l->dispatch.ranges[1].offset = w.offset + panel * panel_bytes;
        l->dispatch.ranges[1].size = width * panel_bytes;
        for (uint32_t first = 0; first < groups && !error; first += step) {
            uint32_t down = step < groups - first ? step : groups - first;
            args->first = first * height;
            set_args(l, args, arg_bytes);
            error = tile->walk == WALK_ROWS ? emit(l, down, across, 1) : emit(l, across, down, 1);
        }
    }
    return error;
}

static int launch_MATMUL(struct launch *l)
{
    struct conv_args args = {
        .m = tensor_rows(l->out), .n = tensor_columns(l->out), .k = tensor_columns(l->in[0])};
    struct finish finish = {l->node->matmul.activation, l->node->matmul.slope,
                            l->node->matmul.relu};
    return launch_tiles(l, finish, &args, sizeof(struct matmul_args));
}

static int launch_CONV(struct launch *l)
{
    const uint32_t *x = l->in[0]->shape, *y = l->out->shape; /* [B,H,W,C] */
    struct conv_args args = {.m = tensor_rows(l->out),
                             .n = y[3],
                             .k = 9 * x[3],
                             .h = x[1],
                             .w = x[2],
                             .out_h = y[1],
                             .out_w = y[2],
                             .stride = l->node->conv.stride};
    return launch_tiles(l, (struct finish){.relu = l->node->conv.relu}, &args, sizeof(args));
}

/* AVGPOOL, or its gradient, which goes the other way. */
static int launch_AVGPOOL(struct launch *l)
{
    bool gradient = l->node->op == OP_AVGPOOL_GRAD;
    const uint32_t *x = (gradient ? l->out : l->in[0])->shape, /* [B,H,W,C] */
        *y = (gradient ? l->in[0] : l->out)->shape;
    uint32_t count = (uint32_t)tensor_elements(l->out);
    struct avgpool_args args = {y[1], y[2], y[3], x[1], x[2], l->node->avgpool.size, count};
    set_args(l, &args, sizeof(args));
    return emit_elements(l, count);
}

static int launch_MEANTOKEN(struct launch *l)
{
    const uint32_t *y = l->out->shape; /* [B,P+1,C] */
    struct meantoken_args args = {y[0], y[1] - 1, y[2]};
    set_args(l, &args, sizeof(args));
    return emit_elements(l, (uint64_t)args.b * args.c);
}

/* An invocation a token of a head of an item. */
static int launch_ATTENTION(struct launch *l)
{
    const uint32_t *shape = l->in[0]->shape; /* [B,T,3C] */
    uint32_t heads = l->node->attention.heads, c = shape[2] / 3, d = c / heads;
    uint32_t step = steps_at_once(l, shape[0]);
    struct attention_args args = {shape[1], c, heads, 1.0f / sqrtf((float)d), 0};
    set_workgroup(l, 32, 1);
    add_constant(l, d);
    add_constant(l, l->node->attention.causal);
    add_constant(l, l->in[1] != NULL);
    for (int i = 0; i < (l->node->op == OP_ATTENTION_GRAD ? 2 : 1) && is_texel(l->kernel); i++)
        l->dispatch.texel[i] = texel_format(l->kernel->x);
    l->dispatch.work *= (double)step / shape[0];
    int error = VKCLIP_OK;
    for (; args.first < shape[0] && !error; args.first += step) {
        uint32_t items = shape[0] - args.first;
        set_args(l, &args, sizeof(args));
        error = emit(l, divide_up(shape[1], 32), heads, step < items ? step : items);
    }
    return error;
}

static struct rows_args set_rows_args(struct launch *l, float epsilon, bool frozen)
{
    struct rows_args args = {tensor_rows(l->in[0]), tensor_columns(l->in[0]), epsilon,
                             l->node->residual, frozen};
    set_args(l, &args, sizeof(args));
    return args;
}

/* A workgroup a row of x. */
static int launch_LAYERNORM(struct launch *l)
{
    return emit_rows(l, set_rows_args(l, l->node->layernorm.epsilon, false).rows);
}

static int launch_NORMALIZE(struct launch *l)
{
    return emit_rows(l, set_rows_args(l, 0, false).rows);
}

/* EMBEDDING, or its gradient, which has the table as its result. */
static int launch_EMBEDDING(struct launch *l)
{
    bool gradient = l->node->op == OP_EMBEDDING_GRAD;
    const uint32_t *shape = (gradient ? l->in[0] : l->out)->shape; /* [B,T,C] */
    const struct tensor *table = gradient ? l->out : l->in[1];
    struct gpu_range *range = &l->dispatch.ranges[gradient ? KERNEL_OUT : 1];
    struct embedding_args args = {shape[0] * shape[1], shape[1], shape[2], 0, 0};
    uint32_t vocabulary = table->shape[0], seen = 0;
    uint64_t begin = range->offset, row_bytes = layout_row_bytes(table->type, args.c);
    int error = units_at_once(l, table, row_bytes, vocabulary, &seen);
    for (uint64_t first = 0; first < vocabulary && !error; first += seen) {
        args.first = (uint32_t)first;
        args.count = (uint32_t)(vocabulary - first < seen ? vocabulary - first : seen);
        range->offset = begin + first * row_bytes;
        range->size = (args.count * row_bytes + 3) / 4 * 4;
        set_args(l, &args, sizeof(args));
        error = emit_elements(l, (uint64_t)args.tokens * args.c);
    }
    return error;
}

static int launch_CLASSTOKEN(struct launch *l)
{
    const uint32_t *shape = l->in[0]->shape; /* [B,P,C] */
    struct classtoken_args args = {shape[0], shape[1], shape[2]};
    set_args(l, &args, sizeof(args));
    return emit_elements(l, tensor_elements(l->out));
}

static int launch_SELECT(struct launch *l)
{
    const uint32_t *shape = l->in[0]->shape; /* [B,T,C] */
    struct select_args args = {shape[0], shape[1], shape[2], l->in[1] != NULL};
    set_args(l, &args, sizeof(args));
    return emit_elements(l, tensor_elements(l->out));
}

/* ---- Training -------------------------------------------------------------------------------- */

/* One invocation per element of a result [items,t,c]; `values` are what the op needs besides. */
static int launch_elements(struct launch *l, const float values[4])
{
    struct elements_args args = {.n = (uint32_t)tensor_elements(l->out),
                                 .t = tensor_rows(l->out) / l->out->shape[0],
                                 .c = tensor_columns(l->out),
                                 .by_rows = l->node->op == OP_SELECT_GRAD && l->in[1]};
    memcpy(args.values, values, sizeof(args.values));
    set_args(l, &args, sizeof(args));
    return emit_elements(l, args.n);
}

static int launch_ADD(struct launch *l)
{
    return launch_elements(l, (const float[4]){0});
}

static int launch_ADAMW(struct launch *l)
{
    const struct node *n = l->node;
    return launch_elements(
        l, (const float[4]){n->adamw.beta1, n->adamw.beta2, n->adamw.epsilon, n->adamw.decay});
}

static int launch_CLAMP(struct launch *l)
{
    return launch_elements(l, (const float[4]){l->node->clamp.least, l->node->clamp.most});
}

static int launch_ATTENTION_DELTA(struct launch *l)
{
    struct elements_args args = {.n = (uint32_t)tensor_elements(l->out) / 2,
                                 .c = tensor_columns(l->in[0]) / l->out->shape[2]};
    set_args(l, &args, sizeof(args));
    return emit_elements(l, args.n);
}

/* A workgroup a few rows of x, as its start takes as long as one. */
static int launch_LAYERNORM_GRAD(struct launch *l)
{
    struct rows_args args = set_rows_args(l, l->node->layernorm.epsilon, false);
    set_row_workgroup(l);
    add_constant(l, args.c);
    return emit_row_workgroups(
        l, divide_up(args.rows, l->node->op == OP_LAYERNORM_SUMS ? LAYERNORM_ROWS : 4));
}

static uint64_t stored_elements(const struct tensor *tensor)
{
    return layout_tensor_bytes(tensor) / type_size(tensor->type);
}

static int launch_CAST(struct launch *l)
{
    uint64_t x = stored_elements(l->in[0]), y = stored_elements(l->out);
    struct elements_args args = {.n = (uint32_t)(x < y ? x : y)}; /* the padding of panels too */
    set_args(l, &args, sizeof(args));
    return emit_elements(l, args.n);
}

static int launch_ACTIVATE(struct launch *l)
{
    struct activate_args args = {(uint32_t)tensor_elements(l->out), l->node->activate.activation,
                                 l->node->activate.relu};
    set_args(l, &args, sizeof(args));
    return emit_elements(l, args.n);
}

static int launch_BATCHNORM(struct launch *l)
{
    struct batchnorm_args args = {(uint32_t)tensor_elements(l->out), tensor_columns(l->out),
                                  l->in[2] != NULL, l->node->batchnorm.relu};
    set_args(l, &args, sizeof(args));
    return emit_elements(l, args.n);
}

static int launch_PANELS(struct launch *l)
{
    const struct tensor *y = l->out;
    uint32_t n = tensor_n(y), k = (uint32_t)(tensor_elements(y) / n);
    struct panels_args args = {n, k, l->in[0]->layout == LAYOUT_ROWS, l->node->panels.transposed,
                               y->layout == LAYOUT_CONV};
    set_args(l, &args, sizeof(args));
    return emit_elements(l, stored_elements(y) / 4);
}

/* Rows of dy and x at once, about: caches keep them while all of the result goes over them. */
#define OUTER_ROWS 1024

static int launch_OUTER(struct launch *l)
{
    const struct tensor *dy = l->in[0], *x = l->in[1];
    bool conv = l->node->outer.stride != 0;
    struct outer_args args = {.m = tensor_rows(dy),
                              .n = tensor_columns(dy),
                              .k = tensor_columns(x) * (conv ? 9 : 1),
                              .add = l->node->residual,
                              .panels = l->out->layout != LAYOUT_ROWS};
    if (conv) {
        const uint32_t pixels[] = {x->shape[1], x->shape[2], dy->shape[1], dy->shape[2],
                                   l->node->outer.stride};
        memcpy(&args.h, pixels, sizeof(pixels));
    }
    bool subgroup = shares_values(l->kernel);
    uint32_t lanes = span_of(l->gpu, l->kernel).lanes, unit = subgroup ? lanes : 4;
    set_workgroup(l, lanes, l->tile.height);
    add_constant(l, divide_up(l->tile.rows, unit) * unit);
    add_constant(l, l->tile.columns);
    add_constant(l, conv);
    add_constant(l, (subgroup || args.n % 4 == 0) && tensor_columns(x) % 4 == 0);
    add_constant(l, l->in[2] != NULL);
    if (is_texel(l->kernel))
        l->dispatch.texel[0] = l->dispatch.texel[1] = texel_format(l->kernel->x);
    uint32_t parts = (args.m + OUTER_ROWS / 2) / OUTER_ROWS, most = steps_at_once(l, args.m);
    uint32_t even = divide_up(args.m, parts ? parts : 1), step = most < even ? most : even;
    uint32_t across = divide_up(args.k, 4 * l->tile.columns * lanes),
             down = divide_up(args.n, l->constants[3] * l->tile.height);
    l->dispatch.work *= (double)step / args.m;
    int error = VKCLIP_OK;
    for (; args.first < args.m && !error; args.first += step) {
        args.rows = args.m - args.first < step ? args.m - args.first : step;
        set_args(l, &args, sizeof(args));
        error = emit(l, across, down, 1);
        args.add = true;
    }
    return error;
}

/* A workgroup for neighbouring columns: columns.glsl. */
static int emit_columns(struct launch *l, uint32_t columns, uint32_t groups)
{
    set_workgroup(l, 8, 4);
    return emit(l, divide_up(columns, 32), groups, 1);
}

static int launch_COLSUM(struct launch *l)
{
    const uint32_t pitch = l->node->colsum.pitch, offset = l->node->colsum.offset;
    uint32_t rows = divide_up((uint32_t)tensor_elements(l->in[0]) - offset, pitch);
    uint32_t group = l->node->colsum.group ? l->node->colsum.group : rows;
    uint32_t groups = divide_up(rows, group);
    struct colsum_args args = {.rows = rows,
                               .columns = (uint32_t)(tensor_elements(l->out) / groups),
                               .pitch = pitch,
                               .offset = offset,
                               .group = group,
                               .add = l->node->residual};
    set_args(l, &args, sizeof(args));
    return emit_columns(l, args.columns, groups);
}

static int launch_BATCHSTATS(struct launch *l)
{
    return emit_columns(l, set_rows_args(l, l->node->batchstats.epsilon, false).c, 1);
}

static int launch_BATCHNORM_GRAD(struct launch *l)
{
    return emit_columns(l, set_rows_args(l, 0, l->node->batchnorm_grad.frozen).c, 1);
}

static int launch_CONTRAST_STATS(struct launch *l)
{
    struct contrast_args args = {l->in[0]->shape[0]};
    set_args(l, &args, sizeof(args));
    return emit_rows(l, 2 * args.n);
}

static int launch_CONTRAST_LOSS(struct launch *l)
{
    struct contrast_args args = {l->in[0]->shape[0]};
    set_args(l, &args, sizeof(args));
    return emit_rows(l, args.n);
}

static int launch_CONTRAST_GRAD(struct launch *l)
{
    struct contrast_args args = {l->out->shape[0]};
    set_args(l, &args, sizeof(args));
    return emit_elements(l, (uint64_t)args.n * args.n);
}

static int launch_RUNNING(struct launch *l)
{
    const struct node *n = l->node;
    struct running_args args = {tensor_columns(l->in[0]), n->running.variance, n->running.momentum,
                                n->running.unbias, n->running.epsilon};
    set_args(l, &args, sizeof(args));
    return emit_elements(l, args.c);
}

static int launch_RUNNINGSTATS(struct launch *l)
{
    struct running_args args = {.c = tensor_columns(l->in[0]),
                                .variance = l->node->runningstats.variance,
                                .epsilon = l->node->runningstats.epsilon};
    set_args(l, &args, sizeof(args));
    return emit_elements(l, args.c);
}

static int launch_SUMSQ(struct launch *l)
{
    struct sumsq_args args = {(uint32_t)tensor_elements(l->in[0]), l->node->sumsq.offset};
    set_args(l, &args, sizeof(args));
    return emit_rows(l, divide_up(args.n, SUMSQ_PART));
}

static int launch_CLIP(struct launch *l)
{
    struct sumsq_args args = {(uint32_t)tensor_elements(l->in[0]), 0};
    set_args(l, &args, sizeof(args));
    return emit_rows(l, 1);
}

/* Ops that are launched as another is. */
#define ALIKE(op, other)                     \
    static int launch_##op(struct launch *l) \
    {                                        \
        return launch_##other(l);            \
    }
ALIKE(NORMALIZE_GRAD, NORMALIZE)
ALIKE(LAYERNORM_SUMS, LAYERNORM_GRAD)
ALIKE(ATTENTION_GRAD, ATTENTION)
ALIKE(EMBEDDING_GRAD, EMBEDDING)
ALIKE(AVGPOOL_GRAD, AVGPOOL)
ALIKE(ACTIVATE_GRAD, ACTIVATE)
ALIKE(AFFINE, ADD)
ALIKE(CLASSTOKEN_GRAD, ADD)
ALIKE(MEANTOKEN_GRAD, ADD)
ALIKE(SELECT_GRAD, ADD)
ALIKE(SCALE, ADD)
#undef ALIKE

int kernels_record_choice(struct gpu *gpu, struct gpu_commands *commands, const struct graph *graph,
                          const struct node *node, const struct gpu_range ranges[KERNEL_SLOTS],
                          const struct kernel_choice *choice)
{
    static int (*const rules[])(struct launch *) = {
#define X(op) launch_##op,
        OPS(X)
#undef X
    };
    struct launch l = {.gpu = gpu,
                       .commands = commands,
                       .kernel = choice->kernel,
                       .tile = choice->tile,
                       .node = node,
                       .out = &graph->tensors[node->out]};
    l.dispatch.work = node_work(graph, node);
    for (int i = 0; i < NODE_INPUTS; i++) {
        if (node->in[i] >= 0)
            l.in[i] = &graph->tensors[node->in[i]];
        /* a binding must be valid even where the shader is specialized not to read it */
        l.dispatch.ranges[i] = ranges[l.in[i] ? i : KERNEL_OUT];
    }
    l.dispatch.ranges[KERNEL_OUT] = ranges[KERNEL_OUT];
    return rules[node->op](&l);
}

int kernels_record(struct gpu *gpu, struct gpu_commands *commands, const struct graph *graph,
                   const struct node *node, const struct gpu_range ranges[KERNEL_SLOTS],
                   const struct kernel_choice *first)
{
    struct kernel_choice choices[KERNEL_CHOICES];
    int error = first && first->kernel
                    ? kernels_record_choice(gpu, commands, graph, node, ranges, first)
                    : VKCLIP_EDEVICE;
    if (error != VKCLIP_EDEVICE) /* else: this driver fails on that choice, the next may do */
        return error;
    size_t count = kernels_choices(gpu, graph, node, choices);
    for (size_t i = 0; i < count && error == VKCLIP_EDEVICE; i++)
        error = kernels_record_choice(gpu, commands, graph, node, ranges, &choices[i]);
    if (!count)
        error = error_fail(VKCLIP_EUNSUPPORTED, "%s: no kernel for %s in %s on %s",
                           graph->tensors[node->out].name, op_name(node->op),
                           type_name(graph->tensors[node->out].type), gpu_info(gpu)->name);
    return error;
}
