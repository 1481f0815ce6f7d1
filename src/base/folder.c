/* SPDX-License-Identifier: MIT
 *
 * Folders are listed and made by other calls on Windows than on POSIX systems, and functions here
 * hide the difference.
 */
#define _GNU_SOURCE
#include "base/folder.h"
#include "base/environment.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/process.h"
#include "base/string.h"
#include "base/wide.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef _WIN32
#include <windows.h>
#else
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#endif

bool folder_exists(const char *path)
{
    struct file_status status;
    return file_status(path, &status) && status.kind == FILE_KIND_FOLDER;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Adds a name, which is copied, and may be NULL when out of memory. */
static bool add_name(char ***names, size_t *count, const char *name)
{
    if (!name)
        return false;
    if (!strcmp(name, ".") || !strcmp(name, ".."))
        return true;
    char **larger = memory_realloc(*names, (*count + 1) * sizeof(*larger));
    if (!larger)
        return false;
    *names = larger;
    larger[*count] = string_format("%s", name);
    if (!larger[*count])
        return false;
    ++*count;
    return true;
}

/* Lists the names. Returns false when out of memory; otherwise `reason` is a number of errno if not
 * all could be read. */
#ifdef _WIN32
static bool list_names(const char *path, char ***names, size_t *count, int *reason)
{
    WIN32_FIND_DATAW entry;
    bool good = true;
    const size_t length = strlen(path);
    char *pattern =
        string_format("%s%s*", path, length && file_is_separator(path[length - 1]) ? "" : "/");
    wchar_t *wide = pattern ? wide_path(pattern) : NULL;
    HANDLE folder = wide ? FindFirstFileExW(wide, FindExInfoBasic, &entry, FindExSearchNameMatch,
                                            NULL, FIND_FIRST_EX_LARGE_FETCH)
                         : INVALID_HANDLE_VALUE;
    if (wide && folder == INVALID_HANDLE_VALUE)
        wide_fail();
    *reason = folder == INVALID_HANDLE_VALUE ? errno : 0;
    memory_free(wide);
    memory_free(pattern);
    if (*reason)
        return true;
    do {
        char *name = wide_to_utf8(entry.cFileName);
        good = add_name(names, count, name);
        memory_free(name);
    } while (good && FindNextFileW(folder, &entry));
    if (good && GetLastError() != ERROR_NO_MORE_FILES) {
        wide_fail();
        *reason = errno;
    }
    FindClose(folder);
    return good;
}
#else
/* Returns NULL after the last entry, and where the rest cannot be read, with the reason then. */
static struct dirent *next_entry(DIR *folder, int *reason)
{
    errno = 0;
    struct dirent *entry = readdir(folder);
    *reason = entry ? 0 : errno;
    return entry;
}

static bool list_names(const char *path, char ***names, size_t *count, int *reason)
{
    bool good = true;
    DIR *folder = opendir(path);
    *reason = folder ? 0 : errno;
    if (!folder)
        return true;
    for (struct dirent *entry; good && (entry = next_entry(folder, reason));)
        good = add_name(names, count, entry->d_name);
    closedir(folder);
    return good;
}
#endif

int folder_list(const char *path, char ***names, size_t *count)
{
    int reason = 0; /* why the list is not complete */
    *names = NULL;
    *count = 0;
    const bool good = list_names(path, names, count, &reason);
    if (!good || reason) {
        folder_free_names(names, *count);
        *count = 0;
        return good ? error_fail(VKCLIP_EIO, "%s: %s", path, strerror(reason))
                    : error_fail(VKCLIP_EMEMORY, "%s: out of memory", path);
    }
    if (*count)
        qsort(*names, *count, sizeof(**names), compare_names);
    return VKCLIP_OK;
}

void folder_free_names(char ***names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        memory_free((*names)[i]);
    memory_free(*names);
    *names = NULL;
}

#ifdef _WIN32
static bool make_one(const char *path, unsigned mode)
{
    wchar_t *wide = wide_path(path);
    const bool made = wide && (CreateDirectoryW(wide, NULL) || wide_fail());
    (void)mode; /* A new folder has the rights of the one that it is in. */
    memory_free(wide);
    return made;
}

static bool is_writable(const char *path)
{
    wchar_t *wide = wide_path(path);
    HANDLE folder = wide ? CreateFileW(wide, FILE_ADD_FILE,
                                       FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL,
                                       OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS, NULL)
                         : INVALID_HANDLE_VALUE;
    memory_free(wide);
    if (folder == INVALID_HANDLE_VALUE)
        return false;
    CloseHandle(folder);
    return true;
}

void folder_remove_empty(const char *path)
{
    wchar_t *wide = wide_path(path);
    if (wide)
        RemoveDirectoryW(wide);
    memory_free(wide);
}

uint64_t folder_free_bytes(const char *path)
{
    ULARGE_INTEGER left;
    wchar_t *wide = wide_path(path);
    const bool known = wide && GetDiskFreeSpaceExW(wide, &left, NULL, NULL);
    memory_free(wide);
    return known ? left.QuadPart : UINT64_MAX;
}

/* A folder of an earlier process with the same number may have been left. */
char *folder_make_temporary(const char *name)
{
    enum { MOST_TRIES = 1000 };
    wchar_t wide[MAX_PATH + 1];
    char *base = GetTempPathW(MAX_PATH + 1, wide) ? wide_to_utf8(wide) : NULL, *path = NULL;
    for (int i = 0; base && i < MOST_TRIES; i++) {
        path = string_format("%s%s.%ld.%d", base, name, process_number(), i);
        if (!path || make_one(path, 0700))
            break;
        memory_free(path);
        path = NULL;
    }
    memory_free(base);
    return path;
}

/* The system keeps the list of names on the disk by itself. */
static void sync_folder(const char *path)
{
    (void)path;
}
#else
static bool make_one(const char *path, unsigned mode)
{
    return !mkdir(path, (mode_t)mode);
}

static bool is_writable(const char *path)
{
    return !access(path, W_OK);
}

void folder_remove_empty(const char *path)
{
    rmdir(path);
}

uint64_t folder_free_bytes(const char *path)
{
    struct statvfs disk;
    return statvfs(path, &disk) ? UINT64_MAX : (uint64_t)disk.f_bavail * disk.f_frsize;
}

char *folder_make_temporary(const char *name)
{
    char *base = environment_ask("TMPDIR");
    char *path = string_format("%s/%s-XXXXXX", base ? base : "/tmp", name);
    memory_free(base);
    if (path && mkdtemp(path))
        return path;
    memory_free(path);
    return NULL;
}

/* Writes the folder's list of names to the disk, so that renamed files have their new names even
 * after a crash. */
static void sync_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
}
#endif

