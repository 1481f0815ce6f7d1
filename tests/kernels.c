/* SPDX-License-Identifier: MIT
 *
 * Every row of the kernel table against the double-precision reference, on the device that the
 * environment names: outputs filled with NaN before, guard words around every tensor, each run
 * twice to the bit, each capability masked in turn.
 */
#define _GNU_SOURCE
#include "testing.h"

#include <math.h>

#include "cases.h"
#include "gpu.h"
#include "kernels.h"
#include "ref.h"
#include "../shaders/args.h"

#define GUARD 256

static struct gpu *open_gpu(void)
{
    struct gpu *gpu = NULL;
    struct vkclip_device_params params = {.cache_dir = ""};
    if (gpu_open(&params, &gpu))
        fail_msg("%s", vkclip_last_error());
    return gpu;
}

/* ---- Values
 * -------------------------------------------------------------------------------------- */

/* The same numbers everywhere: xorshift, in [-1, 1). */
static double next_value(uint32_t *state)
{
    *state ^= *state << 13, *state ^= *state >> 17, *state ^= *state << 5;
    return (double)*state / 2147483648.0 - 1;
}

/* Values of a tensor as its storage type can hold them. */
static double *make_values(const struct graph *graph, const struct node *node, int slot,
                           uint32_t *state)
{
    const struct tensor *tensor = &graph->tensors[slot < NODE_INPUTS ? node->in[slot] : node->out];
    uint64_t count = tensor_elements(tensor);
    double *values = malloc(count * sizeof(*values));
    uint32_t rows = node->op == OP_EMBEDDING ? graph->tensors[node->in[1]].shape[0]
                                             : graph->tensors[node->in[0]].shape[1];
    double spread = node->op == OP_ATTENTION ? 3 : 1; /* so that some weights of softmax dominate */
    for (uint64_t i = 0; i < count; i++) {
        double value = next_value(state) * spread;
        if (tensor->type == TYPE_I32)
            value = floor((value + 1) / 2 * rows);
        else if (tensor->type == TYPE_F16)
            value = util_f16_to_f32(util_f32_to_f16((float)value));
        values[i] = (float)value;
    }
    if (tensor->type == TYPE_I32) { /* both ends of the table */
        values[0] = 0;
        values[count - 1] = rows - 1;
    }
    return values;
}

/* Element i of a tensor's logical shape on the device. */
static uint64_t device_index(const struct tensor *tensor, uint64_t i)
{
    if (tensor->layout == LAYOUT_ROWS)
        return i;
    uint64_t k_count = tensor_elements(tensor) / tensor->shape[0], n = i / k_count, k = i % k_count;
    return (n / PANEL * k_count + k) * PANEL + n % PANEL;
}

static void encode_values(const struct tensor *tensor, const double *values, void *to)
{
    for (uint64_t i = 0; i < tensor_elements(tensor); i++) {
        uint64_t at = device_index(tensor, i);
        if (tensor->type == TYPE_F32)
            ((float *)to)[at] = (float)values[i];
        else if (tensor->type == TYPE_F16)
            ((uint16_t *)to)[at] = util_f32_to_f16((float)values[i]);
        else
            ((int32_t *)to)[at] = (int32_t)values[i];
    }
}

static double decode_value(const struct tensor *tensor, const void *from, uint64_t i)
{
    return tensor->type == TYPE_F32 ? ((const float *)from)[i]
                                    : util_f16_to_f32(((const uint16_t *)from)[i]);
}

/* ---- Memory with guards
 * ---------------------------------------------------------------------------- */

/* A tensor on the device between guards of all ones, which are NaN in every type. */
struct guarded {
    struct gpu_buffer *device, *upload, *download;
    uint64_t bytes;
};

static void guarded_create(struct gpu *gpu, const struct tensor *tensor, const double *values,
                           struct guarded *g)
{
    g->bytes = kernels_tensor_bytes(tensor);
    uint64_t all = g->bytes + 2 * GUARD;
    all = (all + 3) / 4 * 4;
    assert_int_equal(gpu_buffer_create(gpu, GPU_DEVICE, all, &g->device), 0);
    assert_int_equal(gpu_buffer_create(gpu, GPU_UPLOAD, all, &g->upload), 0);
    assert_int_equal(gpu_buffer_create(gpu, GPU_DOWNLOAD, all, &g->download), 0);
    char *map = gpu_buffer_map(g->upload);
    memset(map, 0xff, all);
    if (values && tensor->layout != LAYOUT_ROWS)
        memset(map + GUARD, 0, g->bytes); /* the padding of panels */
    if (values)
        encode_values(tensor, values, map + GUARD);
}

static void guarded_fill(struct gpu *gpu, struct guarded *g)
{
    uint64_t all = g->bytes + 2 * GUARD;
    struct gpu_range from = {g->upload, 0, all}, to = {g->device, 0, all};
    assert_int_equal(gpu_copy(gpu, from, to), 0);
}

