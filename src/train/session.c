/* SPDX-License-Identifier: MIT
 *
 * Maps each tensor of the model either to a parameter on the device or, in a locked tower, to the
 * weights with which the run began.
 */
#include "train/session.h"
#include "base/error.h"
#include "base/folder.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/string.h"
#include "model/tensors.h"
#include "train/fit.h"
#include "train/options.h"
#include "train/parameters.h"
#include "train/share.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* The scale of the loss in mixed precision follows torch.amp.GradScaler: it is halved when
 * gradients overflow, and doubled after LOSS_SCALE_STEPS steps without overflow. */
#define LOSS_SCALE_FIRST 65536
#define LOSS_SCALE_STEPS 2000

#define NO_PARAMETER SIZE_MAX

struct session {
    struct session_params params; /* `output` is a copy. */
    char *output;
    const struct start *start;
    struct train *train; /* NULL until the parameters are on a device */
    struct model_tensor *tensors;
    size_t count;
    size_t *parameters; /* [count], a tensor's parameter on the device, or NO_PARAMETER */
    bool *has_moments;  /* [count] */
    struct run_state state;
};

/* ---- Opening --------------------------------------------------------------------------------- */

/* Takes over the state of the run's beginning. This only warns if a run resumes with other data or
 * options, because the user may want exactly that, unless it cannot resume so. */
static int take_state(struct session *session)
{
    const struct run_state *before = &session->start->state;
    session->state = (struct run_state){.step = before->step,
                                        .seed = session->params.seed,
                                        .data = session->params.data,
                                        .options = json_incref(session->params.options),
                                        .loss_scale = before->loss_scale,
                                        .loss_scale_steps = before->loss_scale_steps};
    if (session->params.train.mixed && session->state.loss_scale <= 0)
        session->state.loss_scale = LOSS_SCALE_FIRST;
    if (before->step && before->data != session->params.data)
        log_message(VKCLIP_LOG_WARNING,
                    "the data has not the samples that the run began with (fingerprint %016llx, "
                    "found %016llx): it resumes, but with other results",
                    (unsigned long long)before->data, (unsigned long long)session->params.data);
    return before->step ? options_compare(before->options, session->params.options) : VKCLIP_OK;
}

int session_open(const struct session_params *params, const struct start *start,
                 struct session **result)
{
    struct session *session = *result = memory_calloc(1, sizeof(*session));
    if (!session)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a training run");
    session->params = *params;
    session->start = start;
    session->output = string_format("%s", params->output);
    session->params.output = session->output;
    int error = VKCLIP_OK;
    if (!session->output)
        error = error_fail(VKCLIP_EMEMORY, "out of memory for a training run");
    if (!error)
        error = tensors_list(&start->config, &session->tensors, &session->count);
    if (!error)
        error = take_state(session);
    if (error)
        session_close(result);
    return error;
}

void session_close(struct session **handle)
{
    struct session *session = *handle;
    if (!session)
        return;
    train_close(&session->train);
    memory_free(session->tensors);
    memory_free(session->parameters);
    memory_free(session->has_moments);
    json_decref(session->state.options);
    memory_free(session->output);
    memory_free(session);
    *handle = NULL;
}

/* ---- Tensors and parameters ------------------------------------------------------------------ */

static bool is_statistic(const struct model_tensor *tensor)
{
    return tensor->flags & TENSOR_STATISTIC;
}

void session_parameters(const struct session *session, uint64_t *all, uint64_t *trained)
{
    *all = *trained = 0;
    for (size_t i = 0; i < session->count; i++) {
        const struct model_tensor *tensor = &session->tensors[i];
        if (is_statistic(tensor))
            continue;
        *all += tensors_elements(tensor);
        *trained += pass_locks(&session->params.train, tensor) ? 0 : tensors_elements(tensor);
    }
}

/* Finds the parameter of a tensor. An untrained parameter never changes, unless it is a running
 * statistic, so that only the other ones need to be read from the device. */
