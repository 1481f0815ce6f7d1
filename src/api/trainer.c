/* SPDX-License-Identifier: MIT
 *
 * vkclip_open_trainer and its like: a model, its data and a place for checkpoints become a run.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/string.h"
#include "checkpoint/initial.h"
#include "train/run.h"
#include "api/device.h"
#include "data/loader.h"
#include "train/schedule.h"
#include "train/step.h"
#include "api/model.h"

/* The loss's scale in mixed precision, as torch.amp.GradScaler has it. */
#define LOSS_SCALE_FIRST 65536
#define LOSS_SCALE_STEPS 2000 /* without overflow, after which it is doubled */

/* A tensor of the model: which of the run's parameters it is. */
#define FROM_SOURCE SIZE_MAX /* none: it is of a locked tower and as in the file */

struct vkclip_trainer {
    struct config config;
    struct weights *source; /* where the run began, or goes on from */
    struct tokenizer *tokenizer;
    struct dataset *dataset;
    struct loader *loader;
    struct train *train; /* NULL: opened without device */
    struct train_params params;
    struct schedule schedule;
    struct model_tensor *tensors;
    size_t *parameters; /* of each tensor */
    bool *has_moments;
    size_t count;
    struct run_state state;
    char *output;
    uint32_t keep;
    struct vkclip_trainer_info info;
};

static double or_default(double value, double otherwise)
{
    return value == 0 ? otherwise : value < 0 ? 0 : value;
}

/* ---- The model ------------------------------------------------------------------------------- */

static int make_output(const char *path)
{
    return folder_exists(path) ? VKCLIP_OK : folder_make(path);
}

/* Where the run begins: its last checkpoint, the model named, or random weights, which are written
 * first. *path: a new string; NULL where random weights are only planned. */
static int find_start(const struct vkclip_trainer_params *params, bool dry, char **path,
                      bool *resumed)
{
    int error = run_latest(params->output, path);
    *resumed = !error;
    if (!error && !params->resume)
        return error_fail(VKCLIP_EINVALID,
                          "%s: a run has left checkpoints here: go on with it "
                          "(`resume`), or name another folder",
                          params->output);
    if (error != VKCLIP_EABSENT && error != VKCLIP_EIO)
        return error;
    if (!params->model == !params->init)
        return error_fail(VKCLIP_EINVALID,
                          "expected either a checkpoint to go on from (`model`) or "
                          "an architecture (`init`)");
    if (!params->model && dry)
        return VKCLIP_OK;
    *path = params->model ? string_format("%s", params->model)
                          : string_format("%s/initial", params->output);
    if (!*path)
        return error_fail(VKCLIP_EMEMORY, "out of memory");
    if (params->model)
        return VKCLIP_OK;
    error = make_output(params->output);
    if (!error && folder_exists(*path)) /* of a run that was cut off early */
        folder_remove(*path);
    return error ? error : vkclip_init_model(params->init, params->seed, *path);
}

static int take_vocabulary(struct vkclip_trainer *trainer, const char *vocab)
{
    struct config *config = &trainer->config;
    if (vocab) {
        free(config->tokenizer_path);
        if (!(config->tokenizer_path = string_format("%s", vocab)))
            return error_fail(VKCLIP_EMEMORY, "out of memory");
    }
    return config->tokenizer_path
               ? vkclip_open_vocabulary(config, config->tokenizer_path, &trainer->tokenizer)
               : VKCLIP_OK;
}

static int open_source(struct vkclip_trainer *trainer, const struct vkclip_trainer_params *params,
                       bool dry)
{
    const struct vkclip_model_params model = {.vocab = params->vocab};
    char *path = NULL;
    bool resumed;
    int error = find_start(params, dry, &path, &resumed);
    if (!error)
        error = path ? checkpoint_open(path, &model, &trainer->config, &trainer->source)
                     : initial_read_config(params->init, &trainer->config);
    if (!error && resumed)
        error = run_read_state(path, &trainer->state);
    error = error ? error : take_vocabulary(trainer, params->vocab);
    if (!error && resumed)
        log_message(VKCLIP_LOG_INFO, "%s: goes on after step %llu", path,
                    (unsigned long long)trainer->state.step);
    free(path);
    return error;
}

/* ---- Its tensors ----------------------------------------------------------------------------- */

