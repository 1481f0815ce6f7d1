/* SPDX-License-Identifier: MIT
 *
 * Trains a tiny ConvNeXt on the device that the environment names: its parameters lie on the device
 * as the checkpoint has them, the gradient of all parameters together is compared with differences
 * of the loss, and steps lower the loss, also in mixed precision.
 */
#define _GNU_SOURCE
#include "support/open_gpu.h"
#include "support/scratch.h"

#include <math.h>

#include "checkpoint/initial.h"
#include "checkpoint/open.h"
#include "train/parameters.h"
#include "train/step.h"

#define BATCH 4
#define CONTEXT 6
#define SIZE 32

static const char config_text[] =
    "{\"model_cfg\": {\"embed_dim\": 12, \"vision_cfg\": {\"timm_model_name\": \"convnext_base\","
    "\"timm_proj\": \"mlp\", \"image_size\": 32, \"timm_model_kwargs\": {\"depths\": [1, 1, 2, 1],"
    "\"dims\": [8, 12, 10, 16]}}, \"text_cfg\": {\"context_length\": 6, \"vocab_size\": 40,"
    "\"width\": 16, \"heads\": 2, \"layers\": 1}}, \"preprocess_cfg\": {}}";

struct run {
    char *folder;
    struct config config;
    struct weights *weights;
    struct gpu *gpu;
    struct train *train;
    struct parameters *parameters;
    float pixels[BATCH * 3 * SIZE * SIZE];
    int32_t ids[BATCH * CONTEXT];
};

static double next_value(uint32_t *state)
{
    *state ^= *state << 13, *state ^= *state >> 17, *state ^= *state << 5;
    return (double)*state / 2147483648.0 - 1;
}

static void fill_inputs(struct run *run)
{
    uint32_t state = 4711;
    for (size_t i = 0; i < BATCH * 3 * SIZE * SIZE; i++)
        run->pixels[i] = (float)next_value(&state);
    for (size_t i = 0; i < BATCH * CONTEXT; i++)
        run->ids[i] = i % CONTEXT == CONTEXT - 1 ? 39 : (int32_t)(7 * i * i % 39);
}

static struct run *open_run(bool mixed)
{
    struct run *run = calloc(1, sizeof(*run));
    const struct train_params params = {
        .batch = BATCH, .adamw = {0.9f, 0.98f, 1e-6f, 0.2f}, .mixed = mixed};
    run->folder = scratch_folder();
    char *config = scratch_path(run->folder, "open_clip_config.json");
    char *model = scratch_path(run->folder, "model");
    scratch_text(run->folder, "open_clip_config.json", config_text);
    run->gpu = open_gpu("");
    if (initial_write(config, 3, model) ||
        checkpoint_open(model, NULL, &run->config, &run->weights) ||
        train_open(run->gpu, NULL, &run->config, run->weights, &params, &run->train))
        fail_msg("%s", vkclip_last_error());
    run->parameters = train_parameters(run->train);
    fill_inputs(run);
    free(config);
    free(model);
    return run;
}

static void close_run(struct run *run)
{
    train_close(&run->train);
    weights_close(&run->weights);
    config_close(&run->config);
    gpu_close(&run->gpu);
    scratch_remove(run->folder);
    free(run);
}

static float *read_values(const struct run *run, size_t index, enum parameter_value which)
{
    const struct parameter *parameter = parameters_get(run->parameters, index);
    float *values = malloc(parameter->elements * sizeof(*values));
    assert_int_equal(parameters_read(run->parameters, index, which, values), 0);
    return values;
}

static void parameters_are_the_checkpoints(void **state)
{
    (void)state;
    struct run *run = open_run(false);
    const struct parameter *parameter;
    size_t depthwise = 0;
    for (size_t i = 0; (parameter = parameters_get(run->parameters, i)); i++) {
        float *found = read_values(run, i, PARAMETER_VALUE);
        float *expected = malloc(parameter->elements * sizeof(*expected));
        const uint64_t rows = parameter->rank ? parameter->shape[0] : 1;
        assert_int_equal(weights_read(run->weights, parameter->name, 0, rows, expected), 0);
        assert_memory_equal(found, expected, parameter->elements * sizeof(*expected));
        depthwise += parameter->rank == 4 && parameter->shape[1] == 1;
        free(found);
        free(expected);
    }
    assert_int_equal(depthwise, 5);
    close_run(run);
}

