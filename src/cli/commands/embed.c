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

/* The tensors of the --raw file, with the names of their rows.
 */
struct raw {
    struct safetensors *file;
    struct cli_inputs pixel_rows, id_rows;
    const struct tensor_view *pixels; /* [N,3,S,S] */
    int32_t *ids;                     /* [M,length] */
    size_t length;
};

/* ---- Results ---------------------------------------------------------------------------------- */

static struct rows *find_rows(struct results *results, const char *name)
{
    for (size_t i = 1; i < results->count; i++)
        if (!strcmp(results->tensors[i].name, name))
            return &results->tensors[i];
    return NULL;
}

/* Is a vkclip_hidden_fn. The hidden states of inputs come in the order of the inputs, before their
 * embeddings, and not for inputs that fail. */
static int take_hidden(void *user, const char *name, const float *data, const size_t *shape,
                       size_t rank, size_t first, size_t items)
{
    struct results *results = user;
    struct rows *rows = find_rows(results, name);
    (void)first;
    if (!rows && rank <= TENSOR_MAX_RANK)
        rows = results_add(results, name, DTYPE_F32, shape, rank);
    if (!rows || !results_reserve(rows, rows->count + items))
        return 1;
    memcpy(rows->data + rows->count * rows->size, data, items * rows->size);
    rows->count += items;
    return 0;
}

/* The row of the next embedding is the first that has no embedding yet. */
static void remove_hidden(struct results *results, size_t row)
{
    for (size_t i = 1; i < results->count; i++)
        results_remove_row(&results->tensors[i], row);
}

/* Adds an embedding to the results; an input that failed leaves no row in any of them. */
static bool take_embed(void *user, const struct cli_input *input, const float *embed, size_t width)
{
    struct results *results = user;
    struct rows *rows = results->tensors;
    (void)width;
    if (!embed) {
        remove_hidden(results, rows->count);
        return true;
    }
    if (!results_reserve(rows, rows->count + 1) ||
        !cli_add_input(&results->inputs, input->text, input->length)) {
        cli_fail(CLI_FAILED, "out of memory");
        return false;
    }
    memcpy(rows->data + rows->count * rows->size, embed, rows->size);
    rows->count++;
    return true;
}

/* ---- Prepared tensors -------------------------------------------------------------------------- */

static bool name_row(const char *path, const struct tensor_view *tensor, uint64_t row,
                     struct cli_inputs *names)
{
    char *name = string_format("%s:%s[%llu]", path, tensor->name, (unsigned long long)row);
    const bool good = name && cli_add_input(names, name, strlen(name));
    free(name);
    return good;
}

static int take_pixels(struct cli_session *session, const char *path,
                       const struct tensor_view *tensor, struct raw *raw)
{
    const uint32_t size = session->info.image_size;
    if (!dtype_is_float(tensor->dtype) || tensor->rank != 4 || tensor->shape[1] != 3 ||
        tensor->shape[2] != size || tensor->shape[3] != size) {
        cli_fail_input(session,
                       "%s: pixel_values: expected floats [N,3,%u,%u], as this model takes", path,
                       size, size);
        return CLI_DONE;
    }
    bool good = true;
    raw->pixels = tensor;
    for (uint64_t i = 0; i < tensor->shape[0] && good; i++)
        good = name_row(path, tensor, i, &raw->pixel_rows);
    return good ? CLI_DONE : cli_fail(CLI_FAILED, "out of memory");
}

static bool read_id(const struct tensor_view *tensor, size_t index, int64_t *id)
{
    int32_t narrow = 0;
    const bool wide = tensor->dtype == DTYPE_I64;
    const size_t size = dtype_size(tensor->dtype);
    int error = tensor_view_copy(tensor, index * size, size, wide ? (void *)id : (void *)&narrow);
    if (!wide)
        *id = narrow;
    return !error;
}

/* Copies one row of ids. Whether the model has these ids is left to the library. False: one does
 * not fit the library's type, which is reported. */
