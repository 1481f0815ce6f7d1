/* SPDX-License-Identifier: MIT
 *
 * Reads rows as RFC 4180 defines them, with any separator, and with lines that end in "\n", "\r\n"
 * or "\r".
 */
#include "format/csv.h"
#include "base/error.h"
#include "base/file.h"
#include "base/string.h"

#include <stdlib.h>
#include <string.h>

/* A field can end in three ways other than at a separator or a line end. */
enum { END_OF_FILE = -1, NOT_CLOSED = -2, NO_MEMORY = -3 };

static bool put_character(struct csv *csv, char c)
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

/* Reads the next field without its quotes and appends it to the row. Returns the character that
 * ended the field, or END_OF_FILE, NOT_CLOSED or NO_MEMORY. */
static int read_field(struct csv *csv)
{
    const char *data = (const char *)csv->map.data;
    const size_t size = csv->map.size;
    bool quoted = csv->position < size && data[csv->position] == '"';
    csv->position += quoted;
    while (csv->position < size) {
        const char c = data[csv->position++];
        csv->next_line += c == '\n';
        if (quoted && c == '"') { /* A doubled quote means one quote; any other closes the field. */
            quoted = csv->position < size && data[csv->position] == '"';
            csv->position += quoted;
            if (!quoted)
                continue;
        } else if (!quoted && (c == csv->separator || c == '\n')) {
            return (unsigned char)c;
        } else if (!quoted && c == '\r') {
            csv->position += csv->position < size && data[csv->position] == '\n';
            csv->next_line++;
            return '\n';
        }
        if (!put_character(csv, c))
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
    csv->line = csv->next_line;
    csv->count = csv->row_size = 0;
    do {
        const size_t begin = csv->row_size;
        end = read_field(csv);
        if (end == NOT_CLOSED)
            return error_fail(VKCLIP_EFORMAT, "%s: line %llu: a quote that is not closed",
                              csv->path, (unsigned long long)csv->line);
        if (end == NO_MEMORY || !add_field(csv, csv->row_size - begin) || !put_character(csv, 0))
            return error_fail(VKCLIP_EMEMORY, "%s: out of memory for a row", csv->path);
    } while (end == (unsigned char)csv->separator);
    const char *text = csv->row; /* The row does not move until the next row is read. */
    for (size_t i = 0; i < csv->count; i++) {
        csv->fields[i].text = text;
        text += csv->fields[i].length + 1;
    }
    return VKCLIP_OK;
}

static bool is_empty(const struct csv *csv)
{
    return csv->count == 1 && !csv->fields[0].length;
}

int csv_next(struct csv *csv, bool *more)
{
    *more = false;
    while (csv->position < csv->map.size) {
        int error = read_row(csv);
        if (error)
            return error;
        if (!is_empty(csv)) {
            *more = true;
            return VKCLIP_OK;
        }
    }
    return VKCLIP_OK;
}

static char guess_separator(const struct csv *csv)
{
    const char *line = (const char *)csv->map.data;
    size_t length = 0;
    while (length < csv->map.size && line[length] != '\n' && line[length] != '\r')
        length++;
    return length && memchr(line, '\t', length) ? '\t' : ',';
}

static int open_file(const char *path, char separator, struct csv *csv)
{
    static const char mark[] = "\xef\xbb\xbf"; /* Some programs begin UTF-8 files with this mark. */
    csv->path = string_format("%s", path);
    if (!csv->path)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory", path);
    if (separator && strchr("\"\r\n", separator))
        return error_fail(VKCLIP_EINVALID,
                          "%s: expected columns separated by a "
                          "comma, a tab or another character, found a quote or a line end",
                          path);
    int error = file_map_open(path, &csv->map);
    if (error)
        return error;
    if (csv->map.size > 1 &&
        (!memcmp(csv->map.data, "\xff\xfe", 2) || !memcmp(csv->map.data, "\xfe\xff", 2)))
        return error_fail(VKCLIP_EUNSUPPORTED, "%s: UTF-16, expected UTF-8", path);
    if (csv->map.size > strlen(mark) && !memcmp(csv->map.data, mark, strlen(mark)))
        csv->position = strlen(mark);
    csv->separator = separator ? separator : guess_separator(csv);
    return VKCLIP_OK;
}

int csv_open(const char *path, char separator, struct csv *csv)
{
    bool more = false;
    *csv = (struct csv){.next_line = 1};
    int error = open_file(path, separator, csv);
    if (!error)
        error = csv_next(csv, &more);
    if (!error && !more)
        error = error_fail(VKCLIP_EFORMAT,
                           "%s: expected a row with the columns' names, found an empty file", path);
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
