/* SPDX-License-Identifier: MIT
 *
 * Reads lists and folders. Links to folders are not followed, and hidden files are left out.
 */
#ifndef _WIN32
#define _POSIX_C_SOURCE 200809L
#endif
#include "base/folder.h"
#include "base/string.h"
#include "cli/inputs.h"
#include "cli/print.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A text has fewer bytes: the limit is far beyond any context, and a file that holds no texts is
 * noticed early. */
enum { MAX_TEXT = 1 << 20 };

/* ---- Lists ----------------------------------------------------------------------------------- */

bool cli_open_reader(struct cli_session *session, struct cli_reader *reader, const char *path,
                     int delimiter)
{
    bool standard = !strcmp(path, "-");
    *reader =
        (struct cli_reader){.name = standard ? "standard input" : path, .delimiter = delimiter};
    reader->file = standard ? stdin : fopen(path, "rb");
    if (!reader->file)
        cli_fail_input(session, "%s: %s", path, strerror(errno));
    return reader->file != NULL;
}

void cli_close_reader(struct cli_reader *reader)
{
    if (reader->file && reader->file != stdin)
        fclose(reader->file);
    free(reader->text);
    *reader = (struct cli_reader){0};
}

/* Appends one byte, or drops it if the text is too long already. False when out of memory. */
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

/* Reads the bytes up to the delimiter or the end of the file. False: there are none, or they cannot
 * be read, which was reported. */
static bool read_bytes(struct cli_session *session, struct cli_reader *reader)
{
    bool any = false, good = true;
    int byte = 0;
    reader->length = 0;
    while (good) {
        byte = getc(reader->file);
        if (byte == EOF || byte == reader->delimiter)
            break;
        any = true;
        good = keep_byte(reader, byte);
    }
    if (!good)
        cli_fail_input(session, "%s: out of memory", reader->name);
    if (byte == EOF && ferror(reader->file)) {
        cli_fail_input(session, "%s: %s", reader->name, strerror(errno));
        good = false;
    }
    return good && (any || byte != EOF);
}

bool cli_read_text(struct cli_session *session, struct cli_reader *reader)
{
    bool good = read_bytes(session, reader);
    reader->number++;
    while (good && reader->length == MAX_TEXT) {
        cli_fail_input(session, "%s: text %zu: expected at most %d bytes", reader->name,
                       reader->number, MAX_TEXT - 1);
        good = read_bytes(session, reader);
        reader->number++;
    }
    if (good && reader->delimiter == '\n' && reader->length &&
        reader->text[reader->length - 1] == '\r')
        reader->length--;
    return good;
}

static bool read_list(struct cli_session *session, const char *path, bool keep_empty,
                      struct cli_inputs *inputs)
{
    bool good = true;
    struct cli_reader reader;
    if (!cli_open_reader(session, &reader, path, '\n'))
        return true; /* It counts as a failed input; the others are done. */
    while (good && cli_read_text(session, &reader))
        if (reader.length || keep_empty)
            good = cli_add_input(inputs, reader.length ? reader.text : "", reader.length);
    cli_close_reader(&reader);
    return good;
}

int cli_read_lists(struct cli_session *session, struct cli_inputs *inputs, bool keep_empty)
{
    struct cli_inputs result = {0};
    bool good = true;
    for (size_t i = 0; good && i < inputs->count; i++) {
        const struct cli_input *input = &inputs->items[i];
        if (input->list)
            good = read_list(session, input->text, keep_empty, &result);
        else
            good = cli_add_input(&result, input->text, input->length);
    }
    cli_free_inputs(inputs);
    *inputs = result;
    return good ? CLI_DONE : cli_fail(CLI_FAILED, "out of memory");
}

/* ---- Folders --------------------------------------------------------------------------------- */

/* A link to a folder is no real folder, because links can lead in a circle. */
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

/* Lists the paths of everything in a folder that is not hidden, sorted. */
static bool list_folder(struct cli_session *session, const char *path, struct cli_inputs *entries)
{
    bool good = true;
    DIR *folder = opendir(path);
    if (!folder) {
        cli_fail_input(session, "%s: %s", path, strerror(errno));
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

static bool add_folder(struct cli_session *session, const char *path, bool recursive,
                       struct cli_inputs *result)
{
    struct cli_inputs entries = {0};
    bool good = list_folder(session, path, &entries);
    for (size_t i = 0; good && i < entries.count; i++) {
        const char *entry = entries.items[i].text;
        if (is_real_folder(entry))
            good = !recursive || add_folder(session, entry, recursive, result);
        else if (vkclip_find_image_format(entry) && !folder_exists(entry))
            good = cli_add_input(result, entry, strlen(entry));
    }
    cli_free_inputs(&entries);
    return good;
}

/* A folder without pictures counts as a failed input, unless a reason was reported already. */
static bool expand_folder(struct cli_session *session, const char *path, bool recursive,
                          struct cli_inputs *result)
{
    const size_t count = result->count, failures = session->failures;
    if (!add_folder(session, path, recursive, result))
        return false;
    if (result->count == count && session->failures == failures)
        cli_fail_input(session, "%s: no pictures in this folder", path);
    return true;
}

int cli_read_folders(struct cli_session *session, struct cli_inputs *inputs, bool recursive)
{
    struct cli_inputs result = {0};
    bool good = true;
    for (size_t i = 0; good && i < inputs->count; i++) {
        const struct cli_input *input = &inputs->items[i];
        if (strlen(input->text) != input->length)
            cli_fail_input(session, "%s: a path ends here at a NUL, expected one path per line",
                           input->text);
        else if (folder_exists(input->text))
            good = expand_folder(session, input->text, recursive, &result);
        else
            good = cli_add_input(&result, input->text, input->length);
    }
    cli_free_inputs(inputs);
    *inputs = result;
    return good ? CLI_DONE : cli_fail(CLI_FAILED, "out of memory");
}

int cli_read_pictures(struct cli_session *session, struct cli_pictures *pictures)
{
    const struct cli_inputs *arguments = &session->arguments;
    for (size_t i = 0; i < arguments->count; i++)
        if (!cli_add_input(&pictures->images, arguments->items[i].text, arguments->items[i].length))
            return cli_fail(CLI_FAILED, "out of memory");
    int status = cli_read_lists(session, &pictures->images, false);
    if (!status)
        status = cli_read_folders(session, &pictures->images, pictures->recursive);
    return status;
}
