/* SPDX-License-Identifier: MIT
 *
 * Compares training with the reference data on the device that the environment names: the loss and
 * every gradient of the first step, parameters after 1, 10 and 50 steps, the losses of all steps,
 * batch norm's running statistics, and the clamp of logit_scale. Micro-batches, recomputed blocks,
 * locked towers and mixed precision are compared with fp32 steps on the whole batch.
 */
#define _GNU_SOURCE
#include "support/open_gpu.h"
#include "support/scratch.h"
#include "support/testing.h"

#include <jansson.h>
#include <math.h>

#include "checkpoint/open.h"
#include "vulkan/gpu.h"
#include "format/safetensors.h"
#include "train/parameters.h"
#include "train/step.h"
#include "checkpoint/weights.h"

static struct gpu *gpu;

static int open_any_gpu(void **state)
{
    (void)state;
    gpu = open_gpu("");
    printf("device: %s, %s\n", gpu_info(gpu)->name, gpu_info(gpu)->driver);
    return 0;
}

static int close_gpu(void **state)
{
    (void)state;
    gpu_close(&gpu);
    return 0;
}

/* ---- A run ----------------------------------------------------------------------------------- */

struct run {
    struct config config;
    struct weights *weights;
    struct train *train;
    struct parameters *parameters; /* owned by `train` */
    struct safetensors *data;
    float *pixels;
    int32_t *ids;
    uint32_t batches;
};

static char *reference_path(const char *model, const char *file)
{
    char path[128];
    snprintf(path, sizeof(path), "training/%s%s%s", model, *model ? "/" : "", file);
    return golden_path(path);
}

static struct safetensors *open_file(const char *model, const char *file)
{
    char *path = reference_path(model, file);
    struct safetensors *opened = NULL;
    if (path && safetensors_open(path, &opened))
        fail_msg("%s", vkclip_last_error());
    free(path);
    return opened;
}

/* Opens a run. Returns false if the reference data is missing; the test is then skipped. */
static bool open_run(const char *model, const char *data, struct train_params params,
                     struct run *run)
{
    *run = (struct run){0};
    char *path = reference_path(model, "init.safetensors");
    if (!path) {
        printf("skipped: reference data training/%s is not here\n", model);
        return false;
    }
    params.adamw = (struct adamw){0.9f, 0.98f, 1e-6f, 0.2f};
    params.batch = 16;
    const struct vkclip_model_params model_params = {.size = sizeof(model_params)};
    if (checkpoint_open(path, &model_params, &run->config, &run->weights))
        fail_msg("%s", vkclip_last_error());
    free(path);
    run->data = open_file("", data);
    const struct tensor_view *images = safetensors_find(run->data, "images"),
                             *ids = safetensors_find(run->data, "input_ids");
    uint64_t pixels = 1, tokens = 1;
    for (unsigned i = 0; i < images->rank; i++)
        pixels *= images->shape[i];
    for (unsigned i = 0; i < ids->rank; i++)
        tokens *= ids->shape[i];
    run->batches = images->rank == 5 ? (uint32_t)images->shape[0] : 1;
    run->pixels = malloc(pixels * sizeof(float));
    run->ids = malloc(tokens * sizeof(int32_t));
    for (uint64_t i = 0; i < pixels; i++)
        run->pixels[i] = tensor_view_value(images, i);
    memcpy(run->ids, ids->data, tokens * sizeof(int32_t));
    if (train_open(gpu, NULL, &run->config, run->weights, &params, &run->train))
        fail_msg("%s", vkclip_last_error());
    run->parameters = train_parameters(run->train);
    return true;
}

static void close_run(struct run *run)
{
    train_close(&run->train);
    weights_close(&run->weights);
    safetensors_close(&run->data);
    free(run->pixels);
    free(run->ids);
}

static const float *batch_pixels(const struct run *run, uint64_t step)
{
    uint32_t size = run->config.image_size;
    return run->pixels + step % run->batches * 16 * 3 * size * size;
}

