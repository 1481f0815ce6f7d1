/* SPDX-License-Identifier: MIT
 *
 * Tensors that grow row by row, and the formats in which they are written.
 */
#include "cli/commands/results.h"
#include "base/file.h"
#include "base/half.h"
#include "base/string.h"
#include "cli/print.h"

#include <math.h>
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

float *results_row(const struct results *results, size_t row)
{
    const struct rows *rows = results->tensors;
    return (float *)(void *)(rows->data + row * rows->size);
}

bool results_append(struct results *results, const struct cli_input *input, const float *embed)
{
    struct rows *rows = results->tensors;
    if (!results_reserve(rows, rows->count + 1) ||
        !cli_add_input(&results->inputs, input->text, input->length))
        return false;
    float *row = results_row(results, rows->count++);
    for (size_t i = 0; i < rows->size / sizeof(*row); i++)
        row[i] = embed ? embed[i] : NAN;
    results->good += embed != NULL;
    return true;
}

bool results_add_failure(struct results *results, size_t row, const struct cli_input *input,
                         const char *message)
{
    if (results->failure_count == results->failure_capacity) {
        const size_t capacity = 2 * results->failure_capacity + 16;
        void *failures = realloc(results->failures, capacity * sizeof(*results->failures));
        if (!failures)
            return false;
        results->failures = failures;
        results->failure_capacity = capacity;
    }
    struct results_failure *failure = &results->failures[results->failure_count++];
    *failure = (struct results_failure){row, string_format("%s", input->text),
                                        string_format("%s", message)};
    return failure->name && failure->message;
}

void results_free(struct results *results)
{
    for (size_t i = 0; i < results->count; i++) {
        free(results->tensors[i].name);
        free(results->tensors[i].data);
    }
    for (size_t i = 0; i < results->failure_count; i++) {
        free(results->failures[i].name);
        free(results->failures[i].message);
    }
    free(results->tensors);
    free(results->failures);
    cli_free_inputs(&results->inputs);
    *results = (struct results){0};
}

/* ---- Formats --------------------------------------------------------------------------------- */

/* A name that is the ending alone has no format, because it is that of a hidden file. */
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

/* ---- Safetensors ----------------------------------------------------------------------------- */

/* Writes the names as a JSON list, and those that are not UTF-8 as an object of row and base64. */
static bool name_rows(const struct cli_inputs *inputs, char **names, char **bytes)
{
    json_t *list = json_array(), *object = json_object();
    for (size_t i = 0; i < inputs->count; i++) {
        const struct cli_input *input = &inputs->items[i];
        cli_json_add_name(list, object, input->text, input->length);
    }
    *names = json_dumps(list, JSON_COMPACT);
    *bytes = json_object_size(object) ? json_dumps(object, JSON_COMPACT) : NULL;
    const bool good = *names && (*bytes || !json_object_size(object));
    json_decref(list);
    json_decref(object);
    return good;
}

/* Describes the first `count` rows, those that have an input. */
static struct tensor_view view_rows(const struct rows *rows, size_t count)
{
    struct tensor_view view = {.name = rows->name,
                               .dtype = rows->dtype,
                               .rank = (unsigned)rows->rank,
                               .data = rows->data,
                               .size = count * rows->size};
    view.shape[0] = count;
    for (size_t i = 1; i < rows->rank; i++)
        view.shape[i] = rows->shape[i];
    return view;
}

size_t results_names_size(const struct cli_inputs *inputs)
{
    size_t size = 0;
    for (size_t i = 0; i < inputs->count; i++) /* The name, and \"\", around it. */
        size += inputs->items[i].length + 5;
    return size;
}

/* Describes names, which are JSON, as bytes. */
static struct tensor_view view_names(const char *key, const char *names)
{
    const size_t size = strlen(names);
    return (struct tensor_view){.name = key,
                                .dtype = DTYPE_U8,
                                .rank = 1,
                                .shape = {size},
                                .data = (const uint8_t *)names,
                                .size = size};
}

int results_write_safetensors(const char *path, const struct results *images,
                              const struct results *texts, bool part)
{
    static const char *const keys[][2] = {{"images", "images_bytes"}, {"texts", "texts_bytes"}};
    const struct results *const kinds[] = {images, texts};
    const char *metadata[11] = {NULL};
    char *values[4] = {NULL};
    size_t count = 0, entries = 0;
    struct tensor_view *views = calloc(images->count + texts->count + 4, sizeof(*views));
    int status = views ? CLI_DONE : cli_fail_memory();
    for (size_t k = 0; !status && k < 2; k++) {
        const struct results *results = kinds[k];
        if (!results->inputs.count)
            continue;
        if (results->features) {
            metadata[0] = "features";
            metadata[1] = results->features;
            entries = 2;
        }
        if (!name_rows(&results->inputs, &values[2 * k], &values[2 * k + 1]))
            status = cli_fail_memory();
        for (size_t i = 0; i < results->count; i++) {
            if (results->tensors[i].count < results->inputs.count)
                status = cli_fail(CLI_FAILED, "%s: not written, %s has fewer rows than inputs",
                                  path, results->tensors[i].name);
            views[count++] = view_rows(&results->tensors[i], results->inputs.count);
        }
    }
    for (size_t i = 0; !status && i < 4; i++) {
        const char *key = keys[i / 2][i % 2];
        if (values[i] && part) {
            views[count++] = view_names(key, values[i]);
        } else if (values[i]) {
            metadata[entries++] = key;
            metadata[entries++] = values[i];
        }
    }
    const int error = status ? VKCLIP_OK : safetensors_write(path, views, count, metadata);
    if (error)
        status = cli_fail(CLI_FAILED, "%s%s", vkclip_last_error(),
                          error == VKCLIP_EUNSUPPORTED ? "; " RESULTS_LARGE : "");
    for (size_t i = 0; i < 4; i++)
        free(values[i]);
    free(views);
    return status;
}

