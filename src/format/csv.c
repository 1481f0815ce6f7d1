/* SPDX-License-Identifier: MIT
 *
 * Comma- and tab-separated values. Refuses a quote that nothing closes; whether a row has the
 * columns it should have is the caller's to judge.
 */
#include "format/csv.h"
#include "base/error.h"
#include "base/file.h"
#include "base/string.h"

#include <stdlib.h>
#include <string.h>

/* Other ends of a field than the separator and '\n'. */
enum { END_OF_FILE = -1, NOT_CLOSED = -2, NO_MEMORY = -3 };

static bool put(struct csv *csv, char c)
{
    if (csv->row_size == csv->row_capacity) {
        size_t capacity = 2 * csv->row_capacity + 256;
        char *row = realloc(csv->row, capacity);
        if (!row)
            return false;
        csv->row = row;
        csv->row_capacity = capacity;
    }
    csv->row[csv->row_size++] = c;
    return true;
}

/* The field at `csv->at`, unquoted, behind the row's others. Returns what ended it. */
static int read_field(struct csv *csv)
{
    const char *data = (const char *)csv->map.data;
    const size_t size = csv->map.size;
    bool quoted = csv->at < size && data[csv->at] == '"';
    csv->at += quoted;
    while (csv->at < size) {
        const char c = data[csv->at++];
        csv->end_line += c == '\n';
        if (quoted && c == '"') {
            quoted = csv->at < size && data[csv->at] == '"';
            csv->at += quoted;
            if (!quoted)
                continue;
        } else if (!quoted && (c == csv->separator || c == '\n')) {
            return (unsigned char)c;
        } else if (!quoted && c == '\r' && (csv->at == size || data[csv->at] == '\n')) {
            continue;
        }
        if (!put(csv, c))
            return NO_MEMORY;
    }
    return quoted ? NOT_CLOSED : END_OF_FILE;
}

static bool add_field(struct csv *csv, size_t length)
{
    if (csv->count == csv->capacity) {
        size_t capacity = 2 * csv->capacity + 8;
        void *fields = realloc(csv->fields, capacity * sizeof(*csv->fields));
        if (!fields)
            return false;
        csv->fields = fields;
        csv->capacity = capacity;
    }
    csv->fields[csv->count++] = (struct csv_field){.length = length};
    return true;
}

static int read_row(struct csv *csv)
{
    int end;
    csv->line = csv->end_line;
    csv->count = csv->row_size = 0;
    do {
        const size_t from = csv->row_size;
        end = read_field(csv);
        if (end == NOT_CLOSED)
            return error_fail(VKCLIP_EFORMAT, "%s: line %llu: a quote that is not closed",
                              csv->path, (unsigned long long)csv->line);
        if (end == NO_MEMORY || !add_field(csv, csv->row_size - from) || !put(csv, 0))
            return error_fail(VKCLIP_EMEMORY, "%s: out of memory for a row", csv->path);
    } while (end == (unsigned char)csv->separator);
    const char *text = csv->row; /* now that it stays where it is */
    for (size_t i = 0; i < csv->count; i++) {
        csv->fields[i].text = text;
        text += csv->fields[i].length + 1;
    }
    return VKCLIP_OK;
}

int csv_next(struct csv *csv, bool *more)
{
    int error;
    do {
        *more = csv->at < csv->map.size;
        error = *more ? read_row(csv) : VKCLIP_OK;
    } while (!error && *more && csv->count == 1 && !csv->fields[0].length);
    return error;
}

int csv_open(const char *path, char separator, struct csv *csv)
{
    static const char mark[] = "\xef\xbb\xbf"; /* that some programs begin UTF-8 with */
    bool more = false;
    *csv = (struct csv){.path = string_format("%s", path), .end_line = 1, .separator = separator};
    int error = !csv->path ? error_fail(VKCLIP_EMEMORY, "%s: out of memory", path)
                : separator && strchr("\"\r\n", separator)
                    ? error_fail(VKCLIP_EINVALID,
                                 "%s: columns separated by a quote or a line's end, expected a "
                                 "comma, a tab or another character",
                                 path)
                    : file_map_open(path, &csv->map);
    if (!error && csv->map.size > 3 && !memcmp(csv->map.data, mark, 3))
        csv->at = 3;
    if (!error && !separator) {
        const char *line = (const char *)csv->map.data;
        const char *end = csv->map.size ? memchr(line, '\n', csv->map.size) : NULL;
        size_t length = end ? (size_t)(end - line) : csv->map.size;
        csv->separator = length && memchr(line, '\t', length) ? '\t' : ',';
    }
    error = error ? error : csv_next(csv, &more);
    if (!error && !more)
        error =
            error_fail(VKCLIP_EFORMAT, "%s: empty, expected a row with the columns' names", path);
    if (error)
        csv_close(csv);
    return error;
}

void csv_close(struct csv *csv)
{
    file_map_close(&csv->map);
    free(csv->path);
    free(csv->row);
    free(csv->fields);
    *csv = (struct csv){0};
}

int csv_column(const struct csv *csv, const char *name, size_t *column)
{
    char names[200] = "";
    for (size_t i = 0, used = 0; i < csv->count; i++) {
        if (!strcmp(csv->fields[i].text, name)) {
            *column = i;
            return VKCLIP_OK;
        }
        if (used < sizeof(names))
            used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%.30s", i ? ", " : "",
                                     csv->fields[i].text);
    }
    return error_fail(VKCLIP_EFORMAT, "%s: no column \"%s\" in its first row, which has: %s",
                      csv->path, name, names);
}
