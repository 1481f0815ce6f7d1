/* SPDX-License-Identifier: MIT
 *
 * Trains tiny models of the later families on the device that the environment names: their
 * parameters lie on the device as the checkpoint has them, the gradient of all parameters together
 * is compared with differences of the loss, and steps lower the loss, also in mixed precision. The
 * sigmoid loss is that of a matrix of all pairs, also if it is computed in parts.
 */
#define _GNU_SOURCE
#include "support/open_gpu.h"
#include "support/scratch.h"

#include <math.h>

#include "base/array.h"
#include "checkpoint/initial.h"
#include "checkpoint/open.h"
#include "train/parameters.h"
#include "train/step.h"

#define BATCH 4
#define CONTEXT 8
#define SIZE 32

/* A model, and the parts of the names of a tower's tensors of which the gradient must have a share.
 */
struct model {
    const char *config, *part;
    bool alone; /* Only the gradient of these tensors is checked, because its share is small. */
};

static const struct model convnext = {
    "{\"model_cfg\": {\"embed_dim\": 12, \"vision_cfg\": {\"timm_model_name\": \"convnext_base\","
    "\"timm_proj\": \"mlp\", \"image_size\": 32, \"timm_model_kwargs\": {\"depths\": [1, 1, 2, 1],"
    "\"dims\": [8, 12, 10, 16]}}, \"text_cfg\": {\"context_length\": 8, \"vocab_size\": 40,"
    "\"width\": 16, \"heads\": 2, \"layers\": 1}}, \"preprocess_cfg\": {}}",
    "visual.trunk.stages"};

#define XLM_ROBERTA                                                                    \
    "\"text_cfg\": {\"hf_model_name\": \"xlm-roberta-base\", \"hf_tokenizer_name\": "  \
    "\"xlm-roberta-base\", \"hf_pooler_type\": \"mean_pooler\", \"hf_model_config\": " \
    "{\"hidden_size\": 16, \"intermediate_size\": 32, \"num_hidden_layers\": 1, "      \
    "\"num_attention_heads\": 2, \"max_position_embeddings\": 10, \"vocab_size\": 40}}"

static const struct model eva02 = {
    "{\"model_cfg\": {\"embed_dim\": 12, \"vision_cfg\": {\"image_size\": 32, \"timm_model_name\": "
    "\"eva02_base_patch16_clip_224\", \"timm_pool\": \"token\", \"timm_proj\": null, "
    "\"timm_model_kwargs\": {\"img_size\": 32, \"patch_size\": 16, \"embed_dim\": 24, \"depth\": "
    "1, "
    "\"num_heads\": 2}}, " XLM_ROBERTA "}, \"preprocess_cfg\": {}}",
    "visual.trunk.blocks"};
static const struct model xlm_roberta = {"{\"model_cfg\": {\"embed_dim\": 12, \"vision_cfg\": "
                                         "{\"image_size\": 32, \"layers\": 1, \"width\": "
                                         "64, \"patch_size\": 16}, " XLM_ROBERTA
                                         "}, \"preprocess_cfg\": {}}",
                                         "bert."};

static const struct model sigmoid = {
    "{\"model_cfg\": {\"embed_dim\": 12, \"init_logit_bias\": -10, \"vision_cfg\": "
    "{\"image_size\": 32, "
    "\"layers\": 1, \"width\": 64, \"patch_size\": 16}, \"text_cfg\": {\"context_length\": 8, "
    "\"vocab_size\": 40, \"width\": 16, \"heads\": 2, \"layers\": 1}}, \"preprocess_cfg\": {}}",
    ""};

static const struct model layer_scale = {
    "{\"model_cfg\": {\"embed_dim\": 12, \"vision_cfg\": {\"image_size\": 32, \"layers\": 2, "
    "\"width\": 64, \"patch_size\": 16, \"ls_init_value\": 0.5}, \"text_cfg\": "
    "{\"context_length\": 8, \"vocab_size\": 40, \"width\": 16, \"heads\": 2, \"layers\": 1, "
    "\"ls_init_value\": 0.25}}, \"preprocess_cfg\": {}}",
    "ls_", true};

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
        run->ids[i] = i % CONTEXT == CONTEXT - 1 ? 39 : (int32_t)(2 + 7 * i * i % 37);
    for (size_t i = 0; i < BATCH * CONTEXT && run->config.text.kind == KIND_BERT; i++)
        if (i / CONTEXT % 2 && i % CONTEXT > 4) /* Every second text ends early. */
            run->ids[i] = run->config.pad_token_id;
}

