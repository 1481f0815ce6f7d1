/* SPDX-License-Identifier: MIT
 *
 * Choosing kernels by measurement: a wrong kernel is never chosen, a failing one is skipped,
 * results are read from the cache folder unless their file is damaged or belongs to another driver
 * or table, VKCLIP_TUNE is obeyed, and measuring ends in time.
 */
#define _GNU_SOURCE
#include "base/array.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/string.h"
#include "support/testing.h"
#include "support/variable.h"

#include <math.h>

#include "base/cache.h"
#include "runtime/plan.h"
#include "support/open_gpu.h"
#include "support/scratch.h"
#include "runtime/tune.h"

#include "wrong_spirv.h"

static const struct kernel wrong = {
    .op = OP_MATMUL,
    .shader = "wrong",
    .x = TYPE_F32,
    .w = TYPE_F32,
    .code = {.words = wrong_spirv, .count = sizeof(wrong_spirv) / 4}};

static size_t warnings;

static void count_warnings(void *user, enum vkclip_log_level level, const char *message)
{
    (void)user;
    warnings += level == VKCLIP_LOG_WARNING;
    if (level <= VKCLIP_LOG_WARNING)
        printf("log: %s\n", message);
    assert_int_not_equal(level, VKCLIP_LOG_ERROR);
}

/* This many seconds suffice for measuring a few small shapes, even if a busy machine compiles
 * slowly.
 */
#define ENOUGH 100

/* A clock of a machine on which one kernel is really `gain` times as fast as the fixed order's
 * choice, all others are slower, and other work slows runs down. */
struct noisy_clock {
    char fixed[KERNEL_CHOICE_NAME]; /* the fixed order's choice; "": whichever is seen first */
    const char *fast;               /* the shader that is faster; NULL: none is */
    double gain, slowdown;          /* a slowed run takes so many times as long */
    double probability;             /* of a run to be slowed down */
    uint32_t state;
};

static double next_number(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return (double)*state / 4294967296.0;
}

/* Is a trial_clock_fn. A run that nothing disturbs varies by 2 %. */
static double noisy_seconds(void *user, const struct kernel_choice *choice, double seconds)
{
    struct noisy_clock *clock = user;
    char name[KERNEL_CHOICE_NAME];
    double factor = 1 + 0.02 * next_number(&clock->state);
    (void)seconds;
    kernels_choice_name(choice, name);
    if (!*clock->fixed)
        snprintf(clock->fixed, sizeof(clock->fixed), "%s", name);
    if (clock->fast && strstr(name, clock->fast))
        factor /= clock->gain;
    else if (strcmp(name, clock->fixed))
        factor *= 1.05 + (double)(strlen(name) % 4);
    if (next_number(&clock->state) < clock->probability)
        factor *= 1 + (clock->slowdown - 1) * next_number(&clock->state);
    return 1e-3 * factor;
}

/* Tests that are not about time get the times of a quiet machine, because they must not depend on
 * what else this one does. */
static struct noisy_clock quiet_clock = {.state = 2463534242u};

static struct opened open_tuner(const char *mode, const char *cache)
{
    struct opened opened;
    set_variable("VKCLIP_TUNE", mode);
    opened.gpu = open_gpu_and_tuner(cache, &opened.tuner);
    *quiet_clock.fixed = 0;
    tune_set_clock(opened.tuner, noisy_seconds, &quiet_clock);
    return opened;
}

/* Builds a graph of `count` matmuls, whose widths put each into a shape class of its own. */
static void build_graph(struct graph *graph, uint32_t rows, uint32_t n, uint32_t k, uint32_t count)
{
    const uint32_t x_shape[] = {rows, k};
    graph_init(graph, TYPE_F32);
    int x = graph_input(graph, "x", TYPE_F32, 2, x_shape);
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t w_shape[] = {n + i, k};
        char name[16];
        snprintf(name, sizeof(name), "w%u", i);
        int w = graph_weight(graph, name, LAYOUT_PANELS, 2, w_shape);
        graph_matmul(graph, NULL, x, w, -1, VKCLIP_ACTIVATION_AUTO, -1);
    }
    assert_int_equal(graph->error, 0);
}

