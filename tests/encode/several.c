/* SPDX-License-Identifier: MIT
 *
 * Several devices in one handle: results come in order and equal those of one device, batches are
 * shared by measured speed, and a device that fails is named. Some tests hold for one device too:
 * pictures come from a source, texts run in the least length, and equal texts run once.
 */
#define _GNU_SOURCE
#include "base/array.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/folder.h"
#include "base/string.h"
#include "support/difference.h"
#include "support/open_gpu.h"
#include "support/testing.h"

#include <math.h>
#include <stdatomic.h>
#include <time.h>

#include "encode/batches.h"
#include "encode/model.h"

#define MODEL "models/emoji-clip"
#define GOLDEN "tests/golden/emoji-clip"
enum { N = 40, D = 128 };

static struct vkclip_device *all, *one;
static struct vkclip_model *shared, *single;
static struct vkclip_image images[N];
static size_t devices;

static int open_all(void **state)
{
    (void)state;
    struct vkclip_device_info infos[DEVICE_GPUS] = {{.size = sizeof(infos[0])}};
    struct vkclip_device_params params = {.size = sizeof(params), .device = "all", .cache_dir = ""};
    struct vkclip_model_params small = {
        .size = sizeof(small), .max_batch = 4}; /* Few pictures per batch make many batches. */
    assert_int_equal(vkclip_list_devices(NULL, 0, &devices), 0);
    assert_int_equal(vkclip_open_device(&params, &all), 0);
    assert_int_equal(vkclip_get_device_infos(all, infos, DEVICE_GPUS, &devices), 0);
    size_t fast = 0; /* SwiftShader is about ten times as slow as lavapipe. */
    for (size_t i = 0; i < devices; i++) {
        printf("device %zu: %s\n", i, infos[i].name);
        assert_int_equal(infos[i].index, i);
        fast = gpu_name_has(infos[i].name, "llvmpipe") ? i : fast;
    }
    char number[16];
    snprintf(number, sizeof(number), "%zu", fast);
    params.device = number;
    assert_int_equal(vkclip_open_device(&params, &one), 0);
    assert_int_equal(vkclip_open_model(all, MODEL, &small, &shared), 0);
    assert_int_equal(vkclip_open_model(one, MODEL, &small, &single), 0);
    assert_int_equal(shared->replica_count, devices);
    char **names = NULL;
    size_t count = 0, found = 0;
    assert_int_equal(folder_list(GOLDEN "/samples", &names, &count), 0);
    for (size_t i = 0; i < count && found < N; i++) {
        char *path = string_format(GOLDEN "/samples/%s", names[i]);
        if (strstr(path, ".png"))
            assert_int_equal(vkclip_load_image(path, 0, &images[found++]), 0);
        free(path);
    }
    folder_free_names(&names, count);
    assert_int_equal(found, N);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    for (int i = 0; i < N; i++)
        vkclip_free_image(&images[i]);
    vkclip_close_model(&shared);
    vkclip_close_model(&single);
    vkclip_close_device(&all);
    vkclip_close_device(&one);
    return 0;
}

static int count_up(void *user, uint64_t done, uint64_t total)
{
    size_t *last = user;
    assert_true(done >= *last && done <= total);
    *last = done;
    return 0;
}

/* ---- Sharing --------------------------------------------------------------------------------- */

/* Simulates replicas of given speeds, whose runs take up to 30 % more or less time than expected.
 * The last one must end within 1.4 times the ideal time and three items of the fastest replica,
 * which covers the noise and a last batch that began late. */
