/* SPDX-License-Identifier: MIT
 *
 * A class is a graph of one node, with fewer items where they would take too long.
 */
#include "runtime/tune_trial.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/half.h"
#include "base/log.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/layout.h"
#include "shaders/args.h"

#define MOST_ROWS 2048        /* measured of a matrix: from there on more of them change nothing */
#define LEAST_ROWS 128        /* worth measuring of more than that */
#define MOST_BYTES (64 << 20) /* of a scratch tensor, likewise */
#define CHECK_ROWS 19         /* compared with the reference: no multiple of a tile */
#define CHECK_RUNS 3          /* timed: what is dropped after them is not seen again */
#define PROBE_ROWS 16         /* run to know how many there is time for */
#define FIXED_WINS 0.95       /* of its time must another choice need less */
#define ROUGH_WINS 0.75       /* likewise, where there was time for few rows alone */
#define DROPPED 1.3           /* times the best, after its first run */
#define HOPELESS 2.5          /* times the best, already on few rows */
#define SLOW_ROW 2            /* likewise, of a row's first tile: its other ones are left out */
#define ROUNDS 4
#define LEAST_SECONDS 1e-3 /* of what is timed: shorter nodes run several times in one submit */
#define POOL 65521 /* random values, repeated: a prime, so that no row has those of another */

/* ---- The class ------------------------------------------------------------------------------- */

struct one_node { /* a graph of it, its tensors by slot */
    struct tensor tensors[KERNEL_SLOTS];
    struct node node;
    struct graph graph;
};

/* Ops whose kernels see rows only; the others' items are their first dimension. */
static bool by_rows(enum op op)
{
    return op == OP_MATMUL || op == OP_LAYERNORM || op == OP_NORMALIZE || op == OP_OUTER;
}

/* MATMUL and CONV race without bias, activation and residual, which hardly count: so all classes
 * share the pipelines of a tile, and where drivers take long to compile that is most of the time.
 * OUTER likewise, which would add to its result from run to run. */
static void make_plain(struct one_node *m)
{
    struct node *node = &m->node;
    if (node->op != OP_MATMUL && node->op != OP_CONV && node->op != OP_OUTER)
        return;
    node->in[2] = -1;
    node->residual = false;
    if (node->op == OP_MATMUL) {
        node->matmul.activation = VKCLIP_ACTIVATION_AUTO;
        node->matmul.slope = node->matmul.relu = false;
    }
    if (node->op == OP_CONV)
        node->conv.relu = false;
}

/* What has rows or items: no weight, and no matrix that another node packed in panels. */
static bool has_items(const struct tensor *tensor)
{
    return tensor->role != ROLE_WEIGHT && tensor->layout == LAYOUT_ROWS;
}

static void resize(struct one_node *m, const struct graph *graph, const struct node *node,
                   uint32_t items)
{
    *m = (struct one_node){.node = *node};
    for (int slot = 0; slot < KERNEL_SLOTS; slot++) {
        int from = slot < NODE_INPUTS ? node->in[slot] : node->out;
        if (from < 0)
            continue;
        struct tensor *tensor = &m->tensors[slot];
        *tensor = graph->tensors[from];
        if (node->op == OP_OUTER && slot == KERNEL_OUT) { /* whose rows are x's columns */
            uint32_t n = tensor_n(tensor), k = (uint32_t)(tensor_elements(tensor) / n);
            *tensor = (struct tensor){.type = tensor->type, .rank = 2, .shape = {n, k}};
            continue;
        }
        if (has_items(tensor) && by_rows(node->op)) {
            tensor->shape[1] = tensor_columns(&graph->tensors[from]);
            tensor->rank = 2;
        }
        if (has_items(tensor))
            tensor->shape[0] = items;
        if (slot < NODE_INPUTS)
            m->node.in[slot] = slot;
    }
    m->node.out = KERNEL_OUT;
    m->graph = (struct graph){.tensors = m->tensors,
                              .nodes = &m->node,
                              .tensor_count = KERNEL_SLOTS,
                              .node_count = 1,
                              .type = graph->type,
                              .mixed = graph->mixed};
}

static uint32_t node_items(const struct graph *graph, const struct node *node)
{
    const struct tensor *of = &graph->tensors[node->op == OP_OUTER ? node->in[0] : node->out];
    return by_rows(node->op) ? tensor_rows(of) : of->shape[0];
}