/* Chooses a kernel for one small matmul, after measuring if the mode says so. */
static void choose(const struct opened *opened, char name[KERNEL_CHOICE_NAME])
{
    struct graph graph;
    struct kernel_choice choice;
    build_graph(&graph, 200, 96, 64, 1);
    tune_choose(opened->gpu, opened->tuner, &graph, ENOUGH, &choice);
    kernels_choice_name(&choice, name);
    graph_free(&graph);
}

/* Gives the choice of the fixed order for the matmul of choose(). */
static void first_choice(const struct opened *opened, char name[KERNEL_CHOICE_NAME])
{
    struct graph graph;
    struct kernel_choice choices[KERNEL_CHOICES];
    build_graph(&graph, 200, 96, 64, 1);
    assert_true(kernels_choices(opened->gpu, &graph, graph.nodes, choices) > 2);
    kernels_choice_name(&choices[0], name);
    graph_free(&graph);
}

struct listed {
    size_t classes, decided, times, rejected;
    char kernel[KERNEL_CHOICE_NAME], last[KERNEL_CHOICE_NAME];
};

static int list_one(void *user, const struct vkclip_tuning *tuning)
{
    struct listed *listed = user;
    listed->classes++;
    listed->decided += tuning->count > 0;
    listed->times += tuning->count;
    snprintf(listed->kernel, sizeof(listed->kernel), "%s", tuning->kernel);
    assert_non_null(strstr(tuning->shape, "MATMUL"));
    for (size_t i = 0; i < tuning->count; i++) {
        listed->rejected += tuning->times[i].ms < 0;
        if (tuning->times[i].ms >= 0)
            snprintf(listed->last, sizeof(listed->last), "%s", tuning->times[i].kernel);
    }
    return 0;
}

/* ---- Measuring ------------------------------------------------------------------------------- */

/* A matrix that a node packed into panels is read only by variants for its type, as weights are. */
static void packed_matrix_fits_variants_of_its_type(void **state)
{
    (void)state;
    const uint32_t shape[] = {96, 96};
    struct opened opened = open_tuner("off", "");
    struct kernel_choice choices[KERNEL_CHOICES];
    struct graph graph;
    graph_init(&graph, TYPE_F32);
    int w = graph_weight(&graph, "w", LAYOUT_PANELS, 2, shape);
    int packed = graph_panels(&graph, w, true), x = graph_input(&graph, "x", TYPE_F32, 2, shape);
    graph_matmul(&graph, NULL, x, packed, -1, VKCLIP_ACTIVATION_AUTO, -1);
    assert_int_equal(graph.error, 0);
    size_t count = kernels_choices(opened.gpu, &graph, &graph.nodes[1], choices);
    assert_true(count > 0);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(choices[i].kernel->w, TYPE_F32);
    graph_free(&graph);
    close_opened(&opened);
}

static void wrong_never_wins(void **state)
{
    (void)state;
    struct opened opened = open_tuner("force", "");
    struct listed listed = {0};
    char name[KERNEL_CHOICE_NAME];
    warnings = 0;
    tune_add_kernel(opened.tuner, &wrong);
    choose(&opened, name);
    printf("%zu runs, %s\n", tune_runs(opened.tuner), name);
    assert_true(tune_runs(opened.tuner) > 2 && !strstr(name, "wrong"));
    assert_int_equal(warnings, 1);
    assert_int_equal(tune_list(opened.tuner, list_one, &listed), 0);
    assert_int_equal(listed.classes, 1);
    assert_int_equal(listed.rejected, 1);
    assert_true(listed.times > 2);
    assert_string_equal(listed.kernel, name);
    size_t runs = tune_runs(opened.tuner);
    choose(&opened, name); /* `force` measures each class once per process. */
    assert_int_equal(tune_runs(opened.tuner), runs);
    close_opened(&opened);
}

static void failing_kernel_is_skipped(void **state)
{
    (void)state;
    char name[KERNEL_CHOICE_NAME];
    set_variable("VKCLIP_DISABLE_KERNELS", "matmul_texel,other");
    struct opened opened = open_tuner("force", "");
    choose(&opened, name);
    assert_null(strstr(name, "matmul_texel"));
    close_opened(&opened);
    set_variable("VKCLIP_DISABLE_KERNELS", NULL);
}

