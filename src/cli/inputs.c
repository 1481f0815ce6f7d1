/* SPDX-License-Identifier: MIT
 *
 * What a run works on: paths and texts from the command line, from lists, and the pictures in
 * folders.
 */
#ifndef _WIN32
#define _POSIX_C_SOURCE 200809L
#endif
#include "base/array.h"
#include "base/folder.h"
#include "base/string.h"
#include "cli/cli.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
    MAX_TEXT = 1 << 20
}; /* bytes of a line; far beyond any context, so that a wrong file ends early */

bool cli_add_input(struct cli_inputs *inputs, const char *text, size_t length)
{
    if (inputs->count == inputs->capacity) {
        size_t capacity = inputs->capacity ? 2 * inputs->capacity : 16;
        void *items = realloc(inputs->items, capacity * sizeof(*inputs->items));
        if (!items)
            return false;
        inputs->items = items;
        inputs->capacity = capacity;
    }
    char *copy = malloc(length + 1);
    if (!copy)
        return false;
    memcpy(copy, text, length);
    copy[length] = 0;
    inputs->items[inputs->count++] = (struct cli_input){.text = copy, .length = length};
    return true;
}

void cli_free_inputs(struct cli_inputs *inputs)
{
    for (size_t i = 0; i < inputs->count; i++)
        free(inputs->items[i].text);
    free(inputs->items);
    *inputs = (struct cli_inputs){0};
}

/* ---- Lists ----------------------------------------------------------------------------------- */

bool cli_open_reader(struct cli *cli, struct cli_reader *reader, const char *path, int delimiter)
{
    bool standard = !strcmp(path, "-");
    *reader =
        (struct cli_reader){.name = standard ? "standard input" : path, .delimiter = delimiter};
    reader->file = standard ? stdin : fopen(path, "rb");
    if (!reader->file)
        cli_fail_input(cli, "%s: %s", path, strerror(errno));
    return reader->file != NULL;
}

void cli_close_reader(struct cli_reader *reader)
{
    if (reader->file && reader->file != stdin)
        fclose(reader->file);
    free(reader->text);
    *reader = (struct cli_reader){0};
}

/* Keeps one byte, or drops it when the text is too long already. */
static bool keep_byte(struct cli_reader *reader, int byte)
{
    if (reader->length + 1 >= reader->capacity) {
        size_t capacity = reader->capacity ? 2 * reader->capacity : 256;
        char *text = realloc(reader->text, capacity);
        if (!text)
            return false;
        reader->text = text;
        reader->capacity = capacity;
    }
    reader->text[reader->length] = (char)byte;
    reader->length += reader->length < MAX_TEXT;
    return true;
}

bool cli_read_text(struct cli *cli, struct cli_reader *reader)
{
    int byte;
    do {
        reader->length = 0;
        reader->number++;
        bool any = false;
        while ((byte = getc(reader->file)) != EOF && byte != reader->delimiter) {
            any = true;
            if (!keep_byte(reader, byte)) {
                cli_fail_input(cli, "%s: out of memory", reader->name);
                return false;
            }
        }
        if (byte == EOF && ferror(reader->file)) {
            cli_fail_input(cli, "%s: %s", reader->name, strerror(errno));
            return false;
        }
        if (byte == EOF && !any)
            return false;
        if (reader->length == MAX_TEXT)
            cli_fail_input(cli, "%s: text %zu: expected at most %d bytes", reader->name,
                           reader->number, MAX_TEXT - 1);
    } while (reader->length == MAX_TEXT);
    if (reader->delimiter == '\n' && reader->length && reader->text[reader->length - 1] == '\r')
        reader->length--;
    return true;
}

static bool read_list(struct cli *cli, const char *path, bool keep_empty, struct cli_inputs *inputs)
{
    bool good = true;
    struct cli_reader reader;
    if (!cli_open_reader(cli, &reader, path, '\n'))
        return true; /* counted as a failed input; the others are done */
    while (good && cli_read_text(cli, &reader))
        if (reader.length || keep_empty)
            good = cli_add_input(inputs, reader.length ? reader.text : "", reader.length);
    cli_close_reader(&reader);
    return good;
}

