/* SPDX-License-Identifier: MIT
 *
 * Compares every variant of the kernel table, with every tile, with the double-precision reference
 * on the device that the environment names. Outputs are filled with NaN before a run, guard words
 * surround every tensor, a second run must give the same bits, and each capability is masked in
 * turn.
 */
#define _GNU_SOURCE
#include "base/array.h"
#include "base/half.h"
#include "support/testing.h"
#include "support/variable.h"

#include <math.h>

#include "reference/cases.h"
#include "vulkan/gpu.h"
#include "runtime/kernels.h"
#include "runtime/launch.h"
#include "runtime/layout.h"
#include "runtime/op_values.h"
#include "graph/quant.h"
#include "runtime/reference.h"
#include "shaders/args.h"
#include "support/open_gpu.h"

#define GUARD 256

/* ---- Bytes ----------------------------------------------------------------------------------- */

/* Returns the number of values that are divided into blocks: K of a matrix, C of a table. */
static uint32_t block_row(const struct tensor *tensor)
{
    return (uint32_t)(tensor_elements(tensor) / tensor->shape[0]);
}

static bool is_blocks(const struct tensor *tensor)
{
    return tensor->type == TYPE_Q8 || tensor->type == TYPE_Q4;
}

static struct quant_block block_of(enum type type, const double *values, uint32_t left)
{
    float block_values[QUANT_BLOCK];
    struct quant_block block;
    uint32_t count = left < QUANT_BLOCK ? left : QUANT_BLOCK;
    for (uint32_t i = 0; i < count; i++)
        block_values[i] = (float)values[i];
    assert_true(quant_pack(type, block_values, count, &block));
    return block;
}

/* Returns where element i of a tensor's logical shape lies on the device. This formula and those of
 * encode_block repeat runtime/layout.c on purpose, so that the test finds a mistake there. */
static uint64_t device_index(const struct tensor *tensor, uint64_t i)
{
    if (tensor->layout == LAYOUT_ROWS)
        return i;
    uint64_t k_count = tensor_elements(tensor) / tensor->shape[0], n = i / k_count, k = i % k_count;
    return ((n / PANEL * ((k_count + 3) / 4) + k / 4) * PANEL + n % PANEL) * 4 + k % 4;
}

/* Sets the field that begins `bit` bits after the start of `word`. */
static void set_bits(uint32_t *words, uint64_t word, uint32_t bit, uint32_t bits, int32_t value)
{
    words[word + bit / 32] &= ~(((1u << bits) - 1) << bit % 32);
    words[word + bit / 32] |= ((uint32_t)value & ((1u << bits) - 1)) << bit % 32;
}

/* Stores a block of row n of [N,K] in the form that shaders/args.h defines. */
static void encode_block(const struct tensor *tensor, const struct quant_block *block, uint64_t n,
                         uint64_t number, uint32_t *words)
{
    uint64_t blocks = (block_row(tensor) + BLOCK - 1) / BLOCK;
    bool q8 = tensor->type == TYPE_Q8;
    uint32_t bits = q8 ? 8 : 4, column = n % PANEL;
    if (tensor->layout == LAYOUT_ROWS) {
        uint64_t scales = (blocks + 1) / 2, begin = n * (scales + blocks * bits);
        set_bits(words, begin, (uint32_t)number * 16, 16, block->scale);
        for (uint32_t i = 0; i < BLOCK; i++)
            set_bits(words, begin + scales + number * bits, i * bits, bits,
                     block->q[i] + (q8 ? 0 : 8));
        return;
    }
    uint64_t begin = (n / PANEL * blocks + number) * (q8 ? Q8_BLOCK_WORDS : Q4_BLOCK_WORDS);
    set_bits(words, begin, column * 16, 16, block->scale);
    for (uint32_t k = 0; k < BLOCK; k++)
        set_bits(words, begin + PANEL / 2 + k * bits / 32 * PANEL + column, k * bits % 32, bits,
                 block->q[k] + (q8 ? 0 : 8));
}