/* Runs attention where the driver cannot build some kernels. */
static int attend(const char *disabled, float *result)
{
    const uint32_t shape[] = {2, 16, 96};
    float x[2 * 16 * 96];
    struct graph graph;
    struct plan *plan = NULL;
    set_variable("VKCLIP_DISABLE_KERNELS", disabled);
    struct gpu *gpu = open_gpu("");
    graph_init(&graph, TYPE_F32);
    int y = graph_attention(&graph, "y", graph_input(&graph, "x", TYPE_F32, 3, shape), 2, false);
    for (size_t i = 0; i < ARRAY_COUNT(x); i++)
        x[i] = (float)((int)(i * 7919 % 1009) - 504) / 300;
    const struct plan_params params = {.gpu = gpu, .outputs = &y, .output_count = 1};
    int error = plan_create(&params, &graph, &plan);
    if (!error) {
        plan_write(plan, 0, 0, x, ARRAY_COUNT(x));
        assert_int_equal(plan_run(plan), 0);
        plan_read(plan, y, 0, result, ARRAY_COUNT(x) / 3);
    }
    plan_destroy(&plan);
    gpu_close(&gpu);
    set_variable("VKCLIP_DISABLE_KERNELS", NULL);
    return error;
}

/* If a driver cannot build a variant, the next one computes the same values. If none is left, the
 * plan fails. */
static void next_variant_is_used(void **state)
{
    (void)state;
    float first[2 * 16 * 32], next[2 * 16 * 32];
    warnings = 0;
    assert_int_equal(attend("", first), 0);
    assert_int_equal(warnings, 0);
    assert_int_equal(attend("attention_texel", next), 0);
    assert_int_equal(warnings, 1); /* The warning shows that it was tried. */
    for (size_t i = 0; i < ARRAY_COUNT(first); i++)
        assert_true(fabsf(first[i] - next[i]) < 1e-5f);
    assert_int_equal(attend("attention,attention_texel,attention_shared", next), VKCLIP_EDEVICE);
    assert_non_null(strstr(vkclip_last_error(), "cannot build kernel attention"));
}

/* Classes for which there is no time are left to the next plan. */
static void measuring_ends_in_time(void **state)
{
    (void)state;
    struct opened opened = open_tuner("force", "");
    struct graph graph;
    struct kernel_choice choices[12];
    struct listed listed = {0};
    build_graph(&graph, 1024, 700, 512, ARRAY_COUNT(choices));
    double start = clock_seconds();
    tune_choose(opened.gpu, opened.tuner, &graph, 0.02, choices);
    printf("measuring for 0.02 s took %.2f s and %zu runs\n", clock_seconds() - start,
           tune_runs(opened.tuner));
    assert_int_equal(tune_list(opened.tuner, list_one, &listed), 0);
    assert_true(listed.classes >= 1 && listed.classes < ARRAY_COUNT(choices));
    for (size_t i = 0; i < ARRAY_COUNT(choices); i++)
        assert_non_null(choices[i].kernel);
    graph_free(&graph);
    close_opened(&opened);
}

/* ---- Busy machines --------------------------------------------------------------------------- */

/* Measures or reads five classes by a noisy clock. `first` tells them from those of other calls.
 * Returns how many got a choice that is not the fixed order's; each of them must be the faster
 * shader.
 */
#define CLASSES 5
static size_t count_replaced(const struct opened *opened, struct noisy_clock *clock, uint32_t first)
{
    struct kernel_choice choices[KERNEL_CHOICES];
    struct graph graph;
    size_t replaced = 0;
    build_graph(&graph, 256, 33 + first, 64, CLASSES);
    assert_true(kernels_choices(opened->gpu, &graph, graph.nodes, choices) > 2);
    kernels_choice_name(&choices[0], clock->fixed);
    tune_set_clock(opened->tuner, noisy_seconds, clock);
    assert_int_equal(tune_choose(opened->gpu, opened->tuner, &graph, ENOUGH, choices), 0);
    for (uint32_t i = 0; i < CLASSES; i++) {
        char name[KERNEL_CHOICE_NAME];
        kernels_choice_name(&choices[i], name);
        if (!strcmp(name, clock->fixed))
            continue;
        replaced++;
        if (!clock->fast || !strstr(name, clock->fast))
            fail_msg("class %u got %s, which is slower than the fixed order's %s", i, name,
                     clock->fixed);
    }
    graph_free(&graph);
    return replaced;
}