static void find_parameter(struct session *session, size_t index)
{
    const struct model_tensor *tensor = &session->tensors[index];
    const struct parameters *parameters = train_parameters(session->train);
    const size_t found = parameters_find(parameters, tensor->name);
    const struct parameter *parameter = parameters_get(parameters, found);
    const bool trained = parameter && parameter->trained;
    session->parameters[index] = trained || is_statistic(tensor) ? found : NO_PARAMETER;
    session->has_moments[index] = trained;
}

static int read_weight(const struct weights *weights, const struct model_tensor *tensor,
                       float *values)
{
    return weights_read(weights, tensor->name, 0, tensor->rank ? tensor->shape[0] : 1, values);
}

/* Implements checkpoint_read_fn. */
static int read_tensor(void *user, size_t index, float *values)
{
    struct session *session = user;
    if (session->parameters[index] == NO_PARAMETER)
        return read_weight(session->start->weights, &session->tensors[index], values);
    return parameters_read(train_parameters(session->train), session->parameters[index],
                           PARAMETER_VALUE, values);
}

static bool has_averages(const struct session *session)
{
    return session->params.train.ema_decay > 0;
}

/* Implements checkpoint_read_fn. Only what is trained has an average. */
static int read_average(void *user, size_t index, float *values)
{
    struct session *session = user;
    if (!session->has_moments[index])
        return read_tensor(user, index, values);
    return parameters_read(train_parameters(session->train), session->parameters[index],
                           PARAMETER_AVERAGE, values);
}

static int restore_average(struct session *session, const struct weights *weights, size_t index)
{
    const struct model_tensor *tensor = &session->tensors[index];
    float *values = memory_alloc(tensors_elements(tensor) * sizeof(*values) + 1);
    int error = values ? read_weight(weights, tensor, values)
                       : error_fail(VKCLIP_EMEMORY, "out of memory for %s", tensor->name);
    if (!error)
        error = parameters_write(train_parameters(session->train), session->parameters[index],
                                 PARAMETER_AVERAGE, values);
    memory_free(values);
    return error;
}

/* Reads the averages of the saved step. If it has none, they begin at its weights. */
static int restore_averages(struct session *session)
{
    const struct vkclip_model_params params = {0};
    struct config config = {0};
    struct weights *weights = NULL;
    char *path = run_averages_path(session->start->path);
    int error = path ? VKCLIP_OK : error_fail(VKCLIP_EMEMORY, "out of memory for a path");
    if (!error && folder_exists(path))
        error = checkpoint_open(path, &params, &config, &weights);
    for (size_t i = 0; i < session->count && weights && !error; i++)
        if (session->has_moments[i])
            error = restore_average(session, weights, i);
    weights_close(&weights);
    config_close(&config);
    memory_free(path);
    return error;
}

static enum parameter_value moment_value(enum run_moment moment)
{
    return moment == RUN_MOMENT_M ? PARAMETER_MOMENT1 : PARAMETER_MOMENT2;
}

/* Implements run_read_fn. */
static int read_moment(void *user, size_t index, enum run_moment moment, float *values)
{
    struct session *session = user;
    return parameters_read(train_parameters(session->train), session->parameters[index],
                           moment_value(moment), values);
}

/* Implements run_write_fn. */
static int write_moment(void *user, size_t index, enum run_moment moment, const float *values)
{
    struct session *session = user;
    return parameters_write(train_parameters(session->train), session->parameters[index],
                            moment_value(moment), values);
}

