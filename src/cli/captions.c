/* SPDX-License-Identifier: MIT
 *
 * Reads pictures with captions row by row, and then sorts the rows by picture.
 */
#include "cli/captions.h"
#include "base/file.h"
#include "base/string.h"
#include "cli/log.h"
#include "cli/print.h"
#include "cli/reader.h"
#include "format/csv.h"
#include "format/json.h"

#include <stdlib.h>
#include <string.h>

/* A row has two texts, whose bytes belong to the reader. */
struct text {
    const char *bytes; /* NULL: the row does not have it */
    size_t length;
};

struct rows {
    struct cli_session *session;
    const char *path, *picture_key, *caption_key;
    int folder_length;                    /* bytes of `path` that name its folder */
    struct cli_inputs pictures, captions; /* one of each per row */
};

/* ---- Rows -------------------------------------------------------------------------------------- */

static bool is_blank(struct text text)
{
    size_t i = 0;
    while (i < text.length && strchr(" \t\r\n", text.bytes[i]))
        i++;
    return !text.bytes || i == text.length;
}

/* Says what a row lacks, or returns NULL. */
static const char *find_problem(struct text picture, struct text caption)
{
    if (is_blank(picture))
        return "no picture";
    if (is_blank(caption))
        return "no caption";
    if (memchr(picture.bytes, 0, picture.length) || memchr(caption.bytes, 0, caption.length))
        return "expected text, found a NUL byte";
    return NULL;
}

/* Takes a row, or reports its `problem`, which may be known already, or what it lacks. Returns an
 * enum cli_exit. */
static int take_row(struct rows *rows, uint64_t line, struct text picture, struct text caption,
                    const char *problem)
{
    if (!problem)
        problem = find_problem(picture, caption);
    if (problem) {
        cli_fail_input(rows->session, "%s: line %llu: %s", rows->path, (unsigned long long)line,
                       problem);
        return CLI_DONE;
    }
    const int folder_length = file_is_absolute(picture.bytes) ? 0 : rows->folder_length;
    char *path =
        string_format("%.*s%.*s", folder_length, rows->path, (int)picture.length, picture.bytes);
    const bool good = path && cli_add_input(&rows->pictures, path, strlen(path)) &&
                      cli_add_input(&rows->captions, caption.bytes, caption.length);
    free(path);
    return good ? CLI_DONE : cli_fail_memory();
}

static struct text find_field(const struct csv *csv, size_t column)
{
    if (column >= csv->count)
        return (struct text){0};
    return (struct text){csv->fields[column].text, csv->fields[column].length};
}

static int read_table(struct rows *rows, char separator)
{
    struct csv csv;
    size_t picture = 0, caption = 0;
    bool more = true;
    int status = CLI_DONE, error = csv_open(rows->path, separator, &csv);
    if (!error)
        error = csv_column(&csv, rows->picture_key, &picture);
    if (!error)
        error = csv_column(&csv, rows->caption_key, &caption);
    while (!error && !status && more) {
        error = csv_next(&csv, &more);
        if (!error && more)
            status = take_row(rows, csv.line, find_field(&csv, picture), find_field(&csv, caption),
                              csv_is_long(&csv) ? CSV_LONG : NULL);
    }
    csv_close(&csv);
    return error ? cli_fail_library(rows->session, CLI_FAILED) : status;
}

static struct text find_member(const json_t *object, const char *key)
{
    const json_t *member = json_object_get(object, key);
    return (struct text){json_string_value(member), json_string_length(member)};
}

static int take_object(struct rows *rows, const struct cli_reader *reader)
{
    json_error_t error;
    json_t *object = json_read(reader->text, reader->length, JSON_ALLOW_NUL, &error);
    int status = CLI_DONE;
    if (json_is_object(object))
        status = take_row(rows, reader->number, find_member(object, rows->picture_key),
                          find_member(object, rows->caption_key), NULL);
    else
        cli_fail_input(rows->session, "%s: line %zu: expected an object with the strings %s and %s",
                       rows->path, reader->number, rows->picture_key, rows->caption_key);
    json_decref(object);
    return status;
}

/* Takes PATH<TAB>CAPTION. */
static int take_line(struct rows *rows, const struct cli_reader *reader)
{
    const char *tab = memchr(reader->text, '\t', reader->length);
    const size_t length = tab ? (size_t)(tab - reader->text) : reader->length;
    const struct text picture = {reader->text, length};
    const struct text caption = {tab ? tab + 1 : NULL, tab ? reader->length - length - 1 : 0};
    return take_row(rows, reader->number, picture, caption, NULL);
}

