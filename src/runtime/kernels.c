/* SPDX-License-Identifier: MIT
 *
 * Holds the table of kernels and the rules by which a variant and a tile fit a node.
 */
#include "runtime/kernels.h"
#include "base/array.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "runtime/layout.h"
#include "runtime/order.h"

#include "kernels_packed.h"
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
     SPIRV_##shader##_##x##_##w,        \
     #shader " " #x " " #w},
#include "kernel_rows.def"
#undef KERNEL
};
const size_t kernel_count = ARRAY_COUNT(kernels);

static const struct {
    const char *shader;
    struct tile tile;
} tiles[] = {
#define TILE_WIDE(shader, rows, columns, height, width, walk) \
    {#shader, {rows, columns, height, width, WALK_##walk}},
#include "shaders/tiles.def"
#undef TILE
#undef TILE_WIDE
};

static uint32_t divide_up(uint32_t a, uint32_t b)
{
    return a / b + (a % b != 0);
}

uint32_t kernels_caps(void)
{
    uint32_t caps = 0;
    for (size_t i = 0; i < kernel_count; i++)
        caps |= kernels[i].needs;
    return caps;
}

/* ---- What a node is -------------------------------------------------------------------------- */

/* Returns the bytes that a node reads of one of its inputs. */
static uint64_t input_bytes(const struct graph *graph, const struct node *node, int slot)
{
    const struct tensor *out = &graph->tensors[node->out];
    const struct tensor *in = &graph->tensors[node->in[slot]];
    if (node->op == OP_EMBEDDING && slot == 1) /* one row of the table for each id */
        return layout_tensor_bytes(in) / in->shape[0] * tensor_rows(out);
    if (node->op == OP_SELECT && slot == 0) /* one row of each item */
        return layout_tensor_bytes(out);
    return layout_tensor_bytes(in);
}

uint64_t kernels_node_bytes(const struct graph *graph, const struct node *node)
{
    uint64_t bytes = layout_tensor_bytes(&graph->tensors[node->out]) * (node->residual ? 2 : 1);
    for (int slot = 0; slot < NODE_INPUTS; slot++)
        if (node->in[slot] >= 0)
            bytes += input_bytes(graph, node, slot);
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
    size_t length = 0;
    for (unsigned i = 0; i < out->rank; i++)
        length += (size_t)snprintf(shape + length, KERNEL_SHAPE - length, "%s%u", i ? "x" : "",
                                   out->shape[i]);
}

/* ---- Which variants fit ---------------------------------------------------------------------- */

bool kernels_read_texels(const struct kernel *kernel)
{
    return kernel->needs & CAP_TEXEL;
}

bool kernels_read_pairs(const struct kernel *kernel)
{
    return !strcmp(kernel->shader, "matmul_narrow");
}

bool kernels_round_factors(const struct kernel *kernel)
{
    return kernel->x == TYPE_F32 && kernel->needs & CAP_COOPMAT16;
}

bool kernels_share_values(const struct kernel *kernel)
{
    return kernel->needs & CAP_SUBGROUP && !(kernel->needs & (CAP_TEXEL | CAP_ADDRESS));
}

bool kernels_tile_heads(const struct kernel *kernel)
{
    return graph_attends(kernel->op) &&
           (kernel->needs & CAP_COOPMAT16 || strstr(kernel->shader, "_shared"));
}

uint32_t kernels_head_width(const struct tensor *qkv, const struct node *node)
{
    return tensor_columns(qkv) / 3 / node->attention.heads;
}

/* Tells whether a row is whole texels. A texel is four values, or one word of the quantised types,
 * which have no size of their own. */
static bool fits_texels(const struct gpu *gpu, const struct tensor *tensor)
{
    uint64_t size = type_size(tensor->type);
    uint64_t texels = layout_tensor_bytes(tensor) / (size ? 4 * size : 4);
    return texels <= gpu_limits(gpu)->texel_elements;
}

/* Tells whether in[slot] has the type that the variant reads there. Inputs that are not weights
 * have the type of the activations, which types_fit compares. OUTER adds to the gradient of a bias,
 * which is fp32 in every variant. */
static bool input_type_fits(const struct kernel *kernel, const struct graph *graph,
                            const struct node *node, int slot)
{
    if (node->in[slot] < 0 || node->op == OP_OUTER)
        return true;
    const struct tensor *in = &graph->tensors[node->in[slot]];
    if (slot == 1 && graph_packs(node->op))
        return in->type == kernel->w;
    return in->role != ROLE_WEIGHT || in->type == kernel->x;
}

static bool types_fit(const struct kernel *kernel, const struct graph *graph,
                      const struct node *node)
{
    const struct tensor *x = &graph->tensors[node->in[0]];
    const struct tensor *out = &graph->tensors[node->out];
    if (kernel->x != (graph_sums(node->op) ? x->type : out->type))
        return false;
    if (node->op == OP_CAST && kernel->w != x->type)
        return false;
    return input_type_fits(kernel, graph, node, 1) && input_type_fits(kernel, graph, node, 2);
}

/* Tells whether a variant that reads texels can read the tensors: rows must be whole texels, and
 * one texel binding must span each tensor. */
static bool texels_fit(const struct gpu *gpu, const struct graph *graph, const struct node *node)
{
    const struct tensor *x = &graph->tensors[node->in[0]];
    if (!fits_texels(gpu, x))
        return false;
    if (graph_attends(node->op)) /* a head's part of a row */
        return kernels_head_width(x, node) % 4 == 0;
    if (node->op == OP_MAXIMA) /* The mask is not read as texels. */
        return tensor_columns(x) % 4 == 0;
    const struct tensor *w = &graph->tensors[node->in[1]];
    if (node->op == OP_OUTER && tensor_columns(w) % 4 != 0)
        return false;
    return tensor_columns(x) % 4 == 0 && fits_texels(gpu, w);
}

/* Returns the bytes of shared memory that attention with matrices needs: the tile's rows of halves,
 * and what attention/matrices.glsl has per query, 36 scores, 40 weights and a factor, or what
 * attention_grad_coopmat.comp has per token, two blocks of scores, 72 weights and two sums. */
static uint32_t heads_shared_bytes(const struct gpu_limits *limits, enum op op, uint32_t width)
{
    const uint32_t *matrix = limits->matrix;
    const uint32_t rows = ATTENTION_SUBGROUPS * matrix[0], most = rows > 64 ? rows : 64;
    const uint32_t tile = most * 2 * ((width + 15) / 16 * 16 + 8);
    if (op == OP_ATTENTION_GRAD)
        return tile + rows * (4 * (2 * matrix[1] + 4) + 2 * 72) + most * 8;
    return tile + rows * (4 * 36 + 2 * 40 + 4) + ATTENTION_SUBGROUPS * limits->subgroup * 4;
}

/* Tells whether a variant that divides heads into tiles computes a node, with heads as wide as
 * those of all models. Without matrices it needs the 16 KiB of shared memory at most that every
 * device has. With them lanes share rows evenly, and the gradient has no mask. */
static bool heads_fit(const struct gpu *gpu, const struct kernel *kernel, const struct tensor *x,
                      const struct node *node)
{
    const struct gpu_limits *limits = gpu_limits(gpu);
    const uint32_t width = kernels_head_width(x, node);
    if (!(kernel->needs & CAP_COOPMAT16))
        return width <= 128;
    if (node->op == OP_ATTENTION_GRAD && node->attention.masked)
        return false;
    return width <= 128 && limits->subgroup % limits->matrix[0] == 0 &&
           heads_shared_bytes(limits, kernel->op, width) <= limits->shared_bytes;
}

/* Tells whether outer_address.comp computes a node: the weight of a MATMUL, in whole turns of rows
 * and workgroups of columns. */
static bool outer_address_fits(const struct gpu *gpu, const struct graph *graph,
                               const struct node *node)
{
    const struct tensor *dy = &graph->tensors[node->in[0]], *x = &graph->tensors[node->in[1]];
    return !node->outer.stride && tensor_rows(dy) % OUTER_TURN == 0 && tensor_columns(dy) >= 8 &&
           tensor_columns(x) % (4 * gpu_limits(gpu)->subgroup) == 0;
}

static bool shape_fits(const struct gpu *gpu, const struct kernel *kernel,
                       const struct graph *graph, const struct node *node)
{
    const struct tensor *x = &graph->tensors[node->in[0]];
    if (kernel->needs & CAP_ADDRESS && node->op == OP_OUTER)
        return outer_address_fits(gpu, graph, node);
    if (kernel->needs & CAP_ADDRESS && node->op == OP_DWCONV_SUMS)
        return tensor_columns(x) % DWCONV_PART == 0 && DWCONV_PART % gpu_limits(gpu)->subgroup == 0;
    if (kernels_share_values(kernel) && node->op == OP_OUTER)
        return tensor_columns(&graph->tensors[node->in[1]]) % 4 == 0;
    if (kernels_share_values(kernel) && graph_packs(node->op))
        return tensor_columns(x) % gpu_limits(gpu)->subgroup == 0;
    if (kernel->needs & CAP_ADDRESS)
        return tensor_columns(x) % BLOCK == 0 && PANEL % gpu_limits(gpu)->subgroup == 0;
    if (kernels_round_factors(kernel) && !graph->compute_f16)
        return false;
    /* The gradient of fp32 is computed in fp32, with which the sums in in[1] must agree. */
    if (kernels_round_factors(kernel) && node->op == OP_ATTENTION && node->in[1] >= 0)
        return false;
    if (node->op == OP_DWCONV && strcmp(kernel->shader, "dwconv") && tensor_columns(x) % 4 != 0)
        return false; /* Tiles have four channels. */
    if (kernels_tile_heads(kernel))
        return heads_fit(gpu, kernel, x, node);
    if (kernel->needs & CAP_F16MATH && (tensor_columns(x) % 4 != 0 || graph->mixed))
        return false; /* Scaled gradients exceed fp16 sums. */
    return !kernels_read_texels(kernel) || texels_fit(gpu, graph, node);
}

bool kernels_fit(const struct gpu *gpu, const struct kernel *kernel, const struct graph *graph,
                 const struct node *node)
{
    return kernel->op == node->op && (kernel->needs & gpu_caps(gpu)) == kernel->needs &&
           types_fit(kernel, graph, node) && shape_fits(gpu, kernel, graph, node) &&
           !gpu_row_is_left_out(gpu, kernel->name);
}

/* Bounds the difference for ATTENTION with q, k and v in [-3, 3), or for ATTENTION_MASKED in [-1,
 * 1). The error of a score is that of a sum of products, and is also the relative error of a weight
 * of the softmax; weights and values are rounded once more. */
static double attention_rounding(const struct graph *graph, const struct node *node)
{
    const double range = node->op == OP_ATTENTION ? 3 : 1;
    const double width = kernels_head_width(&graph->tensors[node->in[0]], node);
    const double scale =
        node->attention.scale > 0 ? (double)node->attention.scale : 1 / sqrt(width);
    const double score = 6 * sqrt(2) / 4096 / 3 * sqrt(width) * scale * range * range;
    return range * (score + 2.0 / 2048);
}

double kernels_rounding(const struct kernel *kernel, const struct graph *graph,
                        const struct node *node)
{
    double deviation; /* of the error of one of the K products */
    if (kernels_round_factors(kernel) && graph_attends(node->op))
        return attention_rounding(graph, node);
    if (kernels_round_factors(kernel))
        deviation = sqrt(2) / 4096 / 3;
    else if (kernel->needs & CAP_DOT)
        deviation = 1.0 / 254 / 3;
    else
        return 0;
    /* Rounding a factor errs by up to half a step, 1/254 of 8 bits and at most 1/4096 of fp16, and
     * is multiplied by a factor in [-1, 1). The errors add up like a random walk; the bound is six
     * standard deviations of the sum. */
    const struct tensor *w = &graph->tensors[node->in[1]];
    return 6 * deviation * sqrt((double)(tensor_elements(w) / tensor_n(w)));
}

/* ---- Tiles ----------------------------------------------------------------------------------- */

struct kernel_span kernels_span(const struct gpu *gpu, const struct kernel *kernel)
{
    const struct gpu_limits *limits = gpu_limits(gpu);
    if (kernel->needs & CAP_COOPMAT16) {
        const uint32_t *matrix = limits->matrix;
        return (struct kernel_span){limits->subgroup, matrix[0], matrix[1], matrix};
    }
    uint32_t lanes = PANEL / 4;
    if (kernel->needs & CAP_SUBGROUP)
        lanes = limits->subgroup;
    else if (kernel->needs & CAP_DOT)
        lanes = PANEL; /* Rounding x once serves this many columns. */
    return (struct kernel_span){lanes, 1, lanes, NULL};
}

/* Gives an invocation fewer rows if more than an eighth of the rows that all workgroups compute
 * would lie past the end, because computing these is wasted time. */
static void cut_rows(struct tile *tile, uint32_t m)
{
    const uint32_t height = tile->rows * tile_height(tile), groups = divide_up(m, height);
    if (groups * height - m > m / 8)
        tile->rows = divide_up(m, groups * tile_height(tile));
}

/* Cuts a tile down to a result of m rows. A workgroup gets no more height than the rows need, but
 * no fewer invocations than `wave`, because the lanes of a subgroup without an invocation idle. */
static void cut_height(struct tile *tile, uint32_t m, uint32_t lanes, uint32_t wave)
{
    while (tile->height > 1 && tile->height / 2 * tile->rows >= m &&
           tile->height / 2 * lanes >= wave)
        tile->height /= 2;
}

/* With this many invocations a unit hides the time that loads take: two to four subgroups on each
 * of its arithmetic units. Slices are for results that have fewer. Matrix units need half of them,
 * because each of their instructions takes longer. */
#define BUSY_INVOCATIONS 256
/* A slice has at least this many values of K, because adding up the sums of slices takes about as
 * long as adding a few more products. */
#define LEAST_SLICE 16

/* Returns the bytes of shared memory that shaders/matmul/matrices.glsl needs: for a slab, whose
 * rows and columns are octets of 16 bytes, and in its place for fp32 sums. */
static uint32_t matrices_shared_bytes(const struct kernel_span *span, const struct tile *tile)
{
    const uint32_t columns = tile->columns * tile->width * span->columns;
    const uint32_t rows = tile->rows * tile_height(tile) * span->rows;
    const uint32_t slab = (rows + columns) * (BLOCK / 8 * tile_slices(tile) + 1) * 16;
    const uint32_t sums = tile->height * span->rows * columns * (uint32_t)sizeof(float);
    return slab > sums ? slab : sums;
}

/* Returns the bytes in which slices add up their sums (matmul/slices.glsl), or those of matrices.
 */
static uint32_t shared_bytes(const struct kernel_span *span, const struct tile *tile)
{
    if (span->matrices)
        return matrices_shared_bytes(span, tile);
    if (tile_slices(tile) == 1)
        return 0;
    return tile->rows * tile->columns * (tile_slices(tile) + 1) * span->lanes * 4;
}

/* Tells whether slices can divide K: those of matrices are loaded together, BLOCK values of each.
 */
static bool divide_depth(uint32_t k, const struct kernel_span *span, uint32_t slices)
{
    return span->matrices ? k % (BLOCK * slices) == 0 : k >= LEAST_SLICE * slices;
}

/* Cuts a tile that divides K down to a result of m rows, n columns and depth k: to fewer columns if
 * there are fewer workgroups than units, and to no more slices than keep the device busy. Returns
 * false if it is busy without slices. */
static bool cut_slices(struct tile *tile, uint32_t m, uint32_t n, uint32_t k,
                       const struct kernel_span *span, const struct gpu_limits *limits)
{
    const uint32_t down = divide_up(m, tile->rows);
    while (tile->columns > 1 && down * divide_up(n, tile->columns * span->columns) < limits->units)
        tile->columns /= 2;
    const uint64_t groups = (uint64_t)down * divide_up(n, tile->columns * span->columns);
    const uint64_t columns = groups * span->lanes;
    const uint64_t busy = BUSY_INVOCATIONS / (span->matrices ? 2 : 1) * limits->units;
    while (tile->height > 1 && tile->height / 2 * span->lanes >= limits->wave &&
           columns * tile->height / 2 >= busy)
        tile->height /= 2;
    while (tile->height > 1 && (!divide_depth(k, span, tile->height) ||
                                shared_bytes(span, tile) > limits->shared_bytes))
        tile->height /= 2;
    return columns < busy && tile->height > 1 && tile->height * span->lanes >= limits->wave;
}

static bool fits_workgroup(const struct gpu *gpu, const struct kernel_span *span,
                           const struct tile *tile)
{
    const struct gpu_limits *limits = gpu_limits(gpu);
    if (shared_bytes(span, tile) > limits->shared_bytes)
        return false;
    return span->lanes * tile->height * tile->width <= limits->invocations;
}

/* ---- Choices --------------------------------------------------------------------------------- */

static bool same_tile(const struct tile *a, const struct tile *b)
{
    return a->rows == b->rows && a->columns == b->columns && a->height == b->height &&
           a->width == b->width && a->walk == b->walk;
}

bool kernels_same_choice(const struct kernel_choice *a, const struct kernel_choice *b)
{
    return a->kernel == b->kernel && same_tile(&a->listed_tile, &b->listed_tile);
}

/* Tells whether the list already has a choice, because two tiles of a shader may be cut down to
 * equal ones. */
static bool is_listed(const struct kernel_choice *choices, size_t count,
                      const struct kernel_choice *choice)
{
    for (size_t i = 0; i < count; i++)
        if (choices[i].kernel == choice->kernel && same_tile(&choices[i].tile, &choice->tile))
            return true;
    return false;
}

/* Estimates how many values an invocation keeps in registers: sums, x and w, or the sums and x of
 * OUTER, whose tiles count columns in quads, as those of DWCONV count pixels. */
static uint32_t count_values(const struct kernel *kernel, const struct tile *tile)
{
    if (kernel->op == OP_OUTER)
        return 4 * tile->rows * tile->columns + 16 * tile->columns;
    if (kernel->op == OP_DWCONV) /* sums, a row of taps for each of their rows, and a pixel */
        return 4 * (tile->rows * (tile->columns + DWCONV_SIDE) + 1);
    const uint32_t sums = tile->rows * tile->columns;
    if (kernel->needs & CAP_F16MATH) /* short sums besides, and pairs of values */
        return 2 * sums + 2 * tile->rows + 2 * tile->columns;
    return sums + tile->rows + 4 * tile->columns;
}

bool kernels_accept_tile(enum gpu_class class, const struct kernel *kernel, const struct tile *tile,
                         uint32_t lanes)
{
    const struct order_limits limits = order_limits(class);
    if (kernels_share_values(kernel) && tile->rows * tile->columns * lanes > limits.products)
        return false;
    if (kernel->needs & CAP_COOPMAT16) /* rows and columns count matrices, spread over the lanes */
        return true;
    return count_values(kernel, tile) <= limits.values;
}

/* Returns the tile of a variant that needs the fewest registers, of those that are for every
 * result, or NULL if its shader has no tiles. */
static const struct tile *smallest_tile(const struct kernel *kernel)
{
    const struct tile *smallest = NULL;
    for (size_t i = 0; i < ARRAY_COUNT(tiles); i++)
        if (!strcmp(tiles[i].shader, kernel->shader) && tiles[i].tile.walk != WALK_SLICES &&
            (!smallest || count_values(kernel, &tiles[i].tile) < count_values(kernel, smallest)))
            smallest = &tiles[i].tile;
    return smallest;
}

/* Returns the largest length up to `length` that divides `total` into equal shares, of which the
 * last may be shorter. */
static uint32_t share_equally(uint32_t total, uint32_t length)
{
    return divide_up(total, divide_up(total, length));
}

/* Returns the depth of a matrix product or convolution. */
static uint32_t node_depth(const struct graph *graph, const struct node *node)
{
    const struct tensor *w = &graph->tensors[node->in[1]];
    return (uint32_t)(tensor_elements(w) / tensor_n(w));
}

/* Tiles that span all rows are for results with at least so many columns, of which a workgroup may
 * have 512: with fewer workgroups most of a large GPU would idle. */
#define WIDE 16384

/* Cuts a tile down to a node. Returns false if it is a tile for results of another form. */
static bool cut_tile(const struct gpu *gpu, const struct kernel_span *span,
                     const struct graph *graph, const struct node *node, struct tile *tile)
{
    const struct gpu_limits *limits = gpu_limits(gpu);
    if (node->op == OP_DWCONV) {
        const uint32_t *y = graph->tensors[node->out].shape; /* [B,H,W,C] */
        tile->rows = share_equally(y[1], tile->rows);
        tile->columns = share_equally(y[2], tile->columns);
        return true;
    }
    const uint32_t m = divide_up(tensor_rows(&graph->tensors[node->out]), span->rows);
    const uint32_t n = tensor_columns(&graph->tensors[node->out]);
    if (tile->walk == WALK_ONCE && (m > tile->rows * tile->height || n < WIDE))
        return false;
    if (tile->walk == WALK_SLICES) {
        /* Matrices that are mostly empty are no faster than reading w. */
        if (2 * tensor_rows(&graph->tensors[node->out]) < span->rows)
            return false;
        cut_rows(tile, m);
        return cut_slices(tile, m, n, node_depth(graph, node), span, limits);
    }
    cut_height(tile, m, span->lanes * tile->width, limits->wave);
    cut_rows(tile, m);
    return true;
}

/* Tells whether a tile of cooperative matrices gives fewer workgroups than the device has units, so
 * that a smaller tile is faster. */
static bool leaves_units_idle(const struct gpu *gpu, const struct kernel_span *span,
                              const struct graph *graph, const struct node *node,
                              const struct tile *tile)
{
    const struct tensor *out = &graph->tensors[node->out];
    const uint32_t down = divide_up(tensor_rows(out), tile->rows * span->rows * tile->height);
    const uint32_t columns = tile->columns * span->columns * tile->width;
    return span->matrices && tile->walk != WALK_SLICES &&
           (uint64_t)down * divide_up(tensor_columns(out), columns) < gpu_limits(gpu)->units;
}

size_t kernels_add_choices(const struct gpu *gpu, const struct kernel *kernel,
                           const struct graph *graph, const struct node *node,
                           struct kernel_choice choices[KERNEL_CHOICES], size_t count)
{
    if (!kernels_fit(gpu, kernel, graph, node))
        return count;
    const struct kernel_span span = kernels_span(gpu, kernel);
    const enum gpu_class class = gpu_limits(gpu)->class;
    /* A variant that needs nothing must remain usable, whatever the limits. */
    const struct tile *smallest = smallest_tile(kernel);
    const struct tile *least = kernels_share_values(kernel) ? NULL : smallest;
    for (size_t i = 0; i < ARRAY_COUNT(tiles) && count < KERNEL_CHOICES; i++) {
        const struct tile *tile = &tiles[i].tile;
        struct kernel_choice choice = {kernel, *tile, *tile};
        if (strcmp(tiles[i].shader, kernel->shader) ||
            (tile != least && !kernels_accept_tile(class, kernel, tile, span.lanes)) ||
            !cut_tile(gpu, &span, graph, node, &choice.tile) ||
            (tile != smallest && leaves_units_idle(gpu, &span, graph, node, &choice.tile)))
            continue;
        if (fits_workgroup(gpu, &span, &choice.tile) && !is_listed(choices, count, &choice))
            choices[count++] = choice;
    }
    if (!smallest && count < KERNEL_CHOICES)
        choices[count++] = (struct kernel_choice){.kernel = kernel};
    return count;
}

/* With so many slices less than a quarter of the device would be busy without them, so that not
 * even matrix units are faster that do not divide K. */
#define PREFERRED_SLICES 8

static size_t find_rank(enum gpu_class class, const struct kernel_choice *choice)
{
    const uint32_t least = choice->kernel->needs & CAP_COOPMAT16 ? 2 : PREFERRED_SLICES;
    const bool preferred = tile_slices(&choice->tile) >= least;
    return order_rank(class, choice->kernel->shader, choice->listed_tile.rows,
                      choice->listed_tile.columns) +
           (preferred ? 0 : ORDER_RANKS);
}

void kernels_sort_choices(enum gpu_class class, struct kernel_choice *choices, size_t count)
{
    for (size_t i = 1; i < count; i++) { /* insertion, which keeps the order of equals */
        const struct kernel_choice choice = choices[i];
        const size_t rank = find_rank(class, &choice);
        size_t place = i;
        for (; place && find_rank(class, &choices[place - 1]) > rank; place--)
            choices[place] = choices[place - 1];
        choices[place] = choice;
    }
}

size_t kernels_choices(const struct gpu *gpu, const struct graph *graph, const struct node *node,
                       struct kernel_choice choices[KERNEL_CHOICES])
{
    size_t count = 0;
    for (size_t i = 0; i < kernel_count; i++)
        count = kernels_add_choices(gpu, &kernels[i], graph, node, choices, count);
    kernels_sort_choices(gpu_limits(gpu)->class, choices, count);
    return count;
}

void kernels_tile_name(const struct tile *tile, char name[TILE_NAME])
{
    static const char *const walks[] = {[WALK_COLUMNS] = "columns",
                                        [WALK_ROWS] = "rows",
                                        [WALK_ONCE] = "columns",
                                        [WALK_SLICES] = "slices"};
    char width[16] = "";
    if (tile->width > 1)
        snprintf(width, sizeof(width), "x%u", tile->width);
    snprintf(name, TILE_NAME, "%ux%ux%u%s %s", tile->rows, tile->columns, tile->height, width,
             walks[tile->walk]);
}

void kernels_choice_name(const struct kernel_choice *choice, char name[KERNEL_CHOICE_NAME])
{
    char tile[TILE_NAME];
    kernels_tile_name(&choice->listed_tile, tile);
    if (choice->listed_tile.rows)
        snprintf(name, KERNEL_CHOICE_NAME, "%s %s", choice->kernel->shader, tile);
    else
        snprintf(name, KERNEL_CHOICE_NAME, "%s", choice->kernel->shader);
}