/* The same in a process of its own. */
static size_t replaced_by_process(const char *mode, const char *folder, struct noisy_clock *clock)
{
    struct opened opened = open_tuner(mode, folder);
    const size_t replaced = count_replaced(&opened, clock, 0);
    close_opened(&opened);
    return replaced;
}

/* However a busy machine slows runs down, a choice that is slower than the fixed order's is not
 * made.
 */
static void busy_machine_makes_no_slow_choice(void **state)
{
    (void)state;
    const double slowdowns[] = {1.3, 3, 20}, probabilities[] = {0.1, 0.3, 0.5, 0.9};
    struct opened opened = open_tuner("force", "");
    uint32_t number = 0;
    for (size_t i = 0; i < ARRAY_COUNT(slowdowns); i++)
        for (size_t j = 0; j < ARRAY_COUNT(probabilities); j++, number++) {
            struct noisy_clock clock = {.slowdown = slowdowns[i],
                                        .probability = probabilities[j],
                                        .state = 2463534242u + number};
            assert_int_equal(count_replaced(&opened, &clock, CLASSES * number), 0);
        }
    close_opened(&opened);
}

/* A choice that is clearly faster is made. Where a busy machine hides which one is faster, that is
 * left to later processes, which measure again until it is decided. */
static void faster_choice_is_made_when_it_is_quiet(void **state)
{
    (void)state;
    struct noisy_clock quiet = {.fast = "matmul_shared", .gain = 1.3, .state = 88172645};
    struct noisy_clock busy = {.slowdown = 3, .probability = 0.5, .state = 88172645};
    char *folder = scratch_folder();
    assert_int_equal(replaced_by_process("force", folder, &busy), 0);
    struct opened opened = open_tuner("on", folder);
    struct listed listed = {0};
    assert_int_equal(tune_list(opened.tuner, list_one, &listed), 0);
    assert_true(listed.decided < CLASSES);
    close_opened(&opened);
    assert_int_equal(replaced_by_process("force", folder, &quiet), CLASSES);
    assert_int_equal(replaced_by_process("on", folder, &quiet), CLASSES);
    scratch_remove(folder);
}

/* A kept choice is compared again by a later process, at most once a day, one of them per process,
 * and goes if it is not faster any more. */
static void kept_choice_is_compared_again(void **state)
{
    (void)state;
    struct noisy_clock good = {.fast = "matmul_shared", .gain = 1.5, .state = 88172645};
    struct noisy_clock bad = {.fast = "matmul_shared", .gain = 0.5, .state = 88172645};
    char *folder = scratch_folder();
    assert_int_equal(replaced_by_process("force", folder, &good), CLASSES);
    for (size_t i = 1; i <= 3; i++)
        assert_int_equal(replaced_by_process("on", folder, &bad), CLASSES - i);
    assert_int_equal(replaced_by_process("on", folder, &good), CLASSES - 3);
    assert_int_equal(replaced_by_process("on", folder, &good), CLASSES - 3);
    /* The last two were compared with a good result a moment ago. */
    assert_int_equal(replaced_by_process("on", folder, &bad), CLASSES - 3);
    scratch_remove(folder);
}

/* ---- The file -------------------------------------------------------------------------------- */

/* Opens a tuner in a mode with the files of a folder. Checks its choice, unless `kernel` is NULL,
 * and whether it measured. */
static void expect_choice(const char *mode, const char *folder, const char *kernel, bool measured)
{
    struct opened opened = open_tuner(mode, folder);
    char name[KERNEL_CHOICE_NAME];
    choose(&opened, name);
    if (kernel)
        assert_string_equal(name, kernel);
    assert_int_equal(tune_runs(opened.tuner) > 0, measured);
    close_opened(&opened);
}

/* Returns a new string: the text with the first occurrence of `old` replaced. */
static char *replace_word(const char *text, const char *old, const char *new)
{
    const char *found = strstr(text, old);
    assert_non_null(found);
    return string_format("%.*s%s%s", (int)(found - text), text, new, found + strlen(old));
}

