/* SPDX-License-Identifier: MIT
 *
 * Training on several devices: a step computes what one device computes, to the bit each time, and
 * devices that would not make it shorter are left out with a message. Where there is one driver
 * only, its device is opened twice.
 */
#include "base/settings.h"
#include "support/random.h"
#include "support/open_gpu.h"
#include "support/testing.h"

#include <math.h>

#include "checkpoint/open.h"
#include "train/parameters.h"
#include "train/share.h"

enum { BATCH = 12, STEPS = 3, DEVICES = 2 };

static struct train_device devices[DEVICES];
static char messages[4096];

/* ---- Devices and runs ------------------------------------------------------------------------ */

static void keep_message(void *user, enum vkclip_log_level level, const char *message)
{
    (void)user;
    const size_t length = strlen(messages);
    if (level <= VKCLIP_LOG_WARNING)
        snprintf(messages + length, sizeof(messages) - length, "%s\n", message);
}

static int open_devices(void **state)
{
    (void)state;
    const struct vkclip_device_params params = {.size = sizeof(params), .cache_dir = ""};
    struct settings settings;
    size_t present = 0;
    assert_int_equal(settings_read(&params, &settings), 0);
    assert_int_equal(gpu_list(&settings, NULL, 0, &present), 0);
    for (size_t i = 0; i < DEVICES; i++) {
        if (gpu_open(&settings, i < present && i ? "1" : "0", &devices[i].gpu))
            fail_msg("%s", vkclip_last_error());
        printf("device %zu: %s\n", i, gpu_info(devices[i].gpu)->name);
    }
    settings_free(&settings);
    vkclip_set_log(keep_message, NULL);
    return 0;
}

static int close_devices(void **state)
{
    (void)state;
    for (size_t i = 0; i < DEVICES; i++)
        gpu_close(&devices[i].gpu);
    return 0;
}

struct run {
    struct config config;
    struct weights *weights;
    struct train *train;
    float *pixels;
    int32_t *ids;
};

static const struct train_params plain = {
    .batch = BATCH, .adamw = {0.9f, 0.98f, 1e-6f, 0.2f}, .grad_clip_norm = 1};

static void open_model(const char *path, struct run *run)
{
    const struct vkclip_model_params params = {.size = sizeof(params)};
    *run = (struct run){.train = NULL};
    if (checkpoint_open(path, &params, &run->config, &run->weights))
        fail_msg("%s", vkclip_last_error());
    const size_t values = (size_t)3 * run->config.image_size * run->config.image_size;
    const uint32_t context = run->config.context;
    uint32_t random = 1;
    run->pixels = malloc(BATCH * values * sizeof(*run->pixels));
    run->ids = calloc((size_t)BATCH * context, sizeof(*run->ids));
    random_values(&random, run->pixels, BATCH * values);
    for (size_t i = 0; i < (size_t)BATCH * context; i++) {
        random = random * 1664525 + 1013904223;
        run->ids[i] = (int32_t)((random >> 8) % (run->config.vocabulary - 2));
        if (i % context == context - 1)
            run->ids[i] = (int32_t)run->config.vocabulary - 1;
    }
}

/* Opens a run on `count` devices. */
static void open_run(struct train_params params, size_t count, struct run *run)
{
    open_model("tests/golden/models/hf-vit", run);
    int error = train_open(devices[0].gpu, NULL, &run->config, run->weights, &params, &run->train);
    for (size_t i = 1; i < count && !error; i++)
        error = train_add_device(run->train, &devices[i], run->weights);
    if (error)
        fail_msg("%s", vkclip_last_error());
}

static void close_run(struct run *run)
{
    train_close(&run->train);
    weights_close(&run->weights);
    config_close(&run->config);
    free(run->pixels);
    free(run->ids);
}

static void run_steps(struct run *run, struct train_result results[STEPS])
{
    for (uint64_t step = 0; step < STEPS; step++) {
        if (train_step(run->train, run->pixels, run->ids, step, 1e-3, &results[step]))
            fail_msg("%s", vkclip_last_error());
        assert_false(results[step].skipped);
    }
}

/* Gives all values of a run's parameters, and how many there are. */
static float *read_parameters(struct run *run, size_t *count)
{
    struct parameters *parameters = train_parameters(run->train);
    const struct parameter *parameter;
    size_t total = 0;
    for (size_t i = 0; (parameter = parameters_get(parameters, i)); i++)
        total += parameter->elements;
    float *values = malloc(total * sizeof(*values));
    *count = 0;
    for (size_t i = 0; (parameter = parameters_get(parameters, i)); i++) {
        assert_int_equal(parameters_read(parameters, i, PARAMETER_VALUE, values + *count), 0);
        *count += parameter->elements;
    }
    return values;
}

/* ---- Tests ----------------------------------------------------------------------------------- */