static int list_tensors(struct vkclip_trainer *trainer)
{
    const struct train_params *params = &trainer->params;
    int error = tensors_list(&trainer->config, &trainer->tensors, &trainer->count);
    for (size_t i = 0; i < trainer->count; i++) {
        const struct model_tensor *tensor = &trainer->tensors[i];
        const uint64_t elements = tensors_elements(tensor);
        const bool locked = (tensor->tower == TOWER_IMAGE && params->lock_image) ||
                            (tensor->tower == TOWER_TEXT && params->lock_text);
        if (tensor->flags & TENSOR_STATISTIC)
            continue;
        trainer->info.parameters += elements;
        trainer->info.trained_parameters += locked ? 0 : elements;
    }
    return error;
}

static int find_parameters(struct vkclip_trainer *trainer)
{
    trainer->parameters = calloc(trainer->count, sizeof(*trainer->parameters));
    trainer->has_moments = calloc(trainer->count, sizeof(*trainer->has_moments));
    if (!trainer->parameters || !trainer->has_moments)
        return error_fail(VKCLIP_EMEMORY, "out of memory for the list of parameters");
    for (size_t i = 0; i < trainer->count; i++) {
        const struct model_tensor *tensor = &trainer->tensors[i];
        const struct train_parameter *parameter;
        trainer->parameters[i] = FROM_SOURCE;
        for (size_t p = 0; (parameter = train_parameter(trainer->train, p)); p++)
            if (!strcmp(parameter->name, tensor->name) &&
                (parameter->trained || (tensor->flags & TENSOR_STATISTIC))) {
                trainer->parameters[i] = p;
                trainer->has_moments[i] = parameter->trained;
            }
    }
    return VKCLIP_OK;
}

static int read_tensor(void *user, size_t index, float *values)
{
    struct vkclip_trainer *trainer = user;
    const struct model_tensor *tensor = &trainer->tensors[index];
    if (trainer->parameters[index] == FROM_SOURCE)
        return weights_read(trainer->source, tensor->name, 0, tensor->rank ? tensor->shape[0] : 1,
                            values);
    return train_read(trainer->train, trainer->parameters[index], TRAIN_VALUE, values);
}

static enum train_value moment_value(enum run_moment moment)
{
    return moment == RUN_MOMENT_M ? TRAIN_MOMENT1 : TRAIN_MOMENT2;
}

static int read_moment(void *user, size_t index, enum run_moment moment, float *values)
{
    struct vkclip_trainer *trainer = user;
    return train_read(trainer->train, trainer->parameters[index], moment_value(moment), values);
}

static int write_moment(void *user, size_t index, enum run_moment moment, const float *values)
{
    struct vkclip_trainer *trainer = user;
    return train_write(trainer->train, trainer->parameters[index], moment_value(moment), values);
}

/* ---- Data ------------------------------------------------------------------------------------ */

/* Negative numbers are zeros that were meant. */
static struct vkclip_augmentation take_augmentation(const struct vkclip_augmentation *from)
{
    struct vkclip_augmentation to = *from;
    for (size_t i = 0; i < ARRAY_COUNT(to.color_jitter); i++)
        to.color_jitter[i] = from->color_jitter_prob < 0 ? 0 : fmax(from->color_jitter[i], 0);
    to.color_jitter_prob = fmax(from->color_jitter_prob, 0);
    to.scale[0] = fmax(from->scale[0], 0);
    to.rotate = fmax(from->rotate, 0);
    to.gray_scale_prob = fmax(from->gray_scale_prob, 0);
    to.channel_gain = fmax(from->channel_gain, 0);
    return to;
}

