/* SPDX-License-Identifier: MIT
 *
 * Plans share memory between tensors, but never between two that are alive at the same time, and
 * need little more than the least possible. Runs repeat to the bit, also if their submits are
 * split. A damaged file of the pipeline cache does no harm, devices are found by name, and a CPU
 * has large pages.
 */
#define _GNU_SOURCE
#include "base/array.h"
#include "base/file.h"
#include "base/pages.h"
#include "base/string.h"
#include "support/testing.h"
#include "support/variable.h"

#include <math.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "model/arch.h"
#include "checkpoint/open.h"
#include "model/tower.h"
#include "runtime/plan.h"
#include "support/open_gpu.h"
#include "support/scratch.h"

/* Measures every model that has a name. That needs the node list alone and allocates nothing. */
static void arena_is_small(void **state)
{
    (void)state;
    static const char *const names[] = {"ViT-B-32", "ViT-B-16", "ViT-L-14", "ViT-L-14-336",
                                        "ViT-H-14", "ViT-g-14", "RN50",     "ViT-bigG-14",
                                        "RN101",    "RN50x4",   "RN50x16",  "RN50x64"};
    for (size_t i = 0; i < 2 * ARRAY_COUNT(names); i++)
        for (uint32_t batch = 1; batch <= 8; batch *= 8) {
            const char *tower = i % 2 ? "text" : "image";
            struct config config;
            struct graph graph;
            uint64_t arena, least;
            assert_int_equal(arch_find(names[i / 2], &config), 0);
            assert_int_equal(tower_build(&config, i % 2 ? TOWER_TEXT : TOWER_IMAGE, NULL, TYPE_F32,
                                         batch, &graph, NULL),
                             0);
            assert_int_equal(plan_measure(&graph, 256, false, &arena, &least), 0);
            printf("%s %s, batch %u: %.1f MiB, at least %.1f\n", names[i / 2], tower, batch,
                   (double)arena / 0x100000, (double)least / 0x100000);
            assert_true(arena >= least && arena <= least + least / 20);
            const uint64_t shared = arena;
            assert_int_equal(plan_measure(&graph, 256, true, &arena, &least), 0);
            assert_true(arena == least && arena > shared);
            graph_free(&graph);
            config_close(&config);
        }
}

/* ---- Running --------------------------------------------------------------------------------- */

/* Makes a plan of five normalisations of rows of x. Its tensors are alive for one or two nodes, so
 * that most of their memory can be shared. */
static int make_plan(struct gpu *gpu, struct plan **plan, int *result)
{
    const uint32_t shape[] = {5, 33, 64};
    struct graph g;
    graph_init(&g, TYPE_F32);
    int x = graph_input(&g, "x", TYPE_F32, 3, shape);
    int first = graph_select(&g, "first", x, -1);
    for (int i = 0; i < 4; i++)
        first = graph_normalize(&g, NULL, first);
    int other = graph_select(&g, "other", x, graph_input(&g, "rows", TYPE_I32, 1, shape));
    int outputs[] = {first, graph_normalize(&g, "last", other), other};
    memcpy(result, outputs, sizeof(outputs));
    assert_int_equal(g.error, 0);
    const struct plan_params params = {.gpu = gpu, .outputs = outputs, .output_count = 3};
    return plan_create(&params, &g, plan);
}

static void replays(void **state)
{
    (void)state;
    enum { B = 5, T = 33, C = 64 };
    struct gpu *gpu;
    struct plan *plan;
    int result[3];
    gpu = open_gpu("");
    assert_int_equal(make_plan(gpu, &plan, result), 0);
    const struct graph *graph = plan_graph(plan);
    float *x = malloc(B * T * C * sizeof(*x)), found[3][B * C], again[3][B * C];
    for (int run = 0; run < 4; run++) {
        int32_t rows[B];
        for (int i = 0; i < B * T * C; i++)
            x[i] = (float)((i * 7919 + run / 2 * 31) % 1009) / 1009;
        for (int b = 0; b < B; b++)
            rows[b] = (b * 11 + run / 2 * 5) % T;
        plan_write(plan, graph_find(graph, "x"), 0, x, B * T * C);
        plan_write_ids(plan, graph_find(graph, "rows"), 0, rows, B);
        assert_int_equal(plan_run(plan), 0);
        for (int i = 0; i < 3; i++)
            plan_read(plan, result[i], 0, run % 2 ? again[i] : found[i], B * C);
        if (run % 2)
            assert_memory_equal(found, again, sizeof(found));
        for (int b = 0; b < B; b++) /* The results belong to this run's inputs. */
            assert_memory_equal(&found[2][b * C], &x[(b * T + rows[b]) * C], C * sizeof(float));
    }
    free(x);
    plan_destroy(&plan);
    gpu_close(&gpu);
}

