/* SPDX-License-Identifier: MIT
 *
 * Reads rows as RFC 4180 defines them, with any separator, and with lines that end in "\n", "\r\n"
 * or "\r".
 */
#include "format/csv.h"
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/string.h"

#include <string.h>

/* A field can end in four ways other than at a separator or a line end. */
enum { END_OF_FILE = -1, NOT_CLOSED = -2, NO_MEMORY = -3, NOT_READ = -4 };

enum { PIECE_SIZE = 64 << 10 }; /* Larger pieces are not read faster. */

/* Returns the next byte without taking it, END_OF_FILE or NOT_READ. */
static int peek_byte(struct csv *csv)
{
    if (csv->position >= csv->map.size)
        return END_OF_FILE;
    if (csv->position >= csv->end && !csv->error) {
        const size_t left = csv->map.size - csv->position;
        const size_t size = left < PIECE_SIZE ? left : PIECE_SIZE;
        csv->begin = csv->position;
        csv->end = csv->begin + size;
        csv->error = file_map_read(&csv->map, csv->begin, size, csv->piece);
    }
    return csv->error ? NOT_READ : (unsigned char)csv->piece[csv->position - csv->begin];
}

/* Takes the next byte if it is the expected one. */
static bool take_byte(struct csv *csv, char expected)
{
    const bool found = peek_byte(csv) == (unsigned char)expected;
    csv->position += found;
    return found;
}

static bool put_character(struct csv *csv, char c)
{
    if (csv->row_size == csv->row_capacity) {
        size_t capacity = 2 * csv->row_capacity + 256;
        char *row = memory_realloc(csv->row, capacity);
        if (!row)
            return false;
        csv->row = row;
        csv->row_capacity = capacity;
    }
    csv->row[csv->row_size++] = c;
    return true;
}

/* Reads the next field without its quotes and appends it to the row. Returns the character that
 * ended the field, or END_OF_FILE, NOT_CLOSED, NO_MEMORY or NOT_READ. */
static int read_field(struct csv *csv)
{
    bool quoted = take_byte(csv, '"');
    int next;
    while ((next = peek_byte(csv)) >= 0) {
        const char c = (char)next;
        csv->position++;
        csv->next_line += c == '\n';
        if (quoted && c == '"') { /* A doubled quote means one quote; any other closes the field. */
            quoted = take_byte(csv, '"');
            if (!quoted)
                continue;
        } else if (!quoted && (c == csv->separator || c == '\n')) {
            return (unsigned char)c;
        } else if (!quoted && c == '\r') {
            take_byte(csv, '\n');
            csv->next_line++;
            return '\n';
        }
        if (!put_character(csv, c))
            return NO_MEMORY;
    }
    return quoted && next == END_OF_FILE ? NOT_CLOSED : next;
}

static bool add_field(struct csv *csv, size_t length)
{
    if (csv->count == csv->capacity) {
        size_t capacity = 2 * csv->capacity + 8;
        void *fields = memory_realloc(csv->fields, capacity * sizeof(*csv->fields));
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
        if (end == NOT_READ)
            return csv->error;
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

bool csv_is_long(const struct csv *csv)
{
    for (size_t i = csv->columns; i < csv->count; i++)
        if (csv->fields[i].length)
            return true;
    return false;
}

/* Looks for a tab in the first row, or in as much of it as has been read. */
static char guess_separator(const struct csv *csv)
{
    for (size_t i = 0; i < csv->end && csv->piece[i] != '\n' && csv->piece[i] != '\r'; i++)
        if (csv->piece[i] == '\t')
            return '\t';
    return ',';
}

static int open_file(const char *path, char separator, struct csv *csv)
{
    static const char mark[] = "\xef\xbb\xbf"; /* Some programs begin UTF-8 files with this mark. */
    csv->path = string_format("%s", path);
    csv->piece = memory_calloc(1, PIECE_SIZE);
    if (!csv->path || !csv->piece)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory", path);
    if (separator && strchr("\"\r\n", separator))
        return error_fail(VKCLIP_EINVALID,
                          "%s: expected columns separated by a "
                          "comma, a tab or another character, found a quote or a line end",
                          path);
    int error = file_open(path, &csv->map);
    if (error || peek_byte(csv) == NOT_READ)
        return error ? error : csv->error;
    if (!memcmp(csv->piece, "\xff\xfe", 2) || !memcmp(csv->piece, "\xfe\xff", 2))
        return error_fail(VKCLIP_EUNSUPPORTED, "%s: UTF-16, expected UTF-8", path);
    if (csv->map.size > strlen(mark) && !memcmp(csv->piece, mark, strlen(mark)))
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
    csv->columns = csv->count;
    if (error)
        csv_close(csv);
    return error;
}

void csv_close(struct csv *csv)
{
    file_map_close(&csv->map);
    memory_free(csv->path);
    memory_free(csv->piece);
    memory_free(csv->row);
    memory_free(csv->fields);
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
