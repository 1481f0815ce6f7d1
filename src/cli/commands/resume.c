/* SPDX-License-Identifier: MIT
 *
 * Reads results back by their format. A file that vkclip embed did not write, or whose embeddings
 * have another width than the model's, is refused.
 */
#include "cli/commands/resume.h"
#include "base/base64.h"
#include "base/file.h"
#include "base/string.h"
#include "cli/print.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static int fail_file(const char *path, const char *problem)
{
    return cli_fail(CLI_FAILED, "%s: %s; name another file or remove this one", path, problem);
}

/* ---- Names ----------------------------------------------------------------------------------- */

/* Adds a name, whose bytes in base64 are preferred where they are given. */
static bool add_name(struct cli_inputs *names, const json_t *text, const json_t *bytes)
{
    size_t size = json_string_length(text);
    char *decoded = bytes ? base64_decode(json_string_value(bytes), &size) : NULL;
    const char *name = decoded ? decoded : json_string_value(text);
    const bool good = name && cli_add_input(names, name, size);
    free(decoded);
    return good;
}

/* Reads the name in one line of JSON. Returns whose results it belongs to, or NULL. */
static struct results *read_name(const json_t *line, struct results *images, struct results *texts)
{
    const bool image = json_object_get(line, "path") != NULL;
    const json_t *text = json_object_get(line, image ? "path" : "text"),
                 *bytes = json_object_get(line, image ? "path_bytes" : "text_bytes");
    struct results *results = image ? images : texts;
    if (!json_is_string(text) || (bytes && !json_is_string(bytes)) || !results->count)
        return NULL;
    return add_name(&results->inputs, text, bytes) ? results : NULL;
}

/* ---- Safetensors ----------------------------------------------------------------------------- */

/* Reads the JSON that results.c stored under a key: in the metadata, or in a tensor of bytes.
 * Returns NULL if there is none. */
static json_t *read_json(const struct safetensors *file, const json_t *metadata, const char *key)
{
    const struct tensor_view *view = safetensors_find(file, key);
    const char *text = json_string_value(json_object_get(metadata, key));
    if (!view)
        return text ? json_loads(text, 0, NULL) : NULL;
    char *bytes = malloc((size_t)view->size + 1);
    json_t *json = NULL;
    if (bytes && !tensor_view_copy(view, 0, (size_t)view->size, bytes))
        json = json_loadb(bytes, (size_t)view->size, 0, NULL);
    free(bytes);
    return json;
}

/* Reads the names of the rows, under the keys that results.c gives them. */
static bool read_names(const struct safetensors *file, const json_t *metadata, const char *key,
                       const char *bytes_key, struct cli_inputs *names)
{
    json_t *list = read_json(file, metadata, key), *bytes = read_json(file, metadata, bytes_key);
    bool good = !list || json_is_array(list);
    for (size_t i = 0; good && i < json_array_size(list); i++) {
        char row[32];
        snprintf(row, sizeof(row), "%zu", i);
        const json_t *encoded = json_object_get(bytes, row);
        good = json_is_string(json_array_get(list, i)) && (!encoded || json_is_string(encoded)) &&
               add_name(names, json_array_get(list, i), encoded);
    }
    json_decref(list);
    json_decref(bytes);
    return good;
}

/* Copies a tensor of the file, whose rows must be those of the results' tensor of that name. */
static int read_tensor(const char *path, const struct tensor_view *view, struct results *results)
{
    struct rows *rows = NULL;
    size_t shape[TENSOR_MAX_RANK] = {0}, size = dtype_size(view->dtype);
    for (size_t i = 0; i < results->count; i++)
        if (!strcmp(results->tensors[i].name, view->name))
            rows = &results->tensors[i];
    for (size_t i = 1; i < view->rank; i++)
        size *= shape[i] = (size_t)view->shape[i];
    if (view->dtype != DTYPE_F32 || !view->rank || view->shape[0] != results->inputs.count ||
        !size || (rows && (rows->size != size || rows->rank != view->rank)))
        return cli_fail(CLI_FAILED,
                        "%s: %s: expected rows as this model writes them, one per name; name "
                        "another file or remove this one",
                        path, view->name);
    if (!rows)
        rows = results_add(results, view->name, view->dtype, shape, view->rank);
    if (!rows || !results_reserve(rows, results->inputs.count + 1))
        return cli_fail_memory();
    if (tensor_view_copy(view, 0, (size_t)view->size, rows->data))
        return cli_fail(CLI_FAILED, "%s", vkclip_last_error());
    rows->count = results->inputs.count;
    return CLI_DONE;
}