/* Two devices share 12 pairs in micro-batches of 4, so that one computes two and the other one. */
static void same_as_one_device(void **state)
{
    (void)state;
    struct train_params params = plain;
    struct train_result one[STEPS], two[STEPS], again[STEPS];
    struct run run;
    size_t count = 0;
    open_run(params, 1, &run);
    run_steps(&run, one);
    float *expected = read_parameters(&run, &count);
    close_run(&run);

    params.micro_batch = 4;
    open_run(params, DEVICES, &run);
    run_steps(&run, two);
    float *found = read_parameters(&run, &count);
    close_run(&run);
    for (size_t i = 0; i < STEPS; i++) {
        printf("step %zu: loss %.7f and %.7f, norm %.7f and %.7f\n", i, (double)one[i].loss,
               (double)two[i].loss, (double)one[i].norm, (double)two[i].norm);
        assert_true(fabsf(one[i].loss - two[i].loss) <= 1e-5f * one[i].loss);
        assert_true(fabsf(one[i].norm - two[i].norm) <= 1e-4f * one[i].norm);
    }
    /* A weight moves by about the rate per step, in the direction of its gradient's sign. Where
     * that is zero but for rounding, it may move the other way. */
    size_t apart = 0;
    for (size_t i = 0; i < count; i++)
        apart += !(fabsf(expected[i] - found[i]) <= 1e-5f);
    printf("%zu of %zu weights differ by more than 1e-5\n", apart, count);
    assert_true(apart < count / 1000);

    open_run(params, DEVICES, &run);
    run_steps(&run, again);
    float *repeated = read_parameters(&run, &count);
    close_run(&run);
    assert_memory_equal(two, again, sizeof(two));
    assert_memory_equal(found, repeated, count * sizeof(*found));
    free(expected);
    free(found);
    free(repeated);
}

static void refusals(void **state)
{
    (void)state;
    struct train_params params = plain;
    struct run run;
    open_run(params, 1, &run); /* The batch is computed at once. */
    assert_int_equal(train_add_device(run.train, &devices[1], run.weights), VKCLIP_EINVALID);
    close_run(&run);

    params.micro_batch = 4;
    open_model("tests/golden/models/openai-rn/model.safetensors", &run);
    assert_int_equal(
        train_open(devices[0].gpu, NULL, &run.config, run.weights, &params, &run.train), 0);
    assert_int_equal(train_add_device(run.train, &devices[1], run.weights), VKCLIP_EUNSUPPORTED);
    assert_non_null(strstr(vkclip_last_error(), "batch norm"));
    close_run(&run);
}

/* The prediction alone, without devices. */
static void predicted_count(void **state)
{
    (void)state;
    const struct share_speed alike[] = {{1, 1e9}, {1, 1e9}, {1, 1e9}},
                             slow[] = {{1, 1e9}, {9, 1e9}};
    struct train_params params = {.batch = 12}, parts = {.batch = 12, .micro_batch = 4};
    /* A second forward pass costs a third, so that two devices need 2/3 of the time. */
    assert_int_equal(share_count(alike, 3, &params, 0), 3);
    assert_int_equal(share_count(alike, 2, &params, 0), 2);
    assert_int_equal(share_count(slow, 2, &params, 0), 1);
    assert_int_equal(share_count(alike, 2, &params, 1e10), 1); /* Copies take 50 s. */
    assert_int_equal(share_micro_batch(&params, 2), 6);
    assert_int_equal(share_micro_batch(&params, 5), 2);
    assert_int_equal(share_micro_batch(&parts, 2), 4);
    /* Of three parts one device computes two, so that a third of the time is gained. */
    assert_int_equal(share_count(alike, 2, &parts, 0), 2);
    params.batch = 1;
    assert_int_equal(share_count(alike, 3, &params, 0), 1);
}

static void left_out(void **state)
{
    (void)state;
    struct run run;
    struct share share;
    open_model("tests/golden/models/openai-rn/model.safetensors", &run);
    *messages = 0;
    if (share_choose(devices, DEVICES, &run.config, run.weights, &plain, &share))
        fail_msg("%s", vkclip_last_error());
    assert_int_equal(share.count, 1);
    assert_int_equal(share.micro_batch, 0);
    assert_non_null(strstr(messages, "is left out of training: batch norm"));
    close_run(&run);

    open_model("tests/golden/models/hf-vit", &run);
    *messages = 0;
    assert_int_equal(share_choose(devices, DEVICES, &run.config, run.weights, &plain, &share), 0);
    printf("%zu of %d devices train\n%s", share.count, DEVICES, messages);
    /* SwiftShader is about ten times as slow as lavapipe, whichever is named first. */
    if (strcmp(gpu_info(devices[0].gpu)->name, gpu_info(devices[1].gpu)->name)) {
        assert_int_equal(share.count, 1);
        assert_non_null(strstr(gpu_info(share.devices[0].gpu)->name, "llvmpipe"));
        assert_non_null(strstr(messages, "is left out of training: a pair takes"));
    }
    close_run(&run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(predicted_count),
        cmocka_unit_test(same_as_one_device),
        cmocka_unit_test(refusals),
        cmocka_unit_test(left_out),
    };
    return cmocka_run_group_tests(tests, open_devices, close_devices);
}