/* Opens the run on the devices that make a step shortest. */
static int open_train(struct session *session, const struct train_device *devices, size_t count)
{
    const struct start *start = session->start;
    struct train_params params = session->params.train;
    struct share share;
    int error = share_choose(devices, count, &start->config, start->weights, &params, &share);
    if (error)
        return error;
    params.micro_batch = share.micro_batch;
    const uint64_t left = gpu_memory_left(share.devices[0].gpu);
    for (size_t i = 0; i < share.count && !error; i++)
        error = fit_check(share.devices[i].gpu, &start->config, &params);
    if (!error)
        error = train_open(share.devices[0].gpu, share.devices[0].tuner, &start->config,
                           start->weights, &params, &session->train);
    for (size_t i = 1; i < share.count && !error; i++)
        error = train_add_device(session->train, &share.devices[i], start->weights);
    if (error == VKCLIP_EDEVICEMEMORY)
        return fit_explain(&start->config, &params, left);
    return error;
}

/* Refuses a disk that has no room for one saved step: fp32 values, two moments of what is trained,
 * and perhaps averages. */
static int check_disk(const struct session *session)
{
    const size_t models = has_averages(session) ? 2 : 1;
    uint64_t needed = 0;
    for (size_t i = 0; i < session->count; i++) {
        const struct model_tensor *tensor = &session->tensors[i];
        const bool trained = !is_statistic(tensor) && !pass_locks(&session->params.train, tensor);
        needed += tensors_elements(tensor) * sizeof(float) *
                  (trained ? models + RUN_MOMENT_COUNT : models);
    }
    const uint64_t left = folder_free_bytes(session->output);
    if (needed <= left)
        return VKCLIP_OK;
    return error_fail(VKCLIP_EIO,
                      "%s: a saved step takes %llu MiB, and the disk has %llu MiB left: make room, "
                      "or name a folder on another disk",
                      session->output, (unsigned long long)(needed >> 20),
                      (unsigned long long)(left >> 20));
}

int session_upload(struct session *session, const struct train_device *devices, size_t count)
{
    const struct start *start = session->start;
    session->parameters = memory_calloc(session->count, sizeof(*session->parameters));
    session->has_moments = memory_calloc(session->count, sizeof(*session->has_moments));
    if (!session->parameters || !session->has_moments)
        return error_fail(VKCLIP_EMEMORY, "out of memory for the list of parameters");
    int error = check_disk(session);
    if (!error)
        error = open_train(session, devices, count);
    for (size_t i = 0; i < session->count && !error; i++)
        find_parameter(session, i);
    /* The moments of a new run are zero. */
    if (!error && session->state.step)
        error = run_read_moments(start->path, session->tensors, session->has_moments,
                                 session->count, write_moment, session);
    if (!error && session->state.step && has_averages(session))
        error = restore_averages(session);
    return error;
}

bool session_is_uploaded(const struct session *session)
{
    return session->train != NULL;
}

int session_measure(const struct session *session, bool recompute, struct train_memory *memory)
{
    struct train_params params = session->params.train;
    params.recompute = recompute;
    return train_measure(&session->start->config, &params, memory);
}

int session_check_fit(const struct session *session, const struct gpu *gpu)
{
    return fit_check(gpu, &session->start->config, &session->params.train);
}

/* ---- Steps ----------------------------------------------------------------------------------- */

uint64_t session_steps_done(const struct session *session)
{
    return session->state.step;
}

/* Tells whether gradients overflowed only because of the scale. */
static bool has_overflowed(const struct session *session, const struct train_result *result)
{
    return session->params.train.mixed && result->skipped && isfinite(result->loss) &&
           session->state.loss_scale > 1;
}

/* Computes a step again with a smaller scale as long as its gradients exceed the range of fp16. */
static int scaled_step(struct session *session, const float *pixels, const int32_t *ids,
                       double rate, struct train_result *result)
{
    struct run_state *state = &session->state;
    bool again = true;
    while (again) {
        train_scale_loss(session->train, (float)state->loss_scale);
        int error = train_step(session->train, pixels, ids, state->step, rate, result);
        if (error)
            return error;
        again = has_overflowed(session, result);
        state->loss_scale /= again ? 2 : 1;
        state->loss_scale_steps = again ? 0 : state->loss_scale_steps + 1;
    }
    if (state->loss_scale_steps == LOSS_SCALE_STEPS) {
        state->loss_scale *= 2;
        state->loss_scale_steps = 0;
    }
    return VKCLIP_OK;
}

