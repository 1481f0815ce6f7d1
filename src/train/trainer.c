/* SPDX-License-Identifier: MIT
 *
 * A trainer joins what a training run needs: the model that it begins at, the vocabulary, the data
 * set with its loader, and the session that takes the loader's batches. Public parameters get their
 * defaults here. Refused are numbers out of range, captions without a vocabulary, and prepared
 * batches that do not divide into micro-batches.
 */
#include "train/trainer.h"
#include "base/array.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/file_lock.h"
#include "base/folder.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/progress.h"
#include "base/string.h"
#include "base/turns.h"
#include "checkpoint/inputs.h"
#include "data/loader.h"
#include "train/options.h"
#include "train/session.h"
#include "train/validation.h"

#include <math.h>

struct vkclip_trainer {
    struct start start;
    struct tokenizer *tokenizer;
    struct dataset *dataset, *validation; /* `validation` is NULL if the run has none */
    struct loader *loader;
    unsigned workers;
    struct session *session;
    struct vkclip_trainer_info info; /* all but the number of steps done */
    _Atomic uint64_t step;           /* that number */
    struct guard *guard;
    vkclip_progress_fn *progress; /* the program's, and its first argument */
    void *user;
    struct file_lock lock; /* of the run's folder */
    bool made_folder;
};

/* ---- Parameters ------------------------------------------------------------------------------ */

static int check_numbers(const struct vkclip_trainer_params *params)
{
    const struct {
        const char *name;
        double value, most;
    } numbers[] = {{"lr", params->lr, 1e6},
                   {"beta1", params->beta1, 1},
                   {"beta2", params->beta2, 1},
                   {"eps", params->eps, 1e6},
                   {"wd", params->wd, 1e6},
                   {"grad_clip_norm", params->grad_clip_norm, 1e30},
                   {"ema_decay", params->ema_decay, 1},
                   {"lr_cooldown_power", params->lr_cooldown_power, 1e3},
                   {"lr_cooldown_end", params->lr_cooldown_end, 1e6}};
    for (size_t i = 0; i < ARRAY_COUNT(numbers); i++)
        if (!(numbers[i].value < numbers[i].most))
            return error_fail(VKCLIP_EINVALID, "`%s`: expected a number below %g, found %g",
                              numbers[i].name, numbers[i].most, numbers[i].value);
    return VKCLIP_OK;
}

static struct train_params take_train(const struct vkclip_trainer_params *params)
{
    return (struct train_params){.adamw = {(float)params->beta1, (float)params->beta2,
                                           (float)params->eps, (float)params->wd},
                                 .grad_clip_norm = (float)params->grad_clip_norm,
                                 .ema_decay = (float)params->ema_decay,
                                 .freeze_bn_stats = params->freeze_bn_stats,
                                 .lock_image = params->lock_image,
                                 .lock_text = params->lock_text,
                                 .unlocked_image = params->lock_image_unlocked_groups,
                                 .unlocked_text = params->lock_text_unlocked_layers,
                                 .recompute = params->checkpoint_activations,
                                 .mixed = params->precision == VKCLIP_PRECISION_F16,
                                 .softmax = params->loss == VKCLIP_LOSS_SOFTMAX};
}

/* Refuses groups of tensors that are unlocked in a tower which is not locked. */
static int check_locks(const struct vkclip_trainer_params *params)
{
    if (params->lock_image_unlocked_groups && !params->lock_image)
        return error_fail(VKCLIP_EINVALID, "`lock_image_unlocked_groups` needs `lock_image`");
    if (params->lock_text_unlocked_layers && !params->lock_text)
        return error_fail(VKCLIP_EINVALID, "`lock_text_unlocked_layers` needs `lock_text`");
    return VKCLIP_OK;
}

/* Refuses a cool-down that the scheduler does not have, or of no length. */
static int check_cooldown(const struct vkclip_trainer_params *params)
{
    const bool wanted = params->lr_scheduler == VKCLIP_LR_CONST_COOLDOWN;
    const bool steps = params->steps_cooldown, epochs = params->epochs_cooldown;
    if (wanted && steps == epochs)
        return error_fail(VKCLIP_EINVALID, "`lr_scheduler` const-cooldown: expected how long the "
                                           "cool-down is, either in steps (`steps_cooldown`) or in "
                                           "passes over the data (`epochs_cooldown`)");
    if (!wanted &&
        (steps || epochs || params->lr_cooldown_end != 0 || params->lr_cooldown_power != 1))
        return error_fail(VKCLIP_EINVALID, "a cool-down needs `lr_scheduler` const-cooldown");
    return VKCLIP_OK;
}

