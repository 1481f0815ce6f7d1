/* SPDX-License-Identifier: MIT
 *
 * vkclip train: its options, and how they become the library's parameters.
 */
#include "base/array.h"
#include "cli/commands/train.h"
#include "cli/captions.h"
#include "cli/command.h"
#include "cli/encode.h"
#include "cli/log.h"
#include "cli/model.h"
#include "cli/templates.h"

#include <stdlib.h>
#include <string.h>

/* ---- Options to parameters --------------------------------------------------------------------- */

static int check_options(struct cli_session *session, struct train_options *options)
{
    struct vkclip_trainer_params *params = &options->params;
    if (session->arguments.count != 1)
        return cli_fail_usage(session, "name a folder for the run, found %zu arguments",
                              session->arguments.count);
    if (!options->data.count == !params->data_raw)
        return cli_fail_usage(session, "expected --data or --data-raw");
    if (!params->resume && !options->model.path == !params->init)
        return cli_fail_usage(session, "expected -m, a model to start from, or --init, an "
                                       "architecture");
    if (options->steps && params->epochs)
        return cli_fail_usage(session,
                              "--steps and --epochs both say how long; expected one of them");
    if (options->eval_every && !options->evaluation.folder)
        return cli_fail_usage(session, "--eval-every: expected --eval with a folder");
    if ((options->val_every || options->val_frequency) && !params->val_data)
        return cli_fail_usage(session, "--val-frequency and --val-every need --val-data");
    if (options->val_every && options->val_frequency)
        return cli_fail_usage(session, "--val-frequency and --val-every both say when to "
                                       "validate; expected one of them");
    int status = cli_take_separator(session, options->separator, &options->params.csv_separator);
    if (!status)
        status = cli_check_templates(session, &options->templates);
    if (!status)
        status = cli_read_templates(session, &options->evaluation.templates);
    return status;
}

/* Tells whether the model that a new run begins with can be opened, so that the exit status says
 * it. */
static int check_model(const struct cli_session *session, const struct train_options *options)
{
    const struct vkclip_model_params params = {.size = sizeof(params),
                                               .vocab = options->model.vocab,
                                               .activation = options->model.activation,
                                               .state_dict = options->model.state_dict};
    struct vkclip_model *model = NULL;
    if (!options->model.path || options->params.resume)
        return CLI_DONE;
    if (vkclip_open_model(NULL, options->model.path, &params, &model))
        return cli_fail_library(session, CLI_NO_MODEL);
    vkclip_close_model(&model);
    return CLI_DONE;
}

static int open_trainer(const struct cli_session *session, struct train_options *options,
                        const char **templates, struct vkclip_trainer **trainer)
{
    struct vkclip_trainer_params *params = &options->params;
    const char **data = cli_list_texts(&options->data);
    if (!data)
        return cli_fail_memory();
    params->size = sizeof(*params);
    params->output = session->arguments.items[0].text;
    params->data = data;
    params->data_count = options->data.count;
    params->model = options->model.path;
    params->vocab = options->model.vocab;
    params->activation = options->model.activation;
    params->state_dict = options->model.state_dict;
    params->precision = options->model.precision;
    params->templates = templates;
    params->template_count = options->templates.count;
    params->warmup = (int64_t)options->warmup;
    params->steps = options->steps;
    params->steps_cooldown = options->steps_cooldown;
    params->seed = options->seed ? options->seed : 1;
    const int error =
        vkclip_open_trainer(options->dry_run ? NULL : session->device, params, trainer);
    params->data = NULL;
    free(data);
    return error ? cli_fail_library(session, CLI_FAILED) : CLI_DONE;
}

/* ---- The command ------------------------------------------------------------------------------- */

static bool has_gpu(void)
{
    struct vkclip_device_info infos[16] = {{.size = sizeof(infos[0])}};
    size_t count = 0;
    bool found = false;
    if (vkclip_list_devices(infos, ARRAY_COUNT(infos), &count))
        return false;
    for (size_t i = 0; i < count && i < ARRAY_COUNT(infos); i++)
        found |= infos[i].usable && infos[i].type > VKCLIP_DEVICE_CPU;
    return found;
}

/* Opens the device of the run. A dry run computes nothing: it only compares what the run needs with
 * a device's memory, if one is named or the machine has a GPU. */
static int open_device(struct cli_session *session, const struct train_options *options)
{
    if (options->dry_run && !options->device.name && !has_gpu())
        return CLI_DONE;
    return cli_open_device(session, &options->device);
}