static double measure_loss(struct run *run)
{
    struct train_result result;
    if (train_gradients(run->train, run->pixels, run->ids, &result))
        fail_msg("%s", vkclip_last_error());
    return (double)result.loss;
}

/* Gives gamma and the biases values with which every part of the tower matters. */
static void spread_values(struct run *run)
{
    const struct parameter *parameter;
    uint32_t state = 99;
    for (size_t i = 0; (parameter = parameters_get(run->parameters, i)); i++) {
        const bool gamma = strstr(parameter->name, "gamma");
        if (!gamma && !strstr(parameter->name, "bias") && !strstr(parameter->name, "conv_dw"))
            continue;
        float *values = malloc(parameter->elements * sizeof(*values));
        for (uint64_t j = 0; j < parameter->elements; j++)
            values[j] = (float)(0.3 * next_value(&state) + (gamma ? 0.7 : 0));
        assert_int_equal(parameters_write(run->parameters, i, PARAMETER_VALUE, values), 0);
        free(values);
    }
}

/* Moves all parameters along their gradients. */
static void move_values(struct run *run, float *const *values, float *const *gradients, double step)
{
    const struct parameter *parameter;
    for (size_t i = 0; (parameter = parameters_get(run->parameters, i)); i++) {
        float *moved = malloc(parameter->elements * sizeof(*moved));
        for (uint64_t j = 0; j < parameter->elements; j++)
            moved[j] = (float)((double)values[i][j] + step * (double)gradients[i][j]);
        assert_int_equal(parameters_write(run->parameters, i, PARAMETER_VALUE, moved), 0);
        free(moved);
    }
}

/* Along its gradient the loss changes by the square of the gradient's length. Steps change the loss
 * by about 2 %, of which fp32 resolves a ten-thousandth. */
static void gradients_are_differences(void **state)
{
    (void)state;
    enum { MOST = 256 };
    struct run *run = open_run(false);
    float *values[MOST], *gradients[MOST];
    const struct parameter *parameter;
    size_t count = 0;
    double squares = 0, tower = 0;
    spread_values(run);
    measure_loss(run);
    for (; (parameter = parameters_get(run->parameters, count)); count++) {
        assert_true(count < MOST);
        values[count] = read_values(run, count, PARAMETER_VALUE);
        gradients[count] = read_values(run, count, PARAMETER_GRADIENT);
        for (uint64_t j = 0; j < parameter->elements; j++) {
            const double square = (double)gradients[count][j] * (double)gradients[count][j];
            squares += square;
            tower += strstr(parameter->name, "visual.trunk.stages") ? square : 0;
        }
    }
    assert_true(tower > squares / 100); /* The blocks have a share in the sum. */
    const double step = 0.01 / squares;
    move_values(run, values, gradients, step);
    const double above = measure_loss(run);
    move_values(run, values, gradients, -step);
    const double difference = (above - measure_loss(run)) / (2 * step);
    if (!(fabs(difference - squares) <= 0.01 * squares))
        fail_msg("the loss changes by %g along its gradient, whose square is %g", difference,
                 squares);
    for (size_t i = 0; i < count; i++) {
        free(values[i]);
        free(gradients[i]);
    }
    close_run(run);
}

static bool has_f16(void)
{
    struct gpu *gpu = open_gpu("");
    const bool f16 = gpu_caps(gpu) & CAP_F16;
    gpu_close(&gpu);
    return f16;
}

static void steps_lower_the_loss(void **state)
{
    (void)state;
    const int ways = has_f16() ? 2 : 1;
    for (int mixed = 0; mixed < ways; mixed++) {
        struct run *run = open_run(mixed);
        double first = 0, last = 0;
        if (mixed)
            train_scale_loss(run->train, 1024);
        for (uint64_t step = 0; step < 10; step++) {
            struct train_result result;
            if (train_step(run->train, run->pixels, run->ids, step, 3e-3, &result))
                fail_msg("%s", vkclip_last_error());
            first = step ? first : (double)result.loss;
            last = (double)result.loss;
        }
        printf("%s: loss %g to %g\n", mixed ? "mixed" : "fp32", first, last);
        assert_true(last < 0.8 * first);
        close_run(run);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_are_the_checkpoints),
        cmocka_unit_test(gradients_are_differences),
        cmocka_unit_test(steps_lower_the_loss),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