static const int32_t *batch_ids(const struct run *run, uint64_t step)
{
    return run->ids + step % run->batches * 16 * run->config.context;
}

static struct train_result run_step(struct run *run, uint64_t number, double rate)
{
    struct train_result result;
    if (train_step(run->train, batch_pixels(run, number), batch_ids(run, number), number, rate,
                   &result))
        fail_msg("%s", vkclip_last_error());
    assert_false(result.skipped);
    return result;
}

static size_t find_parameter(const struct run *run, const char *name)
{
    size_t index = parameters_find(run->parameters, name);
    if (index == SIZE_MAX)
        fail_msg("there is no parameter %s", name);
    return index;
}

/* ---- Comparing ------------------------------------------------------------------------------- */

/* A tensor of the reference lies at this place, because its q, k and v are parts of one parameter.
 */
struct place {
    char name[80];
    uint64_t first;
};

static struct place find_place(const char *reference)
{
    static const char *const parts[] = {"q_proj", "k_proj", "v_proj"};
    struct place place = {.first = 0};
    const char *pool = strstr(reference, "attnpool.");
    for (unsigned i = 0; i < 3 && pool; i++)
        if (!strncmp(pool + 9, parts[i], 6)) {
            snprintf(place.name, sizeof(place.name), "visual.attnpool.in_proj_%s", pool + 16);
            place.first = i;
            return place;
        }
    snprintf(place.name, sizeof(place.name), "%s", reference);
    return place;
}

struct bounds {
    double most;    /* bound of every difference */
    double typical; /* bound of 99 % of the differences; 0: there is none */
    bool relative;  /* whether the bounds are shares of the tensor's largest value */
};

/* Compares all tensors of a file whose names begin with `prefix`. */
static void compare_tensors(struct run *run, enum parameter_value which,
                            const struct safetensors *file, const char *prefix,
                            struct bounds bounds)
{
    size_t compared = 0;
    uint64_t all = 0, above = 0;
    double worst = 0;
    for (size_t t = 0; t < file->count; t++) {
        const struct tensor_view *view = &file->tensors[t];
        if (strncmp(view->name, prefix, strlen(prefix)) || strstr(view->name, "num_batches"))
            continue;
        struct place place = find_place(view->name + strlen(prefix));
        size_t index = find_parameter(run, place.name);
        const struct parameter *parameter = parameters_get(run->parameters, index);
        float *values = malloc(parameter->elements * sizeof(*values));
        assert_int_equal(parameters_read(run->parameters, index, which, values), 0);
        uint64_t count = 1;
        for (unsigned i = 0; i < view->rank; i++)
            count *= view->shape[i];
        double largest = 1e-3;
        for (uint64_t i = 0; i < count; i++)
            largest = fmax(largest, fabs(tensor_view_value(view, i)));
        double unit = bounds.relative ? largest : 1;
        for (uint64_t i = 0; i < count; i++, all++) {
            double difference =
                fabs(values[place.first * count + i] - tensor_view_value(view, i)) / unit;
            worst = fmax(worst, difference);
            above += difference > bounds.typical;
            if (!(difference <= bounds.most))
                fail_msg("%s, element %llu: %.9g, expected %.9g", view->name, (unsigned long long)i,
                         (double)values[place.first * count + i],
                         (double)tensor_view_value(view, i));
        }
        free(values);
        compared++;
    }
    printf("  %zu tensors, largest difference %.2g\n", compared, worst);
    assert_true(compared > 30);
    if (bounds.typical > 0 && above > all / 100)
        fail_msg("%.2f %% of the values differ by more than %g",
                 100.0 * (double)above / (double)all, bounds.typical);
}

static double expected_value(const json_t *expected, const char *list, size_t i)
{
    return json_real_value(json_array_get(json_object_get(expected, list), i));
}

static json_t *open_expected(const char *model)
{
    char *path = reference_path(model, "expected.json");
    json_error_t error;
    json_t *expected = json_load_file(path, 0, &error);
    assert_non_null(expected);
    free(path);
    return expected;
}

