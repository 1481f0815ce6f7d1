/* SPDX-License-Identifier: MIT
 *
 * vkclip embed and vkclip preprocess: inputs to tensors in a file. The results are held in memory
 * until all are there, so that the file is written whole or not at all.
 */
#include "base/file.h"
#include "base/string.h"
#include "cli/cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Rows of one shape that come one after the other. */
struct rows {
    char *name;
    size_t shape[TENSOR_MAX_RANK], rank; /* shape[0] is not used: it is the number of rows */
    size_t size;                         /* bytes of a row */
    enum dtype dtype;
    char *data;
    size_t count, capacity;
};

/* The embeddings of one kind, with the hidden states on the way to them. */
struct results {
    struct cli *cli;
    struct rows *tensors; /* the first one is the embeddings */
    size_t count;
    struct cli_inputs inputs; /* those that the rows belong to */
};

static bool reserve_rows(struct rows *rows, size_t count)
{
    if (count <= rows->capacity)
        return true;
    size_t capacity = count > 2 * rows->capacity ? count : 2 * rows->capacity;
    char *data =
        capacity < SIZE_MAX / rows->size ? realloc(rows->data, capacity * rows->size) : NULL;
    if (!data)
        return false;
    rows->data = data;
    rows->capacity = capacity;
    return true;
}

static struct rows *add_rows(struct results *results, const char *name, enum dtype dtype,
                             const size_t *shape, size_t rank)
{
    struct rows *tensors = realloc(results->tensors, (results->count + 1) * sizeof(*tensors));
    if (!tensors)
        return NULL;
    results->tensors = tensors;
    struct rows *rows = &tensors[results->count];
    *rows = (struct rows){.name = string_format("%s", name), .rank = rank, .dtype = dtype};
    rows->size = dtype_size(dtype);
    for (size_t i = 1; i < rank; i++)
        rows->size *= rows->shape[i] = shape[i];
    results->count += rows->name != NULL;
    return rows->name ? rows : NULL;
}

static void remove_row(struct rows *rows, size_t row)
{
    if (row >= rows->count)
        return;
    rows->count--;
    memmove(rows->data + row * rows->size, rows->data + (row + 1) * rows->size,
            (rows->count - row) * rows->size);
}

static void free_results(struct results *results)
{
    for (size_t i = 0; i < results->count; i++) {
        free(results->tensors[i].name);
        free(results->tensors[i].data);
    }
    free(results->tensors);
    cli_free_inputs(&results->inputs);
    *results = (struct results){0};
}

/* Hidden states arrive before the embeddings of the same inputs: after all rows that are complete.
 */
static int take_hidden(void *user, const char *name, const float *data, const size_t *shape,
                       size_t rank, size_t first, size_t items)
{
    struct results *results = user;
    struct rows *rows = NULL;
    for (size_t i = 1; i < results->count && !rows; i++)
        if (!strcmp(results->tensors[i].name, name))
            rows = &results->tensors[i];
    if (!rows && rank <= TENSOR_MAX_RANK)
        rows = add_rows(results, name, DTYPE_F32, shape, rank);
    size_t start = results->inputs.count + first;
    if (!rows || !reserve_rows(rows, start + items))
        return 1;
    memcpy(rows->data + start * rows->size, data, items * rows->size);
    rows->count = start + items;
    return 0;
}

static bool take_embeds(void *user, const struct cli_input *const *inputs, size_t count,
                        const float *embeds, size_t width)
{
    struct results *results = user;
    struct rows *rows = results->tensors;
    (void)width;
    for (size_t i = 0; i < count; i++) {
        size_t row = rows->count;
        const float *embed = embeds + i * width;
        if (!cli_check_finite(results->cli, inputs[i], embed, width)) {
            for (size_t t = 1; t < results->count; t++)
                remove_row(&results->tensors[t], row);
            continue;
        }
        if (!reserve_rows(rows, row + 1) ||
            !cli_add_input(&results->inputs, inputs[i]->text, inputs[i]->length)) {
            cli_fail(0, "out of memory");
            return false;
        }
        memcpy(rows->data + row * rows->size, embed, rows->size);
        rows->count++;
    }
    return true;
}

/* ---- Output ---------------------------------------------------------------------------------- */

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), size = strlen(end);
    return length > size && !strcmp(text + length - size, end);
}