static int read_lines(struct rows *rows, int (*take)(struct rows *, const struct cli_reader *))
{
    struct cli_reader reader;
    int status = CLI_DONE;
    if (!cli_open_reader(rows->session, &reader, rows->path, '\n'))
        return CLI_FAILED;
    while (!status && cli_read_text(rows->session, &reader))
        if (reader.length)
            status = take(rows, &reader);
    cli_close_reader(&reader);
    return status;
}

/* ---- Pictures ---------------------------------------------------------------------------------- */

struct pair {
    const struct cli_input *picture, *caption;
};

/* Rows of one picture stay in their order, which is that of their addresses. */
static int compare_pairs(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;
    const int order = strcmp(x->picture->text, y->picture->text);
    return order ? order : (x->picture > y->picture) - (x->picture < y->picture);
}

static bool add_pair(struct cli_captions *captions, const struct pair *pair, bool same)
{
    if (!same) {
        captions->first[captions->pictures.count] = captions->captions.count;
        if (!cli_add_input(&captions->pictures, pair->picture->text, pair->picture->length))
            return false;
    }
    return cli_add_input(&captions->captions, pair->caption->text, pair->caption->length);
}

static int sort_rows(const struct rows *rows, struct cli_captions *captions)
{
    const size_t count = rows->pictures.count;
    struct pair *pairs = calloc(count + 1, sizeof(*pairs));
    captions->first = calloc(count + 1, sizeof(*captions->first));
    bool good = pairs && captions->first;
    for (size_t i = 0; good && i < count; i++)
        pairs[i] = (struct pair){&rows->pictures.items[i], &rows->captions.items[i]};
    if (good)
        qsort(pairs, count, sizeof(*pairs), compare_pairs);
    for (size_t i = 0; good && i < count; i++) {
        const bool same = i && !strcmp(pairs[i].picture->text, pairs[i - 1].picture->text);
        good = add_pair(captions, &pairs[i], same);
    }
    if (good)
        captions->first[captions->pictures.count] = captions->captions.count;
    free(pairs);
    return good ? CLI_DONE : cli_fail_memory();
}

int cli_take_separator(const struct cli_session *session, const char *text, char *separator)
{
    if (!text)
        return CLI_DONE;
    if (!strcmp(text, "\\t"))
        *separator = '\t';
    else if (strlen(text) == 1)
        *separator = text[0];
    else
        return cli_fail_usage(session, "--csv-separator: expected one character, found '%s'", text);
    return CLI_DONE;
}

int cli_read_captions(struct cli_session *session, const struct cli_caption_options *options,
                      struct cli_captions *captions)
{
    const char *path = options->path;
    struct rows rows = {.session = session,
                        .path = path,
                        .picture_key = options->picture_key ? options->picture_key : "filepath",
                        .caption_key = options->caption_key ? options->caption_key : "title",
                        .folder_length = (int)(file_name(path) - path)};
    char separator = 0;
    int status = cli_take_separator(session, options->separator, &separator);
    if (!status && string_ends_with(path, ".jsonl"))
        status = read_lines(&rows, take_object);
    else if (!status && string_ends_with(path, ".txt"))
        status = read_lines(&rows, take_line);
    else if (!status)
        status = read_table(&rows, separator);
    if (!status && !rows.pictures.count)
        status = cli_fail(CLI_FAILED, "%s: no pictures with captions", path);
    if (!status)
        status = sort_rows(&rows, captions);
    cli_free_inputs(&rows.pictures);
    cli_free_inputs(&rows.captions);
    return status;
}

void cli_free_captions(struct cli_captions *captions)
{
    cli_free_inputs(&captions->pictures);
    cli_free_inputs(&captions->captions);
    free(captions->first);
    captions->first = NULL;
}

/* ---- Options ----------------------------------------------------------------------------------- */

#define FIELD(name) offsetof(struct cli_caption_options, name)
const struct cli_option cli_caption_options[] = {
    CLI_OPTION(0, "captions", "FILE", CLI_TEXT, FIELD(path),
               "pictures with captions: CSV, TSV, .jsonl, or .txt with a TAB between"),
    CLI_OPTION(0, "csv-separator", "C", CLI_TEXT, FIELD(separator),
               "between columns (tab or comma, by the first row)"),
    CLI_OPTION(0, "csv-img-key", "NAME", CLI_TEXT, FIELD(picture_key),
               "column of pictures (filepath)"),
    CLI_OPTION(0, "csv-caption-key", "NAME", CLI_TEXT, FIELD(caption_key),
               "column of captions in .csv and .tsv files (title)"),
    {0}};