/* Where the device's driver corrupts memory that is used again, every tensor has its own, and the
 * results are the same. */
static void memory_is_separate(void **state)
{
    enum { B = 5, T = 33, C = 64 };
    struct gpu *gpu = open_gpu("");
    float *x = malloc(B * T * C * sizeof(*x)), found[2][B * C];
    const int32_t rows[B] = {0};
    uint64_t memory[2];
    (void)state;
    for (int i = 0; i < B * T * C; i++)
        x[i] = (float)((i * 7919) % 1009) / 1009;
    for (int separate = 0; separate < 2; separate++) {
        struct plan *plan;
        int result[3];
        changeable_limits(gpu)->separate_memory = separate;
        assert_int_equal(make_plan(gpu, &plan, result), 0);
        plan_write(plan, graph_find(plan_graph(plan), "x"), 0, x, B * T * C);
        plan_write_ids(plan, graph_find(plan_graph(plan), "rows"), 0, rows, B);
        assert_int_equal(plan_run(plan), 0);
        plan_read(plan, result[0], 0, found[separate], B * C);
        memory[separate] = plan_memory(plan);
        plan_destroy(&plan);
    }
    assert_true(memory[1] > memory[0]);
    assert_memory_equal(found[0], found[1], sizeof(found[0]));
    free(x);
    gpu_close(&gpu);
}

/* The inputs of the next run are written during a run, whose own inputs must not change. */
static void runs_overlap(void **state)
{
    (void)state;
    enum { B = 5, T = 33, C = 64, RUNS = 9 };
    struct gpu *gpu;
    struct plan *plan;
    int result[3];
    gpu = open_gpu("");
    assert_int_equal(make_plan(gpu, &plan, result), 0);
    int input = graph_find(plan_graph(plan), "x"), rows = graph_find(plan_graph(plan), "rows");
    float *x = malloc(B * T * C * sizeof(*x)), found[B * C];
    int32_t row[B] = {1, 2, 3, 4, 5};
    for (int run = 0; run < RUNS + PLAN_REPLAYS; run++) {
        if (run >= PLAN_REPLAYS) { /* Each value encodes run, item and row. */
            assert_int_equal(plan_wait(plan), 0);
            plan_read(plan, result[2], 0, found, B * C);
            for (int i = 0; i < B * C; i++)
                assert_int_equal((int)found[i], 10000 * (run - PLAN_REPLAYS) + 1000 * (i / C) +
                                                    row[i / C] * 10 + i % C % 10);
        }
        if (run >= RUNS)
            continue;
        assert_int_equal(plan_begin(plan), 0);
        for (int i = 0; i < B * T * C; i++)
            x[i] = (float)(10000 * run + i / (T * C) * 1000 + i / C % T * 10 + i % C % 10);
        plan_write(plan, input, 0, x, B * T * C);
        plan_write_ids(plan, rows, 0, row, B);
        assert_int_equal(plan_submit(plan), 0);
        if (run)
            assert_int_equal(plan_begin(plan), VKCLIP_EINVALID); /* A third run is refused. */
    }
    assert_int_equal(plan_begin(plan), 0);
    assert_int_equal(plan_submit(plan), 0);
    free(x);
    plan_destroy(&plan); /* This waits for the run in progress. */
    gpu_close(&gpu);
}