static int print_plan(struct cli_session *session, const struct train_options *options,
                      const struct vkclip_trainer *trainer)
{
    if (session->device && vkclip_check_trainer_memory(trainer, session->device))
        return cli_fail_library(session, CLI_FAILED);
    return train_print_plan(session, trainer, options->model.precision == VKCLIP_PRECISION_F16);
}

/* Opens everything that the run needs, and runs it, or prints what it would need. */
static int run_trainer(struct cli_session *session, struct train_options *options,
                       const struct cli_evaluation_inputs *evaluation, const char **templates)
{
    struct vkclip_trainer *trainer = NULL;
    int status = open_device(session, options);
    if (!status)
        status = check_model(session, options);
    if (!status)
        status = open_trainer(session, options, templates, &trainer);
    if (!status && options->dry_run)
        status = print_plan(session, options, trainer);
    else if (!status)
        status = train_run(session, options, evaluation, trainer);
    vkclip_close_trainer(&trainer);
    return status;
}

static int run_train(struct cli_session *session, void *user)
{
    struct train_options *options = user;
    struct cli_evaluation_inputs evaluation = {.options = &options->evaluation,
                                               .model.vocab = options->model.vocab,
                                               .model.precision = options->model.precision};
    int status = check_options(session, options);
    if (status)
        return status;
    const char **templates = cli_list_texts(&options->templates);
    if (!templates)
        status = cli_fail_memory();
    if (!status && options->evaluation.folder)
        status = cli_prepare_evaluation(session, &options->evaluation, &evaluation);
    if (!status)
        status = run_trainer(session, options, &evaluation, templates);
    cli_free_evaluation(&evaluation);
    free(templates);
    return status;
}

#define FIELD(name) offsetof(struct train_options, name)
static const struct cli_choice schedulers[] = {{"cosine", VKCLIP_LR_COSINE},
                                               {"const", VKCLIP_LR_CONST},
                                               {"const-cooldown", VKCLIP_LR_CONST_COOLDOWN},
                                               {0}};

static const struct cli_choice losses[] = {
    {"softmax", VKCLIP_LOSS_SOFTMAX}, {"sigmoid", VKCLIP_LOSS_SIGMOID}, {0}};

