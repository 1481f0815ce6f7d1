/* SPDX-License-Identifier: MIT
 *
 * Tensors that grow row by row, and the three formats in which they are written.
 */
#include "cli/commands/results.h"
#include "base/string.h"
#include "cli/print.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool results_reserve(struct rows *rows, size_t count)
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

struct rows *results_add(struct results *results, const char *name, enum dtype dtype,
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

void results_remove_row(struct rows *rows, size_t row)
{
    if (row >= rows->count)
        return;
    rows->count--;
    memmove(rows->data + row * rows->size, rows->data + (row + 1) * rows->size,
            (rows->count - row) * rows->size);
}

void results_free(struct results *results)
{
    for (size_t i = 0; i < results->count; i++) {
        free(results->tensors[i].name);
        free(results->tensors[i].data);
    }
    free(results->tensors);
    cli_free_inputs(&results->inputs);
    *results = (struct results){0};
}

/* ---- Output ---------------------------------------------------------------------------------- */

/* Whether the name is more than the ending. */
static bool ends_with(const char *path, const char *end)
{
    return string_ends_with(path, end) && strlen(path) > strlen(end);
}

enum results_format results_find_format(const char *path)
{
    if (ends_with(path, ".safetensors"))
        return RESULTS_SAFETENSORS;
    if (ends_with(path, ".npy"))
        return RESULTS_NPY;
    if (ends_with(path, ".jsonl") || !strcmp(path, "-"))
        return RESULTS_JSONL;
    return RESULTS_UNKNOWN;
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

static struct tensor_view view_rows(const struct rows *rows)
{
    struct tensor_view view = {.name = rows->name,
                               .dtype = rows->dtype,
                               .rank = (unsigned)rows->rank,
                               .data = rows->data,
                               .size = rows->count * rows->size};
    view.shape[0] = rows->count;
    for (size_t i = 1; i < rows->rank; i++)
        view.shape[i] = rows->shape[i];
    return view;
}

/* Writes both kinds into one file, whose metadata names the inputs row by row. */
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
        for (size_t i = 0; i < kinds[k]->count; i++)
            views[count++] = view_rows(&kinds[k]->tensors[i]);
    }
    if (!status && safetensors_write(path, views, count, metadata))
        status = cli_fail(CLI_FAILED, "%s", vkclip_last_error());
    free(names[0]);
    free(names[1]);
    free(views);
    return status;
}

/* NumPy's format 1.0: magic, version, length of a Python literal; the data begins at byte 128. */
static int write_npy(const char *path, const struct rows *rows)
{
    char header[128];
    memcpy(header, "\x93NUMPY\1\0\x76\0", 10); /* 0x76 is 118: the rest of the 128 bytes */
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

/* A failure of standard output is left to main(), which checks it at the end. */
static int write_jsonl(const char *path, const struct results *images, const struct results *texts)
{
    struct file_output output;
    if (!strcmp(path, "-")) {
        if (print_embeds(images, "path", stdout))
            print_embeds(texts, "text", stdout);
        return CLI_DONE;
    }
    int error = file_output_open(path, &output);
    if (!error &&
        !(print_embeds(images, "path", output.file) && print_embeds(texts, "text", output.file)))
        error = error_fail(VKCLIP_EIO, "%s: cannot be written: %s", path, strerror(errno));
    error = file_output_close(&output, error);
    return error ? cli_fail(CLI_FAILED, "%s", vkclip_last_error()) : CLI_DONE;
}

/* With --json: the tensors that were written, with their shapes. */
static bool print_tensors(const char *path, const struct results *const *kinds)
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
    return cli_print_json(
        json_pack("{so so}", "output", cli_json_text(path, strlen(path)), "tensors", tensors),
        stdout);
}

int results_write(const struct cli_session *session, const char *path, const struct results *images,
                  const struct results *texts)
{
    const struct results *kinds[] = {images, texts};
    int status = CLI_DONE;
    if (!images->inputs.count && !texts->inputs.count)
        return cli_fail(CLI_FAILED, "%s: not written, no input is left", path);
    switch (results_find_format(path)) {
    case RESULTS_SAFETENSORS:
        status = write_safetensors(path, kinds);
        break;
    case RESULTS_NPY:
        status = write_npy(path, images->inputs.count ? images->tensors : texts->tensors);
        break;
    default:
        status = write_jsonl(path, images, texts);
    }
    if (!status && session->common.json && strcmp(path, "-") && !print_tensors(path, kinds))
        status = CLI_FAILED;
    return status;
}