static struct schedule take_schedule(const struct vkclip_trainer_params *params,
                                     const struct vkclip_trainer_info *info)
{
    struct schedule schedule = {.constant = params->lr_scheduler != VKCLIP_LR_COSINE,
                                .rate = params->lr,
                                .warmup = schedule_default_warmup(info->steps),
                                .steps = info->steps,
                                .cooldown = params->steps_cooldown +
                                            params->epochs_cooldown * info->epoch_steps,
                                .power = params->lr_cooldown_power,
                                .end = params->lr_cooldown_end};
    if (params->warmup)
        schedule.warmup = params->warmup < 0 ? 0 : (uint64_t)params->warmup;
    return schedule;
}

/* Returns the augmentation with a probability of colours that may be 0, which means always there.
 */
static struct vkclip_augmentation take_augmentation(const struct vkclip_augmentation *params)
{
    struct vkclip_augmentation taken = *params;
    for (size_t i = 0; i < ARRAY_COUNT(taken.color_jitter) && params->color_jitter_prob == 0; i++)
        taken.color_jitter[i] = 0;
    return taken;
}

/* ---- Opening --------------------------------------------------------------------------------- */

/* Makes the run's folder unless it exists, and keeps other runs out of it, which would replace what
 * this one saves. */
static int lock_folder(struct vkclip_trainer *trainer, const char *output)
{
    const bool is_new = !folder_exists(output);
    int error = is_new ? folder_make(output) : VKCLIP_OK;
    char *path = string_format("%s/", output);
    if (!error && !path)
        error = error_fail(VKCLIP_EMEMORY, "%s: out of memory", output);
    if (!error)
        error = file_lock(path, &trainer->lock);
    trainer->made_folder = is_new && !error;
    memory_free(path);
    return error;
}

static int open_start(struct vkclip_trainer *trainer, const struct vkclip_trainer_params *params,
                      bool dry)
{
    const struct start_params start = {.output = params->output,
                                       .resume = params->resume,
                                       .model = params->model,
                                       .init = params->init,
                                       .activation = params->activation,
                                       .state_dict = params->state_dict,
                                       .vocab = params->vocab,
                                       .seed = params->seed,
                                       .dry = dry};
    int error = start_open(&start, &trainer->start);
    const struct config *config = &trainer->start.config;
    if (!error && params->loss == VKCLIP_LOSS_SIGMOID && !config->sigmoid)
        error =
            error_fail(VKCLIP_EUNSUPPORTED,
                       "`loss` sigmoid: this model has no logit_bias: expected one that has, as "
                       "SigLIP, or OpenCLIP's configuration with init_logit_bias");
    if (!error && config->tokenizer_path)
        error = checkpoint_open_vocabulary(config, config->tokenizer_path, &trainer->tokenizer);
    return error;
}

/* Returns the names of the columns, without that of labels. */
static struct dataset_params take_columns(const struct vkclip_trainer_params *params)
{
    return (struct dataset_params){.separator = params->csv_separator,
                                   .image_key = params->csv_img_key,
                                   .caption_key = params->csv_caption_key};
}

static int open_dataset(const struct vkclip_trainer_params *params, struct dataset **dataset)
{
    struct dataset_params columns = take_columns(params);
    columns.label_key = params->label_key;
    if (params->data_count)
        return dataset_open(params->data, params->data_count, &columns, dataset);
    return dataset_open_raw(params->data_raw, dataset);
}

static int open_loader(struct vkclip_trainer *trainer, const struct vkclip_trainer_params *params)
{
    uint32_t batch_size = params->batch_size, accum = params->accum_freq;
    if (!batch_size && params->data_count)
        batch_size = 64; /* Prepared batches have a size of their own. */
    if ((uint64_t)batch_size * accum > INT32_MAX)
        return error_fail(VKCLIP_EINVALID, "batches of %u x %u pairs: too large", batch_size,
                          accum);
    const struct config *config = &trainer->start.config;
    const struct loader_params loader = {.batch = batch_size * accum,
                                         .context = config->context,
                                         .seed = params->seed,
                                         .transform = checkpoint_image_transform(config),
                                         .augment = take_augmentation(&params->augmentation),
                                         .templates = params->templates,
                                         .template_count = params->template_count,
                                         .threads = params->workers};
    int error = open_dataset(params, &trainer->dataset);
    if (!error)
        error = loader_open(&loader, trainer->dataset, trainer->tokenizer, &trainer->loader);
    return error;
}

