/* SPDX-License-Identifier: MIT
 *
 * vkclip embed: pictures, texts and prepared tensors to embeddings in a file.
 */
#include "base/string.h"
#include "cli/command.h"
#include "cli/commands/embed_output.h"
#include "cli/encode.h"
#include "cli/inputs.h"
#include "cli/log.h"
#include "cli/model.h"
#include "cli/remote.h"

#include <stdlib.h>
#include <string.h>

struct options {
    struct cli_model_options model;
    struct cli_device_options device;
    struct cli_remote_options remote;
    struct cli_pictures pictures;
    struct cli_texts texts;
    struct cli_strictness strictness;
    const char *raw, *output, *shard, *features;
    struct vkclip_features selected; /* which --features names */
    struct shard part;               /* which --shard names */
    struct cli_archive *archives;
    bool no_normalize, hidden, no_mask, overwrite, resume, skip_existing;
};

/* The tensors of the --raw file, with the names of their rows.
 */
struct raw {
    struct safetensors *file;
    struct cli_inputs pixel_rows, id_rows;
    const struct tensor_view *pixels; /* [N,3,S,S] */
    int32_t *ids, *mask;              /* [M,length]; `mask` may be NULL */
    size_t length;
};

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
    return good ? CLI_DONE : cli_fail_memory();
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
    return good ? CLI_DONE : cli_fail_memory();
}

/* Reads which tokens are attended to. Rows of ids that were left out are an error already. */
static int take_mask(struct cli_session *session, const char *path,
                     const struct tensor_view *tensor, struct raw *raw)
{
    const size_t rows = raw->id_rows.count;
    bool good = (tensor->dtype == DTYPE_I32 || tensor->dtype == DTYPE_I64) && tensor->rank == 2 &&
                tensor->shape[0] == rows && tensor->shape[1] == raw->length;
    if (!good)
        cli_fail_input(session, "%s: attention_mask: expected I32 or I64 [%zu,%zu] as input_ids",
                       path, rows, raw->length);
    raw->mask = good ? calloc(rows * raw->length + 1, sizeof(*raw->mask)) : NULL;
    for (size_t i = 0; i < rows && raw->mask && good; i++)
        good = copy_ids(session, path, tensor, i, &raw->mask[i * raw->length]);
    return raw->mask || !good ? CLI_DONE : cli_fail_memory();
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
    const struct tensor_view *mask = safetensors_find(raw->file, "attention_mask");
    const unsigned needs = (pixels ? CLI_NEED_IMAGES : 0) | (ids ? CLI_NEED_TEXTS : 0);
    if (!needs)
        cli_fail_input(session, "%s: expected a tensor pixel_values or input_ids", path);
    int status = cli_check_model(session, options->model.path, needs);
    if (!status && pixels)
        status = take_pixels(session, path, pixels, raw);
    if (!status && ids)
        status = take_ids(session, path, ids, raw);
    if (!status && raw->ids && mask && !options->no_mask)
        status = take_mask(session, path, mask, raw);
    return status;
}

static void close_raw(struct raw *raw)
{
    cli_free_inputs(&raw->pixel_rows);
    cli_free_inputs(&raw->id_rows);
    free(raw->ids);
    free(raw->mask);
    safetensors_close(&raw->file);
}

/* ---- Options ----------------------------------------------------------------------------------- */

/* Keeping and resuming needs inputs that have names, and a file. */
static int check_start(const struct cli_session *session, const struct options *options)
{
    const bool resumes = options->resume || options->skip_existing;
    if (options->overwrite + options->resume + options->skip_existing > 1)
        return cli_fail_usage(session, "expected one of --overwrite, --resume and --skip-existing");
    if (resumes && options->raw)
        return cli_fail_usage(session, "--raw cannot be resumed");
    if (resumes && !strcmp(options->output, "-"))
        return cli_fail_usage(session, "--resume and --skip-existing need a file, -o FILE");
    if (options->shard && (resumes || options->raw || options->hidden || options->features))
        return cli_fail_usage(session, "--shard takes no --raw, --hidden, --features, --resume or "
                                       "--skip-existing; a shard always resumes");
    if (options->hidden && options->features)
        return cli_fail_usage(session, "expected one of --hidden and --features");
    return CLI_DONE;
}

