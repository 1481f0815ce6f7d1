/* SPDX-License-Identifier: MIT
 *
 * Each function has one version per system.
 */
#define _GNU_SOURCE
#include "base/file_lock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/string.h"

#include <errno.h>
#include <string.h>

#ifdef _WIN32
#include "base/wide.h"

#include <fcntl.h>
#include <io.h>
#include <share.h>
#include <sys/stat.h>
#include <windows.h>
#else
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

#ifdef _WIN32
static int open_file(const char *path, int flags, int sharing)
{
    wchar_t *wide = wide_path(path);
    int file = -1;
    if (wide)
        _wsopen_s(&file, wide, _O_RDWR | _O_CREAT | _O_NOINHERIT | flags, sharing,
                  _S_IREAD | _S_IWRITE);
    memory_free(wide);
    return file;
}

/* No other process can open the file, which the system removes when it is closed. */
static int open_lock(const char *path)
{
    return open_file(path, _O_TEMPORARY, _SH_DENYRW);
}

static bool is_busy(void)
{
    return errno == EACCES;
}

static void close_lock(const struct file_lock *lock)
{
    _close(lock->file);
}

static int open_lasting(const char *path)
{
    return open_file(path, 0, _SH_DENYNO);
}

/* Locks the first byte, as Python's filelock does. */
static bool take_lock(int file, bool waits)
{
    OVERLAPPED place = {0};
    const DWORD flags = LOCKFILE_EXCLUSIVE_LOCK | (waits ? 0 : LOCKFILE_FAIL_IMMEDIATELY);
    return LockFileEx((HANDLE)_get_osfhandle(file), flags, 0, 1, 0, &place) ||
           GetLastError() != ERROR_LOCK_VIOLATION;
}
#else
/* The process that held the lock may remove the file after this one opened it. What is locked then
 * is no longer at the path, where another process would lock a new file. */
static int open_lock(const char *path)
{
    struct stat opened, named;
    int file = -1;
    do {
        if (file >= 0)
            close(file);
        file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (file < 0)
            return file;
        if (flock(file, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK) {
            close(file);
            errno = EWOULDBLOCK;
            return -1;
        }
    } while (fstat(file, &opened) || stat(path, &named) || opened.st_ino != named.st_ino);
    return file;
}

static bool is_busy(void)
{
    return errno == EWOULDBLOCK;
}

static void close_lock(const struct file_lock *lock)
{
    if (!lock->stays)
        remove(lock->path); /* It must be gone before another process can lock it. */
    close(lock->file);
}

static int open_lasting(const char *path)
{
    return open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
}

static bool take_lock(int file, bool waits)
{
    int result;
    do
        result = flock(file, LOCK_EX | (waits ? 0 : LOCK_NB));
    while (result && errno == EINTR);
    return !result || errno != EWOULDBLOCK;
}
#endif

static int out_of_memory(const char *path)
{
    return error_fail(VKCLIP_EMEMORY, "%s: out of memory", path);
}

int file_lock(const char *path, struct file_lock *lock)
{
    *lock = (struct file_lock){.path = string_format("%s.lock", path)};
    if (!lock->path)
        return out_of_memory(path);
    lock->file = open_lock(lock->path);
    if (lock->file >= 0)
        return VKCLIP_OK;
    const int error =
        is_busy()
            ? error_fail(VKCLIP_EIO, "%s: another process is writing it; wait until it ends", path)
            : file_fail_writing(path);
    memory_free(lock->path);
    lock->path = NULL;
    return error;
}

int file_lock_wait(const char *path, void (*tell)(void *user), void *user, struct file_lock *lock)
{
    *lock = (struct file_lock){.path = string_format("%s", path), .stays = true};
    if (!lock->path)
        return out_of_memory(path);
    lock->file = open_lasting(path);
    if (lock->file < 0) {
        memory_free(lock->path);
        lock->path = NULL;
        return file_fail_writing(path);
    }
    if (!take_lock(lock->file, false)) {
        tell(user);
        take_lock(lock->file, true);
    }
    return VKCLIP_OK;
}

void file_unlock(struct file_lock *lock)
{
    if (lock->path)
        close_lock(lock);
    memory_free(lock->path);
    *lock = (struct file_lock){0};
}