/* ---- Tests ----------------------------------------------------------------------------------- */

static void first_step(const char *model, double gradients)
{
    struct run run;
    struct train_result result;
    if (!open_run(model, "batches.safetensors", (struct train_params){0}, &run))
        return;
    struct safetensors *file = open_file(model, "step0.safetensors");
    assert_int_equal(train_gradients(run.train, run.pixels, run.ids, &result), 0);
    double loss = (double)tensor_view_value(safetensors_find(file, "loss"), 0);
    printf("%s: loss %.9g, expected %.9g\n", model, (double)result.loss, loss);
    assert_true(fabs((double)result.loss - loss) < 5e-6);
    compare_tensors(&run, PARAMETER_GRADIENT, file, "grad.", (struct bounds){gradients, 0, true});
    safetensors_close(&file);
    close_run(&run);
}

/* Compares ten steps at a constant rate: losses, logit scale, and the parameters after some. */
static void ten_steps(const char *model, double drift, struct bounds after1, struct bounds after10)
{
    struct run run;
    double worst = 0;
    if (!open_run(model, "batches.safetensors", (struct train_params){0}, &run))
        return;
    json_t *expected = open_expected(model);
    struct safetensors *stats =
        strcmp(model, "rn") ? NULL : open_file(model, "bn_stats.safetensors");
    printf("%s, 10 steps\n", model);
    for (size_t i = 0; i < 10; i++) {
        struct train_result result = run_step(&run, i, 5e-4);
        double loss = expected_value(expected, "loss_constant_lr", i);
        worst = fmax(worst, fabs((double)result.loss - loss));
        if (!(fabs((double)result.loss - loss) < (i < 2 ? 5e-5 : drift)))
            fail_msg("step %zu: loss %.9g, expected %.9g", i, (double)result.loss, loss);
        double scale = expected_value(expected, "logit_scale_exp_constant_lr", i);
        assert_true(fabs(exp((double)result.logit_scale) - scale) < 1e-4 * scale);
        if (stats) {
            char prefix[16];
            snprintf(prefix, sizeof(prefix), "step%zu.", i + 1);
            compare_tensors(&run, PARAMETER_VALUE, stats, prefix,
                            (struct bounds){5e-3, 1e-3, false});
        }
        if (i && i != 9)
            continue;
        struct safetensors *after =
            open_file(model, i ? "after10.safetensors" : "after1.safetensors");
        compare_tensors(&run, PARAMETER_VALUE, after, "", i ? after10 : after1);
        safetensors_close(&after);
    }
    printf("%s, 10 losses: largest difference %.2g\n", model, worst);
    safetensors_close(&stats);
    json_decref(expected);
    close_run(&run);
}

/* Compares fifty steps with a schedule, whose losses may differ by `drift`. */
static void fifty_steps(const char *model, double drift)
{
    struct run run;
    if (!open_run(model, "batches.safetensors", (struct train_params){0}, &run))
        return;
    json_t *expected = open_expected(model);
    double worst = 0;
    for (size_t i = 0; i < 50; i++) {
        struct train_result result = run_step(&run, i, expected_value(expected, "lr_schedule", i));
        double loss = expected_value(expected, "loss_schedule", i);
        worst = fmax(worst, fabs((double)result.loss - loss));
        if (!(fabs((double)result.loss - loss) < drift))
            fail_msg("step %zu: loss %.9g, expected %.9g", i, (double)result.loss, loss);
    }
    printf("%s, 50 losses: largest difference %.2g\n", model, worst);
    if (!strcmp(model, "vit")) {
        struct safetensors *after = open_file(model, "after50_schedule.safetensors");
        compare_tensors(&run, PARAMETER_VALUE, after, "", (struct bounds){4e-4, 2e-6, false});
        safetensors_close(&after);
    }
    json_decref(expected);
    close_run(&run);
}