static int read_safetensors(const char *path, struct results *images, struct results *texts)
{
    struct safetensors *file;
    if (safetensors_open(path, &file))
        return cli_fail(CLI_FAILED, "%s", vkclip_last_error());
    json_t *metadata = results_read_metadata(file);
    bool good = true;
    int status = CLI_DONE;
    if (images->count)
        good = read_names(file, metadata, "images", "images_bytes", &images->inputs);
    if (good && texts->count)
        good = read_names(file, metadata, "texts", "texts_bytes", &texts->inputs);
    if (!good)
        status = fail_file(path, "expected names of the rows in its metadata");
    for (size_t i = 0; !status && i < file->count; i++) {
        const struct tensor_view *view = &file->tensors[i];
        const bool of_text = !strncmp(view->name, "text", strlen("text"));
        struct results *results = of_text ? texts : images;
        if (results->inputs.count && view->dtype != DTYPE_U8) /* not names */
            status = read_tensor(path, view, results);
    }
    json_decref(metadata);
    safetensors_close(&file);
    return status;
}

/* ---- Lines ----------------------------------------------------------------------------------- */

/* Keeps why the last named row is one of NaN, if the line says so. */
static bool take_failure(struct results *results, const json_t *line)
{
    const char *message = json_string_value(json_object_get(line, "error"));
    const size_t row = results->inputs.count - 1;
    return !message || results_add_failure(results, row, &results->inputs.items[row], message);
}

/* Keeps the first embedding of a kind. A line without one belongs to a list of names. */
static bool take_line(const json_t *line, struct results *images, struct results *texts)
{
    struct results *results = read_name(line, images, texts);
    const json_t *embedding = json_object_get(line, "embedding");
    if (!results)
        return false;
    if (!embedding)
        return take_failure(results, line);
    struct rows *rows = results->tensors;
    if (json_array_size(embedding) != rows->shape[1] || !results_reserve(rows, 1))
        return false;
    for (size_t i = 0; !rows->count && i < rows->shape[1]; i++)
        results_row(results, 0)[i] = (float)json_number_value(json_array_get(embedding, i));
    rows->count++;
    return true;
}

/* Reads `most` lines. A last line that does not end was cut when the process was killed; it is left
 * out. */
static int read_lines(const char *path, size_t most, struct results *images, struct results *texts,
                      uint64_t *size)
{
    FILE *file = file_stream(path, "rb");
    size_t number = 0;
    bool good = true;
    *size = 0;
    if (!file)
        return cli_fail(CLI_FAILED, "%s: %s", path, strerror(errno));
    while (good && number < most && !feof(file)) {
        json_t *line = json_loadf(file, JSON_DISABLE_EOF_CHECK, NULL);
        const int end = feof(file) ? EOF : getc(file);
        if (end != EOF) {
            number++;
            good = line && end == '\n' && take_line(line, images, texts);
            *size = good ? file_place(file) : *size;
        }
        json_decref(line);
    }
    fclose(file);
    if (good)
        return CLI_DONE;
    return cli_fail(
        CLI_FAILED,
        "%s: line %zu: expected a result of this model, as vkclip embed writes it; name "
        "another file or remove this one",
        path, number);
}

/* ---- NumPy ----------------------------------------------------------------------------------- */

enum { NPY_HEADER = 128 };