static char *names_json(const struct cli_inputs *inputs)
{
    json_t *array = json_array();
    for (size_t i = 0; i < inputs->count; i++)
        json_array_append_new(array, cli_json_text(inputs->items[i].text, inputs->items[i].length));
    char *text = json_dumps(array, JSON_COMPACT);
    json_decref(array);
    return text;
}

/* Both kinds into one file; the metadata names the inputs row by row. */
static int write_safetensors(const char *path, const struct results *const *kinds)
{
    static const char *const keys[] = {"images", "texts"};
    const char *metadata[5] = {NULL};
    char *names[2] = {NULL};
    size_t count = 0, entries = 0;
    int status = CLI_DONE;
    struct tensor_view *views = calloc(kinds[0]->count + kinds[1]->count + 1, sizeof(*views));
    if (!views)
        status = cli_fail(CLI_FAILED, "out of memory");
    for (size_t k = 0; !status && k < 2; k++) {
        if (!kinds[k]->inputs.count)
            continue;
        names[k] = names_json(&kinds[k]->inputs);
        if (!names[k])
            status = cli_fail(CLI_FAILED, "out of memory");
        metadata[entries++] = keys[k];
        metadata[entries++] = names[k];
        for (size_t i = 0; i < kinds[k]->count; i++) {
            const struct rows *rows = &kinds[k]->tensors[i];
            struct tensor_view *view = &views[count++];
            *view = (struct tensor_view){.name = rows->name,
                                         .dtype = rows->dtype,
                                         .rank = (unsigned)rows->rank,
                                         .data = rows->data,
                                         .size = rows->count * rows->size};
            view->shape[0] = rows->count;
            for (size_t d = 1; d < rows->rank; d++)
                view->shape[d] = rows->shape[d];
        }
    }
    if (!status && safetensors_write(path, views, count, metadata))
        status = cli_fail(CLI_FAILED, "%s", vkclip_last_error());
    free(names[0]);
    free(names[1]);
    free(views);
    return status;
}

/* NumPy's format 1.0: magic, version, length of a Python literal; the data begins at 128. */
static int write_npy(const char *path, const struct results *results)
{
    char header[128];
    const struct rows *rows = results->tensors;
    memcpy(header, "\x93NUMPY\1\0\x76\0", 10); /* 0x76 is 118, the rest of the 128 bytes */
    snprintf(header + 10, sizeof(header) - 10,
             "{'descr': '<f4', 'fortran_order': False, 'shape': (%zu, %zu), }", rows->count,
             rows->shape[1]);
    size_t length = 10 + strlen(header + 10);
    memset(header + length, ' ', sizeof(header) - length);
    header[sizeof(header) - 1] = '\n';
    struct file_part parts[] = {{header, sizeof(header)}, {rows->data, rows->count * rows->size}};
    return file_write(path, parts, 2) ? cli_fail(CLI_FAILED, "%s", vkclip_last_error()) : CLI_DONE;
}

static bool print_embeds(const struct results *results, const char *key, FILE *file)
{
    bool good = true;
    for (size_t i = 0; good && i < results->inputs.count; i++) {
        const struct cli_input *input = &results->inputs.items[i];
        const struct rows *rows = results->tensors;
        const float *embed = (const float *)(const void *)(rows->data + i * rows->size);
        good = cli_print_json(json_pack("{so so}", key, cli_json_text(input->text, input->length),
                                        "embedding", cli_json_floats(embed, rows->shape[1])),
                              file);
    }
    return good;
}

/* Line by line into the file beside, which then takes the place of `path`. */
static int write_jsonl(const char *path, const struct results *images, const struct results *texts)
{
    bool standard = !strcmp(path, "-");
    char *beside = string_format("%s.tmp", path);
    FILE *file = standard ? stdout : beside ? fopen(beside, "wb") : NULL;
    bool good = file && print_embeds(images, "path", file) && print_embeds(texts, "text", file);
    if (file && !standard) {
        good = !fclose(file) && good;
        good = good && !rename(beside, path);
        if (!good)
            remove(beside);
    }
    free(beside);
    return good || standard
               ? CLI_DONE /* main looks after stdout */
               : cli_fail(CLI_FAILED, "%s: cannot be written: %s", path, strerror(errno));
}

