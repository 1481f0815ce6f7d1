/* SPDX-License-Identifier: MIT
 *
 * Opens the device and the model, loads inputs and runs them through the encoders in groups.
 */
#include "base/clock.h"
#include "base/string.h"
#include "cli/cli.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    GROUP = 64,      /* two of the largest batches that the library chooses by itself */
    PICTURES = 1024, /* in a group, of which few are in memory at once */
};

struct vkclip_model_params cli_model_params(const struct cli *cli)
{
    return (struct vkclip_model_params){
        .precision = cli->precision == 2 ? VKCLIP_PRECISION_F16 : VKCLIP_PRECISION_F32,
        .vocab = cli->vocab,
        .activation =
            (enum vkclip_activation)cli->activation, /* choices in the order of the enum */
        .max_batch = cli->batch,
        .text_encoder = cli->text_encoder,
        .image_size = cli->image_size,
        .weights = (enum vkclip_weights)cli->weights, /* choices in the order of the enum */
    };
}

int cli_open_model(struct cli *cli, bool without_device)
{
    struct vkclip_device_params where = {.device = cli->device_name};
    struct vkclip_model_params how = cli_model_params(cli);
    if (!cli->model_path && !cli->vocab)
        return cli_fail_usage(cli, "name a model with -m");
    if (!without_device && vkclip_open_device(&where, &cli->device))
        return cli_fail(CLI_NO_DEVICE, "%s", vkclip_last_error());
    if (vkclip_open_model(cli->device, cli->model_path, &how, &cli->model) ||
        vkclip_get_model_info(cli->model, &cli->info))
        return cli_fail(CLI_NO_MODEL, "%s", vkclip_last_error());
    return CLI_DONE;
}

int cli_need(const struct cli *cli, bool images, bool texts, bool vocabulary)
{
    const char *lacks = images && !cli->info.image.width ? "no image tower"
                        : texts && !cli->info.text.width ? "no text tower"
                        : vocabulary && !cli->info.tokenizer
                            ? "no vocabulary beside it; name one with --vocab"
                            : NULL;
    return lacks ? cli_fail(CLI_NO_MODEL, "%s: the checkpoint has %s", cli->model_path, lacks)
                 : CLI_DONE;
}

/* A picture file to [S,S,3] and [3,S,S]. A failure is told in a new string, or in `none` where
 * there is no memory for one; else NULL. May run on several threads at once. */
static char *load_picture(const struct cli *cli, const char *path, uint8_t *u8, float *pixel_values,
                          char *none)
{
    struct vkclip_image image = {0};
    char *told = NULL;
    if (vkclip_load_image(path, cli->max_pixels, &image))
        told = string_format("%s", vkclip_last_error());
    else if (vkclip_preprocess(cli->model, &image, u8, pixel_values))
        told = string_format("%s: %s", path, vkclip_last_error());
    else
        none = NULL;
    vkclip_free_image(&image);
    return told ? told : none;
}

static char no_memory[] = "out of memory";

/* Reports what load_picture told, if anything. */
static bool is_loaded(struct cli *cli, char *told)
{
    if (told)
        cli_fail_input(cli, "%s", told);
    if (told != no_memory)
        free(told);
    return !told;
}

bool cli_load_picture(struct cli *cli, const char *path, uint8_t *u8, float *pixel_values)
{
    return is_loaded(cli, load_picture(cli, path, u8, pixel_values, no_memory));
}

bool cli_tokenize_text(struct cli *cli, const char *text, size_t length, unsigned flags,
                       int32_t *ids, size_t capacity, size_t *count)
{
    size_t shown = length < 40 ? length : 40;
    while (shown && shown < length && (text[shown] & 0xc0) == 0x80)
        shown--; /* not within a character */
    snprintf(cli->subject, sizeof(cli->subject), "text '%.*s%s': ", (int)shown, text,
             shown < length ? "..." : "");
    int error = vkclip_tokenize(cli->model, text, length, flags, ids, capacity, count);
    if (error)
        cli_fail_input(cli, "%s%s", cli->subject, vkclip_last_error());
    cli->subject[0] = 0;
    return !error;
}