/* Reads how many fp32 rows of this width a file has, as results_write_npy writes it. False: it was
 * not written so. */
static bool count_rows(const struct file_map *map, const struct rows *tensor, size_t *rows)
{
    char header[NPY_HEADER - 9] = "";
    unsigned long long count = 0, width = 0;
    if (map->size < NPY_HEADER || memcmp(map->data, "\x93NUMPY\1\0\x76\0", 10))
        return false;
    memcpy(header, map->data + 10, NPY_HEADER - 10);
    if (sscanf(header, "{'descr': '<f4', 'fortran_order': False, 'shape': (%llu, %llu)", &count,
               &width) != 2 ||
        width != tensor->shape[1] || count != (map->size - NPY_HEADER) / tensor->size ||
        (map->size - NPY_HEADER) % tensor->size)
        return false;
    *rows = (size_t)count;
    return true;
}

/* Of more names than rows the last belong to a result that a kill kept from getting its name. */
static int read_npy(const char *path, struct results *images, struct results *texts)
{
    struct results *results = images->count ? images : texts;
    struct rows *tensor = results->tensors;
    struct file_map map = {0};
    size_t rows = 0;
    uint64_t size;
    char *names = results_names_path(path);
    int status = names ? CLI_DONE : cli_fail_memory();
    if (!status && file_map_open(path, &map))
        status = cli_fail(CLI_FAILED, "%s", vkclip_last_error());
    const bool good = !status && count_rows(&map, tensor, &rows);
    if (good)
        status = read_lines(names, rows, images, texts, &size);
    if (!status && (!good || results->inputs.count != rows))
        status = fail_file(path, "expected fp32 rows of this model's width, one per line of the "
                                 "names beside it");
    if (!status && !results_reserve(tensor, rows + 1))
        status = cli_fail_memory();
    if (!status) {
        memcpy(tensor->data, map.data + NPY_HEADER, rows * tensor->size);
        tensor->count = rows;
    }
    file_map_close(&map);
    free(names);
    return status;
}

/* ---- Any format -------------------------------------------------------------------------------- */

/* Refuses names without an embedding for each. Of lines, the embeddings are only counted. */
static int check_rows(const char *path, const struct results *results)
{
    if (!results->inputs.count || results->tensors->count == results->inputs.count)
        return CLI_DONE;
    return fail_file(path, "expected an embedding of every input that it names");
}

int resume_read(const char *path, enum results_format format, struct results *images,
                struct results *texts, uint64_t *size)
{
    int status = CLI_DONE;
    *size = 0;
    if (format == RESULTS_SAFETENSORS)
        status = read_safetensors(path, images, texts);
    else if (format == RESULTS_NPY)
        status = read_npy(path, images, texts);
    else
        status = read_lines(path, SIZE_MAX, images, texts, size);
    if (!status)
        status = check_rows(path, images);
    if (!status)
        status = check_rows(path, texts);
    images->good = images->inputs.count;
    texts->good = texts->inputs.count;
    return status;
}

/* ---- The rest -------------------------------------------------------------------------------- */

/* A name in the order by which inputs and rows are compared: equal names stay in their own order.
 */
struct name {
    const struct cli_input *input;
    size_t position;
};

static int compare_bytes(const struct cli_input *a, const struct cli_input *b)
{
    const size_t shorter = a->length < b->length ? a->length : b->length;
    const int order = memcmp(a->text, b->text, shorter);
    return order ? order : (a->length > b->length) - (a->length < b->length);
}

static int compare_names(const void *a, const void *b)
{
    const struct name *x = a, *y = b;
    const int order = compare_bytes(x->input, y->input);
    return order ? order : (x->position > y->position) - (x->position < y->position);
}

static struct name *sort_names(const struct cli_inputs *inputs)
{
    struct name *names = calloc(inputs->count + 1, sizeof(*names));
    for (size_t i = 0; names && i < inputs->count; i++)
        names[i] = (struct name){&inputs->items[i], i};
    if (names && inputs->count)
        qsort(names, inputs->count, sizeof(*names), compare_names);
    return names;
}