/* A cache folder has the file of one measured class, for which these choices are possible. */
struct kept {
    char *folder, *path;
    char fixed[KERNEL_CHOICE_NAME];    /* choice of the fixed order */
    char measured[KERNEL_CHOICE_NAME]; /* choice of the measurement */
    char other[KERNEL_CHOICE_NAME];    /* a choice that is not the fixed order's */
    char *measured_text; /* the file's content, compared so late that no process compares
                          * its choice again */
    char *other_text;    /* the same with `other` as its choice */
    char *unknown_text;  /* the file's content with a choice that no table has */
};

static void keep_one_class(struct kept *kept)
{
    struct listed listed = {0};
    struct cache_content content;
    kept->folder = scratch_folder();
    struct opened opened = open_tuner("force", kept->folder);
    first_choice(&opened, kept->fixed);
    choose(&opened, kept->measured);
    assert_int_equal(tune_list(opened.tuner, list_one, &listed), 0);
    close_opened(&opened);
    snprintf(kept->other, sizeof(kept->other), "%s", listed.last);
    assert_string_not_equal(kept->other, kept->fixed);
    kept->path = scratch_find(kept->folder, "tuning-");
    assert_non_null(kept->path);
    cache_read(kept->path, &content);
    assert_non_null(content.data);
    char *text = string_format("%.*s", (int)content.size, (const char *)content.data);
    cache_release(&content);
    char *measured = string_format("\"kernel\": \"%s\"", kept->measured);
    char *late = string_format("\"checked\": 9e9, %s", measured);
    char *other = string_format("\"checked\": 9e9, \"kernel\": \"%s\"", kept->other);
    kept->measured_text = replace_word(text, measured, late);
    kept->other_text = replace_word(text, measured, other);
    kept->unknown_text = replace_word(text, measured, "\"kernel\": \"matmul 3x3x3 rows\"");
    free(late);
    free(other);
    free(measured);
    free(text);
}

static void write_text(const struct kept *kept, const char *text)
{
    cache_write(kept->path, text, strlen(text));
}

static void check_modes(const struct kept *kept)
{
    write_text(kept, kept->measured_text);
    expect_choice("on", kept->folder, kept->measured, false);
    write_text(kept, kept->other_text); /* The change shows that the file decides. */
    expect_choice("on", kept->folder, kept->other, false);
    expect_choice("", kept->folder, kept->other, false);
    expect_choice("off", kept->folder, kept->fixed, false);
    warnings = 0;
    expect_choice("sometimes", kept->folder, kept->other, false);
    assert_int_equal(warnings, 1);
    expect_choice("force", kept->folder, NULL, true);
}

/* If the file is damaged or belongs to another table, this small graph gets the fixed order. */
static void check_bad_files(const struct kept *kept)
{
    char *table = replace_word(kept->other_text, "\"table\": \"", "\"table\": \"0");
    const char *const bad[] = {table, kept->unknown_text, "",        "[]",
                               "{",   "{\"table\":1}",    "\xff\xfe"};
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        write_text(kept, bad[i]);
        expect_choice("on", kept->folder, kept->fixed, false);
    }
    const char *name = strrchr(kept->path, '/') + 1;
    /* The checksum is missing. */
    scratch_write(kept->folder, name, kept->other_text, strlen(kept->other_text));
    expect_choice("on", kept->folder, kept->fixed, false);
    free(table);
}

/* The driver is part of the file's name, so that another driver's file is not read. */
static void check_other_driver(const struct kept *kept)
{
    char *elsewhere = string_format("%s0", kept->path);
    write_text(kept, kept->other_text);
    assert_int_equal(rename(kept->path, elsewhere), 0);
    expect_choice("on", kept->folder, kept->fixed, false);
    expect_choice("force", kept->folder, NULL, true);
    assert_true(file_exists(kept->path) && file_exists(elsewhere));
    free(elsewhere);
}

/* What was measured for many rows serves other shapes of its kind, but not a node with a tile for
 * few rows. */