static uint32_t class_items(const struct graph *graph, const struct node *node)
{
    uint32_t items = 1, most = by_rows(node->op) ? MOST_ROWS : 1024;
    while (items < most && items < node_items(graph, node))
        items *= 2;
    for (; items > 1; items /= 2) {
        struct one_node m;
        resize(&m, graph, node, items);
        if (layout_tensor_bytes(&m.tensors[0]) <= MOST_BYTES &&
            layout_tensor_bytes(&m.tensors[KERNEL_OUT]) <= MOST_BYTES)
            break;
    }
    return items;
}

/* As many as the class has, but no more than the node, which fits the device. */
static uint32_t measured_items(const struct graph *graph, const struct node *node)
{
    uint32_t most = class_items(graph, node), items = node_items(graph, node);
    return items < most ? items : most;
}

static uint32_t trial_items(const struct tune_trial *trial)
{
    return measured_items(trial->graph, trial->node);
}

static void print_shape(const struct tensor *tensor, bool tokens, char text[48])
{
    snprintf(text, 48, "%s[", type_name(tensor->type));
    for (unsigned i = 0; i < tensor->rank; i++) {
        uint32_t size = tensor->shape[i];
        if (tokens && i == 1) /* texts come in many lengths */
            size = (size + 15) / 16 * 16;
        snprintf(text + strlen(text), 48 - strlen(text), "%s%u", i ? "," : "", size);
    }
    snprintf(text + strlen(text), 48 - strlen(text), "]");
}

static void add_word(char key[TUNE_KEY], bool present, const char *word)
{
    if (present)
        snprintf(key + strlen(key), TUNE_KEY - strlen(key), " %s", word);
}

bool tune_key(const struct graph *graph, const struct node *node, char key[TUNE_KEY])
{
    struct one_node m;
    char x[48], y[48];
    const bool attends = graph_attends(node->op), matmul = node->op == OP_MATMUL;
    if (node->op > OP_NORMALIZE && !attends && (node->op != OP_OUTER || node->outer.stride))
        return false; /* other gradients have the fixed order */
    for (int i = 0; i < NODE_INPUTS; i++)
        if (node->in[i] >= 0 && graph->tensors[node->in[i]].type == TYPE_I32)
            return false; /* random ids would lead anywhere */
    resize(&m, graph, node, class_items(graph, node));
    print_shape(&m.tensors[0], attends, x);
    print_shape(&m.tensors[KERNEL_OUT], attends, y);
    const enum vkclip_activation activation =
        matmul ? node->matmul.activation : VKCLIP_ACTIVATION_AUTO;
    snprintf(key, TUNE_KEY, "%s %s %s -> %s", op_name(node->op), x,
             node->in[1] < 0 ? "-" : type_name(m.tensors[1].type), y);
    add_word(key, node->in[2] >= 0, matmul && node->matmul.slope ? "slope" : "bias");
    add_word(key, activation == VKCLIP_ACTIVATION_GELU, "gelu");
    add_word(key, activation == VKCLIP_ACTIVATION_QUICK_GELU, "quick_gelu");
    add_word(key, node->residual, "residual");
    add_word(key, matmul && node->matmul.relu, "relu");
    add_word(key, node->op == OP_CONV && node->conv.relu, "relu");
    if (attends) {
        add_word(key, node->attention.causal, "causal");
        snprintf(key + strlen(key), TUNE_KEY - strlen(key), " heads %u", node->attention.heads);
    }
    return true;
}

double tune_work(const struct graph *graph, const struct node *node)
{
    struct one_node m;
    resize(&m, graph, node, measured_items(graph, node));
    return node_work(&m.graph, &m.node);
}

/* ---- Scratch memory -------------------------------------------------------------------------- */

struct scratch {
    struct gpu *gpu;
    struct gpu_buffer *upload, *download; /* of the result: to begin with, and after a run */
    struct gpu_range ranges[KERNEL_SLOTS];
};

static float next_value(uint32_t *state)
{
    *state ^= *state << 13, *state ^= *state >> 17, *state ^= *state << 5;
    return (float)*state / 2147483648.0f - 1;
}

/* Repeats the first `known` bytes. */
static void repeat(char *to, uint64_t bytes, uint64_t known)
{
    for (; known < bytes; known *= 2)
        memcpy(to + known, to, known < bytes - known ? known : bytes - known);
}