static void trains_vit(void **state)
{
    (void)state;
    first_step("vit", 1e-5);
    ten_steps("vit", 1e-5, (struct bounds){2e-4, 2e-7, false}, (struct bounds){4e-4, 1e-6, false});
    fifty_steps("vit", 2e-5);
}

static void trains_resnet(void **state)
{
    (void)state;
    first_step("rn", 2e-4);
    ten_steps("rn", 5e-3, (struct bounds){4e-4, 2e-6, false}, (struct bounds){5e-3, 2e-4, false});
    fifty_steps("rn", 3e-2);
}

static void clamps_logit_scale(void **state)
{
    (void)state;
    struct run run;
    if (!open_run("vit", "clamp.safetensors", (struct train_params){0}, &run))
        return;
    struct safetensors *file = open_file("", "clamp.safetensors");
    size_t scale = find_parameter(&run, "logit_scale");
    float value = tensor_view_value(safetensors_find(file, "logit_scale_init"), 0), after;
    assert_int_equal(parameters_write(run.parameters, scale, PARAMETER_VALUE, &value), 0);
    for (uint64_t i = 0; i < 3; i++) {
        struct train_result result = run_step(&run, i, 5e-4);
        double loss = (double)tensor_view_value(safetensors_find(file, "loss"), i);
        double exponential =
            (double)tensor_view_value(safetensors_find(file, "logit_scale_exp"), i);
        printf("clamp: loss %.7g (%.7g), scale %.7g (%.7g)\n", (double)result.loss, loss,
               exp((double)result.logit_scale), exponential);
        assert_true(fabs((double)result.loss - loss) < 2e-4);
        assert_true(fabs(exp((double)result.logit_scale) - exponential) < 1e-3);
        assert_int_equal(parameters_read(run.parameters, scale, PARAMETER_VALUE, &after), 0);
        if (!i)
            assert_true(fabs((double)after - log(100)) < 1e-6);
    }
    safetensors_close(&file);
    close_run(&run);
}

/* Returns the largest difference of two lists as a share of the largest value. In mixed precision
 * it returns one minus their cosine, because rounding changes the sign of values near 0 before ReLU
 * and single gradients then differ by far. */
static double list_distance(const float *x, const float *y, uint64_t count, bool mixed)
{
    double largest = 1e-4, difference = 0, xy = 0, xx = 1e-30, yy = 1e-30;
    for (uint64_t i = 0; i < count; i++) {
        double a = (double)x[i], b = (double)y[i];
        largest = fmax(largest, fabs(a));
        difference = fmax(difference, fabs(a - b));
        xy += a * b;
        xx += a * a;
        yy += b * b;
    }
    return mixed ? 1 - xy / sqrt(xx * yy) : difference / largest;
}

/* Compares the gradients of a batch with those that a run with other parameters computes. */
static void compare_runs(const char *model, struct train_params params, double bound)
{
    struct run whole, parts;
    struct train_result a, b;
    if (!open_run(model, "batches.safetensors", (struct train_params){0}, &whole))
        return;
    assert_true(open_run(model, "batches.safetensors", params, &parts));
    train_scale_loss(parts.train, 8192); /* Runs in fp32 ignore the scale. */
    assert_int_equal(train_gradients(whole.train, whole.pixels, whole.ids, &a), 0);
    assert_int_equal(train_gradients(parts.train, parts.pixels, parts.ids, &b), 0);
    assert_true(fabs((double)(a.loss - b.loss)) <= (params.mixed ? 1e-3 : 1e-5) * (double)a.loss);
    double worst = 0;
    const struct parameter *parameter;
    for (size_t i = 0; (parameter = parameters_get(parts.parameters, i)); i++) {
        if (!parameter->trained)
            continue;
        float *x = malloc(2 * parameter->elements * sizeof(*x)), *y = x + parameter->elements;
        assert_int_equal(parameters_read(whole.parameters, find_parameter(&whole, parameter->name),
                                         PARAMETER_GRADIENT, x),
                         0);
        assert_int_equal(parameters_read(parts.parameters, i, PARAMETER_GRADIENT, y), 0);
        for (uint64_t j = 0; j < parameter->elements; j++)
            y[j] /= b.loss_scale;
        double apart = list_distance(x, y, parameter->elements, params.mixed);
        worst = fmax(worst, apart);
        if (!(apart <= bound))
            fail_msg("gradient of %s differs by %.2g", parameter->name, apart);
        free(x);
    }
    printf("%s: gradients differ by %.2g at most\n", model, worst);
    close_run(&whole);
    close_run(&parts);
}