/* Whether the model has these ids is left to the library. */
static bool load_ids(struct cli *cli, const struct cli_input *input, int32_t *ids, size_t length)
{
    const char *data = input->tensor->data;
    size_t first = (size_t)input->row * length;
    if (input->tensor->dtype == DTYPE_I32)
        memcpy(ids, data + first * sizeof(*ids), length * sizeof(*ids));
    for (size_t i = 0; i < length && input->tensor->dtype == DTYPE_I64; i++) {
        int64_t id;
        memcpy(&id, data + (first + i) * sizeof(id), sizeof(id));
        if (id < 0 || id > INT32_MAX) {
            cli_fail_input(cli, "%s: %lld is not a token id", input->text, (long long)id);
            return false;
        }
        ids[i] = (int32_t)id;
    }
    return true;
}

/* One row of the group: pixel values or ids, four bytes an element. */
static bool load_row(struct cli *cli, const struct cli_run *run, const struct cli_input *input,
                     void *row, size_t length)
{
    if (run->images && !input->tensor)
        return cli_load_picture(cli, input->text, NULL, row);
    if (!input->tensor) {
        unsigned flags = VKCLIP_TOKENIZE_PAD | (cli->strict ? VKCLIP_TOKENIZE_STRICT : 0);
        size_t count;
        return cli_tokenize_text(cli, input->text, input->length, flags, row, length, &count);
    }
    if (!run->images)
        return load_ids(cli, input, row, length);
    tensor_view_read(input->tensor, input->row * length, length, row);
    return true;
}

bool cli_check_finite(struct cli *cli, const struct cli_input *input, const float *values,
                      size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!isfinite(values[i])) {
            cli_fail_input(cli, "%s: the model's answer is not a finite number; %s", input->text,
                           cli->precision == 2 ? "try --precision f32"
                                               : "are the weights damaged?");
            return false;
        }
    return true;
}

/* The state of one run. */
struct group {
    struct cli *cli;
    const struct cli_run *run;
    size_t row, width; /* elements of an input's row and of its embedding */
    char *rows;        /* [GROUP,row] */
    float *embeds;
    const struct cli_input *inputs[PICTURES]; /* those that were loaded */
    char *told[PICTURES];                     /* what is wrong with the others */
    size_t done;                              /* inputs of earlier groups */
};

static void show_progress(void *user, size_t done, size_t total)
{
    (void)total;
    cli_show_progress(((struct group *)user)->done + done, "");
}

static int hand_over_hidden(void *user, const char *name, const float *data, const size_t *shape,
                            size_t rank, size_t first, size_t items)
{
    const struct cli_run *run = ((struct group *)user)->run;
    return run->hidden(run->user, name, data, shape, rank, first, items);
}

/* Rows [first, first + count) through the model and on to the command. */
static int encode_rows(struct group *group, size_t first, size_t count)
{
    const struct cli_run *run = group->run;
    struct vkclip_encode_params params = {.no_normalize = run->no_normalize,
                                          .hidden = run->hidden ? hand_over_hidden : NULL,
                                          .progress = show_progress,
                                          .user = group};
    const char *rows = group->rows + first * group->row * 4;
    struct vkclip_model *model = group->cli->model;
    int error = run->images
                    ? vkclip_encode_pixels(model, (const void *)rows, count, &params, group->embeds)
                    : vkclip_encode_tokens(model, (const void *)rows, count, group->row, &params,
                                           group->embeds);
    if (!error)
        return run->group(run->user, group->inputs + first, count, group->embeds, group->width)
                   ? CLI_DONE
                   : CLI_FAILED;
    if (error != VKCLIP_EINVALID)
        return cli_fail(CLI_FAILED, "%s", vkclip_last_error());
    if (count == 1) {
        cli_fail_input(group->cli, "%s: %s", group->inputs[first]->text, vkclip_last_error());
        return CLI_DONE;
    }
    int status = CLI_DONE; /* one of them is not acceptable: find out which */
    for (size_t i = 0; i < count && !status; i++)
        status = encode_rows(group, first + i, 1);
    return status;
}

/* Inputs of a group to rows, and these through the model. */
static int encode_group(struct group *group, size_t count)
{
    const struct cli_run *run = group->run;
    size_t loaded = 0;
    for (size_t i = 0; i < count; i++) {
        const struct cli_input *input = &run->inputs[group->done + i];
        if (load_row(group->cli, run, input, group->rows + loaded * group->row * 4, group->row))
            group->inputs[loaded++] = input;
    }
    return loaded ? encode_rows(group, 0, loaded) : CLI_DONE;
}