/* Three panels of random values, and again: neighbours differ. */
static int fill_panels(const struct tensor *tensor, uint64_t bytes, char *to)
{
    uint32_t n = tensor_n(tensor), state = 88172645;
    size_t k = tensor_elements(tensor) / n;
    uint64_t panel_bytes = layout_panel_bytes(tensor->type, k), known = 0;
    float *columns = malloc(k * PANEL * sizeof(*columns));
    if (!columns)
        return error_fail(VKCLIP_EMEMORY, "out of memory for measuring kernels");
    for (int panel = 0; panel < 3 && known < bytes; panel++, known += panel_bytes) {
        for (size_t i = 0; i < k * PANEL; i++)
            columns[i] = next_value(&state);
        layout_store_panel(tensor->type, columns, k, to + known);
    }
    repeat(to, bytes, known);
    free(columns);
    return VKCLIP_OK;
}

static int fill(const struct tensor *tensor, uint64_t bytes, char *to)
{
    uint32_t state = 2463534242u;
    uint64_t size = type_size(tensor->type), count = bytes / size < POOL ? bytes / size : POOL;
    if (tensor->layout != LAYOUT_ROWS)
        return fill_panels(tensor, bytes, to);
    for (uint64_t i = 0; i < count; i++) {
        float value = next_value(&state);
        if (tensor->type == TYPE_F32)
            ((float *)(void *)to)[i] = value;
        else
            ((uint16_t *)(void *)to)[i] = half_from_float(value);
    }
    repeat(to, bytes, count * size);
    return VKCLIP_OK;
}

static int create_tensor(struct scratch *scratch, const struct one_node *m, int slot)
{
    const struct tensor *tensor = &m->tensors[slot];
    uint64_t bytes = layout_tensor_bytes(tensor);
    struct gpu_range *range = &scratch->ranges[slot];
    struct gpu_buffer *upload = NULL;
    range->size = bytes;
    int error = gpu_buffer_create(scratch->gpu, GPU_DEVICE, bytes, &range->buffer);
    if (!error)
        error = gpu_buffer_create(scratch->gpu, GPU_UPLOAD, bytes, &upload);
    if (!error && (slot != KERNEL_OUT || m->node.residual))
        error = fill(tensor, bytes, gpu_buffer_map(upload));
    else if (!error)
        memset(gpu_buffer_map(upload), 0xff, bytes); /* NaN */
    if (!error)
        error = gpu_copy(scratch->gpu, (struct gpu_range){upload, 0, bytes}, *range);
    if (slot == KERNEL_OUT)
        scratch->upload = upload;
    else
        gpu_buffer_destroy(scratch->gpu, &upload);
    return error;
}

static int create_scratch(struct scratch *scratch, const struct one_node *m)
{
    int error = VKCLIP_OK;
    for (int slot = 0; slot < KERNEL_SLOTS && !error; slot++)
        if (slot == KERNEL_OUT || m->node.in[slot] >= 0)
            error = create_tensor(scratch, m, slot);
    return error ? error
                 : gpu_buffer_create(scratch->gpu, GPU_DOWNLOAD, scratch->ranges[KERNEL_OUT].size,
                                     &scratch->download);
}

static void destroy_scratch(struct scratch *scratch)
{
    for (int slot = 0; slot < KERNEL_SLOTS; slot++)
        gpu_buffer_destroy(scratch->gpu, &scratch->ranges[slot].buffer);
    gpu_buffer_destroy(scratch->gpu, &scratch->upload);
    gpu_buffer_destroy(scratch->gpu, &scratch->download);
}

/* ---- Runs ------------------------------------------------------------------------------------ */

static int record(struct tune_trial *trial, const struct one_node *m, const struct scratch *scratch,
                  size_t choice, uint32_t times, struct gpu_commands **commands)
{
    struct gpu_range ranges[KERNEL_SLOTS];
    memcpy(ranges, scratch->ranges, sizeof(ranges));
    for (int slot = 0; slot < KERNEL_SLOTS; slot++) /* may be of fewer items than there is memory */
        if (ranges[slot].buffer)
            ranges[slot].size = layout_tensor_bytes(&m->tensors[slot]);
    int error = gpu_commands_create(trial->gpu, commands);
    for (uint32_t i = 0; i < times && !error; i++)
        error = kernels_record_choice(trial->gpu, *commands, &m->graph, &m->node, ranges,
                                      &trial->choices[choice]);
    if (!error)
        error = gpu_commands_end(*commands);
    if (error)
        gpu_commands_destroy(commands);
    return error;
}