static void micro_batches(void **state)
{
    (void)state;
    compare_runs("vit", (struct train_params){.micro_batch = 4}, 1e-5);
}

static void recomputed(void **state)
{
    (void)state;
    compare_runs("vit", (struct train_params){.recompute = true}, 1e-5);
}

/* Not every device has 16-bit storage, without which mixed precision must be refused. */
static bool has_mixed(void)
{
    if (gpu_caps(gpu) & CAP_F16)
        return true;
    struct run run;
    struct train *train = NULL;
    struct train_params params = {.batch = 16, .mixed = true};
    if (open_run("vit", "batches.safetensors", (struct train_params){0}, &run)) {
        assert_int_equal(train_open(gpu, NULL, &run.config, run.weights, &params, &train),
                         VKCLIP_EUNSUPPORTED);
        assert_non_null(strstr(vkclip_last_error(), "16-bit storage"));
        close_run(&run);
    }
    return false;
}

static void mixed_gradients(void **state)
{
    (void)state;
    if (!has_mixed())
        return;
    compare_runs("vit", (struct train_params){.mixed = true}, 1e-4);
    compare_runs("vit", (struct train_params){.mixed = true, .micro_batch = 4}, 1e-4);
    compare_runs("vit", (struct train_params){.mixed = true, .recompute = true}, 1e-4);
    compare_runs("vit", (struct train_params){.mixed = true, .lock_image = true}, 1e-4);
    compare_runs("rn", (struct train_params){.mixed = true}, 3e-2);
    compare_runs("rn", (struct train_params){.mixed = true, .lock_text = true}, 3e-2);
}

/* Compares the losses of 50 steps in mixed precision, which needs less memory. The first scale
 * makes gradients overflow fp16, and such a step must leave everything as it was. */
static void follow_losses(const char *model, double drift)
{
    struct run run;
    struct train_memory memory, whole;
    const struct train_params params = {.batch = 16}, half = {.batch = 16, .mixed = true};
    if (!open_run(model, "batches.safetensors", half, &run))
        return;
    assert_int_equal(train_measure(&run.config, &params, &whole), 0);
    assert_int_equal(train_measure(&run.config, &half, &memory), 0);
    assert_true(memory.activations < whole.activations * 3 / 4);
    assert_true(memory.weights == whole.weights);
    json_t *expected = open_expected(model);
    double worst = 0;
    float scale = 1e12f;
    for (size_t i = 0; i < 50; i++) {
        struct train_result result = {.skipped = true};
        double rate = expected_value(expected, "lr_schedule", i);
        for (; result.skipped && scale > 1; scale /= result.skipped ? 2 : 1) {
            train_scale_loss(run.train, scale);
            assert_int_equal(
                train_step(run.train, batch_pixels(&run, i), batch_ids(&run, i), i, rate, &result),
                0);
            assert_true(isfinite(result.loss));
        }
        assert_true(!result.skipped && scale < 1e9f);
        worst =
            fmax(worst, fabs((double)result.loss - expected_value(expected, "loss_schedule", i)));
    }
    printf("%s in mixed precision, scale %g, 50 losses: largest difference %.2g\n", model,
           (double)scale, worst);
    assert_true(worst < drift);
    json_decref(expected);
    close_run(&run);
}

static void mixed_steps(void **state)
{
    (void)state;
    if (!has_mixed())
        return;
    follow_losses("vit", 1e-2);
    follow_losses("rn", 0.2);
}