static int check_output(const struct cli_session *session, const struct options *options,
                        bool images, bool texts)
{
    const char *output = options->output;
    if (!output)
        return cli_fail_usage(session, "name the result with -o");
    if (options->shard && images && texts)
        return cli_fail_usage(session, "%s: shards hold either pictures or texts", output);
    if (options->shard)
        return check_start(session, options);
    const enum results_format format = results_find_format(output);
    if (format == RESULTS_UNKNOWN)
        return cli_fail_usage(
            session, "%s: expected a name that ends in .safetensors, .npy or .jsonl", output);
    if ((options->hidden || options->features) && format != RESULTS_SAFETENSORS)
        return cli_fail_usage(session, "%s needs a result in .safetensors",
                              options->hidden ? "--hidden" : "--features");
    if (images && texts && format == RESULTS_NPY)
        return cli_fail_usage(session, "%s: a .npy file holds either pictures or texts", output);
    return check_start(session, options);
}

/* A server gives embeddings of unit length, and of files of its own size. */
static bool can_be_remote(const struct options *options)
{
    return !options->raw && !options->hidden && !options->features && !options->no_normalize &&
           !options->strictness.strict && !options->device.name &&
           !options->pictures.decoding.max_pixels && !options->model.batch;
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
    if (!status && options->features &&
        vkclip_parse_features(options->features, &options->selected))
        return cli_fail_library(session, CLI_USAGE);
    if (!status && options->shard)
        status = shard_parse(session, options->shard, &options->part);
    if (!status && can_be_remote(options))
        status = cli_find_remote(session, &options->remote, &options->model, &session->remote);
    if (!status)
        status = session->remote
                     ? cli_open_model(session, &options->model)
                     : cli_open_model_on_device(session, &options->model, &options->device);
    if (!status)
        status = cli_check_model(session, options->model.path, needs);
    if (!status && options->raw)
        status = read_raw(session, options, raw);
    if (!status && options->features && texts && raw->ids)
        return cli_fail_usage(session, "--features takes texts or the ids of --raw, not both");
    if (!status)
        status = check_output(session, options, images || raw->pixel_rows.count,
                              texts || raw->id_rows.count);
    if (!status)
        status = cli_read_pictures(session, &options->pictures);
    if (!status)
        status = cli_read_lists(session, &options->texts.texts, options->pictures.null, true);
    return status;
}

/* ---- Encoding ---------------------------------------------------------------------------------- */

static struct cli_encoding describe_encoding(struct embed_output *output,
                                             const struct options *options)
{
    return (struct cli_encoding){.no_normalize = options->no_normalize,
                                 .strict = options->strictness.strict,
                                 .interruptible = output->partial,
                                 .checks = output->plans[output->kind].checks,
                                 .decoding = options->pictures.decoding,
                                 .hidden = output->hidden ? embed_output_take_hidden : NULL,
                                 .features = output->features,
                                 .length = output->length,
                                 .embed = embed_output_take,
                                 .failure = embed_output_fail,
                                 .user = output};
}

/* The pictures of files first, then those of --raw. */
static int encode_images(struct embed_output *output, const struct options *options,
                         const struct raw *raw)
{
    const struct cli_inputs *rest;
    int status = embed_output_begin(output, EMBED_IMAGES, &options->pictures.images, &rest);
    const struct cli_encoding encoding = describe_encoding(output, options);
    if (!status && rest->count)
        status = cli_encode_files(output->session, &encoding, rest);
    if (!status && raw->pixel_rows.count)
        status = cli_encode_pixels(output->session, &encoding, &raw->pixel_rows, raw->pixels);
    return status;
}