static int open_data(struct vkclip_trainer *trainer, const struct vkclip_trainer_params *params)
{
    const struct dataset_params of = {.separator = params->csv_separator,
                                      .image_key = params->csv_img_key,
                                      .caption_key = params->csv_caption_key,
                                      .label_key = params->label_key};
    const uint32_t accum = params->accum_freq ? params->accum_freq : 1;
    const uint32_t size = params->batch_size ? params->batch_size : params->data_raw ? 0 : 64;
    if (!params->data == !params->data_raw)
        return error_fail(VKCLIP_EINVALID,
                          "expected either pairs (`data`) or prepared batches (`data_raw`)");
    if (params->data && !trainer->tokenizer)
        return error_fail(VKCLIP_EABSENT, "captions need a vocabulary: name one (`vocab`)");
    if ((uint64_t)size * accum > INT32_MAX)
        return error_fail(VKCLIP_EINVALID, "batches of %u x %u pairs: too large", size, accum);
    int error = params->data ? dataset_open(params->data, &of, &trainer->dataset)
                             : dataset_open_raw(params->data_raw, &trainer->dataset);
    if (error)
        return error;
    const struct loader_params loader = {.batch = size * accum,
                                         .context = trainer->config.context,
                                         .seed = params->seed,
                                         .transform = vkclip_image_transform(&trainer->config),
                                         .augment = take_augmentation(&params->augmentation),
                                         .templates = params->templates,
                                         .template_count = params->template_count,
                                         .threads = params->workers};
    error = loader_open(&loader, trainer->dataset, trainer->tokenizer, &trainer->loader);
    if (error)
        return error;
    struct vkclip_trainer_info *info = &trainer->info;
    info->batch = loader_batch_size(trainer->loader);
    info->batch_size = info->batch / accum;
    if (info->batch % accum)
        return error_fail(VKCLIP_EINVALID,
                          "%s: batches of %u pairs, not a multiple of `accum_freq`",
                          params->data_raw, info->batch);
    info->epoch_steps = loader_pass(trainer->loader);
    info->samples = trainer->dataset->count;
    info->captions = trainer->dataset->caption_count;
    info->labels = params->label_key ? trainer->dataset->labels : 0;
    info->incomplete = trainer->dataset->incomplete;
    return VKCLIP_OK;
}

/* ---- Open and close -------------------------------------------------------------------------- */

static int check_numbers(const struct vkclip_trainer_params *params)
{
    const struct {
        const char *name;
        double value, most;
    } numbers[] = {
        {"`lr`", params->lr, 1e6},     {"`beta1`", params->beta1, 1},
        {"`beta2`", params->beta2, 1}, {"`eps`", params->eps, 1e6},
        {"`wd`", params->wd, 1e6},     {"`grad_clip_norm`", params->grad_clip_norm, 1e30}};
    for (size_t i = 0; i < ARRAY_COUNT(numbers); i++)
        if (!(numbers[i].value < numbers[i].most))
            return error_fail(VKCLIP_EINVALID, "%s: expected a number below %g, found %g",
                              numbers[i].name, numbers[i].most, numbers[i].value);
    return VKCLIP_OK;
}

static void take_params(struct vkclip_trainer *trainer, const struct vkclip_trainer_params *params)
{
    trainer->params = (struct train_params){
        .adamw = {(float)or_default(params->beta1, 0.9), (float)or_default(params->beta2, 0.98),
                  (float)or_default(params->eps, 1e-6), (float)or_default(params->wd, 0.2)},
        .grad_clip_norm = (float)or_default(params->grad_clip_norm, 0),
        .freeze_bn_stats = params->freeze_bn_stats,
        .lock_image = params->lock_image,
        .lock_text = params->lock_text,
        .checkpoint_activations = params->checkpoint_activations,
        .mixed = params->precision == VKCLIP_PRECISION_F16};
    trainer->keep = params->keep ? params->keep : 3;
}

static void take_schedule(struct vkclip_trainer *trainer,
                          const struct vkclip_trainer_params *params)
{
    struct vkclip_trainer_info *info = &trainer->info;
    const uint64_t epochs = params->epochs ? params->epochs : 32;
    info->steps = params->steps ? params->steps : epochs * info->epoch_steps;
    info->step = trainer->state.step;
    uint64_t warmup = info->steps / 10 < 10000 ? info->steps / 10 : 10000;
    if (params->warmup)
        warmup = params->warmup < 0 ? 0 : (uint64_t)params->warmup;
    trainer->schedule = (struct schedule){.constant = params->lr_const,
                                          .rate = or_default(params->lr, 5e-4),
                                          .warmup = warmup,
                                          .steps = info->steps};
    trainer->params.batch = info->batch;
    trainer->params.micro_batch = info->batch_size;
}

/* What decides about the numbers of a run. */
static uint64_t fingerprint(const struct vkclip_trainer *trainer)
{
    const struct train_params *params = &trainer->params;
    const struct schedule *schedule = &trainer->schedule;
    const double values[] = {params->batch,
                             params->micro_batch,
                             (double)params->adamw.beta1,
                             (double)params->adamw.beta2,
                             (double)params->adamw.epsilon,
                             (double)params->adamw.decay,
                             (double)params->grad_clip_norm,
                             params->lock_image,
                             params->lock_text,
                             schedule->constant,
                             schedule->rate,
                             (double)schedule->warmup,
                             (double)schedule->steps,
                             params->mixed,
                             params->freeze_bn_stats};
    return hash_bytes(0, values, sizeof(values));
}