static void encode_blocks(const struct tensor *tensor, const double *values, uint32_t *words)
{
    uint32_t c = block_row(tensor);
    for (uint64_t n = 0; n < tensor_elements(tensor) / c; n++)
        for (uint32_t first = 0; first < c; first += BLOCK) {
            struct quant_block block = block_of(tensor->type, values + n * c + first, c - first);
            encode_block(tensor, &block, n, first / BLOCK, words);
        }
}

static void encode_values(const struct tensor *tensor, const double *values, void *bytes)
{
    if (is_blocks(tensor)) {
        encode_blocks(tensor, values, bytes);
        return;
    }
    for (uint64_t i = 0; i < tensor_elements(tensor); i++) {
        uint64_t index = device_index(tensor, i);
        if (tensor->type == TYPE_F32)
            ((float *)bytes)[index] = (float)values[i];
        else if (tensor->type == TYPE_F16)
            ((uint16_t *)bytes)[index] = half_from_float((float)values[i]);
        else
            ((int32_t *)bytes)[index] = (int32_t)values[i];
    }
}

static double decode_value(const struct tensor *tensor, const void *bytes, uint64_t i)
{
    uint64_t index = device_index(tensor, i);
    return tensor->type == TYPE_F32 ? ((const float *)bytes)[index]
                                    : half_to_float(((const uint16_t *)bytes)[index]);
}

/* ---- Memory with guards ---------------------------------------------------------------------- */

/* A tensor on the device lies between guards whose bits are all ones, which are NaN in every float
 * type. */
struct guarded {
    struct gpu_buffer *device, *upload, *download;
    uint64_t bytes;
};

static void guarded_create(struct gpu *gpu, const struct tensor *tensor, const double *values,
                           struct guarded *g)
{
    g->bytes = layout_tensor_bytes(tensor);
    uint64_t all = g->bytes + 2 * GUARD;
    all = (all + 3) / 4 * 4;
    assert_int_equal(gpu_buffer_create(gpu, GPU_DEVICE, all, &g->device), 0);
    assert_int_equal(gpu_buffer_create(gpu, GPU_UPLOAD, all, &g->upload), 0);
    assert_int_equal(gpu_buffer_create(gpu, GPU_DOWNLOAD, all, &g->download), 0);
    char *map = gpu_buffer_map(g->upload);
    memset(map, 0xff, all);
    if (values && tensor->layout != LAYOUT_ROWS)
        memset(map + GUARD, 0, g->bytes); /* The padding of panels is zero. */
    if (values)
        encode_values(tensor, values, map + GUARD);
}

static void guarded_fill(struct gpu *gpu, struct guarded *g)
{
    uint64_t all = g->bytes + 2 * GUARD;
    struct gpu_range source = {g->upload, 0, all}, target = {g->device, 0, all};
    assert_int_equal(gpu_copy(gpu, source, target), 0);
}