/* An input with values of its own has them in every replay, until others are written. */
static void constants_hold(void **state)
{
    (void)state;
    const uint32_t shape[] = {2, 3};
    const float values[] = {3, 0, 4, 0, 0, 2}, other[] = {0, 1};
    float found[6];
    struct graph g;
    struct plan *plan;
    struct gpu *gpu = open_gpu("");
    graph_init(&g, TYPE_F32);
    int x = graph_constant(&g, "x", 2, shape, values);
    int y = graph_normalize(&g, "y", x);
    const struct plan_params params = {.gpu = gpu, .outputs = &y, .output_count = 1};
    assert_int_equal(plan_create(&params, &g, &plan), 0);
    for (int run = 0; run < 2; run++) {
        for (int i = 0; i < PLAN_REPLAYS; i++) {
            assert_int_equal(plan_begin(plan), 0);
            if (run)
                plan_write(plan, x, 0, other, 2);
            assert_int_equal(plan_submit(plan), 0);
        }
        for (int i = 0; i < PLAN_REPLAYS; i++) {
            assert_int_equal(plan_wait(plan), 0);
            plan_read(plan, y, 0, found, 6);
            assert_true(fabsf(found[0] - (run ? 0 : 0.6f)) < 1e-6f);
            assert_true(fabsf(found[2] - (run ? 4 / sqrtf(17) : 0.8f)) < 1e-6f);
            assert_true(found[3] == 0 && fabsf(found[5] - 1) < 1e-6f);
        }
    }
    plan_destroy(&plan);
    gpu_close(&gpu);
}

/* A model gives the same bits with many submits as with one. */
static void splits_submits(void **state)
{
    (void)state;
    struct gpu *gpu;
    struct plan *plan;
    int result[3];
    float found[2][5 * 64], x[5 * 33 * 64];
    gpu = open_gpu("");
    for (int i = 0; i < 5 * 33 * 64; i++)
        x[i] = (float)(i % 101);
    for (int split = 0; split < 2; split++) {
        if (split)
            /* A limit of 1 gives every dispatch a submit of its own. */
            changeable_limits(gpu)->work = 1;
        assert_int_equal(make_plan(gpu, &plan, result), 0);
        plan_write(plan, graph_find(plan_graph(plan), "x"), 0, x, ARRAY_COUNT(x));
        assert_int_equal(plan_run(plan), 0);
        plan_read(plan, result[0], 0, found[split], ARRAY_COUNT(found[split]));
        plan_destroy(&plan);
    }
    assert_memory_equal(found[0], found[1], sizeof(found[0]));
    gpu_close(&gpu);
}

/* A ViT is a chain of nodes, so that nearly every command has to wait for the one before it: only
 * the second of two selections, and what follows the copy of an output, need not. */
static void barriers_are_few(void **state)
{
    struct gpu *gpu = open_gpu("");
    struct config config;
    struct graph graph;
    struct tower_tensors tensors;
    struct weight_store *store = NULL;
    struct plan *plan;
    const struct graph *graphs[] = {&graph};
    size_t dispatches, barriers;
    (void)state;
    assert_int_equal(arch_find("ViT-B-32", &config), 0);
    assert_int_equal(tower_build(&config, TOWER_IMAGE, NULL, TYPE_F32, 1, &graph, &tensors), 0);
    assert_int_equal(weight_store_create(gpu, graphs, 1, &store), 0);
    const int outputs[] = {tensors.embeddings, tensors.normalized};
    const struct plan_params params = {
        .gpu = gpu, .weights = store, .outputs = outputs, .output_count = 2};
    assert_int_equal(plan_create(&params, &graph, &plan), 0);
    plan_count(plan, &dispatches, &barriers);
    printf("ViT-B-32: %zu dispatches, %zu barriers\n", dispatches, barriers);
    assert_int_equal(dispatches, 93);
    assert_true(barriers <= 93); /* of 93 dispatches, and copies of an input and two outputs */
    plan_destroy(&plan);
    weight_store_destroy(&store);
    config_close(&config);
    gpu_close(&gpu);
}