/* Encodes the texts of options and lists first, then those of --raw. */
static int encode_texts(struct embed_output *output, const struct options *options,
                        const struct raw *raw)
{
    const struct cli_inputs *rest;
    int status = embed_output_begin(output, EMBED_TEXTS, &options->texts.texts, &rest);
    const struct cli_encoding encoding = describe_encoding(output, options);
    if (!status && rest->count)
        status = cli_encode_texts(output->session, &encoding, rest);
    if (!status && raw->id_rows.count)
        status = cli_encode_ids(output->session, &encoding, &raw->id_rows, raw->ids, raw->mask,
                                raw->length);
    return status;
}

/* Refuses a result whose names cannot stand in the header of its file, before hours are spent on
 * it.
 */
static int check_names(const struct options *options, const struct raw *raw)
{
    const struct cli_inputs *const lists[] = {&options->pictures.images, &options->texts.texts,
                                              &raw->pixel_rows, &raw->id_rows};
    size_t size = 0, count = 0;
    for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++) {
        size += results_names_size(lists[i]);
        count += lists[i]->count;
    }
    if (size <= SAFETENSORS_HEADER_MAX || options->shard ||
        results_find_format(options->output) != RESULTS_SAFETENSORS)
        return CLI_DONE;
    return cli_fail(CLI_FAILED,
                    "%s: the names of %zu inputs take %zu bytes of its header, which has %u at "
                    "most; " RESULTS_LARGE,
                    options->output, count, size, SAFETENSORS_HEADER_MAX);
}

/* ---- The command ------------------------------------------------------------------------------- */

/* Leaves the inputs of the shard. *done is true if there is nothing to do. */
static int open_shard(struct cli_session *session, struct options *options, bool *done)
{
    struct shard *shard = &options->part;
    shard->folder = options->output;
    shard->texts = options->texts.texts.count > 0;
    shard->overwrite = options->overwrite;
    cli_describe_model(session, options->model.path, !options->no_normalize, shard->identity,
                       sizeof(shard->identity));
    shard_select(shard, shard->texts ? &options->texts.texts : &options->pictures.images);
    const int status = shard_open(shard, done);
    if (!status && *done && !session->common.quiet)
        cli_say("%s: shard %u of %u is complete", shard->folder, shard->index, shard->count);
    return status;
}

static enum embed_start choose_start(const struct options *options)
{
    if (options->skip_existing)
        return EMBED_SKIP_EXISTING;
    if (options->overwrite)
        return EMBED_OVERWRITE;
    return options->resume || options->shard ? EMBED_RESUME : EMBED_ANEW;
}

static int run_embed(struct cli_session *session, void *user)
{
    struct options *options = user;
    struct raw raw = {0};
    struct embed_output output = {.session = session};
    bool done = false;
    int status = open_inputs(session, options, &raw);
    if (!status && options->shard)
        status = open_shard(session, options, &done);
    if (!status && !done)
        status = cli_read_archives(&options->pictures.images, &options->archives);
    if (!status && !done)
        status = check_names(options, &raw);
    if (!status && !done) {
        const size_t images = options->pictures.images.count + raw.pixel_rows.count,
                     texts = options->texts.texts.count + raw.id_rows.count;
        output.path = options->output;
        output.shard = options->shard ? &options->part : NULL;
        output.format = options->shard ? RESULTS_NPY : results_find_format(output.path);
        output.hidden = options->hidden;
        output.features = options->features ? &options->selected : NULL;
        output.features_name = options->features;
        output.length = raw.length;
        output.partial = !options->raw && strcmp(output.path, "-") != 0;
        status = embed_output_open(&output, choose_start(options),
                                   options->shard ? !options->part.texts : images > 0,
                                   options->shard ? options->part.texts : texts > 0);
        if (!status)
            status = encode_images(&output, options, &raw);
        if (!status)
            status = encode_texts(&output, options, &raw);
    }
    status = embed_output_close(&output, status);
    close_raw(&raw);
    cli_close_archives(&options->archives);
    return status;
}