/* Returns the tensor's bytes after a run, and fails if a kernel wrote outside them. */
static const char *guarded_read(struct gpu *gpu, struct guarded *g, const char *what)
{
    uint64_t all = g->bytes + 2 * GUARD;
    struct gpu_range source = {g->device, 0, all}, target = {g->download, 0, all};
    assert_int_equal(gpu_copy(gpu, source, target), 0);
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

/* ---- One case with one variant --------------------------------------------------------------- */

/* Compares a tensor with its expected values, and returns the largest error as a share of the
 * bound. `rounding` is added to the bound, see kernels_rounding. */
static double compare(enum op op, const struct tensor *tensor, const char *found,
                      const double *expected, double rounding, const char *what)
{
    /* LAYERNORM has a wider bound, because dividing by a deviation as small as sqrt(epsilon)
     * magnifies rounding errors. */
    double fp32 = op == OP_LAYERNORM ? 5e-5 : 5e-6, largest = 0, worst = 0;
    for (uint64_t i = 0; i < tensor_elements(tensor); i++)
        largest = fmax(largest, fabs(expected[i]));
    double bound = (tensor->type == TYPE_F16 ? 1.5e-3 : fp32) * fmax(largest, 0.1) + rounding;
    for (uint64_t i = 0; i < tensor_elements(tensor); i++) {
        double value = decode_value(tensor, found, i);
        if (!(fabs(value - expected[i]) <= bound))
            fail_msg("%s: element %llu is %.9g, expected %.9g within %.2g", what,
                     (unsigned long long)i, value, expected[i], bound);
        worst = fmax(worst, fabs(value - expected[i]) / bound);
    }
    return worst;
}

/* A case of which one choice is run: the node, and the values and the memory of each of its slots.
 */
struct case_run {
    struct gpu *gpu;
    const struct graph *graph;
    const struct node *node;
    char what[240]; /* The name that messages give the case. */
    double *values[KERNEL_SLOTS];
    struct guarded guarded[KERNEL_SLOTS];
    struct gpu_range ranges[KERNEL_SLOTS];
};

static void name_case(struct case_run *run, const struct op_case *test_case,
                      const struct kernel_choice *choice)
{
    const struct graph *graph = run->graph;
    const struct node *node = run->node;
    const uint32_t *s = test_case->shape;
    char options[NODE_OPTIONS], name[KERNEL_CHOICE_NAME] = "chosen";
    if (choice)
        kernels_choice_name(choice, name);
    node_options(node, options);
    snprintf(run->what, sizeof(run->what), "%s %s %s w=%s [%u,%u,%u,%u]%s%s%s", op_name(node->op),
             name, type_name(graph->tensors[node->out].type),
             node->in[1] < 0 ? "none" : type_name(graph->tensors[node->in[1]].type), s[0], s[1],
             s[2], s[3], test_case->optional ? " optional tensor" : "",
             node->residual ? " residual" : "", options);
}

/* Returns the tensor of a slot, or -1 if the node has none there. */
static int slot_tensor(const struct node *node, int slot)
{
    return slot < NODE_INPUTS ? node->in[slot] : node->out;
}

/* Makes the values of every slot, puts them on the device, and then makes of them what the
 * reference computes. */
static void prepare_case(struct case_run *run)
{
    const struct graph *graph = run->graph;
    const struct node *node = run->node;
    assert_int_equal(op_values_make(graph, node, run->values), 0);
    for (int slot = 0; slot < KERNEL_SLOTS; slot++) {
        int tensor = slot_tensor(node, slot);
        if (tensor < 0)
            continue;
        struct guarded *guarded = &run->guarded[slot];
        bool filled = slot < NODE_INPUTS || node->residual;
        guarded_create(run->gpu, &graph->tensors[tensor], filled ? run->values[slot] : NULL,
                       guarded);
        guarded_fill(run->gpu, guarded);
        run->ranges[slot] = (struct gpu_range){guarded->device, GUARD, guarded->bytes};
    }
    reference_node(graph, node, (const double *const *)run->values, run->values[KERNEL_OUT]);
}

static struct gpu_commands *record_case(struct case_run *run, const struct kernel_choice *choice)
{
    struct gpu_commands *commands = NULL;
    int error;
    assert_int_equal(gpu_commands_create(run->gpu, &commands), 0);
    if (choice)
        error = launch_choice(run->gpu, commands, run->graph, run->node, run->ranges, choice);
    else
        error = launch_node(run->gpu, commands, run->graph, run->node, run->ranges, NULL);
    if (error)
        fail_msg("%s: %s", run->what, vkclip_last_error());
    assert_int_equal(gpu_commands_end(commands), 0);
    return commands;
}

/* Runs the commands twice, and returns the bytes of the result, which must be the same both times.
 */
static char *run_twice(struct case_run *run, struct gpu_commands *commands)
{
    struct guarded *out = &run->guarded[KERNEL_OUT];
    char *first = malloc(out->bytes);
    for (int round = 0; round < 2; round++) {
        /* Every run gets new inputs, because an optimiser changes them. */
        for (int slot = 0; slot < KERNEL_SLOTS; slot++)
            if (run->guarded[slot].device)
                guarded_fill(run->gpu, &run->guarded[slot]);
        assert_int_equal(gpu_commands_run(commands), 0);
        const char *found = guarded_read(run->gpu, out, run->what);
        if (round == 0)
            memcpy(first, found, out->bytes);
        else if (memcmp(first, found, out->bytes))
            fail_msg("%s: the second run gave different bits", run->what);
    }
    return first;
}

/* Inputs must be what the reference made of them: most ops leave them unchanged. */
static void check_inputs(struct case_run *run)
{
    for (int slot = 0; slot < NODE_INPUTS; slot++) {
        int tensor = run->node->in[slot];
        const struct tensor *in = tensor < 0 ? NULL : &run->graph->tensors[tensor];
        if (in && (in->type == TYPE_F32 || in->type == TYPE_F16))
            compare(run->node->op, in, guarded_read(run->gpu, &run->guarded[slot], run->what),
                    run->values[slot], 0, run->what);
    }
}

/* Runs a case with the given choice, or with the first one that works if it is NULL. Returns the
 * largest error as a share of the bound. */
static double run_case(struct gpu *gpu, const struct op_case *test_case,
                       const struct kernel_choice *choice, struct graph *graph)
{
    const struct node *node = &graph->nodes[graph->node_count - 1];
    struct case_run run = {.gpu = gpu, .graph = graph, .node = node};
    struct kernel_choice choices[KERNEL_CHOICES];
    assert_true(choice || kernels_choices(gpu, graph, node, choices) > 0);
    double rounding = kernels_rounding(choice ? choice->kernel : choices[0].kernel, graph, node);
    name_case(&run, test_case, choice);
    prepare_case(&run);
    struct gpu_commands *commands = record_case(&run, choice);
    char *first = run_twice(&run, commands);
    double worst = compare(node->op, &graph->tensors[node->out], first, run.values[KERNEL_OUT],
                           rounding, run.what);
    check_inputs(&run);
    free(first);
    gpu_commands_destroy(&commands);
    for (int slot = 0; slot < KERNEL_SLOTS; slot++) {
        guarded_destroy(gpu, &run.guarded[slot]);
        free(run.values[slot]);
    }
    return worst;
}

/* Every device can compute with weights of each of these types. */
static const enum type weight_types[] = {TYPE_F32, TYPE_F16, TYPE_Q8, TYPE_Q4};

/* ---- Tests ----------------------------------------------------------------------------------- */

/* All tests of this program share one device, so that each pipeline is compiled only once. */
static struct gpu *shared_gpu;
/* If true, every tile computes a third of the shapes. */
static bool sample, all_shapes;
static uint32_t wanted_caps;      /* only variants that need all of these are computed */
static const char *wanted_shader; /* only its variants are computed; NULL: all */

static struct gpu_limits device_limits;

static int restore_limits(void **state)
{
    (void)state;
    *changeable_limits(shared_gpu) = device_limits;
    return 0;
}

/* Returns how many variants above this one are of the same shader. */
static size_t variants_above(const struct kernel *variant)
{
    size_t count = 0;
    for (const struct kernel *other = kernels; other < variant; other++)
        count += !strcmp(other->shader, variant->shader);
    return count;
}

/* Tells whether choice number `choice` of a variant computes case number `number` of the `cases`
 * that it can compute. Variants of one shader, and tiles of one variant, compute different cases,
 * and each computes at least one.
 *
 * A variant's first tile computes every case, or a sixth of them in a sample; its other tiles
 * compute a twelfth. A variant that differs from another one only in the types that it reads is
 * derived: it computes a sixth, or a twelfth in a sample, unless all shapes are asked for. */
static bool is_sampled(const struct kernel *variant, size_t number, size_t cases, size_t choice)
{
    const bool derived = (variant->w != variant->x || variant->x == TYPE_F16) && !all_shapes;
    const size_t first = 2 * choice + variants_above(variant);
    size_t every = sample && derived ? 12 : sample || derived ? 6 : 1;
    if (choice)
        every = 12;
    return (number + first) % (every < cases ? every : cases) == 0;
}

/* Builds the graph of case number `i` and returns the number of choices that the variant has for
 * it, or 0 if the case is of another op. The caller frees the graph of a number above 0. */
static size_t build_case(const struct kernel *variant, size_t i, struct graph *graph,
                         struct kernel_choice choices[KERNEL_CHOICES])
{
    if (op_cases[i].node.op != variant->op)
        return 0;
    op_case_build(&op_cases[i], variant->x, graph);
    graph_pack(graph, variant->w);
    assert_int_equal(graph->error, 0);
    const struct node *node = &graph->nodes[graph->node_count - 1];
    const size_t count = kernels_add_choices(shared_gpu, variant, graph, node, choices, 0);
    graph->compute_f16 = false; /* without which no variant may round fp32 */
    assert_false(kernels_round_factors(variant) && kernels_fit(shared_gpu, variant, graph, node));
    graph->compute_f16 = true;
    if (!count)
        graph_free(graph);
    return count;
}

/* Runs a variant over the shapes of its op, and returns the number of runs. */
static size_t run_variant(const struct kernel *variant, double *worst)
{
    struct graph graph;
    struct kernel_choice choices[KERNEL_CHOICES];
    size_t cases = 0, number = 0, runs = 0;
    for (size_t i = 0; i < op_case_count; i++)
        if (build_case(variant, i, &graph, choices)) {
            graph_free(&graph);
            cases++;
        }
    for (size_t i = 0; i < op_case_count; i++) {
        const size_t count = build_case(variant, i, &graph, choices);
        for (size_t c = 0; c < count; c++)
            if (is_sampled(variant, number, cases, c)) {
                *worst = fmax(*worst, run_case(shared_gpu, &op_cases[i], &choices[c], &graph));
                runs++;
            }
        if (count) {
            graph_free(&graph);
            number++;
        }
    }
    return runs;
}

static const char *const cap_texts[] = {
#define X(name, text) text,
    CAPS(X)
#undef X
};

static bool is_wanted(const struct kernel *variant)
{
    return (variant->needs & wanted_caps) == wanted_caps &&
           (!wanted_shader || !strcmp(wanted_shader, variant->shader));
}

static void every_variant(void **state)
{
    (void)state;
    printf("device: %s, %s, caps: %s\n", gpu_info(shared_gpu)->name, gpu_info(shared_gpu)->driver,
           gpu_info(shared_gpu)->caps);
    for (size_t k = 0; k < kernel_count; k++) {
        const struct kernel *variant = &kernels[k];
        double worst = 0;
        if (!is_wanted(variant))
            continue;
        size_t runs = run_variant(variant, &worst);
        printf("%-16s x=%s w=%s: %zu cases, largest error %.2f of the bound\n", variant->shader,
               type_name(variant->x), type_name(variant->w), runs, worst);
        bool capable = (variant->needs & gpu_caps(shared_gpu)) == variant->needs;
        assert_true(capable || !wanted_caps);
        assert_true(capable ? runs > 0 : runs == 0);
    }
}

/* Fails if a variant that needs a capability the device lacks is a choice for the graph's last
 * node, or if no variant is. */
static void check_choices(const struct gpu *gpu, uint32_t absent, const struct graph *graph)
{
    const struct node *node = &graph->nodes[graph->node_count - 1];
    struct kernel_choice choices[KERNEL_CHOICES];
    size_t count = kernels_choices(gpu, graph, node, choices);
    assert_true(count > 0);
    for (size_t c = 0; c < count; c++)
        assert_int_equal(choices[c].kernel->needs & absent, 0);
    for (size_t k = 0; k < kernel_count; k++)
        if (kernels[k].needs & absent)
            assert_false(kernels_fit(gpu, &kernels[k], graph, node));
}

/* Without any one capability every op is still computed in fp32, and variants that need it are not
 * chosen. Choices are checked for every shape. Only one shape per op and type of weights runs on
 * the device that was opened without the capability, because every_variant computes the same
 * variants on all shapes. */
static void every_cap_masked(void **state)
{
    (void)state;
    for (uint32_t cap = 0; cap < CAP_COUNT; cap++) {
        uint32_t absent = 1u << cap;
        if (!(gpu_caps(shared_gpu) & absent))
            continue; /* The device of every_variant lacks it too. */
        set_variable("VKCLIP_DISABLE_CAPS", cap_texts[cap]);
        struct gpu *gpu = open_gpu("");
        assert_int_equal(gpu_caps(gpu) & absent, 0);
        size_t number = 0;
        for (size_t i = 0; i < op_case_count; i++) {
            enum op op = op_cases[i].node.op;
            bool last = i + 1 == op_case_count || op_cases[i + 1].node.op != op;
            number = i && op_cases[i - 1].node.op == op ? number + 1 : 0;
            for (size_t w = 0; w < (graph_packs(op) ? ARRAY_COUNT(weight_types) : 1); w++) {
                struct graph graph;
                op_case_build(&op_cases[i], TYPE_F32, &graph);
                graph_pack(&graph, weight_types[w]);
                check_choices(gpu, absent, &graph);
                if (number == 1 || (number == 0 && last))
                    run_case(gpu, &op_cases[i], NULL, &graph);
                graph_free(&graph);
            }
        }
        gpu_close(&gpu);
    }
    set_variable("VKCLIP_DISABLE_CAPS", NULL);
}

/* Runs cases in fp32 with weights of each type, with the variant that is chosen. */
static void run_cases(const struct op_case *cases, size_t count, size_t type_count)
{
    for (size_t i = 0; i < count * type_count; i++) {
        struct graph graph;
        op_case_build(&cases[i / type_count], TYPE_F32, &graph);
        graph_pack(&graph, weight_types[i % type_count]);
        run_case(shared_gpu, &cases[i / type_count], NULL, &graph);
        graph_free(&graph);
    }
}

/* A table that is larger than one binding is read slice by slice. */
static void sliced_table(void **state)
{
    (void)state;
    const struct op_case cases[] = {{{OP_EMBEDDING}, {1, 8, 5000, 64}},
                                    {{OP_EMBEDDING}, {4, 5, 1026, 48}},
                                    {{OP_EMBEDDING}, {2, 5, 255, 47}}};
    struct gpu_limits *limits = changeable_limits(shared_gpu);
    if (limits->alignment < 64)
        limits->alignment = 64;
    for (limits->buffer_range = 16384; limits->buffer_range < 400000; limits->buffer_range *= 9)
        run_cases(cases, ARRAY_COUNT(cases), ARRAY_COUNT(weight_types));
}

/* A weight of MATMUL or CONV that is larger than one binding is read by panels of columns. */
static void sliced_weight(void **state)
{
    (void)state;
    const struct op_case cases[] = {{{OP_MATMUL, .residual = true}, {9, 333, 36}, .optional = true},
                                    {{OP_CONV, .conv.stride = 1}, {1, 2, 4, 200}}};
    /* Two panels of 36 x 32 values fit, which is more than x and the result need. */
    changeable_limits(shared_gpu)->buffer_range = 13000;
    run_cases(cases, ARRAY_COUNT(cases), ARRAY_COUNT(weight_types));
}

/* A weight that is larger than one binding is cast slice by slice. */
static void sliced_cast(void **state)
{
    (void)state;
    const struct op_case cases[] = {{{OP_CAST}, {70, 64}}, {{OP_CAST}, {7, 33}}};
    changeable_limits(shared_gpu)->buffer_range = 4096;
    run_cases(cases, ARRAY_COUNT(cases), 1);
}

/* Work that exceeds one submit is split into dispatches, which together compute every row and item.
 */
static void split_work(void **state)
{
    (void)state;
    const struct op_case cases[] = {
        {{OP_MATMUL, .residual = true}, {1000, 33, 20}, .optional = true},
        {{OP_MATMUL}, {257, 40, 588}},
        {{OP_CONV, .conv.stride = 2}, {2, 33, 8, 5}},
        {{OP_ATTENTION, .attention.causal = true}, {7, 33, 24, 2}}};
    struct gpu_limits *limits = changeable_limits(shared_gpu);
    for (limits->work = 1; limits->work < 1e7; limits->work *= 300)
        run_cases(cases, ARRAY_COUNT(cases), 1);
}

/* Runs the tiles of a variant that divide K over one case, and returns the number of runs. */
static size_t run_slices(const struct kernel *variant, size_t i)
{
    struct kernel_choice choices[KERNEL_CHOICES];
    struct graph graph;
    size_t runs = 0;
    const size_t count = build_case(variant, i, &graph, choices);
    for (size_t c = 0; c < count; c++)
        if (choices[c].tile.walk == WALK_SLICES) {
            run_case(shared_gpu, &op_cases[i], &choices[c], &graph);
            runs++;
        }
    if (count)
        graph_free(&graph);
    return runs;
}

/* On a device with many units tiles divide K wherever they can, and are cut down in many ways. Each
 * variant computes an eighth of the shapes, or all if these are asked for; neighbouring variants
 * compute different ones. */
static void every_variant_in_slices(void **state)
{
    (void)state;
    const size_t every = all_shapes ? 1 : 8;
    size_t runs = 0;
    changeable_limits(shared_gpu)->units = 64;
    for (size_t k = 0; k < kernel_count; k++)
        for (size_t i = 0; i < op_case_count; i++)
            if (is_wanted(&kernels[k]) && (i + k) % every == 0)
                runs += run_slices(&kernels[k], i);
    printf("tiles that divide K: %zu runs\n", runs);
    assert_true(runs > 0 || wanted_shader || wanted_caps);
}

/* A tile that divides K comes first where a result is small for the device, and is not offered
 * elsewhere. */
static void slices_for_small_results(void **state)
{
    (void)state;
    static const struct {
        uint32_t units, m;
        bool sliced;
    } expected[] = {
        {0, 1, false}, {96, 1, true}, {96, 50, true}, {96, 4000, false}, {2, 50, false}};
    struct gpu_limits *limits = changeable_limits(shared_gpu);
    limits->wave = 32;
    for (size_t i = 0; i < ARRAY_COUNT(expected); i++) {
        const struct op_case op_case = {{OP_MATMUL}, {expected[i].m, 768, 768}};
        struct kernel_choice choices[KERNEL_CHOICES];
        struct graph graph;
        size_t sliced = 0;
        limits->units = expected[i].units;
        op_case_build(&op_case, TYPE_F32, &graph);
        const size_t count = kernels_choices(shared_gpu, &graph, &graph.nodes[0], choices);
        for (size_t c = 0; c < count; c++)
            sliced += choices[c].tile.walk == WALK_SLICES;
        assert_int_equal(choices[0].tile.walk == WALK_SLICES, expected[i].sliced);
        assert_int_equal(sliced > 0, expected[i].sliced);
        graph_free(&graph);
    }
}

/* If there are more rows than a grid's first dimension allows, they continue in the second one. */
static void wide_grid(void **state)
{
    (void)state;
    const struct op_case cases[] = {{{OP_LAYERNORM}, {100, 3}},
                                    {{OP_NORMALIZE}, {47, 5}},
                                    {{OP_LAYERNORM_GRAD}, {130, 6}},
                                    {{OP_NORMALIZE_GRAD}, {33, 7}},
                                    {{OP_ADD}, {90, 70}}};
    changeable_limits(shared_gpu)->groups[0] = 8;
    run_cases(cases, ARRAY_COUNT(cases), 1);
}

/* Every op has cases, and its last variant of each pair of types needs nothing beyond the storage
 * of activations. */
static void table_is_complete(void **state)
{
    (void)state;
    for (int op = 0; op < OP_COUNT; op++) {
        uint32_t last[TYPE_Q4 + 1][TYPE_Q4 + 1]; /* needs of the last variant, by x and w */
        memset(last, 0xff, sizeof(last));
        size_t cases = 0;
        for (size_t k = 0; k < kernel_count; k++)
            if ((int)kernels[k].op == op)
                last[kernels[k].x][kernels[k].w] = kernels[k].needs;
        for (size_t i = 0; i < op_case_count; i++)
            cases += (int)op_cases[i].node.op == op;
        /* CAST has different types for x and w. Ops that read no activations are fp32 only. */
        bool cast = op == OP_CAST, plain = op >= OP_CONTRAST_STATS;
        assert_int_equal(last[TYPE_F32][cast ? TYPE_F16 : TYPE_F32], 0);
        assert_int_equal(last[TYPE_F16][cast ? TYPE_F32 : TYPE_F16], plain ? UINT32_MAX : CAP_F16);
        for (int w = TYPE_F16; w <= TYPE_Q4 && graph_packs(op); w++)
            if (w != TYPE_I32) {
                assert_int_equal(last[TYPE_F32][w], 0);
                assert_int_equal(last[TYPE_F16][w], CAP_F16);
            }
        assert_true(cases > 0);
    }
}

static int open_shared(void **state)
{
    (void)state;
    shared_gpu = open_gpu("");
    changeable_limits(shared_gpu)->units = 0; /* No tile is too large for a small result. */
    device_limits = *gpu_limits(shared_gpu);
    return 0;
}

static int close_shared(void **state)
{
    (void)state;
    gpu_close(&shared_gpu);
    return 0;
}

/* Selects the variants that need a capability, or those of a shader, over every shape. */
static void select_variants(const char *name)
{
    cmocka_set_test_filter("every_variant*");
    for (uint32_t cap = 0; cap < CAP_COUNT; cap++)
        if (!strcmp(name, cap_texts[cap])) {
            wanted_caps = 1u << cap;
            return;
        }
    sample = false;
    all_shapes = true;
    for (size_t k = 0; k < kernel_count; k++)
        if (!strcmp(name, kernels[k].shader))
            wanted_shader = name;
    if (wanted_shader)
        return;
    fprintf(stderr, "%s: expected `all`, `sample` or the name of a capability or a shader\n", name);
    exit(2);
}

/* With the argument `sample`, a variant computes at most a sixth of the shapes, and with `all`
 * every shape. With the name of a capability, only the variants that need it run, and the device
 * must have it. With the name of a shader, only its variants run, over every shape. */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_is_complete),
        cmocka_unit_test(every_variant),
        cmocka_unit_test(every_cap_masked),
        cmocka_unit_test_teardown(every_variant_in_slices, restore_limits),
        cmocka_unit_test_teardown(slices_for_small_results, restore_limits),
        cmocka_unit_test_teardown(sliced_table, restore_limits),
        cmocka_unit_test_teardown(sliced_weight, restore_limits),
        cmocka_unit_test_teardown(sliced_cast, restore_limits),
        cmocka_unit_test_teardown(split_work, restore_limits),
        cmocka_unit_test_teardown(wide_grid, restore_limits),
    };
    all_shapes = argc > 1 && !strcmp(argv[1], "all");
    sample = argc > 1 && !all_shapes;
    if (sample && strcmp(argv[1], "sample"))
        select_variants(argv[1]);
    /* A sample includes variants that are slow and therefore not used by default. LLVM 15 compiles
     * each of the integer dot products for half a minute, which is too long for all shapes. */
    if (sample)
        set_variable("VKCLIP_ENABLE_CAPS", "dot,coopmat16,address");
    return cmocka_run_group_tests(tests, open_shared, close_shared);
}