static void shares_end_together(void **state)
{
    (void)state;
    static const double speeds[][4] = {{1, 1}, {10, 1}, {1000, 1}, {5, 4, 3, 0.01}, {1, 0.3, 7}};
    static const size_t replicas[] = {2, 2, 2, 4, 3}, items[] = {1, 2, 7, 60, 1000, 20000};
    uint32_t random = 1;
    for (size_t s = 0; s < ARRAY_COUNT(replicas); s++)
        for (size_t c = 0; c < ARRAY_COUNT(items); c++) {
            struct batches_load loads[4] = {{0}};
            double end[4] = {0}, total = 0, last = 0, slowest = INFINITY;
            size_t left = items[c], most = 32;
            for (size_t i = 0; i < replicas[s]; i++) {
                loads[i] = (struct batches_load){.speed = speeds[s][i], .active = true};
                total += speeds[s][i];
                slowest = fmin(slowest, speeds[s][i]);
            }
            while (left) { /* The replica that completes its items first takes more. */
                size_t i = replicas[s];
                for (size_t k = 0; k < replicas[s]; k++)
                    if (loads[k].active && (i == replicas[s] || end[k] < end[i]))
                        i = k;
                assert_true(i < replicas[s]); /* The last active replica never stops. */
                loads[i].in_flight = 0;
                size_t number = batches_share(loads, replicas[s], i, left);
                number = number < most ? number : most;
                loads[i].active = number > 0;
                loads[i].in_flight = number;
                left -= number;
                random = random * 1664525 + 1013904223;
                double noise = 0.7 + 0.6 * (random >> 8) / (1 << 24);
                end[i] += (double)number / speeds[s][i] * noise;
                last = fmax(last, end[i]);
            }
            double ideal = (double)items[c] / total, fastest = 0;
            for (size_t i = 0; i < replicas[s]; i++)
                fastest = fmax(fastest, speeds[s][i]);
            if (last > 1.4 * ideal + 3 / fastest)
                fail_msg("speeds %zu, %zu items: %.3g s, ideal %.3g", s, items[c], last, ideal);
        }
    struct batches_load unknown[] = {{.active = true}, {.speed = 5, .active = true}};
    assert_int_equal(batches_share(unknown, 2, 0, 100), 1); /* It tries one item. */
    unknown[0].in_flight = 1;
    assert_int_equal(batches_share(unknown, 2, 0, 100), 0);
    assert_int_equal(batches_share(unknown, 2, 1, 100),
                     1); /* The other one leaves the rest until the speed is known. */
    unknown[1].speed = 5000;
    assert_true(batches_share(unknown, 2, 1, 10000) > 1000);
}

/* ---- Encoding -------------------------------------------------------------------------------- */

static void same_as_one(void **state)
{
    (void)state;
    float *expected = malloc(N * D * sizeof(*expected)), *found = malloc(N * D * sizeof(*found));
    assert_int_equal(vkclip_encode_images(single, images, N, NULL, expected), 0);
    for (int again = 0; again < 2; again++) { /* The first call measures speeds. */
        size_t done = 0;
        struct vkclip_encode_params params = {
            .size = sizeof(params), .progress = count_up, .user = &done};
        double before = clock_seconds();
        assert_int_equal(vkclip_encode_images(shared, images, N, &params, found), 0);
        printf("%d pictures in %.2f s:", N, clock_seconds() - before);
        for (size_t i = 0; i < devices; i++)
            printf(" %.1f/s", replica_speed(shared->replicas[i], TOWER_IMAGE));
        printf(" per device; largest difference %.2g\n",
               largest_difference(found, expected, N * D));
        assert_int_equal(done, N);
        assert_true(largest_difference(found, expected, N * D) < 1e-5);
    }
    for (size_t i = 0; i < devices; i++) /* Every device had some items. */
        assert_true(replica_speed(shared->replicas[i], TOWER_IMAGE) > 0);
    free(expected);
    free(found);
}

static int give_picture(void *user, size_t index, float *pixel_values)
{
    atomic_int *given = user;
    assert_int_equal(atomic_fetch_add(&given[index], 1), 0);
    if (index % 7 == 3)
        return error_fail(VKCLIP_EIO, "picture %zu is left out", index);
    return vkclip_preprocess(shared, &images[index], NULL, pixel_values);
}

static void pictures_from_a_source(void **state)
{
    (void)state;
    atomic_int given[N] = {0};
    struct vkclip_encode_params params = {.size = sizeof(params), .user = given};
    float *expected = malloc(N * D * sizeof(*expected)), *found = malloc(N * D * sizeof(*found));
    assert_int_equal(vkclip_encode_images(single, images, N, NULL, expected), 0);
    assert_int_equal(vkclip_encode_source(shared, give_picture, N, &params, found), 0);
    for (int i = 0; i < N; i++) {
        assert_int_equal(given[i], 1);
        if (i % 7 != 3)
            assert_true(largest_difference(&found[i * D], &expected[i * D], D) < 1e-5);
    }
    assert_int_equal(vkclip_encode_source(shared, NULL, N, &params, found), VKCLIP_EINVALID);
    struct vkclip_image bad =
        images[0]; /* An error on a worker's thread is this thread's last error. */
    bad.channels = 5;
    assert_int_equal(vkclip_encode_images(shared, &bad, 1, NULL, found), VKCLIP_EINVALID);
    assert_non_null(strstr(vkclip_last_error(), "channels"));
    free(expected);
    free(found);
}