/* Frozen batch norm gives the results of inference, which folds it into weights, and its statistics
 * do not change. */
static void frozen_norms(void **state)
{
    (void)state;
    struct run inference, frozen, recomputed;
    struct train_params params = {.lock_image = true};
    if (!open_run("rn", "batches.safetensors", params, &inference))
        return;
    params = (struct train_params){.freeze_bn_stats = true};
    assert_true(open_run("rn", "batches.safetensors", params, &frozen));
    params.recompute = true;
    assert_true(open_run("rn", "batches.safetensors", params, &recomputed));
    for (uint64_t i = 0; i < 2; i++) {
        struct train_result a = run_step(&inference, i, 0), b = run_step(&frozen, i, i ? 1e-4 : 0),
                            c = run_step(&recomputed, i, i ? 1e-4 : 0);
        printf("frozen: loss %.7g, inference %.7g\n", (double)b.loss, (double)a.loss);
        assert_true(fabs((double)(a.loss - b.loss)) < 1e-5);
        assert_true(fabs((double)(b.loss - c.loss)) < 1e-5);
        assert_true(fabs((double)(b.norm / c.norm - 1)) < 1e-5);
    }
    size_t left = 0, moved = 0;
    const struct parameter *parameter;
    for (size_t i = 0; (parameter = parameters_get(frozen.parameters, i)); i++) {
        bool running = strstr(parameter->name, ".running_");
        if (!running && !strstr(parameter->name, "bn1."))
            continue;
        float *x = malloc(2 * parameter->elements * sizeof(*x)), *y = x + parameter->elements;
        assert_int_equal(parameters_read(frozen.parameters, i, PARAMETER_VALUE, x), 0);
        if (weights_read(frozen.weights, parameter->name, 0, parameter->elements, y))
            fail_msg("%s", vkclip_last_error());
        bool same = !memcmp(x, y, parameter->elements * sizeof(*x));
        assert_true(same == running);
        left += same;
        moved += !same;
        free(x);
    }
    assert_true(left > 20 && moved > 10);
    close_run(&inference);
    close_run(&frozen);
    close_run(&recomputed);
}

static void locked_towers(void **state)
{
    (void)state;
    compare_runs("vit", (struct train_params){.lock_image = true}, 1e-5);
    compare_runs("vit", (struct train_params){.lock_text = true, .micro_batch = 8}, 1e-5);
    struct train_params parts = {
        .lock_image = true, .unlocked_image = 2, .lock_text = true, .unlocked_text = 1};
    compare_runs("vit", parts, 1e-5);
    parts.unlocked_image = 3;
    parts.unlocked_text = 1000; /* more groups than there are */
    parts.recompute = true;
    compare_runs("vit", parts, 1e-5);
}

/* Averages follow the weights of every step, and an exchange with the weights loses no bit. A step
 * of a weight that is not finite leaves them. */