/* With --json: what was written. */
static bool print_tensors(const struct cli *cli, const struct results *const *kinds)
{
    json_t *tensors = json_object();
    for (size_t k = 0; k < 2; k++)
        for (size_t i = 0; i < kinds[k]->count && kinds[k]->inputs.count; i++) {
            const struct rows *rows = &kinds[k]->tensors[i];
            json_t *shape = json_pack("[I]", (json_int_t)rows->count);
            for (size_t d = 1; d < rows->rank; d++)
                json_array_append_new(shape, json_integer((json_int_t)rows->shape[d]));
            json_object_set_new(tensors, rows->name, shape);
        }
    return cli_print_json(json_pack("{so so}", "output",
                                    cli_json_text(cli->output, strlen(cli->output)), "tensors",
                                    tensors),
                          stdout);
}

static int write_results(const struct cli *cli, const struct results *images,
                         const struct results *texts)
{
    const struct results *kinds[] = {images, texts};
    if (!images->inputs.count && !texts->inputs.count)
        return cli_fail(CLI_FAILED, "%s: not written, no input is left", cli->output);
    int status = ends_with(cli->output, ".safetensors") ? write_safetensors(cli->output, kinds)
                 : ends_with(cli->output, ".npy")
                     ? write_npy(cli->output, images->inputs.count ? images : texts)
                     : write_jsonl(cli->output, images, texts);
    if (!status && cli->json && strcmp(cli->output, "-") && !print_tensors(cli, kinds))
        status = CLI_FAILED;
    return status;
}

/* ---- embed ----------------------------------------------------------------------------------- */

/* The rows of a tensor of the --raw file as inputs. */
static bool add_tensor(struct cli *cli, const struct tensor_view *tensor, struct cli_inputs *inputs)
{
    for (uint64_t row = 0; row < tensor->shape[0]; row++) {
        char *name = string_format("%s:%s[%llu]", cli->raw, tensor->name, (unsigned long long)row);
        bool good = name && cli_add_input(inputs, name, strlen(name));
        free(name);
        if (!good) {
            cli_fail_input(cli, "out of memory");
            return false;
        }
        inputs->items[inputs->count - 1].tensor = tensor;
        inputs->items[inputs->count - 1].row = row;
    }
    return true;
}

static bool is_pixels(const struct cli *cli, const struct tensor_view *tensor)
{
    uint32_t size = cli->info.image_size;
    if (dtype_is_float(tensor->dtype) && tensor->rank == 4 && tensor->shape[1] == 3 &&
        tensor->shape[2] == size && tensor->shape[3] == size)
        return true;
    cli_fail(0, "%s: pixel_values: expected floats [N,3,%u,%u], as this model takes", cli->raw,
             size, size);
    return false;
}

static bool is_ids(const struct cli *cli, const struct tensor_view *tensor)
{
    if ((tensor->dtype == DTYPE_I32 || tensor->dtype == DTYPE_I64) && tensor->rank == 2 &&
        tensor->shape[1] >= 1 && tensor->shape[1] <= cli->info.context)
        return true;
    cli_fail(0, "%s: input_ids: expected I32 or I64 [M,T] with T at most %u, this model's context",
             cli->raw, cli->info.context);
    return false;
}

/* Opens the --raw file and lists its rows; what does not fit the model is a failed input. */
static int read_raw(struct cli *cli, struct safetensors **file, struct cli_inputs *pixels,
                    struct cli_inputs *ids, size_t *length)
{
    if (safetensors_open(cli->raw, file)) {
        cli_fail_input(cli, "%s", vkclip_last_error());
        return CLI_DONE;
    }
    const struct tensor_view *images = safetensors_find(*file, "pixel_values");
    const struct tensor_view *texts = safetensors_find(*file, "input_ids");
    int status = cli_need(cli, images, texts, false);
    if (!images && !texts)
        cli_fail_input(cli, "%s: expected a tensor pixel_values or input_ids", cli->raw);
    if (!status && images && !is_pixels(cli, images))
        cli->failures++;
    else if (!status && images && !add_tensor(cli, images, pixels))
        status = CLI_FAILED;
    if (!status && texts && !is_ids(cli, texts))
        cli->failures++;
    else if (!status && texts) {
        *length = (size_t)texts->shape[1];
        status = add_tensor(cli, texts, ids) ? CLI_DONE : CLI_FAILED;
    }
    return status;
}

