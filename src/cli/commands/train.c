/* SPDX-License-Identifier: MIT
 *
 * vkclip train: its options, and what --dry-run prints.
 */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

/* ---- Options to params ----------------------------------------------------------------------- */

static int take_separator(struct cli *cli)
{
    const char *text = cli->separator;
    if (!text)
        return CLI_DONE;
    const char separator = !strcmp(text, "\\t") ? '\t' : text[0];
    cli->train.csv_separator = separator;
    return separator && (separator == '\t' || !text[1])
               ? CLI_DONE
               : cli_fail_usage(cli, "--csv-separator: expected one character, found '%s'", text);
}

static int check_train(struct cli *cli)
{
    struct vkclip_trainer_params *train = &cli->train;
    if (cli->arguments.count != 1)
        return cli_fail_usage(cli, "name a folder for the run, found %zu arguments",
                              cli->arguments.count);
    train->output = cli->arguments.items[0].text;
    if (!train->data == !train->data_raw)
        return cli_fail_usage(cli, "expected --data or --data-raw");
    if (!cli->resume && !cli->model_path == !train->init)
        return cli_fail_usage(cli, "expected -m, a checkpoint to go on from, or --init, an "
                                   "architecture");
    if (cli->steps && train->epochs)
        return cli_fail_usage(cli, "--steps and --epochs both say how long; expected one of them");
    if (cli->eval_every && !cli->eval)
        return cli_fail_usage(cli, "--eval-every: expected --eval with a folder");
    int status = take_separator(cli);
    status = status ? status : cli_check_templates(cli, &cli->templates);
    return status ? status : cli_check_templates(cli, &cli->eval_templates);
}

static bool is_mixed(const struct cli *cli)
{
    return cli->precision == 2;
}

static int open_trainer(struct cli *cli, const char **templates, struct vkclip_trainer **trainer)
{
    struct vkclip_trainer_params *train = &cli->train;
    train->model = cli->model_path;
    train->vocab = cli->vocab;
    train->templates = templates;
    train->template_count = cli->templates.count;
    train->augmentation.off = cli->no_augmentation;
    train->workers = cli->workers;
    train->warmup = (int64_t)cli->warmup;
    train->lr_const = cli->scheduler == 2;
    train->steps = cli->steps;
    train->seed = cli->seed ? cli->seed : 1;
    train->freeze_bn_stats = cli->freeze_bn_stats;
    train->lock_image = cli->lock_image;
    train->lock_text = cli->lock_text;
    train->checkpoint_activations = cli->checkpoint_activations;
    train->precision = is_mixed(cli) ? VKCLIP_PRECISION_F16 : VKCLIP_PRECISION_F32;
    train->resume = cli->resume;
    if (!vkclip_open_trainer(cli->device, train, trainer))
        return CLI_DONE;
    return cli_fail(CLI_FAILED, "%s", vkclip_last_error());
}

/* ---- --dry-run ------------------------------------------------------------------------------- */

static double mib(uint64_t bytes)
{
    return (double)bytes / (1 << 20);
}

static json_t *pack_memory(const struct vkclip_trainer_memory *memory)
{
    const uint64_t total =
        memory->weights + memory->gradients + memory->moments + memory->activations;
    return json_pack("{sI sI sI sI sI sI}", "weights", (json_int_t)memory->weights, "gradients",
                     (json_int_t)memory->gradients, "moments", (json_int_t)memory->moments,
                     "activations", (json_int_t)memory->activations, "least_activations",
                     (json_int_t)memory->least, "total", (json_int_t)total);
}

static int print_plan_json(const struct cli *cli, const struct vkclip_trainer_info *info,
                           const struct vkclip_trainer_memory memory[2])
{
    json_t *json = json_pack(
        "{sI sI sI sI sI sI sI sI sI ss so so}", "parameters", (json_int_t)info->parameters,
        "trained_parameters", (json_int_t)info->trained_parameters, "pictures",
        (json_int_t)info->samples, "captions", (json_int_t)info->captions, "labels",
        (json_int_t)info->labels, "batch", (json_int_t)info->batch, "batch_size",
        (json_int_t)info->batch_size, "epoch_steps", (json_int_t)info->epoch_steps, "steps",
        (json_int_t)info->steps, "precision", is_mixed(cli) ? "f16" : "f32", "memory",
        pack_memory(&memory[0]), "memory_checkpoint_activations", pack_memory(&memory[1]));
    return cli_print_json(json, stdout) ? CLI_DONE : CLI_FAILED;
}

static void print_memory(const char *name, const struct vkclip_trainer_memory *memory)
{
    printf("%-26s %10.1f %10.1f %10.1f %12.1f %10.1f %10.1f\n", name, mib(memory->weights),
           mib(memory->gradients), mib(memory->moments), mib(memory->activations),
           mib(memory->least),
           mib(memory->weights + memory->gradients + memory->moments + memory->activations));
}