static void averages_weights(void **state)
{
    (void)state;
    const float decay = 0.75f;
    for (uint32_t micro = 0; micro <= 8; micro += 8) {
        struct run run;
        struct train_params params = {.ema_decay = decay, .lock_text = true, .micro_batch = micro};
        if (!open_run("vit", "batches.safetensors", params, &run))
            return;
        const size_t i = find_parameter(&run, "visual.proj");
        const uint64_t count = parameters_get(run.parameters, i)->elements;
        float *value = malloc(4 * count * sizeof(*value)), *average = value + count;
        float *expected = average + count, *other = expected + count;
        assert_int_equal(parameters_read(run.parameters, i, PARAMETER_AVERAGE, expected), 0);
        assert_int_equal(parameters_read(run.parameters, i, PARAMETER_VALUE, value), 0);
        assert_memory_equal(value, expected, count * sizeof(*value));
        for (uint64_t step = 0; step < 4; step++) {
            if (step == 3) { /* This step is skipped. */
                memcpy(other, value, count * sizeof(*value));
                other[0] = NAN;
                assert_int_equal(parameters_write(run.parameters, i, PARAMETER_GRADIENT, other), 0);
            }
            struct train_result result;
            assert_int_equal(train_step(run.train, batch_pixels(&run, step), batch_ids(&run, step),
                                        step, 1e-3, &result),
                             0);
            assert_true(result.skipped == (step == 3));
            assert_int_equal(parameters_read(run.parameters, i, PARAMETER_VALUE, value), 0);
            for (uint64_t j = 0; j < count && step < 3; j++)
                expected[j] = decay * expected[j] + (1 - decay) * value[j];
        }
        assert_int_equal(parameters_read(run.parameters, i, PARAMETER_AVERAGE, average), 0);
        assert_true(list_distance(average, expected, count, false) < 1e-6);
        assert_true(list_distance(average, value, count, false) > 1e-4);
        assert_int_equal(parameters_swap_averages(run.parameters), 0);
        assert_int_equal(parameters_read(run.parameters, i, PARAMETER_VALUE, other), 0);
        assert_memory_equal(other, average, count * sizeof(*value));
        assert_int_equal(parameters_read(run.parameters, i, PARAMETER_AVERAGE, other), 0);
        assert_memory_equal(other, value, count * sizeof(*value));
        assert_int_equal(parameters_read(run.parameters, find_parameter(&run, "text_projection"),
                                         PARAMETER_AVERAGE, other),
                         VKCLIP_EINVALID);
        free(value);
        close_run(&run);
    }
}

/* Clips as torch.nn.utils.clip_grad_norm_ does. The moments are compared, because the update of
 * AdamW hardly depends on the scale of gradients. */
static void clips_gradients(void **state)
{
    (void)state;
    struct run whole, parts;
    struct train_params params = {.grad_clip_norm = 0.05f};
    if (!open_run("vit", "batches.safetensors", (struct train_params){0}, &whole))
        return;
    assert_true(open_run("vit", "batches.safetensors", params, &parts));
    struct train_result a = run_step(&whole, 0, 5e-4), b = run_step(&parts, 0, 5e-4);
    assert_true((double)a.norm > 0.05);
    assert_true(fabs((double)(a.norm - b.norm)) < 1e-5 * (double)a.norm);
    size_t i = find_parameter(&whole, "visual.proj");
    const struct parameter *parameter = parameters_get(whole.parameters, i);
    float *x = malloc(2 * parameter->elements * sizeof(*x)), *y = x + parameter->elements;
    assert_int_equal(parameters_read(whole.parameters, i, PARAMETER_MOMENT1, x), 0);
    assert_int_equal(parameters_read(parts.parameters, i, PARAMETER_MOMENT1, y), 0);
    for (uint64_t j = 0; j < parameter->elements; j++)
        assert_true(fabs((double)(x[j] * 0.05f / (a.norm + 1e-6f) - y[j])) < 1e-8);
    /* Written values are read back, and a gradient that is not a number changes nothing. */
    float *kept = malloc(parameter->elements * sizeof(*kept));
    assert_int_equal(parameters_read(whole.parameters, i, PARAMETER_VALUE, kept), 0);
    assert_int_equal(parameters_write(whole.parameters, i, PARAMETER_MOMENT2, y), 0);
    assert_int_equal(parameters_read(whole.parameters, i, PARAMETER_MOMENT2, x), 0);
    assert_memory_equal(x, y, parameter->elements * sizeof(*x));
    x[0] = NAN;
    assert_int_equal(parameters_write(whole.parameters, i, PARAMETER_GRADIENT, x), 0);
    assert_int_equal(train_step(whole.train, whole.pixels, whole.ids, 1, 5e-4, &a), 0);
    assert_true(a.skipped);
    assert_int_equal(parameters_read(whole.parameters, i, PARAMETER_VALUE, x), 0);
    assert_memory_equal(x, kept, parameter->elements * sizeof(*x));
    free(x);
    free(kept);
    close_run(&whole);
    close_run(&parts);
}

