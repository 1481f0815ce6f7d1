/* SPDX-License-Identifier: MIT
 *
 * Everything that differs between operating systems is in functions that have one version per
 * system.
 */
#define _GNU_SOURCE
#include "base/file.h"
#include "base/memory.h"
#include "base/string.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>

#ifdef _WIN32
#include <io.h>
#include <process.h>
#include <share.h>
#include <windows.h>
#define getpid _getpid
#else
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>
#endif

static bool is_separator(char character)
{
#ifdef _WIN32
    return character == '/' || character == '\\';
#else
    return character == '/'; /* A backslash may be part of a name here. */
#endif
}

const char *file_name(const char *path)
{
    const char *name = path;
    for (; *path; path++)
        if (is_separator(*path))
            name = path + 1;
    return name;
}

bool file_is_absolute(const char *path)
{
#ifdef _WIN32
    if (*path && path[1] == ':')
        return true;
#endif
    return is_separator(*path);
}

bool file_exists(const char *path)
{
    struct stat status;
    return !stat(path, &status) && (status.st_mode & S_IFMT) == S_IFREG;
}

bool file_is_same(const char *a, const char *b)
{
#ifdef _WIN32
    char full_a[_MAX_PATH], full_b[_MAX_PATH];
    return file_exists(a) && _fullpath(full_a, a, _MAX_PATH) && _fullpath(full_b, b, _MAX_PATH) &&
           !_stricmp(full_a, full_b);
#else
    struct stat status_a, status_b;
    return !stat(a, &status_a) && !stat(b, &status_b) && status_a.st_dev == status_b.st_dev &&
           status_a.st_ino == status_b.st_ino;
#endif
}

/* On Windows a file cannot be written to while it is mapped, and files have no inodes. */
static struct file_stamp make_stamp(const struct stat *status)
{
    return (struct file_stamp){(uint64_t)status->st_dev, (uint64_t)status->st_ino, status->st_size,
                               status->st_mtime};
}

struct file_stamp file_stamp(const char *path)
{
    struct stat status;
    return stat(path, &status) ? (struct file_stamp){0} : make_stamp(&status);
}

static bool is_stamp_changed(const struct file_stamp *now, const struct file_stamp *before)
{
    return now->size != before->size || now->modified != before->modified;
}

bool file_is_changed(const char *path, const struct file_stamp *before)
{
    const struct file_stamp now = file_stamp(path);
    return now.inode && now.device == before->device && now.inode == before->inode &&
           is_stamp_changed(&now, before);
}

struct file_stamp file_source_stamp(const struct file_source *source)
{
    struct stat status;
    if (source->kind == FILE_SOURCE_PATH)
        return file_stamp(source->name);
    if (source->kind == FILE_SOURCE_DESCRIPTOR && !fstat(source->file, &status))
        return make_stamp(&status);
    return (struct file_stamp){0};
}

bool file_source_is_changed(const struct file_source *source, const struct file_stamp *before)
{
    if (source->kind == FILE_SOURCE_PATH)
        return file_is_changed(source->name, before);
    const struct file_stamp now = file_source_stamp(source);
    return is_stamp_changed(&now, before);
}

/* ---- Reading --------------------------------------------------------------------------------- */

static int view_memory(const struct file_source *source, struct file_map *map)
{
    *map = (struct file_map){.data = source->data, .size = (size_t)source->size, .borrowed = true};
    return VKCLIP_OK;
}

