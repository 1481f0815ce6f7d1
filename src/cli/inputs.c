/* SPDX-License-Identifier: MIT
 *
 * Reads lists, folders and tar files. Links to folders are not followed, and hidden files are left
 * out.
 */
#include "base/file.h"
#include "base/folder.h"
#include "base/left_out.h"
#include "base/string.h"
#include "cli/inputs.h"
#include "cli/print.h"
#include "cli/reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- Lists ----------------------------------------------------------------------------------- */

/* Moves an input to the end of another list. False when out of memory. */
static bool move_input(struct cli_inputs *inputs, struct cli_input *input)
{
    if (!cli_add_input(inputs, input->text, input->length))
        return false;
    inputs->items[inputs->count - 1].file = input->file;
    input->file = NULL;
    return true;
}

static bool read_list(struct cli_session *session, const char *path, int delimiter, bool keep_empty,
                      struct cli_inputs *inputs)
{
    bool good = true;
    struct cli_reader reader;
    if (!cli_open_reader(session, &reader, path, delimiter))
        return true; /* It counts as a failed input; the others are done. */
    while (good && cli_read_text(session, &reader))
        if (reader.length || keep_empty)
            good = cli_add_input(inputs, reader.length ? reader.text : "", reader.length);
    cli_close_reader(&reader);
    return good;
}

int cli_read_lists(struct cli_session *session, struct cli_inputs *inputs, bool null,
                   bool keep_empty)
{
    struct cli_inputs result = {0};
    bool good = true;
    for (size_t i = 0; good && i < inputs->count; i++) {
        struct cli_input *input = &inputs->items[i];
        if (input->list)
            good = read_list(session, input->text, null ? 0 : '\n', keep_empty, &result);
        else
            good = move_input(&result, input);
    }
    cli_free_inputs(inputs);
    *inputs = result;
    return good ? CLI_DONE : cli_fail_memory();
}

/* ---- Folders --------------------------------------------------------------------------------- */

/* What a folder has besides the pictures that this build reads, by the endings of the names. */
struct folder_rest {
    struct left_out others, unreadable;
};

/* A link to a folder is no real folder, because links can lead in a circle. */
static bool is_real_folder(const char *path)
{
    struct file_status status;
    return file_status_of_link(path, &status) && status.kind == FILE_KIND_FOLDER;
}

/* Lists the paths of everything in a folder that is not hidden, sorted. */
static bool list_folder(struct cli_session *session, const char *path, struct cli_inputs *entries)
{
    char **names;
    size_t count;
    bool good = true;
    if (folder_list(path, &names, &count)) {
        cli_fail_input(session, "%s", vkclip_last_error());
        return true;
    }
    const size_t length = strlen(path);
    const char *slash = length && file_is_separator(path[length - 1]) ? "" : "/";
    for (size_t i = 0; i < count && good; i++) {
        if (names[i][0] == '.')
            continue;
        char *full = string_format("%s%s%s", path, slash, names[i]);
        good = full && cli_add_input(entries, full, strlen(full));
        free(full);
    }
    folder_free_names(&names, count);
    return good;
}

static bool add_folder(struct cli_session *session, const char *path, bool recursive,
                       struct cli_inputs *result, struct folder_rest *rest)
{
    struct cli_inputs entries = {0};
    bool good = list_folder(session, path, &entries);
    for (size_t i = 0; good && i < entries.count; i++) {
        const char *entry = entries.items[i].text;
        const struct vkclip_image_format *format = vkclip_find_image_format(entry);
        if (is_real_folder(entry))
            good = !recursive || add_folder(session, entry, recursive, result, rest);
        else if (folder_exists(entry))
            continue;
        else if (!format)
            left_out_add(&rest->others, entry, NULL);
        else if (!format->readable)
            left_out_add(&rest->unreadable, entry, format->library);
        else
            good = cli_add_input(result, entry, strlen(entry));
    }
    cli_free_inputs(&entries);
    return good;
}

/* Pictures that this build cannot read count as one failed input. So does a folder without
 * pictures, unless a reason was reported already. */
static bool expand_folder(struct cli_session *session, const char *path, bool recursive,
                          struct cli_inputs *result)
{
    const size_t count = result->count, failures = session->failures;
    struct folder_rest rest = {0};
    char kinds[512] = "";
    if (!add_folder(session, path, recursive, result, &rest))
        return false;
    if (rest.unreadable.total) {
        left_out_describe(&rest.unreadable, "which this build of vkclip cannot read", kinds,
                          sizeof(kinds));
        cli_fail_input(session, "%s: %s", path, kinds);
    }
    if (rest.others.total)
        left_out_describe(&rest.others, NULL, kinds, sizeof(kinds));
    if (result->count == count && session->failures == failures)
        cli_fail_input(session, "%s: no pictures in this folder%s%s", path, *kinds ? "; " : "",
                       kinds);
    else if (rest.others.total && !session->common.quiet)
        cli_say("warning: %s: %s", path, kinds);
    return true;
}

int cli_read_folders(struct cli_session *session, struct cli_inputs *inputs, bool recursive)
{
    struct cli_inputs result = {0};
    bool good = true;
    for (size_t i = 0; good && i < inputs->count; i++) {
        struct cli_input *input = &inputs->items[i];
        if (strlen(input->text) != input->length)
            cli_fail_input(session,
                           "%s: a path ends here at a NUL, expected one path per line; -0 reads "
                           "lists of paths that end with NUL",
                           input->text);
        else if (!input->file && folder_exists(input->text))
            good = expand_folder(session, input->text, recursive, &result);
        else
            good = move_input(&result, input);
    }
    cli_free_inputs(inputs);
    *inputs = result;
    return good ? CLI_DONE : cli_fail_memory();
}