static void absent_weight(void **state)
{
    (void)state;
    struct gpu *gpu;
    struct graph graph;
    struct plan *plan = NULL;
    struct weights *weights = NULL;
    struct weight_store *store = NULL;
    struct config config;
    struct vkclip_model_params params = {.size = sizeof(params)};
    gpu = open_gpu("");
    assert_int_equal(checkpoint_open("models/emoji-clip", &params, &config, &weights), 0);
    assert_int_equal(tower_build(&config, TOWER_TEXT, NULL, TYPE_F32, 1, &graph, NULL), 0);
    const struct graph *graphs[] = {&graph};
    assert_int_equal(weight_store_create(gpu, graphs, 1, &store), 0);
    graph_free(&graph);
    assert_int_equal(tower_build(&config, TOWER_IMAGE, NULL, TYPE_F32, 1, &graph, NULL), 0);
    const struct plan_params plan_params = {.gpu = gpu, .weights = store};
    assert_int_equal(plan_create(&plan_params, &graph, &plan), VKCLIP_EABSENT);
    assert_null(plan);
    assert_int_equal(graph.node_count, 0); /* The plan owns it even on error. */
    weight_store_destroy(&store);
    weights_close(&weights);
    config_close(&config);
    gpu_close(&gpu);
}

/* A CPU's buffers begin with a large page, whatever memory its driver would take itself, and
 * filling one takes few page faults where the system has such pages. */
static void memory_has_large_pages(void **state)
{
    (void)state;
    enum { BYTES = 64 << 20 };
    struct rusage before, after;
    struct gpu_buffer *buffer;
    struct gpu *gpu = open_gpu("");
    if (gpu_info(gpu)->type == VKCLIP_DEVICE_CPU) {
        assert_int_equal(gpu_buffer_create(gpu, GPU_ANY, BYTES, &buffer), 0);
        char *map = gpu_buffer_map(buffer);
        assert_int_equal((uintptr_t)map % PAGES_LARGE, 0);
        getrusage(RUSAGE_SELF, &before);
        memset(map, 1, BYTES);
        getrusage(RUSAGE_SELF, &after);
        printf("%ld page faults for 64 MiB\n", after.ru_minflt - before.ru_minflt);
        gpu_buffer_destroy(gpu, &buffer);
    }
    gpu_close(&gpu);
}

/* ---- The pipeline cache ---------------------------------------------------------------------- */

static void run_once(const char *cache)
{
    struct gpu *gpu;
    struct plan *plan;
    int result[3];
    gpu = open_gpu(cache);
    assert_int_equal(make_plan(gpu, &plan, result), 0);
    assert_int_equal(plan_run(plan), 0);
    plan_destroy(&plan);
    gpu_close(&gpu);
}

static void cache_survives_damage(void **state)
{
    (void)state;
    char *scratch = scratch_folder();
    char *folder = string_format("%s/a/b", scratch); /* Opening the device creates it. */
    run_once(folder);
    char *path = scratch_find(folder, "pipelines-");
    assert_non_null(path);
    run_once(folder);

    char *good = NULL, *data = NULL;
    size_t size = 0, length = 0;
    assert_int_equal(file_read(path, 1 << 26, &good, &size), 0);
    assert_true(size > 24);
    for (int damage = 0; damage < 6; damage++) {
        char *bad = malloc(size + 64);
        memcpy(bad, good, size);
        size_t bad_size = size;
        switch (damage) {
        case 0:
            bad_size = 0;
            break;
        case 1:
            bad_size = 10;
            break;
        case 2:
            bad_size = size - 1;
            break;
        case 3:
            bad[size / 2] ^= 1;
            break; /* The damage is in the driver's data. */
        case 4:
            memset(bad, 0x5a, size);
            break; /* Another program may have written the file. */
        case 5:
            memset(bad + size, 0, 64);
            bad_size += 64;
            break;
        }
        struct file_part part = {bad, bad_size};
        assert_int_equal(file_write(path, &part, 1), 0);
        run_once(folder); /* It succeeds and writes a good file. */
        assert_int_equal(file_read(path, 1 << 26, &data, &length), 0);
        assert_true(length > 24 && !memcmp(data, good, 8));
        free(data);
        free(bad);
    }
    /* A cache folder that cannot be written to is not an error. */
    if (!getuid() || access("/proc", W_OK))
        run_once("/proc/vkclip-cache");
    free(good);
    free(path);
    free(folder);
    scratch_remove(scratch);
}