static int print_plan(const struct cli *cli, const struct vkclip_trainer *trainer)
{
    struct vkclip_trainer_info info;
    struct vkclip_trainer_memory memory[2];
    vkclip_get_trainer_info(trainer, &info);
    for (int i = 0; i < 2; i++)
        if (vkclip_measure_trainer(trainer, i == 1, &memory[i]))
            return cli_fail(CLI_FAILED, "%s", vkclip_last_error());
    if (cli->json)
        return print_plan_json(cli, &info, memory);
    printf("%llu parameters, %llu of them trained\n", (unsigned long long)info.parameters,
           (unsigned long long)info.trained_parameters);
    if (info.samples)
        printf("%llu pictures, %llu captions", (unsigned long long)info.samples,
               (unsigned long long)info.captions);
    else
        printf("%llu prepared batches", (unsigned long long)info.epoch_steps);
    if (info.labels)
        printf(", %llu labels", (unsigned long long)info.labels);
    printf("\n%llu steps of %u pairs, %u at once; %llu steps a pass over the data\n\n",
           (unsigned long long)info.steps, info.batch, info.batch_size,
           (unsigned long long)info.epoch_steps);
    printf("%-26s %10s %10s %10s %12s %10s %10s\n",
           is_mixed(cli) ? "MiB, precision f16" : "MiB, precision f32", "weights", "gradients",
           "moments", "activations", "at least", "total");
    print_memory("activations kept", &memory[0]);
    print_memory("--checkpoint-activations", &memory[1]);
    return CLI_DONE;
}

/* ---- The command ----------------------------------------------------------------------------- */

static int open_device(struct cli *cli)
{
    const struct vkclip_device_params where = {.device = cli->device_name};
    return vkclip_open_device(&where, &cli->device)
               ? cli_fail(CLI_NO_DEVICE, "%s", vkclip_last_error())
               : CLI_DONE;
}

static int run_train(struct cli *cli)
{
    struct vkclip_trainer *trainer = NULL;
    int status = check_train(cli);
    if (status)
        return status;
    const char **templates = cli_texts_of(&cli->templates);
    status = templates ? CLI_DONE : cli_fail(CLI_FAILED, "out of memory");
    if (!status && cli->eval)
        status = cli_prepare_evaluation(cli);
    if (!status && !cli->dry_run)
        status = open_device(cli);
    status = status ? status : open_trainer(cli, templates, &trainer);
    if (!status)
        status = cli->dry_run ? print_plan(cli, trainer) : cli_run_training(cli, trainer);
    vkclip_close_trainer(&trainer);
    free(templates);
    return status;
}