static const struct cli_option table[] = {
    CLI_OPTION(0, "init", "ARCH|FILE", CLI_TEXT, FIELD(params.init),
               "instead of -m: random weights of an architecture or config.json"),
    CLI_INCLUDE(cli_path_options, FIELD(model)),
    CLI_INCLUDE(cli_vocab_options, FIELD(model)),
    CLI_INCLUDE(cli_activation_options, FIELD(model)),
    CLI_OPTION(0, "data", "FILE", CLI_ITEM, FIELD(data),
               "CSV or TSV, or shards: train-{0000..0099}.tar; several are mixed"),
    CLI_OPTION(0, "csv-separator", "C", CLI_TEXT, FIELD(separator),
               "between columns (tab or comma, by the first row)"),
    CLI_OPTION(0, "csv-img-key", "NAME", CLI_TEXT, FIELD(params.csv_img_key),
               "column of pictures (filepath)"),
    CLI_OPTION(0, "csv-caption-key", "NAME", CLI_TEXT, FIELD(params.csv_caption_key),
               "column of captions in .csv and .tsv files (title)"),
    CLI_OPTION(0, "label-key", "NAME", CLI_TEXT, FIELD(params.label_key),
               "column, or key of .json: no label twice in a batch"),
    CLI_OPTION_PARAMETER(0, "caption-template", "TEXT", CLI_ITEM, FIELD(templates), "templates",
                         "a sentence with {} for the caption; of several, one at random"),
    CLI_OPTION(0, "data-raw", "FILE", CLI_TEXT, FIELD(params.data_raw),
               "safetensors: images [S,B,3,H,W], input_ids [S,B,T]"),
    CLI_OPTION(0, "workers", "N", CLI_NUMBER, FIELD(params.workers),
               "threads that prepare pictures"),
    CLI_OPTION(0, "no-augmentation", NULL, CLI_FLAG, FIELD(params.augmentation.off),
               "prepare pictures as at inference"),
    CLI_OPTION_PARAMETER(0, "aug-scale", "MIN,MAX", CLI_REALS, FIELD(params.augmentation.scale),
                         "augmentation.scale", "area of the crop per area of the picture (0.9,1)"),
    CLI_OPTION_PARAMETER(0, "aug-ratio", "MIN,MAX", CLI_REALS, FIELD(params.augmentation.ratio),
                         "augmentation.ratio", "width of the crop by its height (0.75,1.333)"),
    CLI_OPTION_PARAMETER(0, "aug-rotate", "DEGREES", CLI_REALS, FIELD(params.augmentation.rotate),
                         "augmentation.rotate", "turn the crop by up to so many degrees (0)"),
    CLI_OPTION_PARAMETER(0, "aug-color-jitter", "B,C,S,H", CLI_REALS,
                         FIELD(params.augmentation.color_jitter), "augmentation.color_jitter",
                         "brightness, contrast, saturation, hue (0,0,0,0)"),
    CLI_OPTION_PARAMETER(
        0, "aug-color-jitter-prob", "P", CLI_REALS, FIELD(params.augmentation.color_jitter_prob),
        "augmentation.color_jitter_prob", "probability of these four together (1)"),
    CLI_OPTION_PARAMETER(0, "aug-gray-scale-prob", "P", CLI_REALS,
                         FIELD(params.augmentation.gray_scale_prob), "augmentation.gray_scale_prob",
                         "probability of a picture without colour (0)"),
    CLI_OPTION_PARAMETER(0, "aug-channel-gain", "X", CLI_REALS,
                         FIELD(params.augmentation.channel_gain), "augmentation.channel_gain",
                         "red, green and blue times 1-X to 1+X each (0)"),
    CLI_OPTION(0, "batch-size", "N", CLI_NUMBER, FIELD(params.batch_size), "pairs at once (64)"),
    CLI_OPTION_CHOICE(
        "loss", losses, FIELD(params.loss),
        "softmax over the batch, or the sigmoid of each pair, which trains logit_bias "
        "(sigmoid if the model has one)"),
    CLI_OPTION(0, "accum-freq", "N", CLI_NUMBER, FIELD(params.accum_freq),
               "a step is N batches, which the loss sees as one (1)"),
    CLI_OPTION(0, "lr", "X", CLI_REALS, FIELD(params.lr), "learning rate (5e-4)"),
    CLI_OPTION(0, "beta1", "X", CLI_REALS, FIELD(params.beta1), "of AdamW (0.9)"),
    CLI_OPTION(0, "beta2", "X", CLI_REALS, FIELD(params.beta2), "of AdamW (0.98)"),
    CLI_OPTION(0, "eps", "X", CLI_REALS, FIELD(params.eps), "of AdamW (1e-6)"),
    CLI_OPTION(0, "wd", "X", CLI_REALS, FIELD(params.wd), "weight decay of matrices (0.2)"),
    CLI_OPTION(0, "grad-clip-norm", "X", CLI_REALS, FIELD(params.grad_clip_norm),
               "largest norm of the gradient of all parameters (no limit)"),
    CLI_OPTION(0, "ema-decay", "X", CLI_REALS, FIELD(params.ema_decay),
               "keep an average of the weights, as 0.999, in the folder ema (none)"),
    CLI_OPTION(0, "warmup", "STEPS", CLI_REALS, FIELD(warmup),
               "steps in which the learning rate rises (a tenth of all, at most 10000)"),
    CLI_OPTION_CHOICE("lr-scheduler", schedulers, FIELD(params.lr_scheduler),
                      "whether the learning rate then falls, stays, or falls at the end (cosine)"),
    CLI_OPTION(0, "steps-cooldown", "N", CLI_NUMBER, FIELD(steps_cooldown),
               "const-cooldown: the last steps, in which the learning rate falls"),
    CLI_OPTION(0, "epochs-cooldown", "N", CLI_NUMBER, FIELD(params.epochs_cooldown),
               "instead of --steps-cooldown: the last passes over the data"),
    CLI_OPTION(0, "lr-cooldown-power", "X", CLI_REALS, FIELD(params.lr_cooldown_power),
               "of the fraction of these steps that is left (1: a straight line)"),
    CLI_OPTION(0, "lr-cooldown-end", "X", CLI_REALS, FIELD(params.lr_cooldown_end),
               "learning rate after the last step (0)"),
    CLI_OPTION(0, "steps", "N", CLI_NUMBER, FIELD(steps), "steps of the whole run"),
    CLI_OPTION(0, "epochs", "N", CLI_NUMBER, FIELD(params.epochs),
               "instead of --steps: passes over the data (32)"),
    CLI_OPTION(0, "seed", "N", CLI_NUMBER, FIELD(seed), "seed of the random numbers (1)"),
    CLI_OPTION(0, "freeze-bn-stats", NULL, CLI_FLAG, FIELD(params.freeze_bn_stats),
               "ResNet: normalise by the running statistics, and keep these"),
    CLI_OPTION(0, "lock-image", NULL, CLI_FLAG, FIELD(params.lock_image),
               "keep the image tower as it is"),
    CLI_OPTION(0, "lock-image-unlocked-groups", "N", CLI_NUMBER,
               FIELD(params.lock_image_unlocked_groups),
               "but train its last N groups: head, last block with norm, blocks"),
    CLI_OPTION(0, "lock-text", NULL, CLI_FLAG, FIELD(params.lock_text),
               "keep the text tower as it is"),
    CLI_OPTION(0, "lock-text-unlocked-layers", "N", CLI_NUMBER,
               FIELD(params.lock_text_unlocked_layers), "but train its last N groups"),
    CLI_INCLUDE(cli_precision_options, FIELD(model)),
    CLI_OPTION(0, "checkpoint-activations", NULL, CLI_FLAG, FIELD(params.checkpoint_activations),
               "compute blocks again instead of keeping their activations"),
    CLI_OPTION(0, "resume", NULL, CLI_FLAG, FIELD(params.resume),
               "continue a run that ended early, from what it saved"),
    CLI_OPTION(0, "save-every", "STEPS", CLI_NUMBER, FIELD(save_every),
               "steps from one save to the next (a quarter of an hour)"),
    CLI_OPTION(0, "keep", "N", CLI_NUMBER, FIELD(params.keep), "keep the last N saved steps (3)"),
    CLI_OPTION(0, "log", "FILE", CLI_TEXT, FIELD(log),
               "JSON Lines, one per step; the curves are drawn beside it, as .svg"),
    CLI_OPTION(0, "tensorboard", "FOLDER", CLI_TEXT, FIELD(tensorboard),
               "the same numbers for TensorBoard"),
    CLI_OPTION(0, "val-data", "FILE", CLI_TEXT, FIELD(params.val_data),
               "as --data: measure the loss and recall at 1, 5 and 10 on other pairs"),
    CLI_OPTION(0, "val-frequency", "N", CLI_NUMBER, FIELD(val_frequency),
               "passes over the data from one validation to the next (1)"),
    CLI_OPTION(0, "val-every", "STEPS", CLI_NUMBER, FIELD(val_every), "instead of --val-frequency"),
    CLI_INCLUDE(cli_evaluation_options, FIELD(evaluation)),
    CLI_OPTION(0, "eval-every", "STEPS", CLI_NUMBER, FIELD(eval_every), "not only at the end"),
    CLI_OPTION(0, "dry-run", NULL, CLI_FLAG, FIELD(dry_run),
               "print steps and memory; compute and write nothing"),
    CLI_INCLUDE(cli_device_options, FIELD(device)),
    {0}};

