/* SPDX-License-Identifier: MIT
 *
 * vkclip embed: pictures, texts and prepared tensors to embeddings in a file.
 */
#include "base/string.h"
#include "cli/command.h"
#include "cli/commands/results.h"
#include "cli/encode.h"
#include "cli/inputs.h"
#include "cli/log.h"
#include "cli/model.h"

#include <stdlib.h>
#include <string.h>

struct options {
    struct cli_model_options model;
    struct cli_device_options device;
    struct cli_pictures pictures;
    struct cli_texts texts;
    struct cli_strictness strictness;
    const char *raw, *output;
    bool no_normalize, hidden;
};

/* The rows of the --raw file. */
struct raw {
    struct safetensors *file;
    struct cli_inputs pixels, ids;
    size_t length; /* ids of a row */
};

/* What the functions that receive results work on. */
struct taken {
    struct cli_session *session;
    struct results results;
};

/* ---- Results ---------------------------------------------------------------------------------- */

static struct rows *find_rows(struct results *results, const char *name)
{
    for (size_t i = 1; i < results->count; i++)
        if (!strcmp(results->tensors[i].name, name))
            return &results->tensors[i];
    return NULL;
}

/* vkclip_hidden_fn: hidden states arrive before the embeddings of the same inputs, so that they are
 * stored behind all rows that are complete. */
static int take_hidden(void *user, const char *name, const float *data, const size_t *shape,
                       size_t rank, size_t first, size_t items)
{
    struct results *results = &((struct taken *)user)->results;
    struct rows *rows = find_rows(results, name);
    const size_t start = results->inputs.count + first;
    if (!rows && rank <= TENSOR_MAX_RANK)
        rows = results_add(results, name, DTYPE_F32, shape, rank);
    if (!rows || !results_reserve(rows, start + items))
        return 1;
    memcpy(rows->data + start * rows->size, data, items * rows->size);
    rows->count = start + items;
    return 0;
}

/* Removes what is there of an input whose embedding is unusable. */
static void remove_hidden(struct results *results, size_t row)
{
    for (size_t i = 1; i < results->count; i++)
        results_remove_row(&results->tensors[i], row);
}

/* cli_group_fn */
static bool take_embeds(void *user, const struct cli_input *const *inputs, size_t count,
                        const float *embeds, size_t width)
{
    struct taken *taken = user;
    struct results *results = &taken->results;
    struct rows *rows = results->tensors;
    for (size_t i = 0; i < count; i++) {
        const size_t row = rows->count;
        const float *embed = embeds + i * width;
        if (!cli_check_finite(taken->session, inputs[i], embed, width)) {
            remove_hidden(results, row);
            continue;
        }
        if (!results_reserve(rows, row + 1) ||
            !cli_add_input(&results->inputs, inputs[i]->text, inputs[i]->length)) {
            cli_fail(CLI_FAILED, "out of memory");
            return false;
        }
        memcpy(rows->data + row * rows->size, embed, rows->size);
        rows->count++;
    }
    return true;
}

/* ---- Prepared tensors -------------------------------------------------------------------------- */

/* Makes an input of each row of a tensor. */
static int list_rows(const char *path, const struct tensor_view *tensor, struct cli_inputs *inputs)
{
    for (uint64_t row = 0; row < tensor->shape[0]; row++) {
        char *name = string_format("%s:%s[%llu]", path, tensor->name, (unsigned long long)row);
        const bool good = name && cli_add_input(inputs, name, strlen(name));
        free(name);
        if (!good)
            return cli_fail(CLI_FAILED, "out of memory");
        inputs->items[inputs->count - 1].tensor = tensor;
        inputs->items[inputs->count - 1].row = row;
    }
    return CLI_DONE;
}