static const struct cli_option options[] = {
    CLI_OPTION(0, "init", "ARCH|FILE", CLI_TEXT, train.init,
               "instead of -m: random weights of a name or config.json"),
    CLI_MODEL_OPTION,
    CLI_VOCAB_OPTION,
    CLI_OPTION(0, "data", "FILE", CLI_TEXT, train.data,
               "CSV or TSV, or shards: train-{0000..0099}.tar"),
    CLI_OPTION(0, "csv-separator", "C", CLI_TEXT, separator,
               "between columns (tab or comma, by the first row)"),
    CLI_OPTION(0, "csv-img-key", "NAME", CLI_TEXT, train.csv_img_key,
               "column of pictures (filepath)"),
    CLI_OPTION(0, "csv-caption-key", "NAME", CLI_TEXT, train.csv_caption_key,
               "column of .csv and .tsv files (title)"),
    CLI_OPTION(0, "label-key", "NAME", CLI_TEXT, train.label_key,
               "column, or key of .json: no label twice in a batch"),
    CLI_OPTION(0, "caption-template", "TEXT", CLI_ITEM, templates,
               "sentence with {} for the caption; of several one at random"),
    CLI_OPTION(0, "data-raw", "FILE", CLI_TEXT, train.data_raw,
               "safetensors: images [S,B,3,H,W], input_ids [S,B,T]"),
    CLI_OPTION(0, "workers", "N", CLI_NUMBER, workers, "threads that prepare pictures"),
    CLI_OPTION(0, "no-augmentation", NULL, CLI_FLAG, no_augmentation, "pictures as at inference"),
    CLI_OPTION(0, "aug-scale", "MIN,MAX", CLI_REAL, train.augmentation.scale,
               "crop's part of the picture (0.9,1)"),
    CLI_OPTION(0, "aug-ratio", "MIN,MAX", CLI_REAL, train.augmentation.ratio,
               "crop's width by height (0.75,1.333)"),
    CLI_OPTION(0, "aug-rotate", "DEGREES", CLI_REAL, train.augmentation.rotate,
               "turned by up to so much (0)"),
    CLI_OPTION(0, "aug-color-jitter", "B,C,S,H", CLI_REAL, train.augmentation.color_jitter,
               "brightness, contrast, saturation, hue (0,0,0,0)"),
    CLI_OPTION(0, "aug-color-jitter-prob", "P", CLI_REAL, train.augmentation.color_jitter_prob,
               "of the four together (1)"),
    CLI_OPTION(0, "aug-gray-scale-prob", "P", CLI_REAL, train.augmentation.gray_scale_prob,
               "of a picture without colour (0)"),
    CLI_OPTION(0, "aug-channel-gain", "X", CLI_REAL, train.augmentation.channel_gain,
               "red, green, blue by 1-X to 1+X each (0)"),
    CLI_OPTION(0, "batch-size", "N", CLI_NUMBER, train.batch_size, "pairs at once (64)"),
    CLI_OPTION(0, "accum-freq", "N", CLI_NUMBER, train.accum_freq,
               "a step is N batches, seen by the loss as one (1)"),
    CLI_OPTION(0, "lr", "X", CLI_REAL, train.lr, "learning rate (5e-4)"),
    CLI_OPTION(0, "beta1", "X", CLI_REAL, train.beta1, "of AdamW (0.9)"),
    CLI_OPTION(0, "beta2", "X", CLI_REAL, train.beta2, "of AdamW (0.98)"),
    CLI_OPTION(0, "eps", "X", CLI_REAL, train.eps, "of AdamW (1e-6)"),
    CLI_OPTION(0, "wd", "X", CLI_REAL, train.wd, "weight decay of matrices (0.2)"),
    CLI_OPTION(0, "grad-clip-norm", "X", CLI_REAL, train.grad_clip_norm,
               "longest gradient of all parameters (no limit)"),
    CLI_OPTION(0, "warmup", "STEPS", CLI_REAL, warmup,
               "the rate rises (a tenth of all, 10000 at most)"),
    CLI_OPTION(0, "lr-scheduler", "cosine|const", CLI_CHOICE, scheduler,
               "and then falls, or stays (cosine)"),
    CLI_OPTION(0, "steps", "N", CLI_NUMBER, steps, "in all"),
    CLI_OPTION(0, "epochs", "N", CLI_NUMBER, train.epochs, "or passes over the data (32)"),
    CLI_OPTION(0, "seed", "N", CLI_NUMBER, seed, "of the random numbers (1)"),
    CLI_OPTION(0, "freeze-bn-stats", NULL, CLI_FLAG, freeze_bn_stats,
               "ResNet: by running statistics, which stay, not the batch's"),
    CLI_OPTION(0, "lock-image", NULL, CLI_FLAG, lock_image, "the image tower stays as it is"),
    CLI_OPTION(0, "lock-text", NULL, CLI_FLAG, lock_text, "the text tower stays as it is"),
    CLI_PRECISION_OPTION,
    CLI_OPTION(0, "checkpoint-activations", NULL, CLI_FLAG, checkpoint_activations,
               "compute blocks again instead of keeping them"),
    CLI_OPTION(0, "resume", NULL, CLI_FLAG, resume, "go on from the run's last checkpoint"),
    CLI_OPTION(0, "save-every", "STEPS", CLI_NUMBER, save_every,
               "a checkpoint (every quarter of an hour)"),
    CLI_OPTION(0, "keep", "N", CLI_NUMBER, train.keep, "the last N checkpoints (3)"),
    CLI_OPTION(0, "log", "FILE", CLI_TEXT, log, "JSON Lines, a line a step; curves: FILE.svg"),
    CLI_OPTION(0, "eval", "FOLDER", CLI_TEXT, eval,
               "zero-shot accuracy on it: folders named as their label"),
    CLI_OPTION(0, "eval-every", "STEPS", CLI_NUMBER, eval_every, "not only at the end"),
    CLI_OPTION('t', "template", "TEXT", CLI_ITEM, eval_templates, "sentence with {} for the label"),
    CLI_OPTION(0, "labels", "FILE", CLI_LIST, labels, "a file of labels, one a line; -: stdin"),
    CLI_OPTION(0, "dry-run", NULL, CLI_FLAG, dry_run,
               "print steps and memory; nothing is computed or written"),
    CLI_DEVICE_OPTION,
    CLI_COMMON_OPTIONS,
    {0}};

const struct cli_command cli_train = {
    .name = "train",
    .summary = "train a model from pictures and captions",
    .usage = "FOLDER -m PATH|--init ARCH --data FILE|--data-raw FILE [OPTION...]",
    .text =
        "Trains both encoders with CLIP's contrastive objective (AdamW, warm-up, cosine). --data "
        "is\n"
        "a table with a picture and a caption a row (rows of one picture are its captions, one at\n"
        "random is taken), or WebDataset's tar files, with .txt or .json beside each picture.\n"
        "Pictures are cropped at random. The same seed gives the same run on the same device.\n"
        "FOLDER gets checkpoint-STEP now and then, complete or not at all, and at the end the "
        "model\n"
        "itself, which every other command opens with -m FOLDER. Ctrl-C ends with a checkpoint.\n"
        "--resume goes on from the last one as if there had been no break, or begins where there\n"
        "is none. A number that is not finite stops the run; the last checkpoint stays. --eval "
        "measures\n"
        "zero-shot accuracy among --labels, or the names of its folders.",
    .options = options,
    .run = run_train,
    .arguments = true,
};
