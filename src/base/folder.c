/* SPDX-License-Identifier: MIT
 *
 * Folders are listed and made by other calls on Windows than on POSIX systems, and functions here
 * hide the difference.
 */
#define _GNU_SOURCE
#include "base/folder.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/string.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>

#ifdef _WIN32
#include <direct.h>
#include <windows.h>
#include <io.h>
#define access _access
#define W_OK 2
#else
#include <dirent.h>
#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>
#endif

bool folder_exists(const char *path)
{
    struct stat status;
    return !stat(path, &status) && (status.st_mode & S_IFMT) == S_IFDIR;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool add_name(char ***names, size_t *count, const char *name)
{
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

#ifndef _WIN32
/* Returns NULL after the last entry, and where the rest cannot be read, with the reason then. */
static struct dirent *next_entry(DIR *folder, int *reason)
{
    errno = 0;
    struct dirent *entry = readdir(folder);
    *reason = entry ? 0 : errno;
    return entry;
}
#endif

int folder_list(const char *path, char ***names, size_t *count)
{
    bool good = true;
    int reason = 0; /* why the list is not complete */
    *names = NULL;
    *count = 0;
#ifdef _WIN32
    struct _finddata_t entry;
    char *pattern = string_format("%s/*", path);
    intptr_t folder = pattern ? _findfirst(pattern, &entry) : -1;
    memory_free(pattern);
    if (folder == -1)
        return error_fail(VKCLIP_EIO, "%s: folder cannot be read", path);
    do
        good = add_name(names, count, entry.name);
    while (good && !_findnext(folder, &entry));
    _findclose(folder);
#else
    DIR *folder = opendir(path);
    if (!folder)
        return error_fail(VKCLIP_EIO, "%s: %s", path, strerror(errno));
    for (struct dirent *entry; good && (entry = next_entry(folder, &reason));)
        good = add_name(names, count, entry->d_name);
    closedir(folder);
#endif
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

static bool make_one(const char *path, unsigned mode)
{
#ifdef _WIN32
    (void)mode;
    return !_mkdir(path);
#else
    return !mkdir(path, (mode_t)mode);
#endif
}

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
    for (char *separator = copy; *separator; separator++)
        if (*separator == '/' && separator != copy) {
            *separator = 0;
            make_one(copy, mode);
            *separator = '/';
        }
    make_one(copy, mode);
    const bool usable = folder_exists(copy) && !access(copy, W_OK);
    memory_free(copy);
    return usable;
}

uint64_t folder_free_bytes(const char *path)
{
#ifdef _WIN32
    ULARGE_INTEGER left;
    return GetDiskFreeSpaceExA(path, &left, NULL, NULL) ? left.QuadPart : UINT64_MAX;
#else
    struct statvfs disk;
    return statvfs(path, &disk) ? UINT64_MAX : (uint64_t)disk.f_bavail * disk.f_frsize;
#endif
}

/* Tells whether a path is a folder and not a link to one. */
static bool is_own_folder(const char *path)
{
#ifdef _WIN32
    return folder_exists(path);
#else
    struct stat status;
    return !lstat(path, &status) && S_ISDIR(status.st_mode);
#endif
}

void folder_remove(const char *path)
{
    char **names = NULL;
    size_t count = 0;
    if (!folder_exists(path) || folder_list(path, &names, &count))
        return;
    for (size_t i = 0; i < count; i++) {
        char *file = string_format("%s/%s", path, names[i]);
        if (file && is_own_folder(file))
            folder_remove(file);
        else if (file)
            remove(file);
        memory_free(file);
    }
    folder_free_names(&names, count);
#ifdef _WIN32
    _rmdir(path);
#else
    rmdir(path);
#endif
}

/* Writes the folder's list of names to the disk, so that renamed files have their new names even
 * after a crash. */
static void sync_folder(const char *path)
{
#ifdef _WIN32
    (void)path;
#else
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
#endif
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
        rename(target, old); /* This fails where there is no older folder. */
        errno = 0;
        if (rename(source, target)) {
            error = error_fail(VKCLIP_EIO, "%s: cannot be renamed to %s: %s", source, target,
                               strerror(errno));
            rename(old, target);
        }
        folder_remove(old);
        sync_folder(parent);
    }
    memory_free(old);
    memory_free(parent);
    return error;
}