static int take_pixels(struct cli_session *session, const char *path,
                       const struct tensor_view *tensor, struct raw *raw)
{
    const uint32_t size = session->info.image_size;
    if (dtype_is_float(tensor->dtype) && tensor->rank == 4 && tensor->shape[1] == 3 &&
        tensor->shape[2] == size && tensor->shape[3] == size)
        return list_rows(path, tensor, &raw->pixels);
    cli_fail_input(session, "%s: pixel_values: expected floats [N,3,%u,%u], as this model takes",
                   path, size, size);
    return CLI_DONE;
}

static int take_ids(struct cli_session *session, const char *path, const struct tensor_view *tensor,
                    struct raw *raw)
{
    const uint32_t context = session->info.context;
    if ((tensor->dtype != DTYPE_I32 && tensor->dtype != DTYPE_I64) || tensor->rank != 2 ||
        tensor->shape[1] < 1 || tensor->shape[1] > context) {
        cli_fail_input(session,
                       "%s: input_ids: expected I32 or I64 [M,T] with T at most %u, this model's "
                       "context",
                       path, context);
        return CLI_DONE;
    }
    raw->length = (size_t)tensor->shape[1];
    return list_rows(path, tensor, &raw->ids);
}

/* Opens the --raw file and lists its rows; what does not fit the model is a failed input. */
static int read_raw(struct cli_session *session, const struct options *options, struct raw *raw)
{
    const char *path = options->raw;
    if (safetensors_open(path, &raw->file)) {
        cli_fail_library_input(session, "");
        return CLI_DONE;
    }
    const struct tensor_view *pixels = safetensors_find(raw->file, "pixel_values");
    const struct tensor_view *ids = safetensors_find(raw->file, "input_ids");
    const unsigned needs = (pixels ? CLI_NEED_IMAGES : 0) | (ids ? CLI_NEED_TEXTS : 0);
    if (!needs)
        cli_fail_input(session, "%s: expected a tensor pixel_values or input_ids", path);
    int status = cli_check_model(session, options->model.path, needs);
    if (!status && pixels)
        status = take_pixels(session, path, pixels, raw);
    if (!status && ids)
        status = take_ids(session, path, ids, raw);
    return status;
}

static void close_raw(struct raw *raw)
{
    cli_free_inputs(&raw->pixels);
    cli_free_inputs(&raw->ids);
    safetensors_close(&raw->file);
}

/* ---- The command ------------------------------------------------------------------------------- */

static int check_output(const struct cli_session *session, const struct options *options,
                        bool images, bool texts)
{
    const char *output = options->output;
    if (!output)
        return cli_fail_usage(session, "name the result with -o");
    const enum results_format format = results_find_format(output);
    if (format == RESULTS_UNKNOWN)
        return cli_fail_usage(
            session, "%s: expected a name that ends in .safetensors, .npy or .jsonl", output);
    if (options->hidden && format != RESULTS_SAFETENSORS)
        return cli_fail_usage(session, "--hidden needs a result in .safetensors");
    if (images && texts && format == RESULTS_NPY)
        return cli_fail_usage(session, "%s: a .npy file holds either pictures or texts", output);
    return CLI_DONE;
}

/* Everything that must be right before the first input is encoded. */
static int open_inputs(struct cli_session *session, struct options *options, struct raw *raw)
{
    const bool images = options->pictures.images.count || session->arguments.count;
    const bool texts = options->texts.texts.count;
    const unsigned needs =
        (images ? CLI_NEED_IMAGES : 0) | (texts ? CLI_NEED_TEXTS | CLI_NEED_VOCABULARY : 0);
    if (!images && !texts && !options->raw)
        return cli_fail_usage(session, "expected pictures or --image, --text, a list of either, "
                                       "or --raw");
    int status = check_output(session, options, images, texts);
    if (!status)
        status = cli_open_model_on_device(session, &options->model, &options->device);
    if (!status)
        status = cli_check_model(session, options->model.path, needs);
    if (!status && options->raw)
        status = read_raw(session, options, raw);
    if (!status)
        status =
            check_output(session, options, images || raw->pixels.count, texts || raw->ids.count);
    if (!status)
        status = cli_read_pictures(session, &options->pictures);
    if (!status)
        status = cli_read_lists(session, &options->texts.texts, true);
    return status;
}