int cli_read_subfolders(struct cli_session *session, const char *path, struct cli_inputs *folders)
{
    const size_t failures = session->failures;
    struct cli_inputs entries = {0};
    int status = CLI_DONE;
    if (!list_folder(session, path, &entries))
        status = cli_fail_memory();
    else if (session->failures != failures)
        status = CLI_FAILED;
    for (size_t i = 0; i < entries.count && !status; i++) {
        const struct cli_input *entry = &entries.items[i];
        if (is_real_folder(entry->text) && !cli_add_input(folders, entry->text, entry->length))
            status = cli_fail_memory();
        else if (!folder_exists(entry->text) && vkclip_find_image_format(entry->text))
            status = cli_fail(CLI_FAILED,
                              "%s: expected in a folder named as its label, found "
                              "beside these folders",
                              entry->text);
    }
    cli_free_inputs(&entries);
    return status;
}

/* ---- Standard input -------------------------------------------------------------------------- */

/* Copies standard input to a file without a name, which ends with the process, and lets the input
 * be read from there, because a picture's bytes may be needed more than once. False: it cannot be
 * read or copied, which was reported. */
static bool copy_standard_input(struct cli_session *session, struct cli_input *input)
{
    input->file = file_keep_stream(stdin);
    if (!input->file)
        cli_fail_input(session, "standard input: cannot be copied to a temporary file: %s",
                       strerror(errno));
    return input->file != NULL;
}

/* Finds the picture "-" among those that were named one by one; a list can name a file "-" so. */
static void read_standard_input(struct cli_session *session, struct cli_inputs *pictures)
{
    size_t kept = 0;
    bool seen = false;
    for (size_t i = 0; i < pictures->count; i++) {
        struct cli_input *input = &pictures->items[i];
        const bool standard = !input->list && !strcmp(input->text, "-");
        bool good = true;
        if (standard && seen) {
            cli_fail_input(session, "-: standard input holds one picture, and was named before");
            good = false;
        } else if (standard) {
            good = copy_standard_input(session, input);
        }
        seen = seen || standard;
        if (good)
            pictures->items[kept++] = *input;
        else
            free(input->text);
    }
    pictures->count = kept;
}

int cli_read_pictures(struct cli_session *session, struct cli_pictures *pictures)
{
    const struct cli_inputs *arguments = &session->arguments;
    for (size_t i = 0; i < arguments->count; i++)
        if (!cli_add_input(&pictures->images, arguments->items[i].text, arguments->items[i].length))
            return cli_fail_memory();
    read_standard_input(session, &pictures->images);
    int status = cli_read_lists(session, &pictures->images, pictures->null, false);
    if (!status)
        status = cli_read_folders(session, &pictures->images, pictures->recursive);
    return status;
}

/* ---- Tar files ------------------------------------------------------------------------------- */

/* Adds an archive to the list, or why it cannot be opened. NULL: out of memory. */
static struct cli_archive *open_archive(const char *path, struct cli_archive **archives)
{
    struct cli_archive *archive = calloc(1, sizeof(*archive));
    if (!archive)
        return NULL;
    archive->next = *archives;
    *archives = archive;
    if (!vkclip_open_archive(path, &archive->handle))
        return archive;
    archive->problem = string_format("%s", vkclip_last_error());
    return archive->problem ? archive : NULL;
}

static bool add_member(struct cli_inputs *inputs, const char *name,
                       const struct cli_archive *archive, size_t member)
{
    if (!name || !cli_add_input(inputs, name, strlen(name)))
        return false;
    struct cli_input *input = &inputs->items[inputs->count - 1];
    input->archive = archive;
    input->member = member;
    return true;
}

static bool add_archive(struct cli_inputs *inputs, const char *path, struct cli_archive **archives)
{
    const struct cli_archive *archive = open_archive(path, archives);
    const char *member;
    bool good = archive != NULL;
    if (good && archive->problem)
        return add_member(inputs, path, archive, 0);
    for (size_t i = 0; good && (member = vkclip_get_archived_name(archive->handle, i)); i++) {
        char *name = string_format("%s: %s", path, member);
        good = add_member(inputs, name, archive, i);
        free(name);
    }
    return good;
}

static bool is_archive(const char *path)
{
    return string_ends_with(path, ".tar") || string_ends_with(path, ".tar.gz") ||
           string_ends_with(path, ".tgz");
}

int cli_read_archives(struct cli_inputs *inputs, struct cli_archive **archives)
{
    struct cli_inputs result = {0};
    bool good = true;
    for (size_t i = 0; good && i < inputs->count; i++) {
        struct cli_input *input = &inputs->items[i];
        if (!input->file && is_archive(input->text))
            good = add_archive(&result, input->text, archives);
        else
            good = move_input(&result, input);
    }
    cli_free_inputs(inputs);
    *inputs = result;
    return good ? CLI_DONE : cli_fail_memory();
}

void cli_close_archives(struct cli_archive **archives)
{
    while (*archives) {
        struct cli_archive *archive = *archives;
        *archives = archive->next;
        vkclip_close_archive(&archive->handle);
        free(archive->problem);
        free(archive);
    }
}