/* Checks that hidden states come in order. A call that asks for them runs every text in the full
 * length, and its embeddings are those that other calls are compared with. */
static int ignore_hidden(void *user, const char *name, const float *data, const size_t *shape,
                         size_t rank, size_t first, size_t items)
{
    size_t *next = user; /* Items come in order, however many devices there are. */
    (void)data, (void)rank;
    if (!strcmp(name, "text.pooled")) {
        assert_int_equal(shape[0], items);
        assert_int_equal(first, *next);
        *next += items;
    }
    return 0;
}

static void texts_of_all_lengths(void **state)
{
    (void)state;
    enum { M = 12, REPEATED = 2500 };
    char *texts[M];
    size_t next = 0, done = 0;
    struct vkclip_encode_params hidden = {
        .size = sizeof(hidden), .hidden = ignore_hidden, .user = &next};
    struct vkclip_encode_params progress = {
        .size = sizeof(progress), .progress = count_up, .user = &done};
    float *expected = malloc(M * D * sizeof(*expected));
    float *found = malloc(REPEATED * D * sizeof(*found));
    for (int i = 0; i < M; i++) { /* The longest text has more ids than the context. */
        char text[512] = "";
        for (int w = 0; w < 3 * i; w++)
            strcat(text, (w + i) % 3 ? "red " : "heart ");
        texts[i] = string_format("%s", text);
    }
    assert_int_equal(vkclip_encode_texts(shared, (const char *const *)texts, M, &hidden, expected),
                     0);
    assert_int_equal(next, M);
    const char **many = malloc(REPEATED * sizeof(*many));
    for (int i = 0; i < REPEATED; i++)
        many[i] = texts[i * 11 % M];
    assert_int_equal(vkclip_encode_texts(shared, many, REPEATED, &progress, found), 0);
    assert_int_equal(done, REPEATED);
    double worst = 0;
    for (int i = 0; i < REPEATED; i++)
        worst = fmax(worst, largest_difference(&found[i * D], &expected[i * 11 % M * D], D));
    printf("texts in their least length: largest difference %.2g\n", worst);
    assert_true(worst < 1e-5);
    for (int i = 0; i < M; i++)
        free(texts[i]);
    free(many);
    free(expected);
    free(found);
}

static int count_reports(void *user, uint64_t done, uint64_t total)
{
    uint64_t *reports = user; /* their number, and the last one */
    (void)total;
    reports[0] += done > reports[1];
    reports[1] = done;
    return 0;
}

static void equal_texts_once(void **state)
{
    (void)state;
    enum { M = 1000 };
    const char **texts = malloc(M * sizeof(*texts));
    float *embeds = malloc(M * D * sizeof(*embeds));
    uint64_t reports[2] = {0, 0};
    struct vkclip_encode_params params = {
        .size = sizeof(params), .progress = count_reports, .user = reports};
    for (int i = 0; i < M; i++)
        texts[i] = i % 2 ? "a heart" : "a dog";
    assert_int_equal(vkclip_encode_texts(single, texts, M, &params, embeds), 0);
    assert_int_equal(reports[0],
                     2); /* The first report is of a batch of two, the other of all texts. */
    for (int i = 2; i < M; i++)
        assert_memory_equal(&embeds[i * D], &embeds[i % 2 * D], D * sizeof(*embeds));
    assert_true(largest_difference(embeds, &embeds[D], D) > 0.01);
    free(texts);
    free(embeds);
}

/* ---- Long runs ------------------------------------------------------------------------------- */

/* Returns VmRSS of this process in KiB, or 0 without /proc. */
static size_t memory(void)
{
    char line[256];
    size_t kilobytes = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof(line), file))
        if (!strncmp(line, "VmRSS:", 6))
            kilobytes = (size_t)strtoull(line + 6, NULL, 10);
    if (file)
        fclose(file);
    return kilobytes;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Neither memory nor the processor time per picture rises with the number of pictures. Other
 * programs change the time that passes, but not this one. */
