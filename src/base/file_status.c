/* SPDX-License-Identifier: MIT
 *
 * Each function has one version per system.
 */
#define _GNU_SOURCE
#include "base/file_status.h"
#include "base/memory.h"

#ifdef _WIN32
#include "base/wide.h"

#include <io.h>
#include <windows.h>
#else
#include <sys/stat.h>
#include <unistd.h>
#endif

#ifdef _WIN32
/* Other tags stand for files that are elsewhere, as in the cloud, and are read as any others. */
static bool is_link(HANDLE file)
{
    FILE_ATTRIBUTE_TAG_INFO info;
    return GetFileInformationByHandleEx(file, FileAttributeTagInfo, &info, sizeof(info)) &&
           info.FileAttributes & FILE_ATTRIBUTE_REPARSE_POINT &&
           (info.ReparseTag == IO_REPARSE_TAG_SYMLINK ||
            info.ReparseTag == IO_REPARSE_TAG_MOUNT_POINT);
}

static bool find_status(HANDLE file, struct file_status *status)
{
    BY_HANDLE_FILE_INFORMATION info;
    FILE_BASIC_INFO times;
    *status = (struct file_status){0};
    if (GetFileType(file) != FILE_TYPE_DISK)
        return true;
    if (!GetFileInformationByHandle(file, &info))
        return wide_fail();
    status->kind = is_link(file)                                      ? FILE_KIND_LINK
                   : info.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY ? FILE_KIND_FOLDER
                                                                      : FILE_KIND_FILE;
    status->device = info.dwVolumeSerialNumber;
    status->inode = (uint64_t)info.nFileIndexHigh << 32 | info.nFileIndexLow;
    status->size = (uint64_t)info.nFileSizeHigh << 32 | info.nFileSizeLow;
    status->modified =
        wide_date(info.ftLastWriteTime.dwLowDateTime, info.ftLastWriteTime.dwHighDateTime);
    status->changed = status->modified;
    if (GetFileInformationByHandleEx(file, FileBasicInfo, &times, sizeof(times)))
        status->changed = wide_date(times.ChangeTime.LowPart, (uint32_t)times.ChangeTime.HighPart);
    return true;
}

static bool find_path_status(const char *path, DWORD flags, struct file_status *status)
{
    wchar_t *wide = wide_path(path);
    if (!wide)
        return false;
    HANDLE file = CreateFileW(wide, FILE_READ_ATTRIBUTES,
                              FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL,
                              OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS | flags, NULL);
    memory_free(wide);
    if (file == INVALID_HANDLE_VALUE)
        return wide_fail();
    const bool good = find_status(file, status);
    CloseHandle(file);
    return good;
}

bool file_status(const char *path, struct file_status *status)
{
    return find_path_status(path, 0, status);
}

bool file_status_of_link(const char *path, struct file_status *status)
{
    return find_path_status(path, FILE_FLAG_OPEN_REPARSE_POINT, status);
}

bool file_status_of_descriptor(int file, struct file_status *status)
{
    return find_status((HANDLE)_get_osfhandle(file), status);
}

bool file_is_own_socket(const char *path)
{
    (void)path;
    return false;
}
#else
static int64_t to_nanoseconds(struct timespec time)
{
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* Copies what stat, lstat or fstat has found, whose result this takes. */
static bool copy_status(int result, const struct stat *found, struct file_status *status)
{
    *status = (struct file_status){0};
    if (result)
        return false;
    status->kind = S_ISREG(found->st_mode)   ? FILE_KIND_FILE
                   : S_ISDIR(found->st_mode) ? FILE_KIND_FOLDER
                   : S_ISLNK(found->st_mode) ? FILE_KIND_LINK
                                             : FILE_KIND_OTHER;
    status->device = (uint64_t)found->st_dev;
    status->inode = (uint64_t)found->st_ino;
    status->size = (uint64_t)found->st_size;
#ifdef __APPLE__
    status->modified = to_nanoseconds(found->st_mtimespec);
    status->changed = to_nanoseconds(found->st_ctimespec);
#else
    status->modified = to_nanoseconds(found->st_mtim);
    status->changed = to_nanoseconds(found->st_ctim);
#endif
    return true;
}

bool file_status(const char *path, struct file_status *status)
{
    struct stat found;
    const int result = stat(path, &found);
    return copy_status(result, &found, status);
}

bool file_status_of_link(const char *path, struct file_status *status)
{
    struct stat found;
    const int result = lstat(path, &found);
    return copy_status(result, &found, status);
}

bool file_is_own_socket(const char *path)
{
    struct stat found;
    return !stat(path, &found) && S_ISSOCK(found.st_mode) && found.st_uid == getuid();
}

bool file_status_of_descriptor(int file, struct file_status *status)
{
    struct stat found;
    const int result = fstat(file, &found);
    return copy_status(result, &found, status);
}
#endif