static int check_output(const struct cli *cli, bool images, bool texts)
{
    if (!cli->output)
        return cli_fail_usage(cli, "name the result with -o");
    bool safetensors = ends_with(cli->output, ".safetensors");
    if (!safetensors && !ends_with(cli->output, ".npy") && !ends_with(cli->output, ".jsonl") &&
        strcmp(cli->output, "-"))
        return cli_fail_usage(cli, "%s: expected a name that ends in .safetensors, .npy or .jsonl",
                              cli->output);
    if (cli->hidden && !safetensors)
        return cli_fail_usage(cli, "--hidden needs a result in .safetensors");
    if (images && texts && ends_with(cli->output, ".npy"))
        return cli_fail_usage(cli, "%s: a .npy file holds either pictures or texts", cli->output);
    return CLI_DONE;
}

/* Files and texts first, then the rows of --raw. */
static int encode_kind(struct cli *cli, struct results *results, const char *name, bool images,
                       const struct cli_inputs *inputs, const struct cli_inputs *raw,
                       size_t raw_length)
{
    size_t shape[2] = {0, images ? cli->info.embed_dim : cli->info.text_embed_dim};
    struct cli_run run = {.images = images,
                          .no_normalize = cli->no_normalize,
                          .hidden = cli->hidden ? take_hidden : NULL,
                          .group = take_embeds,
                          .user = results};
    results->cli = cli;
    if (!add_rows(results, name, DTYPE_F32, shape, 2))
        return cli_fail(CLI_FAILED, "out of memory");
    run.inputs = inputs->items;
    run.count = inputs->count;
    run.length = cli->info.context;
    int status = run.count ? cli_encode(cli, &run) : CLI_DONE;
    run.inputs = raw->items;
    run.count = raw->count;
    run.length = raw_length;
    return status || !run.count ? status : cli_encode(cli, &run);
}

static int run_embed(struct cli *cli)
{
    struct safetensors *raw = NULL;
    struct cli_inputs pixels = {0}, ids = {0};
    struct results images = {0}, texts = {0};
    size_t length = 0;
    if (!cli->images.count && !cli->texts.count && !cli->raw)
        return cli_fail_usage(cli, "expected --image, --text, a list of either, or --raw");
    int status = check_output(cli, cli->images.count, cli->texts.count);
    if (!status)
        status = cli_open_model(cli, false);
    if (!status)
        status = cli_need(cli, cli->images.count, cli->texts.count, cli->texts.count);
    if (!status && cli->raw)
        status = read_raw(cli, &raw, &pixels, &ids, &length);
    if (!status)
        status =
            check_output(cli, cli->images.count || pixels.count, cli->texts.count || ids.count);
    if (!status)
        status = cli_read_pictures(cli);
    if (!status)
        status = cli_read_lists(cli, &cli->texts, true);
    if (!status)
        status = encode_kind(cli, &images, "image_embeds", true, &cli->images, &pixels, 0);
    if (!status)
        status = encode_kind(cli, &texts, "text_embeds", false, &cli->texts, &ids, length);
    if (!status)
        status = write_results(cli, &images, &texts);
    free_results(&images);
    free_results(&texts);
    cli_free_inputs(&pixels);
    cli_free_inputs(&ids);
    safetensors_close(&raw);
    return status;
}

static const struct cli_option embed_options[] = {
    CLI_OPTION(0, "image", "FILE", CLI_ITEM, images, "a picture, or a folder of pictures"),
    CLI_OPTION(0, "images-from", "FILE", CLI_LIST, images,
               "a list of pictures, one a line; -: stdin"),
    CLI_OPTION(0, "text", "TEXT", CLI_ITEM, texts, "a text"),
    CLI_OPTION(0, "texts-from", "FILE", CLI_LIST, texts, "a file of texts, one a line; -: stdin"),
    CLI_OPTION(0, "raw", "FILE", CLI_TEXT, raw, "pixel_values, input_ids from a .safetensors"),
    CLI_OPTION('o', "output", "FILE", CLI_TEXT, output, "the result's file"),
    CLI_OPTION(0, "no-normalize", NULL, CLI_FLAG, no_normalize, "do not divide by the L2 norm"),
    CLI_OPTION(0, "hidden", NULL, CLI_FLAG, hidden, "add the hidden states of all blocks"),
    CLI_ENCODE_OPTIONS,
    CLI_STRICT_OPTION,
    CLI_PICTURE_OPTIONS,
    CLI_COMMON_OPTIONS,
    {0}};