static bool copy_ids(struct cli_session *session, const char *path,
                     const struct tensor_view *tensor, uint64_t row, int32_t *ids)
{
    const size_t length = (size_t)tensor->shape[1];
    for (size_t i = 0; i < length; i++) {
        int64_t id;
        if (!read_id(tensor, (size_t)row * length + i, &id)) {
            cli_fail_library_input(session, "");
            return false;
        }
        if (id < INT32_MIN || id > INT32_MAX) {
            cli_fail_input(session, "%s:%s[%llu]: %lld is not a token id", path, tensor->name,
                           (unsigned long long)row, (long long)id);
            return false;
        }
        ids[i] = (int32_t)id;
    }
    return true;
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
    raw->ids = calloc((size_t)tensor->shape[0] * raw->length + 1, sizeof(*raw->ids));
    bool good = raw->ids != NULL;
    for (uint64_t i = 0; i < tensor->shape[0] && good; i++)
        if (copy_ids(session, path, tensor, i, &raw->ids[raw->id_rows.count * raw->length]))
            good = name_row(path, tensor, i, &raw->id_rows);
    return good ? CLI_DONE : cli_fail(CLI_FAILED, "out of memory");
}

/* Reads the --raw file; what does not fit the model is a failed input. */
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
    cli_free_inputs(&raw->pixel_rows);
    cli_free_inputs(&raw->id_rows);
    free(raw->ids);
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
        status = check_output(session, options, images || raw->pixel_rows.count,
                              texts || raw->id_rows.count);
    if (!status)
        status = cli_read_pictures(session, &options->pictures);
    if (!status)
        status = cli_read_lists(session, &options->texts.texts, true);
    return status;
}

static struct cli_encoding describe_encoding(struct results *results, const struct options *options)
{
    return (struct cli_encoding){.no_normalize = options->no_normalize,
                                 .strict = options->strictness.strict,
                                 .decoding = options->pictures.decoding,
                                 .hidden = options->hidden ? take_hidden : NULL,
                                 .embed = take_embed,
                                 .user = results};
}

/* The pictures of files first, then those of --raw. */
static int encode_images(struct cli_session *session, const struct options *options,
                         const struct raw *raw, struct results *results)
{
    const struct cli_encoding encoding = describe_encoding(results, options);
    const size_t shape[2] = {0, session->info.embed_dim};
    int status = CLI_DONE;
    if (!results_add(results, "image_embeds", DTYPE_F32, shape, 2))
        return cli_fail(CLI_FAILED, "out of memory");
    if (options->pictures.images.count)
        status = cli_encode_files(session, &encoding, &options->pictures.images);
    if (!status && raw->pixel_rows.count)
        status = cli_encode_pixels(session, &encoding, &raw->pixel_rows, raw->pixels);
    return status;
}

/* The texts of options and lists first, then those of --raw. */
static int encode_texts(struct cli_session *session, const struct options *options,
                        const struct raw *raw, struct results *results)
{
    const struct cli_encoding encoding = describe_encoding(results, options);
    const size_t shape[2] = {0, session->info.text_embed_dim};
    int status = CLI_DONE;
    if (!results_add(results, "text_embeds", DTYPE_F32, shape, 2))
        return cli_fail(CLI_FAILED, "out of memory");
    if (options->texts.texts.count)
        status = cli_encode_texts(session, &encoding, &options->texts.texts);
    if (!status && raw->id_rows.count)
        status = cli_encode_ids(session, &encoding, &raw->id_rows, raw->ids, raw->length);
    return status;
}

static int run_embed(struct cli_session *session, void *user)
{
    struct options *options = user;
    struct raw raw = {0};
    struct results images = {0}, texts = {0};
    int status = open_inputs(session, options, &raw);
    if (!status)
        status = encode_images(session, options, &raw, &images);
    if (!status)
        status = encode_texts(session, options, &raw, &texts);
    if (!status)
        status = results_write(session, options->output, &images, &texts);
    results_free(&images);
    results_free(&texts);
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