/* On threads of the library. */
static int give_picture(void *user, size_t index, float *pixel_values)
{
    struct group *group = user;
    const struct cli_input *input = &group->run->inputs[group->done + index];
    if (input->tensor)
        tensor_view_read(input->tensor, input->row * group->row, group->row, pixel_values);
    else
        group->told[index] = load_picture(group->cli, input->text, NULL, pixel_values, no_memory);
    return group->told[index] != NULL;
}

/* Pictures of a group through the model while the next ones are loaded. */
static int encode_pictures(struct group *group, size_t count)
{
    const struct cli_run *run = group->run;
    struct cli *cli = group->cli;
    struct vkclip_encode_params params = {
        .no_normalize = run->no_normalize, .progress = show_progress, .user = group};
    size_t loaded = 0;
    memset(group->told, 0, sizeof(group->told));
    int error = vkclip_encode_source(cli->model, give_picture, count, &params, group->embeds);
    for (size_t i = 0; i < count; i++) {
        if (!is_loaded(cli, group->told[i]) || error)
            continue;
        group->inputs[loaded] = &run->inputs[group->done + i];
        memmove(&group->embeds[loaded++ * group->width], &group->embeds[i * group->width],
                group->width * sizeof(*group->embeds));
    }
    if (error)
        return cli_fail(CLI_FAILED, "%s", vkclip_last_error());
    return !loaded || run->group(run->user, group->inputs, loaded, group->embeds, group->width)
               ? CLI_DONE
               : CLI_FAILED;
}

int cli_encode(struct cli *cli, const struct cli_run *run)
{
    const struct vkclip_model_info *info = &cli->info;
    size_t pixels = 3 * (size_t)info->image_size * info->image_size;
    bool stream = run->images && !run->hidden; /* hidden states are of loaded rows only */
    size_t most = stream ? PICTURES : GROUP, size = GROUP;
    struct group *group = calloc(1, sizeof(*group));
    if (!group)
        return cli_fail(CLI_FAILED, "out of memory");
    group->cli = cli;
    group->run = run;
    group->row = run->images ? pixels : run->length;
    group->width = run->images ? info->embed_dim : info->text_embed_dim;
    group->rows = stream ? NULL : calloc(GROUP * group->row, 4);
    group->embeds = calloc(most * group->width, sizeof(*group->embeds));
    int status =
        (stream || group->rows) && group->embeds ? CLI_DONE : cli_fail(CLI_FAILED, "out of memory");
    cli_start_progress(cli, 0, run->count);
    while (!status && group->done < run->count) {
        size_t count = run->count - group->done < size ? run->count - group->done : size;
        double start = clock_seconds();
        status = (stream ? encode_pictures : encode_group)(group, count);
        if (size < most && clock_seconds() - start < 1) /* a fast device is kept from waiting, */
            size *= 2;                                  /* from a slow one results come soon */
        group->done += count;
        cli_show_progress(group->done, "");
    }
    cli_clear_progress();
    free(group->rows);
    free(group->embeds);
    free(group);
    return status;
}

int cli_check_templates(const struct cli *cli, const struct cli_inputs *templates)
{
    for (size_t i = 0; i < templates->count; i++)
        if (!strstr(templates->items[i].text, "{}"))
            return cli_fail_usage(cli, "template '%s' has no {} for the label",
                                  templates->items[i].text);
    return CLI_DONE;
}

const char **cli_texts_of(const struct cli_inputs *inputs)
{
    const char **texts = calloc(inputs->count + 1, sizeof(*texts));
    for (size_t i = 0; texts && i < inputs->count; i++)
        texts[i] = inputs->items[i].text;
    return texts;
}

int cli_encode_labels(struct cli *cli, const struct cli_inputs *templates, float *embeds)
{
    const char **labels = cli_texts_of(&cli->labels), **around = cli_texts_of(templates);
    int status = labels && around ? CLI_DONE : cli_fail(CLI_FAILED, "out of memory");
    if (!status && vkclip_encode_labels(cli->model, labels, cli->labels.count, around,
                                        templates->count, NULL, embeds))
        status = cli_fail(CLI_FAILED, "%s", vkclip_last_error());
    free(labels);
    free(around);
    return status;
}