int folder_make(const char *path)
{
    if (make_one(path, 0777))
        return VKCLIP_OK;
    return error_fail(VKCLIP_EIO, "%s: %s", path, strerror(errno));
}

int folder_make_new(const char *path)
{
    char **names = NULL;
    size_t count = 0;
    if (!folder_exists(path))
        return folder_make(path);
    int error = folder_list(path, &names, &count);
    folder_free_names(&names, count);
    if (!error && count)
        error = error_fail(VKCLIP_EINVALID, "%s: expected a new or empty folder, found %zu files",
                           path, count);
    return error;
}

bool folder_make_all(const char *path, unsigned mode)
{
    char *copy = string_format("%s", path);
    if (!copy)
        return false;
    for (char *end = copy; *end; end++)
        if (file_is_separator(*end) && end != copy) {
            const char separator = *end;
            *end = 0;
            make_one(copy, mode);
            *end = separator;
        }
    make_one(copy, mode);
    const bool usable = folder_exists(copy) && is_writable(copy);
    memory_free(copy);
    return usable;
}

/* Removes an entry of a folder that is being removed. */
static void remove_entry(const char *path)
{
    struct file_status status;
    if (file_status_of_link(path, &status) && status.kind == FILE_KIND_FOLDER)
        folder_remove(path);
    else if (!file_remove(path))
        folder_remove_empty(path); /* Windows has links that are removed as folders are. */
}

void folder_remove(const char *path)
{
    char **names = NULL;
    size_t count = 0;
    if (!folder_exists(path) || folder_list(path, &names, &count))
        return;
    for (size_t i = 0; i < count; i++) {
        char *entry = string_format("%s/%s", path, names[i]);
        if (entry)
            remove_entry(entry);
        memory_free(entry);
    }
    folder_free_names(&names, count);
    folder_remove_empty(path);
}

int folder_replace(const char *source, const char *target)
{
    char *old = string_format("%s.old.tmp", target);
    char *parent = string_format("%.*s.", (int)(file_name(target) - target), target);
    int error = VKCLIP_OK;
    if (!old || !parent)
        error = error_fail(VKCLIP_EMEMORY, "%s: out of memory", target);
    if (!error) {
        sync_folder(source);
        folder_remove(old);
        file_move(target, old); /* This fails where there is no older folder. */
        error = file_rename(source, target);
        if (error)
            file_move(old, target);
        folder_remove(old);
        sync_folder(parent);
    }
    memory_free(old);
    memory_free(parent);
    return error;
}