/* The tensor's bytes after a run; fails where something outside of them was written. */
static const char *guarded_read(struct gpu *gpu, struct guarded *g, const char *what)
{
    uint64_t all = g->bytes + 2 * GUARD;
    struct gpu_range from = {g->device, 0, all}, to = {g->download, 0, all};
    assert_int_equal(gpu_copy(gpu, from, to), 0);
    const unsigned char *map = gpu_buffer_map(g->download);
    for (uint64_t i = 0; i < GUARD; i++)
        if (map[i] != 0xff || map[GUARD + g->bytes + i] != 0xff)
            fail_msg("%s: wrote outside its result", what);
    return (const char *)map + GUARD;
}

static void guarded_destroy(struct gpu *gpu, struct guarded *g)
{
    gpu_buffer_destroy(gpu, &g->device);
    gpu_buffer_destroy(gpu, &g->upload);
    gpu_buffer_destroy(gpu, &g->download);
}

/* ---- One case on one row
 * ------------------------------------------------------------------------------ */

static void compare(enum op op, const struct tensor *tensor, const char *found,
                    const double *expected, const char *what)
{
    /* LAYERNORM divides by a deviation down to sqrt(epsilon), and rounding grows with it */
    double fp32 = op == OP_LAYERNORM ? 5e-5 : 5e-6, largest = 0;
    for (uint64_t i = 0; i < tensor_elements(tensor); i++)
        largest = fmax(largest, fabs(expected[i]));
    double bound = (tensor->type == TYPE_F16 ? 1.5e-3 : fp32) * fmax(largest, 0.1);
    for (uint64_t i = 0; i < tensor_elements(tensor); i++) {
        double value = decode_value(tensor, found, i);
        if (!(fabs(value - expected[i]) <= bound))
            fail_msg("%s: element %llu is %.9g, expected %.9g within %.2g", what,
                     (unsigned long long)i, value, expected[i], bound);
    }
}

static void run_case(struct gpu *gpu, const struct op_case *test_case, const struct kernel *row,
                     struct graph *graph)
{
    const struct node *node = &graph->nodes[graph->node_count - 1];
    const struct tensor *out = &graph->tensors[node->out];
    const uint32_t *s = test_case->shape;
    struct guarded guarded[KERNEL_SLOTS] = {{0}};
    struct gpu_range ranges[KERNEL_SLOTS] = {{0}};
    double *values[KERNEL_SLOTS] = {0};
    struct gpu_commands *commands = NULL;
    uint32_t state = 2463534242u;
    char what[160];
    snprintf(what, sizeof(what), "%s %s %s [%u,%u,%u,%u]%s%s%s", op_name(node->op),
             row ? row->shader : "chosen", type_name(out->type), s[0], s[1], s[2], s[3],
             test_case->bias ? " bias" : "", test_case->residual ? " residual" : "",
             test_case->causal ? " causal" : "");

    for (int slot = 0; slot < KERNEL_SLOTS; slot++) {
        int tensor = slot < NODE_INPUTS ? node->in[slot] : node->out;
        if (tensor < 0)
            continue;
        values[slot] = make_values(graph, node, slot, &state);
        bool filled = slot < NODE_INPUTS || node->residual;
        guarded_create(gpu, &graph->tensors[tensor], filled ? values[slot] : NULL, &guarded[slot]);
        guarded_fill(gpu, &guarded[slot]);
        ranges[slot] = (struct gpu_range){guarded[slot].device, GUARD, guarded[slot].bytes};
    }
    ref_node(graph, node, (const double *const *)values, values[KERNEL_OUT]);

    assert_int_equal(gpu_commands_create(gpu, &commands), 0);
    if (kernels_record(gpu, commands, graph, node, ranges, row))
        fail_msg("%s: %s", what, vkclip_last_error());
    assert_int_equal(gpu_commands_end(commands), 0);
    char *first = malloc(guarded[KERNEL_OUT].bytes);
    for (int run = 0; run < 2; run++) {
        guarded_fill(gpu, &guarded[KERNEL_OUT]);
        assert_int_equal(gpu_commands_run(commands), 0);
        const char *found = guarded_read(gpu, &guarded[KERNEL_OUT], what);
        if (run == 0)
            memcpy(first, found, guarded[KERNEL_OUT].bytes);
        else if (memcmp(first, found, guarded[KERNEL_OUT].bytes))
            fail_msg("%s: a second run gave other bits", what);
    }
    compare(node->op, out, first, values[KERNEL_OUT], what);

    free(first);
    gpu_commands_destroy(&commands);
    for (int slot = 0; slot < KERNEL_SLOTS; slot++) {
        guarded_destroy(gpu, &guarded[slot]);
        free(values[slot]);
    }
}

/* ---- Tests
 * -----------------------------------------------------------------------------------------------
 */

static void every_row(void **state)
{
    (void)state;
    struct gpu *gpu = open_gpu();
    printf("device: %s, %s, caps: %s\n", gpu_info(gpu)->name, gpu_info(gpu)->driver,
           gpu_info(gpu)->caps);
    for (size_t k = 0; k < kernel_count; k++) {
        const struct kernel *row = &kernels[k];
        size_t cases = 0;
        for (size_t i = 0; i < op_case_count; i++) {
            struct graph graph;
            case_build(&op_cases[i], row->x, &graph);
            assert_int_equal(graph.error, 0);
            if (kernels_fit(gpu, row, &graph, &graph.nodes[graph.node_count - 1])) {
                run_case(gpu, &op_cases[i], row, &graph);
                cases++;
            }
            graph_free(&graph);
        }
        printf("%-16s x=%s w=%s: %zu cases\n", row->shader, type_name(row->x), type_name(row->w),
               cases);
        bool capable = (row->needs & gpu_caps(gpu)) == row->needs;
        assert_true(capable ? cases > 0 : cases == 0);
    }
    gpu_close(&gpu);
}