#define FIELD(name) offsetof(struct options, name)
static const struct cli_option table[] = {
    CLI_INCLUDE(cli_picture_options, FIELD(pictures)),
    CLI_INCLUDE(cli_texts_options, FIELD(texts)),
    CLI_INCLUDE(cli_strict_options, FIELD(strictness)),
    CLI_OPTION(0, "raw", "FILE", CLI_TEXT, FIELD(raw),
               "pixel_values, input_ids, attention_mask of a .safetensors file"),
    CLI_OPTION(0, "no-mask", NULL, CLI_FLAG, FIELD(no_mask),
               "let T5 attend to padding that the raw attention_mask leaves out"),
    CLI_OPTION('o', "output", "FILE", CLI_TEXT, FIELD(output), "the result's file"),
    CLI_OPTION(0, "overwrite", NULL, CLI_FLAG, FIELD(overwrite),
               "drop what an earlier run saved of FILE, or a complete shard"),
    CLI_OPTION(0, "resume", NULL, CLI_FLAG, FIELD(resume),
               "continue a run that ended early, from what it saved"),
    CLI_OPTION(0, "skip-existing", NULL, CLI_FLAG, FIELD(skip_existing),
               "keep the rows of FILE and add the inputs that it lacks"),
    CLI_OPTION(0, "shard", "I/N|auto", CLI_TEXT, FIELD(shard),
               "every Nth input from number I on, in clip-retrieval's folders"),
    CLI_OPTION(0, "no-normalize", NULL, CLI_FLAG, FIELD(no_normalize),
               "do not divide by the L2 norm"),
    CLI_OPTION(0, "hidden", NULL, CLI_FLAG, FIELD(hidden), "add the hidden states of all blocks"),
    CLI_OPTION(0, "features", "LAYER,WORD", CLI_TEXT, FIELD(features),
               "the tokens of a layer instead of embeddings; words below"),
    CLI_INCLUDE(cli_model_options, FIELD(model)),
    CLI_INCLUDE(cli_batch_options, FIELD(model)),
    CLI_INCLUDE(cli_device_options, FIELD(device)),
    CLI_INCLUDE(cli_remote_options, FIELD(remote)),
    {0}};

const struct cli_command cli_embed_command = {
    .name = "embed",
    .summary = "encode pictures and texts to embeddings in a file",
    .usage = "-m PATH -o FILE [--text TEXT]... [OPTION...] [IMAGE|FOLDER|TAR...]",
    .arguments = "IMAGE|FOLDER|TAR",
    .text =
        "Writes the embeddings of pictures and texts, in the order given: pictures before texts,\n"
        "and the rows of --raw last. A .tar, .tar.gz or .tgz file stands for the pictures in it.\n"
        "A FILE.safetensors holds image_embeds [N,D] and text_embeds [M,D] in fp32, and its\n"
        "metadata names the input of each row; .npy holds one of the two; .jsonl (or -, standard\n"
        "output) has one object per line: {\"path\" or \"text\":...,\"embedding\":[...]}. Inputs\n"
        "that fail are reported and left out. A FILE that exists is replaced when the new one is\n"
        "complete; what a run that ended early left beside it is kept until --resume or\n"
        "--overwrite.\n"
        "\n"
        "--features gives image_features and text_features [N,T,C], which models take that use\n"
        "CLIP's towers: of LAYER (0: before the first block; -1: after the last one) all tokens,\n"
        "with no-class all but the class token, with pooled the token alone [N,C] which becomes\n"
        "the embedding, after the last LayerNorm with norm and the projection with projected.\n"
        "Presets: llava (-2,no-class), ip-adapter (-1,norm,pooled,projected), ip-adapter-plus "
        "(-2).",
    .options = table,
    .options_size = sizeof(struct options),
    .run = run_embed,
};