/* A run that goes on with something else is a different one, which may be what is wanted. */
static void compare_state(struct vkclip_trainer *trainer, uint64_t seed)
{
    struct run_state *state = &trainer->state;
    const struct run_state now = {.step = state->step,
                                  .seed = seed,
                                  .options = fingerprint(trainer),
                                  .data = trainer->dataset->identity,
                                  .loss_scale = state->loss_scale,
                                  .loss_scale_steps = state->loss_scale_steps};
    const char *what = state->data != now.data         ? "the data is"
                       : state->seed != now.seed       ? "`seed` is"
                       : state->options != now.options ? "options are"
                                                       : NULL;
    if (state->step && what)
        log_message(VKCLIP_LOG_WARNING,
                    "%s not what the run began with: it goes on, but not as it would have", what);
    *state = now;
    if (trainer->params.mixed && state->loss_scale <= 0)
        state->loss_scale = LOSS_SCALE_FIRST;
}

static int start(struct vkclip_trainer *trainer, const struct vkclip_device *device)
{
    int error = train_open(device->gpus[0], device->tuners[0], &trainer->config, trainer->source,
                           &trainer->params, &trainer->train);
    error = error ? error : find_parameters(trainer);
    if (error || !trainer->state.step)
        return error;
    const char *file = weights_path(trainer->source);
    char *path = string_format("%.*s", (int)(file_name(file) - file), file);
    error = path ? run_read_moments(path, trainer->tensors, trainer->has_moments, trainer->count,
                                    write_moment, trainer)
                 : error_fail(VKCLIP_EMEMORY, "out of memory");
    free(path);
    return error;
}

/* What a start that failed has made. */
static void remove_output(const char *output)
{
    char *initial = string_format("%s/initial", output);
    if (initial)
        folder_remove(initial);
    free(initial);
    folder_remove(output);
}

int vkclip_open_trainer(struct vkclip_device *device, const struct vkclip_trainer_params *params,
                        struct vkclip_trainer **result)
{
    if (!params || !result || !params->output)
        return error_fail(VKCLIP_EINVALID, "vkclip_open_trainer: params with a folder expected");
    struct vkclip_trainer *trainer = *result = calloc(1, sizeof(*trainer));
    if (!trainer || !(trainer->output = string_format("%s", params->output))) {
        vkclip_close_trainer(result);
        return error_fail(VKCLIP_EMEMORY, "out of memory for a training run");
    }
    const bool is_new = !folder_exists(params->output);
    int error = check_numbers(params);
    take_params(trainer, params);
    error = error ? error : open_source(trainer, params, !device);
    error = error ? error : open_data(trainer, params);
    if (!error)
        take_schedule(trainer, params);
    error = error ? error : list_tensors(trainer);
    if (!error)
        compare_state(trainer, params->seed);
    if (!error && device)
        error = make_output(trainer->output);
    if (!error && device)
        error = start(trainer, device);
    if (error)
        vkclip_close_trainer(result);
    if (error && is_new)
        remove_output(params->output);
    return error;
}

void vkclip_close_trainer(struct vkclip_trainer **handle)
{
    struct vkclip_trainer *trainer = handle ? *handle : NULL;
    if (!trainer)
        return;
    train_close(&trainer->train);
    loader_close(&trainer->loader);
    dataset_close(&trainer->dataset);
    tokenizer_close(&trainer->tokenizer);
    weights_close(&trainer->source);
    config_close(&trainer->config);
    free(trainer->tensors);
    free(trainer->parameters);
    free(trainer->has_moments);
    free(trainer->output);
    free(trainer);
    *handle = NULL;
}

/* ---- Use ------------------------------------------------------------------------------------- */

int vkclip_get_trainer_info(const struct vkclip_trainer *trainer, struct vkclip_trainer_info *info)
{
    if (!trainer || !info)
        return error_fail(VKCLIP_EINVALID, "vkclip_get_trainer_info: trainer and info expected");
    *info = trainer->info;
    return VKCLIP_OK;
}

int vkclip_measure_trainer(const struct vkclip_trainer *trainer, bool checkpoint_activations,
                           struct vkclip_trainer_memory *memory)
{
    struct train_memory of;
    if (!trainer || !memory)
        return error_fail(VKCLIP_EINVALID, "vkclip_measure_trainer: trainer and memory expected");
    struct train_params params = trainer->params;
    params.checkpoint_activations = checkpoint_activations;
    int error = train_measure(&trainer->config, &params, &of);
    *memory = (struct vkclip_trainer_memory){of.weights, of.gradients, of.moments, of.activations,
                                             of.least};
    return error;
}