/* Returns the loss of N pairs of which the logits are given, where picture I is number I % `kinds`.
 */
static double pair_loss(const struct tensor_view *logits, uint32_t kinds, uint32_t n)
{
    const uint64_t width = logits->shape[1];
    double loss = 0;
    for (uint32_t i = 0; i < n; i++) {
        double texts = 0, pictures = 0;
        for (uint32_t j = 0; j < n; j++) {
            texts += exp(tensor_view_value(logits, i % kinds * width + j));
            pictures += exp(tensor_view_value(logits, j % kinds * width + i));
        }
        loss += (log(texts) + log(pictures)) / 2 - tensor_view_value(logits, i % kinds * width + i);
    }
    return loss / n;
}

/* An XLM-R, whose padding is masked. If it is locked, the host looks up its tokens. The loss is the
 * reference's either way. */
static void xlm_roberta(void **state)
{
    (void)state;
    enum { PAIRS = 4, KINDS = 2 };
    char *path = golden_path("family/xlmr-openclip");
    char *case_path = golden_path("family/xlmr-openclip/case.safetensors");
    struct run run = {0};
    if (!path || !case_path) {
        printf("skipped: reference data family/xlmr-openclip is not here\n");
        return;
    }
    const struct vkclip_model_params model_params = {.size = sizeof(model_params)};
    assert_int_equal(checkpoint_open(path, &model_params, &run.config, &run.weights), 0);
    assert_int_equal(safetensors_open(case_path, &run.data), 0);
    const struct tensor_view *images = safetensors_find(run.data, "pixel_values");
    const struct tensor_view *ids = safetensors_find(run.data, "input_ids");
    const struct tensor_view *logits = safetensors_find(run.data, "logits_per_image");
    const size_t context = run.config.context, length = ids->shape[1];
    const size_t picture = 3 * (size_t)run.config.image_size * run.config.image_size;
    run.pixels = malloc(PAIRS * picture * sizeof(float));
    run.ids = malloc(PAIRS * context * sizeof(int32_t));
    for (size_t i = 0; i < PAIRS * picture; i++)
        run.pixels[i] = (float)tensor_view_value(images, i % (KINDS * picture));
    for (size_t i = 0; i < PAIRS * context; i++)
        run.ids[i] = i % context < length
                         ? ((const int32_t *)ids->data)[i / context * length + i % context]
                         : run.config.pad_token_id;
    for (int way = 0; way < 4; way++) {
        struct train_result result;
        const struct train_params params = {
            .batch = PAIRS, .micro_batch = way / 2 ? PAIRS : 2, .lock_text = way % 2};
        assert_int_equal(train_open(gpu, NULL, &run.config, run.weights, &params, &run.train), 0);
        run.parameters = train_parameters(run.train);
        assert_int_equal(train_gradients(run.train, run.pixels, run.ids, &result), 0);
        assert_true(fabs((double)result.loss - pair_loss(logits, KINDS, PAIRS)) < 1e-4);
        assert_true(
            parameters_get(run.parameters, find_parameter(&run, "bert.proj.0.weight"))->trained ==
            !params.lock_text);
        assert_true(parameters_get(run.parameters, find_parameter(&run, "visual.proj"))->trained);
        train_close(&run.train);
    }
    close_run(&run);
    free(path);
    free(case_path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trains_vit),         cmocka_unit_test(trains_resnet),
        cmocka_unit_test(clamps_logit_scale), cmocka_unit_test(micro_batches),
        cmocka_unit_test(recomputed),         cmocka_unit_test(locked_towers),
        cmocka_unit_test(frozen_norms),       cmocka_unit_test(clips_gradients),
        cmocka_unit_test(mixed_gradients),    cmocka_unit_test(mixed_steps),
        cmocka_unit_test(xlm_roberta),        cmocka_unit_test(averages_weights),
    };
    return cmocka_run_group_tests(tests, open_any_gpu, close_gpu);
}