/* Without any one capability every op is still computed in fp32, and rows that need it are not. */
static void every_cap_masked(void **state)
{
    (void)state;
    static const char *const texts[] = {
#define X(name, text) text,
        CAPS(X)
#undef X
    };
    for (uint32_t cap = 0; cap < CAP_COUNT; cap++) {
        setenv("VKCLIP_DISABLE_CAPS", texts[cap], 1);
        struct gpu *gpu = open_gpu();
        assert_int_equal(gpu_caps(gpu) & 1u << cap, 0);
        for (size_t i = 0; i < op_case_count; i++) {
            struct graph graph;
            case_build(&op_cases[i], TYPE_F32, &graph);
            for (size_t k = 0; k < kernel_count; k++)
                if (kernels[k].needs & 1u << cap)
                    assert_false(
                        kernels_fit(gpu, &kernels[k], &graph, &graph.nodes[graph.node_count - 1]));
            run_case(gpu, &op_cases[i], NULL, &graph);
            graph_free(&graph);
        }
        gpu_close(&gpu);
    }
    unsetenv("VKCLIP_DISABLE_CAPS");
}

/* Cases in fp32, each by the row that is chosen. */
static void run_cases(struct gpu *gpu, const struct op_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct graph graph;
        case_build(&cases[i], TYPE_F32, &graph);
        run_case(gpu, &cases[i], NULL, &graph);
        graph_free(&graph);
    }
}

/* A table beyond what one binding spans is seen slice by slice. */
static void sliced_table(void **state)
{
    (void)state;
    struct gpu *gpu = open_gpu();
    struct gpu_limits *limits = (struct gpu_limits *)gpu_limits(gpu);
    for (uint64_t range = 4096; range < 400000; range *= 9) {
        limits->buffer_range = range;
        if (limits->alignment < 64)
            limits->alignment = 64;
        const struct op_case cases[] = {{.op = OP_EMBEDDING, .shape = {1, 8, 5000, 64}},
                                        {.op = OP_EMBEDDING, .shape = {4, 5, 1026, 48}}};
        run_cases(gpu, cases, UTIL_COUNT(cases));
    }
    gpu_close(&gpu);
}

/* So is the weight of a matmul, in panels of columns. */
static void sliced_weight(void **state)
{
    (void)state;
    struct gpu *gpu = open_gpu();
    struct gpu_limits *limits = (struct gpu_limits *)gpu_limits(gpu);
    const struct op_case cases[] = {{OP_MATMUL, {9, 333, 36}, .bias = true, .residual = true},
                                    {OP_CONV, {1, 2, 4, 200}, .stride = 1}};
    limits->buffer_range = 13000; /* two panels of 36 x 32 values; more than x and the result */
    run_cases(gpu, cases, UTIL_COUNT(cases));
    gpu_close(&gpu);
}

/* Work beyond one submit is split into dispatches, without a row or an item lost between them. */
static void split_work(void **state)
{
    (void)state;
    struct gpu *gpu = open_gpu();
    struct gpu_limits *limits = (struct gpu_limits *)gpu_limits(gpu);
    const struct op_case cases[] = {{OP_MATMUL, {1000, 33, 20}, .bias = true, .residual = true},
                                    {OP_MATMUL, {257, 40, 588}},
                                    {OP_CONV, {2, 33, 8, 5}, .stride = 2},
                                    {OP_ATTENTION, {7, 33, 24, 2}, .causal = true}};
    for (limits->work = 1; limits->work < 1e7; limits->work *= 300)
        run_cases(gpu, cases, UTIL_COUNT(cases));
    gpu_close(&gpu);
}

/* Every op has cases, and its last row of each type needs nothing beyond that type's storage. */
static void table_is_complete(void **state)
{
    (void)state;
    for (int op = 0; op < OP_COUNT; op++) {
        uint32_t last_f32 = UINT32_MAX, last_f16 = UINT32_MAX;
        size_t cases = 0;
        for (size_t k = 0; k < kernel_count; k++)
            if ((int)kernels[k].op == op)
                *(kernels[k].x == TYPE_F32 ? &last_f32 : &last_f16) = kernels[k].needs;
        for (size_t i = 0; i < op_case_count; i++)
            cases += (int)op_cases[i].op == op;
        assert_int_equal(last_f32, 0);
        assert_int_equal(last_f16, CAP_F16);
        assert_true(cases > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_is_complete), cmocka_unit_test(every_row),
        cmocka_unit_test(every_cap_masked),  cmocka_unit_test(sliced_table),
        cmocka_unit_test(sliced_weight),     cmocka_unit_test(split_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
