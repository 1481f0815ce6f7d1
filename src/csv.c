/* SPDX-License-Identifier: MIT
 *
 * Comma- and tab-separated values. Refuses a quote that nothing closes; whether a row has the
 * columns it should have is the caller's to judge.
 */
#include "csv.h"

#include <stdlib.h>
#include <string.h>

/* The field at `csv->at`, unquoted to *to. Returns what ended it: the separator, '\n', or -1 at the
 * end of the file, -2 where a quote is not closed. */
static int read_field(struct csv *csv, char **to)
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
            return c;
        } else if (!quoted && c == '\r' && (csv->at == size || data[csv->at] == '\n')) {
            continue;
        }
        *(*to)++ = c;
    }
    return quoted ? -2 : -1;
}

static bool add_field(struct csv *csv, const char *text, size_t length)
{
    if (csv->count == csv->capacity) {
        size_t capacity = 2 * csv->capacity + 8;
        void *fields = realloc(csv->fields, capacity * sizeof(*csv->fields));
        if (!fields)
            return false;
        csv->fields = fields;
        csv->capacity = capacity;
    }
    csv->fields[csv->count++] = (struct csv_field){text, length};
    return true;
}

/* Room for the row's texts: no longer than the row in the file, whose end quotes may hide. */
static bool make_room(struct csv *csv)
{
    const char *data = (const char *)csv->map.data + csv->at;
    const size_t size = csv->map.size - csv->at;
    size_t quotes = 0, length = 0;
    for (; length < size && (data[length] != '\n' || quotes % 2); length++)
        quotes += data[length] == '"';
    if (2 * length + 2 <= csv->row_capacity)
        return true;
    free(csv->row);
    csv->row_capacity = 4 * length + 64; /* a NUL behind each field */
    csv->row = malloc(csv->row_capacity);
    return csv->row;
}

int csv_next(struct csv *csv, bool *more)
{
    int end;
    do {
        *more = csv->at < csv->map.size;
        csv->line = csv->end_line;
        csv->count = 0;
        if (!*more)
            return VKCLIP_OK;
        if (!make_room(csv))
            return util_fail(VKCLIP_EMEMORY, "%s: out of memory for a row", csv->path);
        char *to = csv->row;
        do {
            char *from = to;
            end = read_field(csv, &to);
            size_t length = (size_t)(to - from);
            *to++ = 0;
            if (end == -2)
                return util_fail(VKCLIP_EFORMAT, "%s: line %llu: a quote that is not closed",
                                 csv->path, (unsigned long long)csv->line);
            if (!add_field(csv, from, length))
                return util_fail(VKCLIP_EMEMORY, "%s: out of memory for a row", csv->path);
        } while (end == csv->separator);
    } while (csv->count == 1 && !csv->fields[0].length);
    return VKCLIP_OK;
}

int csv_open(const char *path, char separator, struct csv *csv)
{
    static const char mark[] = "\xef\xbb\xbf"; /* that some programs begin UTF-8 with */
    bool more = false;
    *csv = (struct csv){.path = util_format("%s", path), .end_line = 1, .separator = separator};
    int error = !csv->path ? util_fail(VKCLIP_EMEMORY, "%s: out of memory", path)
                : separator && strchr("\"\r\n", separator)
                    ? util_fail(VKCLIP_EINVALID,
                                "%s: columns separated by a quote or a line's end, expected a "
                                "comma, a tab or another character",
                                path)
                    : util_map_file(path, &csv->map);
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
            util_fail(VKCLIP_EFORMAT, "%s: empty, expected a row with the columns' names", path);
    if (error)
        csv_close(csv);
    return error;
}

void csv_close(struct csv *csv)
{
    util_unmap_file(&csv->map);
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
    return util_fail(VKCLIP_EFORMAT, "%s: no column \"%s\" in its first row, which has: %s",
                     csv->path, name, names);
}