static int encode_inputs(struct taken *taken, struct cli_encoding *encoding,
                         const struct cli_inputs *inputs, size_t length)
{
    encoding->inputs = inputs->items;
    encoding->count = inputs->count;
    encoding->length = length;
    return inputs->count ? cli_encode(taken->session, encoding) : CLI_DONE;
}

/* Encodes pictures or texts: those of files and options first, then the rows of --raw. */
static int encode_kind(struct taken *taken, const struct options *options, bool images,
                       const struct raw *raw)
{
    const struct vkclip_model_info *info = &taken->session->info;
    const size_t shape[2] = {0, images ? info->embed_dim : info->text_embed_dim};
    struct cli_encoding encoding = {.images = images,
                                    .no_normalize = options->no_normalize,
                                    .strict = options->strictness.strict,
                                    .max_pixels = options->pictures.max_pixels,
                                    .hidden = options->hidden ? take_hidden : NULL,
                                    .group = take_embeds,
                                    .user = taken};
    if (!results_add(&taken->results, images ? "image_embeds" : "text_embeds", DTYPE_F32, shape, 2))
        return cli_fail(CLI_FAILED, "out of memory");
    int status =
        encode_inputs(taken, &encoding, images ? &options->pictures.images : &options->texts.texts,
                      info->context);
    if (!status)
        status = encode_inputs(taken, &encoding, images ? &raw->pixels : &raw->ids, raw->length);
    return status;
}

static int run_embed(struct cli_session *session, void *user)
{
    struct options *options = user;
    struct raw raw = {0};
    struct taken images = {.session = session}, texts = {.session = session};
    int status = open_inputs(session, options, &raw);
    if (!status)
        status = encode_kind(&images, options, true, &raw);
    if (!status)
        status = encode_kind(&texts, options, false, &raw);
    if (!status)
        status = results_write(session, options->output, &images.results, &texts.results);
    results_free(&images.results);
    results_free(&texts.results);
    close_raw(&raw);
    return status;
}

#define FIELD(name) offsetof(struct options, name)
static const struct cli_option table[] = {
    CLI_INCLUDE(cli_picture_options, FIELD(pictures)),
    CLI_INCLUDE(cli_texts_options, FIELD(texts)),
    CLI_INCLUDE(cli_strict_options, FIELD(strictness)),
    CLI_OPTION(0, "raw", "FILE", CLI_TEXT, FIELD(raw),
               "pixel_values and input_ids from a .safetensors file"),
    CLI_OPTION('o', "output", "FILE", CLI_TEXT, FIELD(output), "the result's file"),
    CLI_OPTION(0, "no-normalize", NULL, CLI_FLAG, FIELD(no_normalize),
               "do not divide by the L2 norm"),
    CLI_OPTION(0, "hidden", NULL, CLI_FLAG, FIELD(hidden), "add the hidden states of all blocks"),
    CLI_INCLUDE(cli_model_options, FIELD(model)),
    CLI_INCLUDE(cli_batch_options, FIELD(model)),
    CLI_INCLUDE(cli_device_options, FIELD(device)),
    {0}};

const struct cli_command cli_embed_command = {
    .name = "embed",
    .summary = "encode pictures and texts to embeddings in a file",
    .usage = "-m PATH -o FILE [--text TEXT]... [OPTION...] [IMAGE|FOLDER...]",
    .arguments = "IMAGE|FOLDER",
    .text =
        "Writes the embeddings of pictures and texts, in the order given: pictures before texts,\n"
        "and the rows of --raw last. A .safetensors file holds image_embeds [N,D] and\n"
        "text_embeds [M,D] in fp32, and its metadata names the input of each row; a .npy file\n"
        "holds one of the two; a .jsonl file (or -, standard output) has one object per line:\n"
        "{\"path\" or \"text\":...,\"embedding\":[...]}. Inputs that fail are reported and left "
        "out.",
    .options = table,
    .options_size = sizeof(struct options),
    .run = run_embed,
};