static void long_runs_stay_flat(void **state)
{
    (void)state;
    enum { ROUNDS = 20, HALF = ROUNDS / 2, ROWS = 8, S = 64 };
    float *pixels = calloc(ROWS * 3 * S * S, sizeof(*pixels));
    float *embeds = malloc(ROWS * D * sizeof(*embeds));
    double seconds[ROUNDS];
    size_t before = 0;
    for (int i = -4; i < ROUNDS; i++) {
        before = i ? before : memory();
        const clock_t start = clock();
        assert_int_equal(vkclip_encode_pixels(single, pixels, ROWS, NULL, embeds), 0);
        if (i >= 0)
            seconds[i] = (double)(clock() - start) / CLOCKS_PER_SEC;
    }
    size_t after = memory();
    qsort(seconds, HALF, sizeof(*seconds), compare_doubles);
    qsort(seconds + HALF, HALF, sizeof(*seconds), compare_doubles);
    printf("%d pictures: %zu KiB, then %zu; median time of the first half %.4f s, of the second "
           "%.4f s\n",
           ROUNDS * ROWS, before, after, seconds[HALF / 2], seconds[HALF + HALF / 2]);
    assert_true(after <= before + 1024);
    assert_true(seconds[HALF + HALF / 2] < 2 * seconds[HALF / 2]);
    free(pixels);
    free(embeds);
}

/* ---- What goes wrong ------------------------------------------------------------------------- */

static void failing_device_is_named(void **state)
{
    (void)state;
    struct gpu *gpu = all->gpus[devices - 1];
    struct gpu_limits *limits = changeable_limits(gpu), before = *limits;
    float *found = malloc(N * D * sizeof(*found));
    struct vkclip_model *model = NULL;
    assert_int_equal(vkclip_open_model(all, MODEL, NULL, &model), 0);
    limits->allocation = 16; /* The device seems to have no memory left. */
    assert_int_equal(vkclip_encode_images(model, images, N, NULL, found), VKCLIP_EDEVICEMEMORY);
    printf("%s\n", vkclip_last_error());
    assert_non_null(strstr(vkclip_last_error(), gpu_info(gpu)->name));
    if (devices > 1)
        assert_non_null(strstr(vkclip_last_error(), "failed: "));
    *limits = before; /* The model can be used after the failure. */
    assert_int_equal(vkclip_encode_images(model, images, N, NULL, found), 0);
    vkclip_close_model(&model);
    free(found);
}

static void lists_of_devices(void **state)
{
    (void)state;
    struct vkclip_device_info first = {.size = sizeof(first)},
                              infos[DEVICE_GPUS] = {{.size = sizeof(infos[0])}};
    size_t count = 0;
    assert_int_equal(vkclip_get_device_info(all, &first), 0);
    const struct {
        const char *device;
        int error;
        size_t count;
    } cases[] = {
        {"0", 0, 1},
        {first.name, 0, 1}, /* A name may contain a comma. */
        {"all", 0, devices},
        {"0,0", VKCLIP_EINVALID, 0},
        {"0,", VKCLIP_EINVALID, 0},
        {"0,99", VKCLIP_ENODEVICE, 0},
        {"1,0", devices > 1 ? 0 : VKCLIP_ENODEVICE, 2},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct vkclip_device *device = NULL;
        struct vkclip_device_params params = {
            .size = sizeof(params), .device = cases[i].device, .cache_dir = ""};
        if (vkclip_open_device(&params, &device) != cases[i].error)
            fail_msg("%s: %s", cases[i].device, vkclip_last_error());
        assert_true((device != NULL) == !cases[i].error);
        if (!cases[i].error) {
            assert_int_equal(vkclip_get_device_infos(device, infos, DEVICE_GPUS, &count), 0);
            assert_int_equal(count, cases[i].count);
        }
        vkclip_close_device(&device);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_end_together),    cmocka_unit_test(same_as_one),
        cmocka_unit_test(pictures_from_a_source), cmocka_unit_test(texts_of_all_lengths),
        cmocka_unit_test(equal_texts_once),       cmocka_unit_test(failing_device_is_named),
        cmocka_unit_test(lists_of_devices),       cmocka_unit_test(long_runs_stay_flat),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