/* ---- Devices --------------------------------------------------------------------------------- */

static void devices_by_name(void **state)
{
    (void)state;
    struct vkclip_device_info infos[8] = {{.size = sizeof(infos[0])}},
                              info = {.size = sizeof(info)};
    struct vkclip_device *device = NULL;
    size_t count = 0;
    assert_int_equal(vkclip_list_devices(infos, ARRAY_COUNT(infos), &count), 0);
    assert_true(count > 0 && infos[0].usable);
    assert_true(infos[0].memory > 0 && infos[0].api_version[0] == 1 && infos[0].driver[0]);
    char part[8] = {0}, number[16];
    for (int i = 0; i < 5; i++) /* The search ignores case. */
        part[i] = (char)(infos[0].name[i] ^ (infos[0].name[i] >= 'A' ? 32 : 0));
    snprintf(number, sizeof(number), "%u", infos[0].index);
    const struct {
        const char *device, *environment;
        int error;
    } cases[] = {{number, NULL, 0},
                 {part, NULL, 0},
                 {NULL, number, 0},
                 {"", part, 0},
                 {"no such card", NULL, VKCLIP_ENODEVICE},
                 {"99", NULL, VKCLIP_ENODEVICE},
                 {NULL, "no such card", VKCLIP_ENODEVICE},
                 {number, "no such card", 0}};
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct vkclip_device_params params = {
            .size = sizeof(params), .device = cases[i].device, .cache_dir = ""};
        if (cases[i].environment)
            set_variable("VKCLIP_DEVICE", cases[i].environment);
        int error = vkclip_open_device(&params, &device);
        set_variable("VKCLIP_DEVICE", NULL);
        if (error != cases[i].error)
            fail_msg("device %zu: %s", i, vkclip_last_error());
        assert_true((device != NULL) == !error);
        if (!error) {
            assert_int_equal(vkclip_get_device_info(device, &info), 0);
            assert_string_equal(info.name, infos[0].name);
        }
        vkclip_close_device(&device);
    }
}

static double now(void)
{
    struct timespec time;
    timespec_get(&time, TIME_UTC);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* A profile has a time for every node of a long list, and the sum of the times is no longer than
 * the run took on the host's clock. */
static void profiles(void **state)
{
    (void)state;
    enum { NODES = 300 };
    const uint32_t shape[] = {64, 512};
    struct gpu *gpu;
    struct plan *plan;
    struct graph g;
    double seconds[NODES], sum = 0;
    gpu = open_gpu("");
    graph_init(&g, TYPE_F32);
    int x = graph_input(&g, "x", TYPE_F32, 2, shape);
    for (int i = 0; i < NODES; i++)
        x = graph_normalize(&g, NULL, x);
    const struct plan_params params = {.gpu = gpu, .outputs = &x, .output_count = 1};
    assert_int_equal(plan_create(&params, &g, &plan), 0);
    assert_true(plan_memory(plan) >= 2 * 64 * 512 * sizeof(float));
    const double start = now();
    int error = plan_profile(plan, seconds);
    const double passed = now() - start;
    if (error) {
        assert_failed(error, VKCLIP_EUNSUPPORTED, "has no timestamps");
    } else {
        for (int i = 0; i < NODES; i++) {
            assert_true(seconds[i] >= 0);
            sum += seconds[i];
        }
        printf("%d nodes take %.4f s on the device, the run %.4f s\n", NODES, sum, passed);
        assert_true(sum > passed / 50 && sum <= passed);
    }
    plan_destroy(&plan);
    gpu_close(&gpu);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena_is_small),     cmocka_unit_test(replays),
        cmocka_unit_test(runs_overlap),       cmocka_unit_test(constants_hold),
        cmocka_unit_test(memory_is_separate), cmocka_unit_test(profiles),
        cmocka_unit_test(splits_submits),     cmocka_unit_test(barriers_are_few),
        cmocka_unit_test(absent_weight),      cmocka_unit_test(cache_survives_damage),
        cmocka_unit_test(devices_by_name),    cmocka_unit_test(memory_has_large_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