static int run(struct tune_trial *trial, struct gpu_commands *commands, double *seconds)
{
    double start = clock_seconds();
    int error = gpu_commands_run(commands);
    *seconds = clock_seconds() - start;
    trial->runs++;
    return error;
}

static double result_value(const struct tensor *tensor, const void *data, uint64_t i)
{
    return tensor->type == TYPE_F32 ? (double)((const float *)data)[i]
                                    : (double)half_to_float(((const uint16_t *)data)[i]);
}

/* Whether two results differ by no more than the order of their sums explains, and `rounding`. */
static bool is_same(const struct tensor *tensor, const void *found, const void *expected,
                    double rounding)
{
    double largest = 0, worst = 0;
    for (uint64_t i = 0; i < tensor_elements(tensor); i++) {
        double e = result_value(tensor, expected, i);
        double difference = fabs(result_value(tensor, found, i) - e);
        if (!isfinite(e) || !(difference <= 1e30))
            return false;
        largest = fmax(largest, fabs(e));
        worst = fmax(worst, difference);
    }
    return worst <= (tensor->type == TYPE_F16 ? 4e-3 : 1e-4) * fmax(largest, 1e-3) + rounding;
}

/* Runs a choice on few items; this is also when some drivers compile, so that only the runs after
 * it are timed. */
static int run_check(struct tune_trial *trial, const struct one_node *m,
                     const struct scratch *scratch, size_t choice, void *result)
{
    struct gpu_commands *commands = NULL;
    double seconds = 0;
    struct gpu_range out = scratch->ranges[KERNEL_OUT];
    out.size = layout_tensor_bytes(&m->tensors[KERNEL_OUT]);
    int error = record(trial, m, scratch, choice, 1, &commands);
    if (!error)
        error = gpu_copy(trial->gpu, (struct gpu_range){scratch->upload, 0, out.size}, out);
    if (!error)
        error = run(trial, commands, &seconds);
    if (!error)
        error = gpu_copy(trial->gpu, out, (struct gpu_range){scratch->download, 0, out.size});
    if (!error)
        memcpy(result, gpu_buffer_map(scratch->download), out.size);
    double least = INFINITY;
    for (int i = 0; i < CHECK_RUNS && !error; i++) {
        error = run(trial, commands, &seconds);
        least = fmin(least, seconds);
    }
    trial->ms[choice] = error ? -1 : least * 1e3;
    gpu_commands_destroy(&commands);
    return error;
}

/* Whether a choice works and gives what is expected; else its ms becomes negative. */
static bool check_choice(struct tune_trial *trial, const struct one_node *m,
                         const struct scratch *scratch, size_t choice, const void *expected,
                         void *found)
{
    char name[KERNEL_CHOICE_NAME];
    double rounding = kernels_rounding(trial->choices[choice].kernel, &m->graph, &m->node);
    if (run_check(trial, m, scratch, choice, found))
        return false;
    if (is_same(&m->tensors[KERNEL_OUT], found, expected, rounding))
        return true;
    trial->ms[choice] = -1;
    kernels_choice_name(&trial->choices[choice], name);
    log_message(VKCLIP_LOG_WARNING, "%s: kernel %s gives a wrong %s, it is not used",
                gpu_info(trial->gpu)->name, name, op_name(m->node.op));
    return false;
}

static size_t first_tile(const struct tune_trial *trial, size_t choice)
{
    while (choice && trial->choices[choice - 1].kernel == trial->choices[choice].kernel)
        choice--;
    return choice;
}

/* Most of the time goes into compiling: what loads too slowly does so with every tile. */
static void skip_slow_rows(struct tune_trial *trial)
{
    double least = INFINITY;
    for (size_t i = 0; i < trial->count; i++)
        least = trial->ms[i] > 0 ? fmin(least, trial->ms[i]) : least;
    for (size_t i = 0; i < trial->count; i++) {
        size_t first = first_tile(trial, i);
        if (i != first && i != trial->favourite &&
            (trial->skip[first] || trial->ms[first] > SLOW_ROW * least))
            trial->skip[i] = true;
    }
}

