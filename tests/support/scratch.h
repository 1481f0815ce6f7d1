/* SPDX-License-Identifier: MIT
 *
 * Scratch folders for tests that need broken or unusual files.
 */
#ifndef VKCLIP_TESTS_SUPPORT_SCRATCH_H
#define VKCLIP_TESTS_SUPPORT_SCRATCH_H

#include "base/file.h"
#include "base/folder.h"
#include "base/string.h"
#include "support/testing.h"

/* Makes an empty folder. The caller removes it with scratch_remove, which also frees its path. The
 * path has no links, as those that an index has. */
static inline char *scratch_folder(void)
{
    char *made = folder_make_temporary("vkclip-test");
    char *path = made ? file_resolve(made) : NULL;
    assert_non_null(path);
    free(made);
    return path;
}

static inline char *scratch_path(const char *folder, const char *name)
{
    char *path = string_format("%s/%s", folder, name);
    assert_non_null(path);
    return path;
}

/* Returns the path of the only file of a folder whose name begins with `start`, or NULL if there is
 * none. */
static inline char *scratch_find(const char *folder, const char *start)
{
    char **names = NULL, *path = NULL;
    size_t count = 0;
    assert_int_equal(folder_list(folder, &names, &count), 0);
    for (size_t i = 0; i < count; i++)
        if (string_begins_with(names[i], start)) {
            assert_null(path);
            path = string_format("%s/%s", folder, names[i]);
        }
    folder_free_names(&names, count);
    return path;
}

static inline void scratch_write(const char *folder, const char *name, const void *data,
                                 size_t size)
{
    struct file_part part = {data, size};
    char *path = scratch_path(folder, name);
    assert_int_equal(file_write(path, &part, 1), 0);
    free(path);
}

static inline void scratch_text(const char *folder, const char *name, const char *text)
{
    scratch_write(folder, name, text, strlen(text));
}

/* Links a file, or copies it where the system lets this user make no links. */
static inline void scratch_link(const char *target, const char *path)
{
    struct file_map map;
    if (file_link(target, path))
        return;
    assert_int_equal(file_map_open(target, &map), 0);
    struct file_part part = {map.data, map.size};
    assert_int_equal(file_write(path, &part, 1), 0);
    file_map_close(&map);
}

/* Makes a file longer or shorter. */
static inline void scratch_cut(const char *path, uint64_t size)
{
    FILE *file = file_stream(path, "r+b");
    assert_non_null(file);
    assert_true(file_truncate(file, size));
    assert_int_equal(fclose(file), 0);
}

/* Removes a folder with its content, and frees its path. */
static inline void scratch_clear(const char *folder)
{
    char **names;
    size_t count;
    assert_int_equal(folder_list(folder, &names, &count), 0);
    for (size_t i = 0; i < count; i++) {
        char *path = scratch_path(folder, names[i]);
        struct file_status status;
        assert_true(file_status_of_link(path, &status));
        if (status.kind == FILE_KIND_FOLDER)
            scratch_clear(path);
        else
            file_remove(path);
        free(path);
    }
    folder_free_names(&names, count);
    folder_remove_empty(folder);
}

static inline void scratch_remove(char *folder)
{
    scratch_clear(folder);
    free(folder);
}

/* Checks that a call fails with the given error, and that its message is one line with `part` in
 * it. */
#define assert_failed(call, code, part)                                                          \
    do {                                                                                         \
        int code_found = (call);                                                                 \
        const char *message_found = vkclip_last_error();                                         \
        if (code_found != (code) || !strstr(message_found, part) || strchr(message_found, '\n')) \
            fail_msg("expected %d with \"%s\", found %d with \"%s\"", code, part, code_found,    \
                     code_found ? message_found : "");                                           \
    } while (0)

#endif