const struct cli_command cli_embed = {
    .name = "embed",
    .summary = "encode pictures and texts to embeddings in a file",
    .usage = "-m PATH -o FILE [--image FILE]... [--text TEXT]... [OPTION...]",
    .text =
        "Writes the embeddings of pictures and texts, in the order given: pictures before texts,\n"
        "rows of --raw last. A .safetensors file holds image_embeds [N,D] and text_embeds [M,D] "
        "in\n"
        "fp32, and names the inputs of the rows in its metadata; a .npy file holds one of the "
        "two;\n"
        "a .jsonl file (or -, standard output) has an object a line: {\"path\" or \"text\":...,\n"
        "\"embedding\":[...]}. Inputs that fail are reported and left out.",
    .options = embed_options,
    .run = run_embed,
};

/* ---- preprocess ------------------------------------------------------------------------------ */

static bool take_pixels(struct cli *cli, const struct cli_input *input, struct results *results)
{
    struct rows *values = &results->tensors[0], *bytes = &results->tensors[1];
    size_t row = values->count;
    if (!reserve_rows(values, row + 1) || !reserve_rows(bytes, row + 1))
        return false;
    if (!cli_load_picture(cli, input->text, (uint8_t *)bytes->data + row * bytes->size,
                          (float *)(void *)(values->data + row * values->size)))
        return true;
    values->count = bytes->count = row + 1;
    return cli_add_input(&results->inputs, input->text, input->length);
}

static int preprocess_pictures(struct cli *cli, struct results *results)
{
    size_t size = cli->info.image_size, values[] = {0, 3, size, size}, bytes[] = {0, size, size, 3};
    bool good = add_rows(results, "pixel_values", DTYPE_F32, values, 4) &&
                add_rows(results, "u8", DTYPE_U8, bytes, 4);
    cli_start_progress(cli, 0, cli->images.count);
    for (size_t i = 0; good && i < cli->images.count; i++) {
        good = take_pixels(cli, &cli->images.items[i], results);
        cli_show_progress(i + 1, "");
    }
    cli_clear_progress();
    return good ? CLI_DONE : cli_fail(CLI_FAILED, "out of memory");
}

static int run_preprocess(struct cli *cli)
{
    struct results results = {.cli = cli}, none = {0};
    if (!cli->model_path)
        return cli_fail_usage(cli, "name a model with -m");
    if (!cli->images.count && !cli->arguments.count)
        return cli_fail_usage(cli, "expected pictures");
    if (!cli->output || !ends_with(cli->output, ".safetensors"))
        return cli_fail_usage(cli, "name the result with -o FILE.safetensors");
    int status = cli_open_model(cli, true);
    if (!status)
        status = cli_need(cli, true, false, false);
    if (!status)
        status = cli_read_pictures(cli);
    if (!status)
        status = preprocess_pictures(cli, &results);
    if (!status)
        status = write_results(cli, &results, &none);
    free_results(&results);
    return status;
}

static const struct cli_option preprocess_options[] = {
    CLI_MODEL_OPTION,
    CLI_OPTION('o', "output", "FILE", CLI_TEXT, output, "the result's file"),
    CLI_OPTION(0, "images-from", "FILE", CLI_LIST, images,
               "a list of pictures, one a line; -: stdin"),
    CLI_IMAGE_SIZE_OPTION,
    CLI_ACTIVATION_OPTION,
    CLI_PICTURE_OPTIONS,
    CLI_COMMON_OPTIONS,
    {0}};

const struct cli_command cli_preprocess = {
    .name = "preprocess",
    .summary = "resize, crop and normalise pictures into a file",
    .usage = "-m PATH -o FILE [OPTION...] IMAGE...",
    .text = "Writes what the image tower is given: u8 [N,S,S,3], the bytes after resizing and "
            "cropping,\n"
            "and pixel_values [N,3,S,S], normalised. Pictures of --images-from go before the "
            "arguments.\n"
            "Needs no device.",
    .options = preprocess_options,
    .run = run_preprocess,
    .arguments = true,
};