/* Replaces some inputs by others: `expand` appends to a new list what stands for one input. */
static int replace_inputs(struct cli *cli, struct cli_inputs *inputs, bool option,
                          bool expand(struct cli *, const struct cli_input *, bool,
                                      struct cli_inputs *))
{
    struct cli_inputs result = {0};
    bool good = true;
    for (size_t i = 0; good && i < inputs->count; i++)
        good = expand(cli, &inputs->items[i], option, &result);
    cli_free_inputs(inputs);
    *inputs = result;
    return good ? CLI_DONE : cli_fail(CLI_FAILED, "out of memory");
}

static bool expand_list(struct cli *cli, const struct cli_input *input, bool keep_empty,
                        struct cli_inputs *result)
{
    return input->list ? read_list(cli, input->text, keep_empty, result)
                       : cli_add_input(result, input->text, input->length);
}

int cli_read_lists(struct cli *cli, struct cli_inputs *inputs, bool keep_empty)
{
    return replace_inputs(cli, inputs, keep_empty, expand_list);
}

/* ---- Folders --------------------------------------------------------------------------------- */

static bool is_picture_name(const char *name)
{
    static const char *const extensions[] = {"png", "jpg", "jpeg", "bmp", "gif", "tga",
                                             "psd", "pnm", "ppm",  "pgm", "pbm"};
    char lower[8] = {0};
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && dot[1 + i] && i + 1 < sizeof(lower); i++)
        lower[i] = (char)(dot[1 + i] | 0x20);
    for (size_t i = 0; i < ARRAY_COUNT(extensions); i++)
        if (!strcmp(lower, extensions[i]))
            return true;
    return false;
}

/* A link to a folder is not followed: links can make a circle. */
static bool is_real_folder(const char *path)
{
    struct stat status;
#ifdef _WIN32
    return !stat(path, &status) && S_ISDIR(status.st_mode);
#else
    return !lstat(path, &status) && S_ISDIR(status.st_mode);
#endif
}

static int compare_inputs(const void *a, const void *b)
{
    return strcmp(((const struct cli_input *)a)->text, ((const struct cli_input *)b)->text);
}

/* Everything in a folder that is not hidden, with the folder before it, sorted. */
static bool list_folder(struct cli *cli, const char *path, struct cli_inputs *entries)
{
    bool good = true;
    DIR *folder = opendir(path);
    if (!folder) {
        cli_fail_input(cli, "%s: %s", path, strerror(errno));
        return true;
    }
    size_t length = strlen(path);
    const char *slash = length && path[length - 1] == '/' ? "" : "/";
    for (struct dirent *entry; good && (entry = readdir(folder));) {
        if (entry->d_name[0] == '.')
            continue;
        char *full = string_format("%s%s%s", path, slash, entry->d_name);
        good = full && cli_add_input(entries, full, strlen(full));
        free(full);
    }
    closedir(folder);
    if (entries->count)
        qsort(entries->items, entries->count, sizeof(*entries->items), compare_inputs);
    return good;
}

static bool add_folder(struct cli *cli, const char *path, struct cli_inputs *result)
{
    struct cli_inputs entries = {0};
    bool good = list_folder(cli, path, &entries);
    for (size_t i = 0; good && i < entries.count; i++) {
        const char *entry = entries.items[i].text;
        if (is_real_folder(entry))
            good = !cli->recursive || add_folder(cli, entry, result);
        else if (is_picture_name(entry) && !folder_exists(entry))
            good = cli_add_input(result, entry, strlen(entry));
    }
    cli_free_inputs(&entries);
    return good;
}

static bool expand_folder(struct cli *cli, const struct cli_input *input, bool unused,
                          struct cli_inputs *result)
{
    (void)unused;
    size_t before = result->count, failures = cli->failures;
    if (!folder_exists(input->text))
        return cli_add_input(result, input->text, input->length);
    bool good = add_folder(cli, input->text, result);
    if (good && result->count == before && cli->failures == failures)
        cli_fail_input(cli, "%s: no pictures in this folder", input->text);
    return good;
}

int cli_read_pictures(struct cli *cli)
{
    for (size_t i = 0; i < cli->arguments.count; i++)
        if (!cli_add_input(&cli->images, cli->arguments.items[i].text,
                           cli->arguments.items[i].length))
            return cli_fail(CLI_FAILED, "out of memory");
    int status = cli_read_lists(cli, &cli->images, false);
    return status ? status : cli_read_folders(cli, &cli->images);
}

int cli_read_folders(struct cli *cli, struct cli_inputs *inputs)
{
    return replace_inputs(cli, inputs, false, expand_folder);
}