const struct cli_command cli_train_command = {
    .name = "train",
    .summary = "train a model from pictures and captions",
    .usage = "FOLDER -m PATH|--init ARCH --data FILE|--data-raw FILE [OPTION...]",
    .arguments = "FOLDER",
    .text =
        "Trains both encoders with CLIP's contrastive objective, or SigLIP's if the model has a\n"
        "logit_bias (AdamW, warm-up, cosine). --data\n"
        "is a table with one picture and one caption per row (rows of the same picture are its\n"
        "captions, one of which is taken at random), or WebDataset's tar files, with .txt or\n"
        ".json beside each picture. Several --data are mixed in proportion to their sizes: a pass\n"
        "shows every picture once. Pictures are cropped at random. The same seed gives the same\n"
        "run on the same device. Several devices (--device 0,1 or all) are measured first, and\n"
        "share every batch if that makes a step shorter; the others are named and left out.\n"
        "FOLDER gets checkpoint-STEP from time to time, complete or not at\n"
        "all, and at the end the model itself, which every other command opens with -m FOLDER.\n"
        "Ctrl-C saves the step and ends the run. --resume continues from the last saved step\n"
        "as if there had been no break, or begins where there is none; options that differ from\n"
        "those of the beginning are named. A number that is not\n"
        "finite stops the run; the last saved step stays. --eval measures zero-shot accuracy\n"
        "among --labels, or the names of its folders. --val-data measures the loss on other "
        "pairs,\n"
        "and how pictures and captions find each other, after every pass over the data and at the\n"
        "end. Both measure the averages of --ema-decay if there are some.",
    .options = table,
    .options_size = sizeof(struct train_options),
    .run = run_train,
};