static struct run *open_run(const struct model *tiny, bool mixed)
{
    struct run *run = calloc(1, sizeof(*run));
    const struct train_params params = {
        .batch = BATCH, .adamw = {0.9f, 0.98f, 1e-6f, 0.2f}, .mixed = mixed};
    run->folder = scratch_folder();
    char *config = scratch_path(run->folder, "open_clip_config.json");
    char *model = scratch_path(run->folder, "model");
    scratch_text(run->folder, "open_clip_config.json", tiny->config);
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

static void check_parameters(const struct model *tiny, size_t expected_depthwise)
{
    struct run *run = open_run(tiny, false);
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
    assert_int_equal(depthwise, expected_depthwise);
    close_run(run);
}

static void parameters_are_the_checkpoints(void **state)
{
    (void)state;
    check_parameters(&convnext, 5);
    check_parameters(&eva02, 0);
    check_parameters(&layer_scale, 0);
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
static void check_gradients(const struct model *tiny)
{
    enum { MOST = 256 };
    struct run *run = open_run(tiny, false);
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
        if (tiny->alone && !strstr(parameter->name, tiny->part))
            memset(gradients[count], 0, parameter->elements * sizeof(float));
        for (uint64_t j = 0; j < parameter->elements; j++) {
            const double square = (double)gradients[count][j] * (double)gradients[count][j];
            squares += square;
            tower += strstr(parameter->name, tiny->part) ? square : 0;
        }
    }
    if (!(tower > squares / 1000)) /* The part must have a share in the sum. */
        fail_msg("%s: %g of %g", tiny->part, tower, squares);
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

static void gradients_are_differences(void **state)
{
    (void)state;
    check_gradients(&convnext);
    check_gradients(&eva02);
    check_gradients(&xlm_roberta);
    check_gradients(&layer_scale);
}

/* Factors of a new model are what its configuration says, and are parameters in the part of a tower
 * that is trained. Where it is locked they are folded, and read from the file when it is saved. */
static void factors_are_parameters(void **state)
{
    (void)state;
    const struct train_params locked = {
        .batch = BATCH, .lock_image = true, .unlocked_image = 2, .lock_text = true};
    const char *const names[] = {"visual.transformer.resblocks.0.ls_1.gamma",
                                 "visual.transformer.resblocks.1.ls_2.gamma",
                                 "transformer.resblocks.0.ls_2.gamma"};
    struct run *run = open_run(&layer_scale, false);
    const double whole = measure_loss(run);
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        const size_t found = parameters_find(run->parameters, names[i]);
        assert_non_null(parameters_get(run->parameters, found));
        float *values = read_values(run, found, PARAMETER_VALUE);
        assert_true(values[0] == (i < 2 ? 0.5f : 0.25f));
        free(values);
    }
    train_close(&run->train);
    if (train_open(run->gpu, NULL, &run->config, run->weights, &locked, &run->train))
        fail_msg("%s", vkclip_last_error());
    run->parameters = train_parameters(run->train);
    assert_null(parameters_get(run->parameters, parameters_find(run->parameters, names[0])));
    const size_t kept = parameters_find(run->parameters, names[1]);
    assert_true(parameters_get(run->parameters, kept)->trained);
    assert_null(parameters_get(run->parameters, parameters_find(run->parameters, names[2])));
    assert_true(fabs(measure_loss(run) - whole) <= 1e-5 * whole);
    close_run(run);
}

static bool has_f16(void)
{
    struct gpu *gpu = open_gpu("");
    const bool f16 = gpu_caps(gpu) & CAP_F16;
    gpu_close(&gpu);
    return f16;
}

static void check_steps(const struct model *tiny)
{
    const int ways = has_f16() ? 2 : 1;
    for (int mixed = 0; mixed < ways; mixed++) {
        struct run *run = open_run(tiny, mixed);
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

static void steps_lower_the_loss(void **state)
{
    (void)state;
    check_steps(&convnext);
    check_steps(&eva02);
}

/* Computes one batch in micro-batches of one pair, with the matrix of pairs in so many parts, and
 * returns the loss and all gradients. */
static float *find_gradients(struct run *run, uint32_t parts, double *loss, size_t *count)
{
    const struct train_params params = {.batch = BATCH,
                                        .micro_batch = 1,
                                        .pairs_bytes =
                                            parts ? BATCH / parts * BATCH * sizeof(float) : 0};
    const struct parameter *parameter;
    float *gradients = NULL;
    train_close(&run->train);
    if (train_open(run->gpu, NULL, &run->config, run->weights, &params, &run->train))
        fail_msg("%s", vkclip_last_error());
    assert_int_equal(pass_loss_rows(&run->config, &params), parts ? BATCH / parts : BATCH);
    run->parameters = train_parameters(run->train);
    *loss = measure_loss(run);
    *count = 0;
    for (size_t i = 0; (parameter = parameters_get(run->parameters, i)); i++) {
        float *values = read_values(run, i, PARAMETER_GRADIENT);
        gradients = realloc(gradients, (*count + parameter->elements) * sizeof(*gradients));
        memcpy(gradients + *count, values, parameter->elements * sizeof(*values));
        *count += parameter->elements;
        free(values);
    }
    return gradients;
}

static void parts_of_the_sigmoid_loss(void **state)
{
    (void)state;
    struct run *run = open_run(&sigmoid, false);
    double whole_loss, loss;
    size_t count;
    float *whole = find_gradients(run, 0, &whole_loss, &count);
    for (uint32_t parts = 2; parts <= BATCH; parts *= 2) {
        float *gradients = find_gradients(run, parts, &loss, &count);
        assert_true(fabs(loss - whole_loss) <= 1e-5 * whole_loss);
        for (size_t i = 0; i < count; i++) /* fp32 adds up in another order */
            if (!(fabsf(gradients[i] - whole[i]) <= 1e-5f * fmaxf(1, fabsf(whole[i]))))
                fail_msg("gradient %zu: %g in %u parts, %g in one", i, (double)gradients[i], parts,
                         (double)whole[i]);
        free(gradients);
    }
    free(whole);
    close_run(run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_are_the_checkpoints),
        cmocka_unit_test(gradients_are_differences),
        cmocka_unit_test(factors_are_parameters),
        cmocka_unit_test(steps_lower_the_loss),
        cmocka_unit_test(parts_of_the_sigmoid_loss),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