#ifdef _WIN32
/* Maps `size` bytes of a file that begin at map->start. */
static int map_handle(const char *path, HANDLE file, uint64_t size, struct file_map *map)
{
    SYSTEM_INFO info;
    GetSystemInfo(&info);
    if (!size)
        return VKCLIP_OK;
    const size_t lead = (size_t)(map->start % info.dwAllocationGranularity);
    const uint64_t first = map->start - lead;
    HANDLE mapping = CreateFileMappingA(file, NULL, PAGE_READONLY, 0, 0, NULL);
    const uint8_t *data = mapping ? MapViewOfFile(mapping, FILE_MAP_READ, (DWORD)(first >> 32),
                                                  (DWORD)first, (SIZE_T)(size + lead))
                                  : NULL;
    if (mapping)
        CloseHandle(mapping);
    if (!data)
        return error_fail(VKCLIP_EIO, "%s: cannot be mapped", path);
    map->data = data + lead;
    map->lead = lead;
    map->size = (size_t)size;
    return VKCLIP_OK;
}

int file_map_open(const char *path, struct file_map *map)
{
    *map = (struct file_map){0};
    HANDLE file = CreateFileA(path, GENERIC_READ, FILE_SHARE_READ, NULL, OPEN_EXISTING, 0, NULL);
    LARGE_INTEGER size = {0};
    if (file == INVALID_HANDLE_VALUE || !GetFileSizeEx(file, &size)) {
        if (file != INVALID_HANDLE_VALUE)
            CloseHandle(file);
        return error_fail(VKCLIP_EIO, "%s: cannot be opened", path);
    }
    int error = map_handle(path, file, (uint64_t)size.QuadPart, map);
    CloseHandle(file);
    return error;
}

void file_map_close(struct file_map *map)
{
    if (map->data && !map->borrowed)
        UnmapViewOfFile(map->data - map->lead);
    *map = (struct file_map){0};
}

/* No program can make a file shorter while it is mapped. */
int file_map_hold(const struct file_source *source, struct file_map *map)
{
    int error = VKCLIP_OK;
    if (source->kind == FILE_SOURCE_MEMORY)
        return view_memory(source, map);
    if (source->kind == FILE_SOURCE_PATH) {
        error = file_map_open(source->name, map);
    } else {
        *map = (struct file_map){.start = source->offset};
        error = map_handle(source->name, (HANDLE)_get_osfhandle(source->file), source->size, map);
    }
    map->stamp = file_source_stamp(source);
    return error;
}

int file_open(const char *path, struct file_map *map)
{
    const struct file_source source = file_source_path(path);
    return file_map_hold(&source, map);
}

int file_map_load(const struct file_map *map, uint64_t offset, uint64_t size)
{
    (void)map;
    (void)offset;
    (void)size;
    return VKCLIP_OK;
}

int file_map_read(const struct file_map *map, uint64_t offset, size_t size, void *copy)
{
    memcpy(copy, map->data + offset, size);
    return VKCLIP_OK;
}
#else
/* Opens a path, or a descriptor once more. With O_NONBLOCK a FIFO fails in open_regular, instead of
 * waiting for a writer. */