json_t *results_read_metadata(const struct safetensors *file)
{
    uint64_t size;
    memcpy(&size, file->map.data, sizeof(size)); /* safetensors_open has checked the size. */
    json_t *header = json_loadb((const char *)file->map.data + sizeof(size), (size_t)size, 0, NULL);
    json_t *metadata = json_incref(json_object_get(header, "__metadata__"));
    json_decref(header);
    return metadata;
}

/* ---- NumPy ----------------------------------------------------------------------------------- */

/* NumPy's format 1.0: magic, version, length of a Python literal; the data begins at byte 128. */
static int put_matrix(struct file_output *output, const struct results *results, bool half)
{
    const struct rows *rows = results->tensors;
    const size_t count = rows->count * rows->shape[1];
    uint16_t *halves = half ? malloc(2 * count + 1) : NULL;
    char header[128];
    if (half && !halves)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory", output->path);
    for (size_t i = 0; half && i < count; i++)
        halves[i] = half_from_float(results_row(results, 0)[i]);
    memcpy(header, "\x93NUMPY\1\0\x76\0", 10); /* 0x76 is 118: the rest of the 128 bytes */
    snprintf(header + 10, sizeof(header) - 10,
             "{'descr': '<f%d', 'fortran_order': False, 'shape': (%zu, %zu), }", half ? 2 : 4,
             rows->count, rows->shape[1]);
    size_t length = 10 + strlen(header + 10);
    memset(header + length, ' ', sizeof(header) - length);
    header[sizeof(header) - 1] = '\n';
    file_output_write(output, header, sizeof(header));
    int error =
        file_output_write(output, half ? (const char *)halves : rows->data, (half ? 2 : 4) * count);
    free(halves);
    return error;
}

static int put_names(struct file_output *output, const struct results *results, const char *key)
{
    const char **messages = calloc(results->inputs.count + 1, sizeof(*messages));
    int error =
        messages ? VKCLIP_OK : error_fail(VKCLIP_EMEMORY, "%s: out of memory", output->path);
    for (size_t i = 0; messages && i < results->failure_count; i++)
        messages[results->failures[i].row] = results->failures[i].message;
    for (size_t i = 0; !error && i < results->inputs.count; i++) {
        const struct cli_input *input = &results->inputs.items[i];
        json_t *line = cli_json_name(key, input->text, input->length);
        if (messages[i] && isnan(results_row(results, i)[0])) /* The row has not been filled. */
            line = cli_json_with(line, "error", cli_json_text(messages[i], strlen(messages[i])));
        if (!cli_print_json(line, output->file))
            error = file_fail_writing(output->path);
    }
    free(messages);
    return error;
}

int results_write_matrix(const char *path, const struct results *results)
{
    struct file_output output;
    int error = file_output_open(path, &output);
    if (!error)
        error = put_matrix(&output, results, true);
    error = file_output_close(&output, error);
    return error ? cli_fail(CLI_FAILED, "%s", vkclip_last_error()) : CLI_DONE;
}

char *results_names_path(const char *path)
{
    return string_format("%.*s.names.jsonl", (int)(strlen(path) - strlen(".npy")), path);
}

/* Both files are on the disk before the first gets its name. The names get theirs first: after a
 * kill between the two there are more names than rows, of which resume.c leaves out the last. An
 * older file whose rows are not the first of the new ones would get names of others, and is
 * removed. */
int results_write_npy(const char *path, const struct results *results, const char *key,
                      bool continues)
{
    struct file_output matrix = {0}, names = {0};
    char *names_path = results_names_path(path);
    int error = names_path ? VKCLIP_OK : error_fail(VKCLIP_EMEMORY, "%s: out of memory", path);
    if (!error)
        error = file_output_open(path, &matrix);
    if (!error)
        error = put_matrix(&matrix, results, false);
    if (!error)
        error = file_output_sync(&matrix);
    if (!error)
        error = file_output_open(names_path, &names);
    if (!error)
        error = put_names(&names, results, key);
    if (!error)
        error = file_output_sync(&names);
    if (!error && !continues)
        file_remove(path);
    error = file_output_close(&names, error);
    error = file_output_close(&matrix, error);
    free(names_path);
    return error ? cli_fail(CLI_FAILED, "%s", vkclip_last_error()) : CLI_DONE;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

bool results_print_line(FILE *file, const char *key, const struct cli_input *input,
                        const float *embed, size_t width)
{
    json_t *line = cli_json_name(key, input->text, input->length);
    return cli_print_json(cli_json_with(line, "embedding", cli_json_floats(embed, width)), file);
}

bool results_print_tensors(const char *path, const struct results *images,
                           const struct results *texts)
{
    const struct results *const kinds[] = {images, texts};
    json_t *tensors = json_object();
    for (size_t k = 0; k < 2; k++)
        for (size_t i = 0; i < kinds[k]->count && kinds[k]->tensors->count; i++) {
            const struct rows *rows = &kinds[k]->tensors[i];
            json_t *shape = json_pack("[I]", (json_int_t)kinds[k]->tensors->count);
            for (size_t d = 1; d < rows->rank; d++)
                json_array_append_new(shape, json_integer((json_int_t)rows->shape[d]));
            json_object_set_new(tensors, rows->name, shape);
        }
    return cli_print_json(
        json_pack("{so so}", "output", cli_json_text(path, strlen(path)), "tensors", tensors),
        stdout);
}