/* All, the first tile of each row before the others, or only the one that is `wanted` (NULL: all),
 * which must be right with everything that the node has. */
static int check(struct tune_trial *trial, const struct one_node *m, const struct scratch *scratch,
                 const size_t *wanted)
{
    size_t bytes = layout_tensor_bytes(&m->tensors[KERNEL_OUT]), trusted = trial->trusted;
    char *expected = malloc(bytes), *found = malloc(bytes);
    int error = expected && found
                    ? run_check(trial, m, scratch, trusted, expected)
                    : error_fail(VKCLIP_EMEMORY, "out of memory for measuring kernels");
    for (size_t step = 0; step < 2 * trial->count && !error; step++) {
        size_t i = step % trial->count;
        if (step == trial->count && !wanted)
            skip_slow_rows(trial);
        if (i == trusted || (i == first_tile(trial, i)) != (step == i) ||
            (wanted ? i != *wanted : trial->skip[i]))
            continue;
        if (!wanted && clock_seconds() > trial->deadline)
            error = VKCLIP_EUNSUPPORTED; /* the time is over */
        else
            check_choice(trial, m, scratch, i, expected, found);
    }
    free(expected);
    free(found);
    return error;
}

/* Times what is left against each other, round by round, what is far slower only once. */
static int race(struct tune_trial *trial, const struct one_node *m, const struct scratch *scratch,
                uint32_t times, double end)
{
    struct gpu_commands *commands[KERNEL_CHOICES] = {0};
    double best = INFINITY, seconds;
    int error = VKCLIP_OK;
    for (int round = 0; round < ROUNDS && !error; round++)
        for (size_t i = 0; i < trial->count && !error; i++) {
            double *ms = &trial->ms[i];
            if (*ms < 0 || trial->skip[i] || (round && *ms > DROPPED * best))
                continue;
            if (round > 1 && clock_seconds() > end)
                break;
            if (clock_seconds() > trial->deadline && round < 1)
                error = VKCLIP_EUNSUPPORTED; /* the time is over */
            if (!error && !commands[i])
                error = record(trial, m, scratch, i, times, &commands[i]);
            if (!error)
                error = run(trial, commands[i], &seconds);
            if (error)
                break;
            seconds = seconds * 1e3 / times;
            *ms = round && *ms < seconds ? *ms : seconds;
            best = fmin(best, *ms);
        }
    for (size_t i = 0; i < trial->count; i++)
        gpu_commands_destroy(&commands[i]);
    return error;
}

/* Seconds of `items` at once, by the first choice that can be built. */
static int probe_items(struct tune_trial *trial, const struct scratch *scratch, uint32_t items,
                       double *seconds)
{
    struct one_node m;
    struct gpu_commands *commands = NULL;
    int error = VKCLIP_EDEVICE;
    resize(&m, trial->graph, trial->node, items);
    make_plain(&m);
    for (size_t i = 0; i < trial->count && error == VKCLIP_EDEVICE; i++)
        error = record(trial, &m, scratch, i, 1, &commands);
    for (int i = 0; i < 2 && !error; i++) /* some drivers compile at the first run */
        error = run(trial, commands, seconds);
    gpu_commands_destroy(&commands);
    return error;
}

/* Seconds of one item, to know how many there is time for: of few, and then of more where that does
 * not take long, because few are slower each. */
static int probe(struct tune_trial *trial, const struct scratch *scratch, double *seconds)
{
    uint32_t all = trial_items(trial), items = by_rows(trial->node->op) ? PROBE_ROWS : 1;
    items = items < all ? items : all;
    int error = probe_items(trial, scratch, items, seconds);
    if (!error && items < all && *seconds < trial->fair / 40) {
        items = 4 * items < all ? 4 * items : all;
        error = probe_items(trial, scratch, items, seconds);
    }
    *seconds /= items;
    return error;
}

/* All at once. What fails does so again when it is recorded. */
static int build_pipelines(struct tune_trial *trial, const struct one_node *m,
                           const struct scratch *scratch)
{
    for (size_t i = 0; i < trial->count; i++)
        if (!trial->skip[i] || i == trial->trusted)
            kernels_record_choice(trial->gpu, NULL, &m->graph, &m->node, scratch->ranges,
                                  &trial->choices[i]);
    return gpu_pipelines_build(trial->gpu);
}