static int open_data(struct vkclip_trainer *trainer, const struct vkclip_trainer_params *params)
{
    const uint32_t accum = params->accum_freq;
    struct vkclip_trainer_info *info = &trainer->info;
    if (!params->data_count == !params->data_raw)
        return error_fail(VKCLIP_EINVALID,
                          "expected either pairs (`data`) or prepared batches (`data_raw`)");
    if (params->data_count && !trainer->tokenizer)
        return error_fail(VKCLIP_EABSENT, "captions need a vocabulary: name one (`vocab`)");
    int error = open_loader(trainer, params);
    if (error)
        return error;
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

/* Opens the pairs for validations, with the columns of the others. */
static int open_validation(struct vkclip_trainer *trainer,
                           const struct vkclip_trainer_params *params)
{
    const struct dataset_params columns = take_columns(params);
    trainer->workers = params->workers;
    if (!params->val_data)
        return VKCLIP_OK;
    if (!trainer->tokenizer)
        return error_fail(VKCLIP_EABSENT, "captions need a vocabulary: name one (`vocab`)");
    return dataset_open(&params->val_data, 1, &columns, &trainer->validation);
}

/* Returns the options of the run with all that follows from the model and the data. */
static json_t *pack_options(const struct vkclip_trainer *trainer,
                            const struct vkclip_trainer_params *params,
                            const struct session_params *session)
{
    struct vkclip_trainer_params complete = *params;
    complete.batch_size = session->train.micro_batch;
    complete.steps = session->schedule.steps;
    complete.warmup = (int64_t)session->schedule.warmup;
    if (complete.loss == VKCLIP_LOSS_AUTO)
        complete.loss = trainer->start.config.sigmoid ? VKCLIP_LOSS_SIGMOID : VKCLIP_LOSS_SOFTMAX;
    return options_pack(&complete);
}

static int open_session(struct vkclip_trainer *trainer, const struct vkclip_trainer_params *params)
{
    struct vkclip_trainer_info *info = &trainer->info;
    info->steps = params->steps ? params->steps : params->epochs * info->epoch_steps;
    struct session_params session = {.output = params->output,
                                     .train = take_train(params),
                                     .schedule = take_schedule(params, info),
                                     .seed = params->seed,
                                     .data = trainer->dataset->identity,
                                     .keep = params->keep};
    session.train.batch = info->batch;
    session.train.micro_batch = info->batch_size;
    session.options = pack_options(trainer, params, &session);
    int error = session.options
                    ? session_open(&session, &trainer->start, &trainer->session)
                    : error_fail(VKCLIP_EMEMORY, "out of memory for the options of the run");
    json_decref(session.options);
    if (error)
        return error;
    info->step = session_steps_done(trainer->session);
    trainer->step = info->step;
    if (info->step > info->steps)
        return error_fail(VKCLIP_EINVALID,
                          "%s: the run has saved step %llu, expected at most step %llu, its last: "
                          "give it more `steps` or `epochs`",
                          trainer->start.path, (unsigned long long)info->step,
                          (unsigned long long)info->steps);
    session_parameters(trainer->session, &info->parameters, &info->trained_parameters);
    return VKCLIP_OK;
}

/* Reads the first pictures. Where nothing is trained, a source without a readable one is only
 * named, because the pictures may be on another machine than the plan of the run. */
static int check_pictures(const struct vkclip_trainer *trainer, bool trains)
{
    const int error = dataset_check(trainer->dataset);
    if (!error || trains)
        return error;
    log_message(VKCLIP_LOG_WARNING, "%s", error_last());
    return VKCLIP_OK;
}

static int open_all(struct vkclip_trainer *trainer, const struct train_device *devices,
                    size_t count, const struct vkclip_trainer_params *params)
{
    int error = progress_check();
    if (!error)
        error = check_cooldown(params);
    if (!error)
        error = check_locks(params);
    if (!error && count)
        error = lock_folder(trainer, params->output);
    if (!error)
        error = open_start(trainer, params, !count);
    if (!error && count)
        error = start_check_folder(&trainer->start, params->output);
    if (!error)
        error = open_data(trainer, params);
    if (!error)
        error = progress_check();
    if (!error)
        error = check_pictures(trainer, count > 0);
    if (!error)
        error = open_validation(trainer, params);
    if (!error)
        error = open_session(trainer, params);
    if (!error && count)
        error = session_upload(trainer->session, devices, count);
    return error;
}

int trainer_open(const struct train_device *devices, size_t count,
                 const struct vkclip_trainer_params *params, struct vkclip_trainer **result)
{
    *result = memory_calloc(1, sizeof(**result));
    if (!*result)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a training run");
    (*result)->progress = params->progress;
    (*result)->user = params->user;
    struct vkclip_trainer_params complete = *params;
    options_complete(&complete);
    int error = check_numbers(params);
    if (!error)
        error = open_all(*result, devices, count, &complete);
    if (!error)
        return VKCLIP_OK;
    const bool made_initial = (*result)->start.made_initial;
    const bool made_folder = (*result)->made_folder;
    trainer_close(result);
    if (made_initial)
        start_remove_initial(params->output);
    if (made_folder)
        folder_remove(params->output);
    return error;
}

void trainer_begin(const struct vkclip_trainer *trainer, struct progress *progress)
{
    progress_begin(progress, trainer->progress, trainer->user, 1);
}

void trainer_close(struct vkclip_trainer **handle)
{
    struct vkclip_trainer *trainer = *handle;
    if (!trainer)
        return;
    session_close(&trainer->session);
    loader_close(&trainer->loader);
    dataset_close(&trainer->dataset);
    dataset_close(&trainer->validation);
    tokenizer_close(&trainer->tokenizer);
    start_close(&trainer->start);
    file_unlock(&trainer->lock);
    memory_free(trainer);
    *handle = NULL;
}

/* ---- Use ------------------------------------------------------------------------------------- */

struct guard *trainer_guard(const struct vkclip_trainer *trainer)
{
    return trainer->guard;
}

void trainer_set_guard(struct vkclip_trainer *trainer, struct guard *guard)
{
    trainer->guard = guard;
}

void trainer_get_info(const struct vkclip_trainer *trainer, struct vkclip_trainer_info *info)
{
    *info = trainer->info;
    info->step = trainer->step;
}

bool trainer_is_on_device(const struct vkclip_trainer *trainer)
{
    return session_is_uploaded(trainer->session);
}

int trainer_measure(const struct vkclip_trainer *trainer, bool recompute,
                    struct vkclip_trainer_memory *memory)
{
    struct train_memory needed;
    int error = session_measure(trainer->session, recompute, &needed);
    *memory = (struct vkclip_trainer_memory){.weights = needed.weights,
                                             .gradients = needed.gradients,
                                             .moments = needed.moments,
                                             .activations = needed.activations,
                                             .least = needed.least};
    return error;
}

int trainer_check_fit(const struct vkclip_trainer *trainer, const struct gpu *gpu)
{
    return session_check_fit(trainer->session, gpu);
}

int trainer_step(struct vkclip_trainer *trainer, struct vkclip_train_result *result)
{
    struct loader_batch batch;
    struct session_result done;
    if (trainer->step >= trainer->info.steps)
        return error_fail(VKCLIP_EINVALID, "all %llu steps are done",
                          (unsigned long long)trainer->info.steps);
    const double before = clock_seconds(), waited = loader_statistics(trainer->loader).waited;
    int error = progress_check();
    if (!error)
        error = loader_next(trainer->loader, trainer->step, &batch);
    if (!error)
        error = turn_pause();
    if (!error)
        error = session_step(trainer->session, batch.pixels, batch.ids, &done);
    if (error)
        return error;
    trainer->step = session_steps_done(trainer->session);
    const struct loader_statistics statistics = loader_statistics(trainer->loader);
    *result = (struct vkclip_train_result){.step = trainer->step,
                                           .loss = done.step.loss,
                                           .lr = (float)done.rate,
                                           .logit_scale = expf(done.step.logit_scale),
                                           .grad_norm = done.step.norm,
                                           .loss_scale = done.step.loss_scale,
                                           .seconds = clock_seconds() - before,
                                           .waiting = statistics.waited - waited,
                                           .broken = statistics.broken,
                                           .cut = statistics.cut};
    return VKCLIP_OK;
}

int trainer_validate(struct vkclip_trainer *trainer, struct vkclip_validation *result)
{
    const struct validation_params params = {.dataset = trainer->validation,
                                             .tokenizer = trainer->tokenizer,
                                             .config = &trainer->start.config,
                                             .batch = trainer->info.batch_size,
                                             .workers = trainer->workers};
    if (!trainer->validation)
        return error_fail(VKCLIP_EINVALID, "expected pairs to validate with (`val_data`)");
    return validation_run(&params, trainer->session, result);
}

int trainer_save(struct vkclip_trainer *trainer, char **path)
{
    return session_save(trainer->session, path);
}

int trainer_save_model(struct vkclip_trainer *trainer)
{
    return session_save_model(trainer->session);
}