static void check_few_rows(const struct kept *kept)
{
    char *text = replace_word(kept->other_text, " f32 ->", " f16 ->");
    write_text(kept, text);
    struct opened opened = open_tuner("on", kept->folder);
    for (uint32_t rows = 1; rows <= 100; rows += 99) {
        struct graph graph;
        struct kernel_choice choice;
        char name[KERNEL_CHOICE_NAME];
        build_graph(&graph, rows, 16384, 64, 1);
        graph_pack(&graph, TYPE_F16);
        assert_int_equal(tune_choose(opened.gpu, opened.tuner, &graph, ENOUGH, &choice), 0);
        kernels_choice_name(&choice, name);
        assert_string_equal(name, rows == 1 ? "matmul_narrow 16x8x1 columns" : kept->other);
        graph_free(&graph);
    }
    close_opened(&opened);
    free(text);
}

static void results_are_kept(void **state)
{
    struct kept kept;
    (void)state;
    keep_one_class(&kept);
    check_modes(&kept);
    check_few_rows(&kept);
    check_bad_files(&kept);
    check_other_driver(&kept);
    free(kept.measured_text);
    free(kept.other_text);
    free(kept.unknown_text);
    free(kept.path);
    scratch_remove(kept.folder);
}

/* If two processes measure at the same time, the file has the results of each. */
static void results_are_merged(void **state)
{
    (void)state;
    char *folder = scratch_folder(), name[KERNEL_CHOICE_NAME];
    struct opened one = open_tuner("force", folder), other = open_tuner("force", folder);
    struct graph graph;
    struct kernel_choice choice;
    struct listed listed = {0};
    build_graph(&graph, 200, 64, 32, 1);
    tune_choose(one.gpu, one.tuner, &graph, ENOUGH, &choice);
    choose(&other, name);
    struct opened reader = open_tuner("on", folder);
    assert_int_equal(tune_list(reader.tuner, list_one, &listed), 0);
    assert_int_equal(listed.classes, 2);
    graph_free(&graph);
    close_opened(&one);
    close_opened(&other);
    close_opened(&reader);
    scratch_remove(folder);
}

/* Unless it is forced, a tuner measures only what takes long enough. Where nothing can be kept, it
 * measures for this process. */
static void only_what_is_worth_it_is_measured(void **state)
{
    (void)state;
    char *folder = scratch_folder();
    struct kernel_choice choice;
    struct graph graph;
    build_graph(&graph, 1u << 14, 512, 512, 1);
    assert_true(node_work(&graph, graph.nodes) > 2e9);
    for (int cached = 0; cached < 2; cached++) {
        struct opened opened = open_tuner("on", cached ? folder : "");
        tune_choose(opened.gpu, opened.tuner, &graph, 0.01, &choice);
        const size_t runs = tune_runs(opened.tuner);
        assert_true(runs > 0);
        tune_choose(opened.gpu, opened.tuner, &graph, 0.01, &choice);
        assert_int_equal(tune_runs(opened.tuner), runs);
        close_opened(&opened);
    }
    expect_choice("on", folder, NULL, false);
    graph_free(&graph);
    scratch_remove(folder);
}

/* With any argument only the tests run whose result depends on the driver. */
int main(int argc, char **argv)
{
    const struct CMUnitTest kernels_of_driver[] = {
        cmocka_unit_test(packed_matrix_fits_variants_of_its_type),
        cmocka_unit_test(wrong_never_wins),
        cmocka_unit_test(failing_kernel_is_skipped),
        cmocka_unit_test(next_variant_is_used),
    };
    const struct CMUnitTest measurements[] = {
        cmocka_unit_test(measuring_ends_in_time),
        cmocka_unit_test(busy_machine_makes_no_slow_choice),
        cmocka_unit_test(faster_choice_is_made_when_it_is_quiet),
        cmocka_unit_test(kept_choice_is_compared_again),
        cmocka_unit_test(results_are_kept),
        cmocka_unit_test(results_are_merged),
        cmocka_unit_test(only_what_is_worth_it_is_measured),
    };
    (void)argv;
    vkclip_set_log(count_warnings, NULL);
    int failed = cmocka_run_group_tests(kernels_of_driver, NULL, NULL);
    if (argc == 1)
        failed += cmocka_run_group_tests(measurements, NULL, NULL);
    return failed;
}