/* The favourite, or else the first that works, unless another is faster by more than noise. */
static size_t choose(const struct tune_trial *trial, bool raced)
{
    size_t first = trial->ms[trial->favourite] < 0 ? 0 : trial->favourite;
    while (first + 1 < trial->count && trial->ms[first] < 0)
        first++;
    size_t best = first;
    for (size_t i = 0; i < trial->count; i++)
        if (trial->ms[i] > 0 && trial->ms[i] < trial->ms[best])
            best = i;
    return trial->ms[best] < (raced ? FIXED_WINS : ROUGH_WINS) * trial->ms[first] ? best : first;
}

/* Items that `raced` choices can run twice in that time; 0: too few to say anything. */
static uint32_t count_items(const struct tune_trial *trial, double seconds, size_t raced,
                            double item_seconds)
{
    uint32_t all = trial_items(trial);
    double fit = seconds / (2.2 * (double)raced * item_seconds);
    return fit >= all                 ? all
           : by_rows(trial->node->op) ? (uint32_t)fit / LEAST_ROWS * LEAST_ROWS
                                      : (uint32_t)fit;
}

/* Those that are far slower on few items are out. Returns how many are left. */
static size_t drop_hopeless(struct tune_trial *trial)
{
    double least = INFINITY;
    size_t left = 0;
    for (size_t i = 0; i < trial->count; i++)
        least = trial->ms[i] > 0 ? fmin(least, trial->ms[i]) : least;
    for (size_t i = 0; i < trial->count; i++) {
        if (i != trial->favourite && trial->ms[i] > HOPELESS * least)
            trial->skip[i] = true;
        left += trial->ms[i] > 0 && !trial->skip[i];
    }
    return left;
}

/* The best one that is also right in the node's own form. */
static int confirm(struct tune_trial *trial, const struct scratch *scratch, uint32_t few,
                   bool raced, size_t *best)
{
    struct one_node m;
    int error = VKCLIP_OK;
    resize(&m, trial->graph, trial->node, few);
    for (bool good = false; !good && !error;) {
        *best = choose(trial, raced);
        double ms = trial->ms[*best], trusted = trial->ms[trial->trusted];
        if (*best == trial->trusted)
            break;
        error = check(trial, &m, scratch, best);
        trial->ms[trial->trusted] = trusted;
        good = trial->ms[*best] >= 0;
        if (good)
            trial->ms[*best] = ms;
    }
    return error;
}

int tune_measure(struct tune_trial *trial, size_t *best)
{
    struct scratch scratch = {.gpu = trial->gpu};
    struct one_node m;
    double end = clock_seconds() + trial->seconds, item_seconds = 0;
    uint32_t all = trial_items(trial), items = all;
    uint32_t few = by_rows(trial->node->op) ? CHECK_ROWS : 1;
    bool checked = false, raced = false;
    few = few < items ? few : items;
    memset(trial->ms, 0, trial->count * sizeof(*trial->ms));
    resize(&m, trial->graph, trial->node, items);
    int error = create_scratch(&scratch, &m);
    make_plain(&m);
    if (!error)
        error = build_pipelines(trial, &m, &scratch);
    if (!error)
        error = probe(trial, &scratch, &item_seconds);
    if (error || !count_items(trial, trial->fair, 2, item_seconds))
        goto done; /* too slow to tell */
    resize(&m, trial->graph, trial->node, few);
    make_plain(&m);
    error = check(trial, &m, &scratch, NULL);
    if (error)
        goto done;
    checked = true;

    size_t choices = drop_hopeless(trial);
    double left = fmax(end - clock_seconds(), trial->fair / 2);
    items = count_items(trial, left, choices, item_seconds);
    if (!items)
        goto done;
    for (size_t i = 0; i < trial->count; i++) /* of few items; race replaces those of the others */
        trial->ms[i] *= trial->ms[i] > 0 ? (double)items / few : 1;
    resize(&m, trial->graph, trial->node, items);
    make_plain(&m);
    double times = LEAST_SECONDS / (item_seconds * items);
    raced = !race(trial, &m, &scratch, times < 1 ? 1 : times < 64 ? (uint32_t)times : 64, end);
done:
    if (checked)
        error = confirm(trial, &scratch, few, raced, best);
    if (error || !checked)
        *best = choose(trial, false);
    destroy_scratch(&scratch);
    return error;
}