/* Writes the row of each input, or RESUME_APPEND. */
static bool match_rows(const struct results *results, const struct cli_inputs *inputs, size_t *rows)
{
    struct name *wanted = sort_names(inputs), *known = sort_names(&results->inputs);
    const bool good = wanted && known;
    for (size_t i = 0, k = 0; good && i < inputs->count; i++) {
        int order = -1;
        while (k < results->inputs.count &&
               (order = compare_bytes(known[k].input, wanted[i].input)) < 0)
            k++;
        const bool found = k < results->inputs.count && !order;
        rows[wanted[i].position] = found ? known[k++].position : RESUME_APPEND;
    }
    free(wanted);
    free(known);
    return good;
}

static bool add_rest(struct resume_plan *plan, const struct cli_input *input, size_t row)
{
    plan->rows[plan->rest.count] = row;
    if (!cli_add_input(&plan->rest, input->text, input->length))
        return false;
    struct cli_input *copy = &plan->rest.items[plan->rest.count - 1];
    copy->archive = input->archive;
    copy->member = input->member;
    copy->file = input->file ? string_format("%s", input->file) : NULL;
    return !input->file || copy->file;
}

/* Tells whether the rows are in memory. Of lines only the first is, and none of them is of NaN. */
static bool holds_rows(const struct results *results)
{
    return results->tensors->capacity >= results->inputs.count;
}

static bool is_missing(const struct results *results, size_t row)
{
    return row == RESUME_APPEND || (holds_rows(results) && isnan(results_row(results, row)[0]));
}

/* Adds the first input with a row that is in memory, and with a file that is still there. */
static bool add_check(const struct results *results, const struct cli_inputs *inputs, bool files,
                      const size_t *rows, struct resume_plan *plan)
{
    for (size_t i = 0; i < inputs->count; i++) {
        const struct cli_input *input = &inputs->items[i];
        const bool has_row = !is_missing(results, rows[i]) && (holds_rows(results) || !rows[i]);
        const bool there =
            !files || input->archive || file_exists(input->file ? input->file : input->text);
        if (!has_row || !there)
            continue;
        plan->check_row = rows[i];
        plan->checks = 1;
        return add_rest(plan, input, RESUME_CHECK);
    }
    return true;
}

int resume_find_rest(const struct results *results, const struct cli_inputs *inputs, bool files,
                     struct resume_plan *plan)
{
    size_t *rows = calloc(inputs->count + 1, sizeof(*rows));
    plan->rows = calloc(inputs->count + 2, sizeof(*plan->rows));
    bool good = rows && plan->rows && match_rows(results, inputs, rows);
    for (size_t i = 0; good && i < inputs->count; i++)
        plan->missing += is_missing(results, rows[i]);
    if (good && plan->missing)
        good = add_check(results, inputs, files, rows, plan);
    for (size_t i = 0; good && i < inputs->count; i++)
        if (is_missing(results, rows[i]))
            good = add_rest(plan, &inputs->items[i], rows[i]);
    free(rows);
    return good ? CLI_DONE : cli_fail_memory();
}

void resume_free(struct resume_plan *plan)
{
    cli_free_inputs(&plan->rest);
    free(plan->rows);
    *plan = (struct resume_plan){0};
}

int resume_check(const char *path, const struct cli_input *input, const float *embed,
                 const float *row, size_t width)
{
    double distance = 0, squares = 0;
    for (size_t i = 0; i < width; i++) {
        distance += ((double)embed[i] - row[i]) * ((double)embed[i] - row[i]);
        squares += (double)row[i] * row[i];
    }
    /* Precisions and devices differ by less than 3 %, models and normalisation by far more. */
    if (sqrt(distance) <= 0.03 * sqrt(squares))
        return CLI_DONE;
    return cli_fail(CLI_FAILED,
                    "%s: %s has another embedding there than this model gives it with these "
                    "options; name another file or remove this one",
                    path, input->text);
}