static int open_file(const struct file_source *source)
{
    if (source->kind == FILE_SOURCE_DESCRIPTOR)
        return fcntl(source->file, F_DUPFD_CLOEXEC, 0);
    return open(source->name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

/* Opens a regular file. Returns a negative number after an error. */
static int open_regular(const struct file_source *source, struct stat *status)
{
    int fd = open_file(source);
    if (fd < 0) {
        error_fail(VKCLIP_EIO, "%s: %s", source->name, strerror(errno));
        return -1;
    }
    if (fstat(fd, status) || !S_ISREG(status->st_mode)) {
        error_fail(VKCLIP_EIO, "%s: not a regular file", source->name);
        close(fd);
        return -1;
    }
    return fd;
}

/* Reads `size` bytes from `offset` on. */
static int read_bytes(int fd, const char *path, uint64_t offset, size_t size, char *data)
{
    while (size) {
        const ssize_t count = pread(fd, data, size, (off_t)offset);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return error_fail(VKCLIP_EIO, "%s: cannot be read: %s", path, strerror(errno));
        if (count == 0)
            return error_fail(VKCLIP_EIO, "%s: became shorter while it was read: %zu bytes missing",
                              path, size);
        data += count;
        offset += (size_t)count;
        size -= (size_t)count;
    }
    return VKCLIP_OK;
}

/* Maps `size` bytes of a file that begin at map->start. */
static int map_file(const char *path, int fd, size_t size, struct file_map *map)
{
    map->size = size;
    if (!size)
        return VKCLIP_OK;
    const size_t lead = (size_t)(map->start % (uint64_t)sysconf(_SC_PAGESIZE));
    char *data = mmap(NULL, lead + size, PROT_READ, MAP_PRIVATE, fd, (off_t)(map->start - lead));
    if (data == MAP_FAILED) {
        map->size = 0;
        return error_fail(VKCLIP_EIO, "%s: cannot be mapped: %s", path, strerror(errno));
    }
    map->data = (uint8_t *)data + lead;
    map->lead = lead;
    return VKCLIP_OK;
}

int file_map_open(const char *path, struct file_map *map)
{
    struct stat status;
    const struct file_source source = file_source_path(path);
    *map = (struct file_map){0};
    int fd = open_regular(&source, &status);
    if (fd < 0)
        return VKCLIP_EIO;
    int error = map_file(path, fd, (size_t)status.st_size, map);
    close(fd);
    return error;
}

/* Opens a source for file_map_read alone. */
static int open_source(const struct file_source *source, struct file_map *map)
{
    struct stat status;
    const char *name = source->name;
    *map = (struct file_map){0};
    if (source->kind == FILE_SOURCE_MEMORY)
        return view_memory(source, map);
    int fd = open_regular(source, &status);
    if (fd < 0)
        return VKCLIP_EIO;
    map->path = string_format("%s", name);
    if (!map->path) {
        close(fd);
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory", name);
    }
    const bool whole = source->kind == FILE_SOURCE_PATH;
    map->file = fd;
    map->start = source->offset;
    map->size = (size_t)(whole ? (uint64_t)status.st_size : source->size);
    map->stamp = make_stamp(&status);
    return VKCLIP_OK;
}

int file_open(const char *path, struct file_map *map)
{
    const struct file_source source = file_source_path(path);
    return open_source(&source, map);
}

int file_map_hold(const struct file_source *source, struct file_map *map)
{
    int error = open_source(source, map);
    if (!error && !map->borrowed)
        error = map_file(source->name, map->file, map->size, map);
    if (error)
        file_map_close(map);
    return error;
}

/* The pages are replaced by memory of the process, because the system takes away those of a file
 * that becomes shorter even where they were written to. */
int file_map_load(const struct file_map *map, uint64_t offset, uint64_t size)
{
    if (!map->path || !size)
        return VKCLIP_OK;
    /* Places count from the page with which the mapping begins. */
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), mapped = map->lead + map->size;
    const size_t first = map->lead + (size_t)offset, end = first + (size_t)size;
    const size_t begin = first & ~(page - 1), whole = (end - begin + page - 1) & ~(page - 1);
    char *place = (char *)(uintptr_t)map->data - map->lead + begin;
    if (mmap(place, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
             0) == MAP_FAILED)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory for %zu bytes", map->path, whole);
    return read_bytes(map->file, map->path, map->start - map->lead + begin,
                      whole < mapped - begin ? whole : mapped - begin, place);
}

int file_map_read(const struct file_map *map, uint64_t offset, size_t size, void *copy)
{
    if (map->path)
        return read_bytes(map->file, map->path, map->start + offset, size, copy);
    if (size)
        memcpy(copy, map->data + offset, size);
    return VKCLIP_OK;
}

void file_map_close(struct file_map *map)
{
    if (map->data && !map->borrowed)
        munmap((char *)(uintptr_t)map->data - map->lead, map->lead + map->size);
    if (map->path)
        close(map->file);
    memory_free(map->path);
    *map = (struct file_map){0};
}
#endif

/* Reads the first bytes of a descriptor's part. A system that fails says so to who maps it. */
static bool begin_descriptor(const struct file_source *source, void *bytes, size_t *size)
{
    if (*size > source->size)
        *size = (size_t)source->size;
#ifdef _WIN32
    struct file_map map;
    if (file_map_hold(source, &map))
        return false;
    int error = *size ? file_map_read(&map, 0, *size, bytes) : VKCLIP_OK;
    file_map_close(&map);
    return !error;
#else
    const ssize_t count = pread(source->file, bytes, *size, (off_t)source->offset);
    *size = count > 0 ? (size_t)count : 0;
    return count >= 0;
#endif
}

static bool begin_path(const char *path, void *bytes, size_t *size)
{
    FILE *file = file_exists(path) ? fopen(path, "rb") : NULL;
    if (!file)
        return false;
    *size = fread(bytes, 1, *size, file);
    const bool failed = ferror(file) != 0;
    fclose(file);
    return !failed;
}

bool file_source_begin(const struct file_source *source, void *bytes, size_t *size)
{
    switch (source->kind) {
    case FILE_SOURCE_PATH:
        return begin_path(source->name, bytes, size);
    case FILE_SOURCE_DESCRIPTOR:
        return begin_descriptor(source, bytes, size);
    case FILE_SOURCE_MEMORY:
        break;
    }
    *size = *size < source->size ? *size : (size_t)source->size;
    if (*size)
        memcpy(bytes, source->data, *size);
    return true;
}

/* Allocates memory for a file's bytes and a final NUL. */
static int allocate_bytes(const char *path, size_t limit, size_t size, char **data)
{
    if (size > limit)
        return error_fail(VKCLIP_EFORMAT, "%s: %zu bytes, expected at most %zu", path, size, limit);
    *data = memory_alloc(size + 1);
    if (!*data)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory for %zu bytes", path, size);
    (*data)[size] = 0;
    return VKCLIP_OK;
}

#ifdef _WIN32
int file_read(const char *path, size_t limit, char **data, size_t *size)
{
    struct file_map map; /* While it is mapped, no other program can change the file. */
    *data = NULL;
    *size = 0;
    int error = file_map_open(path, &map);
    if (error)
        return error;
    error = allocate_bytes(path, limit, map.size, data);
    if (!error && map.size)
        memcpy(*data, map.data, map.size);
    if (!error)
        *size = map.size;
    file_map_close(&map);
    return error;
}
#else
int file_read(const char *path, size_t limit, char **data, size_t *size)
{
    *data = NULL;
    *size = 0;
    struct stat status;
    const struct file_source source = file_source_path(path);
    int fd = open_regular(&source, &status);
    if (fd < 0)
        return VKCLIP_EIO;
    const size_t length = (size_t)status.st_size;
    int error = allocate_bytes(path, limit, length, data);
    if (!error)
        error = read_bytes(fd, path, 0, length, *data);
    close(fd);
    if (!error) {
        *size = length;
    } else {
        memory_free(*data);
        *data = NULL;
    }
    return error;
}
#endif

int file_fail_writing(const char *path)
{
    if (!errno)
        return error_fail(VKCLIP_EIO, "%s: cannot be written", path);
    return error_fail(VKCLIP_EIO, "%s: cannot be written: %s", path, strerror(errno));
}

/* Two threads may write the same file at once, so that the number of the process is not enough. */
static char *name_temporary(const char *path)
{
    static atomic_uint opened;
    return string_format("%s.%d.%u.tmp", path, (int)getpid(), atomic_fetch_add(&opened, 1));
}

#ifndef _WIN32
/* Finds the number before `end`, after a dot. Returns the dot's place, or NULL. */
static const char *find_number(const char *name, const char *end, long *number)
{
    const char *start = end;
    while (start > name && start[-1] >= '0' && start[-1] <= '9')
        start--;
    if (start == end || end - start > 10 || start == name || start[-1] != '.')
        return NULL;
    *number = strtol(start, NULL, 10);
    return start - 1;
}
#endif

bool file_is_left_over(const char *name)
{
#ifdef _WIN32
    (void)name;
    return false;
#else
    long number, process = 0;
    if (!string_ends_with(name, ".tmp"))
        return false;
    const char *end = find_number(name, name + strlen(name) - strlen(".tmp"), &number);
    end = end ? find_number(name, end, &process) : NULL;
    return end && process > 0 && process <= INT_MAX && kill((pid_t)process, 0) && errno == ESRCH;
#endif
}

int file_output_open(const char *path, struct file_output *output)
{
    *output =
        (struct file_output){.path = string_format("%s", path), .temporary = name_temporary(path)};
    if (!output->path || !output->temporary) {
        output->error = error_fail(VKCLIP_EMEMORY, "%s: out of memory", path);
        return output->error;
    }
    errno = 0;
    output->file = fopen(output->temporary, "wb");
    if (!output->file)
        output->error = file_fail_writing(path);
    return output->error;
}

int file_output_write(struct file_output *output, const void *data, size_t size)
{
    errno = 0;
    if (!output->error && size && fwrite(data, size, 1, output->file) != 1)
        output->error = file_fail_writing(output->path);
    output->size += size;
    return output->error;
}

/* Writes what is buffered as far as the disk. */
static bool sync_stream(FILE *file)
{
#ifdef _WIN32
    return !fflush(file);
#else
    return !fflush(file) && !fsync(fileno(file));
#endif
}

int file_output_sync(struct file_output *output)
{
    errno = 0;
    if (!output->error && !sync_stream(output->file))
        output->error = file_fail_writing(output->path);
    return output->error;
}

static bool rename_file(const char *source, const char *target)
{
#ifdef _WIN32
    return MoveFileExA(source, target, MOVEFILE_REPLACE_EXISTING);
#else
    return !rename(source, target);
#endif
}

int file_rename(const char *source, const char *target)
{
    errno = 0;
    if (rename_file(source, target))
        return VKCLIP_OK;
    return error_fail(VKCLIP_EIO, "%s: cannot be renamed to %s: %s", source, target,
                      strerror(errno));
}

int file_output_close(struct file_output *output, int error)
{
    if (!error)
        error = output->error;
    errno = 0;
    bool good = !output->file || error || sync_stream(output->file);
    good = (!output->file || !fclose(output->file)) && good;
    if (!error && !(good && rename_file(output->temporary, output->path)))
        error = file_fail_writing(output->path);
    if (error && output->file)
        remove(output->temporary);
    memory_free(output->path);
    memory_free(output->temporary);
    *output = (struct file_output){0};
    return error;
}

int file_write(const char *path, const struct file_part *parts, size_t count)
{
    struct file_output output;
    int error = file_output_open(path, &output);
    for (size_t i = 0; i < count && !error; i++)
        error = file_output_write(&output, parts[i].data, parts[i].size);
    return file_output_close(&output, error);
}

#ifdef _WIN32
/* No other process can open the file, which the system removes when it is closed. */
static int open_lock(const char *path)
{
    int file = -1;
    _sopen_s(&file, path, _O_RDWR | _O_CREAT | _O_TEMPORARY, _SH_DENYRW, _S_IREAD | _S_IWRITE);
    return file;
}

static bool is_busy(void)
{
    return errno == EACCES;
}

static void close_lock(const struct file_lock *lock)
{
    _close(lock->file);
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
    remove(lock->path); /* It must be gone before another process can lock it. */
    close(lock->file);
}
#endif

int file_lock(const char *path, struct file_lock *lock)
{
    *lock = (struct file_lock){.path = string_format("%s.lock", path)};
    if (!lock->path)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory", path);
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

void file_unlock(struct file_lock *lock)
{
    if (lock->path)
        close_lock(lock);
    memory_free(lock->path);
    *lock = (struct file_lock){0};
}