/* Where to go on from, for messages. */
static int diverged(const struct vkclip_trainer *trainer, const struct train_result *result)
{
    char *path = NULL;
    if (run_latest(trainer->output, &path))
        path = NULL;
    int error = error_fail(
        VKCLIP_EDIVERGED,
        "step %llu: loss %g, norm of the gradients %g: training has diverged, and "
        "stops; %s%s. Try a lower `lr`, a longer `warmup`, or `grad_clip_norm` 1",
        (unsigned long long)trainer->info.step + 1, (double)result->loss, (double)result->norm,
        path ? "the last checkpoint is " : "no checkpoint", path ? path : " was written yet");
    free(path);
    return error;
}

/* A step whose gradients left the range of fp16 is computed again with a smaller scale. */
static int scaled_step(struct vkclip_trainer *trainer, const struct loader_batch *batch,
                       double rate, struct train_result *result)
{
    struct run_state *state = &trainer->state;
    bool again = true;
    int error = VKCLIP_OK;
    while (again && !error) {
        train_scale_loss(trainer->train, (float)state->loss_scale);
        error =
            train_step(trainer->train, batch->pixels, batch->ids, trainer->info.step, rate, result);
        again = !error && result->skipped && isfinite(result->loss) && state->loss_scale > 1 &&
                trainer->params.mixed;
        state->loss_scale /= again ? 2 : 1;
        state->loss_scale_steps = again ? 0 : state->loss_scale_steps + 1;
    }
    if (state->loss_scale_steps == LOSS_SCALE_STEPS) {
        state->loss_scale *= 2;
        state->loss_scale_steps = 0;
    }
    return error;
}

int vkclip_train_step(struct vkclip_trainer *trainer, struct vkclip_train_result *result)
{
    struct loader_batch batch;
    struct train_result step;
    if (!trainer || !result || !trainer->train)
        return error_fail(VKCLIP_EINVALID, "vkclip_train_step: a trainer on a device expected");
    if (trainer->info.step >= trainer->info.steps)
        return error_fail(VKCLIP_EINVALID, "all %llu steps are done",
                          (unsigned long long)trainer->info.steps);
    const double before = clock_seconds(), waited = loader_statistics(trainer->loader).waited;
    const double rate = schedule_rate(&trainer->schedule, trainer->info.step);
    int error = loader_next(trainer->loader, trainer->info.step, &batch);
    if (!error)
        error = scaled_step(trainer, &batch, rate, &step);
    if (error)
        return error;
    if (step.skipped || !isfinite(step.loss))
        return diverged(trainer, &step);
    const struct loader_statistics statistics = loader_statistics(trainer->loader);
    trainer->state.step = ++trainer->info.step;
    *result = (struct vkclip_train_result){.step = trainer->info.step,
                                           .loss = step.loss,
                                           .lr = (float)rate,
                                           .logit_scale = expf(step.logit_scale),
                                           .grad_norm = step.norm,
                                           .loss_scale = step.loss_scale,
                                           .seconds = clock_seconds() - before,
                                           .waiting = statistics.waited - waited,
                                           .broken = statistics.broken,
                                           .cut = statistics.cut};
    return VKCLIP_OK;
}

static struct run_step current_step(struct vkclip_trainer *trainer)
{
    return (struct run_step){.model = {.config = &trainer->config,
                                       .tensors = trainer->tensors,
                                       .count = trainer->count,
                                       .read = read_tensor,
                                       .user = trainer},
                             .has_moments = trainer->has_moments,
                             .read_moment = read_moment,
                             .state = trainer->state};
}

int vkclip_save_trainer(struct vkclip_trainer *trainer, char *path, size_t capacity)
{
    char *written = NULL;
    if (!trainer || !trainer->train)
        return error_fail(VKCLIP_EINVALID, "vkclip_save_trainer: a trainer on a device expected");
    const struct run_step step = current_step(trainer);
    int error = run_save(&step, trainer->output, &written);
    if (error)
        return error;
    run_prune(trainer->output, trainer->keep);
    if (path)
        snprintf(path, capacity, "%s", written);
    free(written);
    return VKCLIP_OK;
}

int vkclip_save_trained_model(struct vkclip_trainer *trainer)
{
    if (!trainer || !trainer->train)
        return error_fail(VKCLIP_EINVALID,
                          "vkclip_save_trained_model: a trainer on a device expected");
    const struct run_step step = current_step(trainer);
    return checkpoint_write(&step.model, trainer->output);
}