static int fail_diverged(const struct session *session, const struct train_result *result)
{
    char *path = NULL;
    if (run_latest(session->output, &path))
        path = NULL;
    int error = error_fail(
        VKCLIP_EDIVERGED,
        "step %llu: loss %g, norm of the gradients %g: training has diverged and stops; %s%s. Try "
        "a lower `lr`, a longer `warmup`, or `grad_clip_norm` 1",
        (unsigned long long)session->state.step + 1, (double)result->loss, (double)result->norm,
        path ? "the last saved step is " : "no step", path ? path : " was saved yet");
    memory_free(path);
    return error;
}

/* Adds to the message of a lost device from where the run can go on. */
static int explain_loss(const struct session *session, int error)
{
    char *path = NULL, message[ERROR_MESSAGE];
    if (error != VKCLIP_ELOST)
        return error;
    snprintf(message, sizeof(message), "%s", error_last());
    if (run_latest(session->output, &path))
        path = NULL;
    error_fail(error, "step %llu: %s; %s%s%s", (unsigned long long)session->state.step + 1, message,
               path ? "the last saved step is " : "no step was saved yet", path ? path : "",
               path ? ": `resume` continues from there" : "");
    memory_free(path);
    return error;
}

int session_step(struct session *session, const float *pixels, const int32_t *ids,
                 struct session_result *result)
{
    result->rate = schedule_rate(&session->params.schedule, session->state.step);
    int error = scaled_step(session, pixels, ids, result->rate, &result->step);
    if (error)
        return explain_loss(session, error);
    if (result->step.skipped || !isfinite(result->step.loss))
        return fail_diverged(session, &result->step);
    session->state.step++;
    return VKCLIP_OK;
}

/* ---- Validation ------------------------------------------------------------------------------ */

int session_swap_averages(struct session *session)
{
    if (!has_averages(session))
        return VKCLIP_OK;
    return parameters_swap_averages(train_parameters(session->train));
}

uint32_t session_micro_batch(const struct session *session)
{
    return train_micro_batch(session->train);
}

int session_encode(struct session *session, enum tower tower, const float *pixels,
                   const int32_t *ids, float *embeds)
{
    return explain_loss(session, train_encode(session->train, tower, pixels, ids, embeds));
}

int session_read_logits(const struct session *session, struct session_logits *logits)
{
    struct parameters *parameters = train_parameters(session->train);
    const size_t bias_index = parameters_find(parameters, "logit_bias");
    float scale = 0, bias = 0;
    int error = parameters_read(parameters, parameters_find(parameters, "logit_scale"),
                                PARAMETER_VALUE, &scale);
    logits->sigmoid = session->start->config.sigmoid && !session->params.train.softmax;
    if (!error && logits->sigmoid)
        error = parameters_read(parameters, bias_index, PARAMETER_VALUE, &bias);
    logits->scale = exp((double)scale);
    logits->bias = (double)bias;
    return error;
}

/* ---- Saving ---------------------------------------------------------------------------------- */

static struct run_step current_step(struct session *session)
{
    return (struct run_step){.model = {.config = &session->start->config,
                                       .tensors = session->tensors,
                                       .count = session->count,
                                       .read = read_tensor,
                                       .user = session},
                             .has_moments = session->has_moments,
                             .read_moment = read_moment,
                             .read_average = has_averages(session) ? read_average : NULL,
                             .state = session->state};
}

int session_save(struct session *session, char **path)
{
    const struct run_step step = current_step(session);
    int error = run_save(&step, session->output, path);
    if (!error)
        run_prune(session->output, session->params.keep, session->start->config.tokenizer_path);
    return explain_loss(session, error);
}

int session_save_model(struct session *session)
{
    const struct run_step step = current_step(session);
    int error = checkpoint_write(&step.model, session->output);
    return error ? error : run_write_averages(&step, session->output);
}
