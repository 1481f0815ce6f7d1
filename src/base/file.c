/* SPDX-License-Identifier: MIT
 *
 * Everything that differs between operating systems is in functions that have one version per
 * system.
 */
#define _GNU_SOURCE
#include "base/file.h"
#include "base/descriptor.h"
#include "base/memory.h"
#include "base/process.h"
#include "base/string.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#ifdef _WIN32
#include "base/wide.h"

#include <io.h>
#include <windows.h>
#else
#include <unistd.h>
#endif

/* ---- Names ----------------------------------------------------------------------------------- */

bool file_is_separator(char character)
{
#ifdef _WIN32
    return character == '/' || character == '\\';
#else
    return character == '/'; /* A backslash may be part of a name here. */
#endif
}

/* Tells whether a path begins with a drive of Windows. Without a separator after it, what follows
 * is read in the drive's current folder. */
static bool has_drive(const char *path)
{
#ifdef _WIN32
    return ((*path >= 'a' && *path <= 'z') || (*path >= 'A' && *path <= 'Z')) && path[1] == ':';
#else
    (void)path;
    return false;
#endif
}

const char *file_name(const char *path)
{
    const char *name = has_drive(path) ? path + 2 : path;
    for (path = name; *path; path++)
        if (file_is_separator(*path))
            name = path + 1;
    return name;
}

char *file_folder(const char *path)
{
    const bool drive = has_drive(path);
    const size_t root = drive ? 3 : 1; /* Its separator stays. */
    size_t length = (size_t)(file_name(path) - path);
    while (length > root && file_is_separator(path[length - 1]))
        length--;
    const bool current = !length || (drive && length == 2); /* of the process, or of the drive */
    return string_format("%.*s%s", (int)length, path, current ? "." : "");
}

bool file_is_absolute(const char *path)
{
    return has_drive(path) || file_is_separator(*path);
}

#ifdef _WIN32
/* Removes the prefix of a resolved path and makes its separators those that all systems have, so
 * that paths can be compared and divided everywhere in the same way. */
static void simplify(char *path)
{
    static const char plain[] = "\\\\?\\", server[] = "\\\\?\\UNC\\";
    const bool is_server = string_begins_with(path, server);
    if (is_server || string_begins_with(path, plain)) {
        /* Two separators begin the path of a server's folder. */
        const char *rest = path + (is_server ? sizeof(server) - 3 : sizeof(plain) - 1);
        memmove(path, rest, strlen(rest) + 1);
    }
    if (is_server)
        *path = '/';
    for (; *path; path++)
        if (file_is_separator(*path))
            *path = '/';
}

/* Asks for the path of an open file or folder. File systems that do not tell it, and wine for paths
 * of more than 260 units, get the absolute path, whose links are not resolved. */
static wchar_t *find_final(HANDLE file, const wchar_t *path)
{
    const DWORD final = GetFinalPathNameByHandleW(file, NULL, 0, 0);
    const DWORD units = final ? final : GetFullPathNameW(path, 0, NULL, NULL);
    wchar_t *found = units ? memory_alloc((units + 1) * sizeof(*found)) : NULL;
    const bool good = found && (final ? GetFinalPathNameByHandleW(file, found, units + 1, 0)
                                      : GetFullPathNameW(path, units + 1, found, NULL));
    if (good)
        return found;
    wide_fail();
    memory_free(found);
    return NULL;
}

char *file_resolve(const char *path)
{
    wchar_t *wide = wide_path(path), *found = NULL;
    char *result = NULL;
    HANDLE file = INVALID_HANDLE_VALUE;
    if (wide)
        file = CreateFileW(wide, 0, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL,
                           OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS, NULL);
    if (file != INVALID_HANDLE_VALUE) {
        found = find_final(file, wide);
        CloseHandle(file);
    } else if (wide) {
        wide_fail();
    }
    if (found)
        result = wide_to_utf8(found);
    if (result)
        simplify(result);
    memory_free(found);
    memory_free(wide);
    return result;
}
#else
char *file_resolve(const char *path)
{
    return memory_adopt(realpath(path, NULL));
}
#endif

char *file_native(const char *path)
{
#ifdef _WIN32
    wchar_t *wide = wide_path(path);
    char *native = wide ? wide_to_utf8(wide) : NULL;
    memory_free(wide);
    return native;
#else
    return string_format("%s", path);
#endif
}

/* ---- What a path leads to -------------------------------------------------------------------- */

bool file_exists(const char *path)
{
    struct file_status status;
    return file_status(path, &status) && status.kind == FILE_KIND_FILE;
}

bool file_is_same(const char *a, const char *b)
{
    struct file_status status_a, status_b;
    return file_status(a, &status_a) && file_status(b, &status_b) &&
           status_a.device == status_b.device && status_a.inode == status_b.inode;
}

static struct file_stamp make_stamp(const struct file_status *status)
{
    return (struct file_stamp){status->device, status->inode, (int64_t)status->size,
                               status->modified / 1000000000};
}

struct file_stamp file_stamp(const char *path)
{
    struct file_status status;
    return file_status(path, &status) ? make_stamp(&status) : (struct file_stamp){0};
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
    struct file_status status;
    if (source->kind == FILE_SOURCE_PATH)
        return file_stamp(source->name);
    if (source->kind == FILE_SOURCE_DESCRIPTOR && file_status_of_descriptor(source->file, &status))
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

/* Opens a regular file, which descriptor_open may keep `still`. Returns a negative number after an
 * error. */
static int open_regular(const struct file_source *source, bool still, struct file_status *status)
{
    const int file = source->kind == FILE_SOURCE_DESCRIPTOR ? descriptor_copy(source->file)
                                                            : descriptor_open(source->name, still);
    if (file < 0) {
        error_fail(VKCLIP_EIO, "%s: %s", source->name, strerror(errno));
        return -1;
    }
    if (!file_status_of_descriptor(file, status) || status->kind != FILE_KIND_FILE) {
        error_fail(VKCLIP_EIO, "%s: not a regular file", source->name);
        descriptor_close(file);
        return -1;
    }
    return file;
}

/* Reads `size` bytes from `offset` on. */
static int read_bytes(int file, const char *path, uint64_t offset, size_t size, char *data)
{
    while (size) {
        const int64_t count = descriptor_read(file, offset, data, size);
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
static int map_file(const char *path, int file, size_t size, struct file_map *map)
{
    map->size = size;
    if (!size)
        return VKCLIP_OK;
    const size_t lead = (size_t)(map->start % descriptor_unit());
    uint8_t *data = descriptor_map(file, map->start - lead, lead + size);
    if (!data) {
        map->size = 0;
        return error_fail(VKCLIP_EIO, "%s: cannot be mapped: %s", path, strerror(errno));
    }
    map->data = data + lead;
    map->lead = lead;
    return VKCLIP_OK;
}

int file_map_open(const char *path, struct file_map *map)
{
    struct file_status status;
    const struct file_source source = file_source_path(path);
    *map = (struct file_map){0};
    const int file = open_regular(&source, false, &status);
    if (file < 0)
        return VKCLIP_EIO;
    const int error = map_file(path, file, (size_t)status.size, map);
    descriptor_close(file);
    return error;
}

/* Opens a source for file_map_read alone. */
static int open_source(const struct file_source *source, struct file_map *map)
{
    struct file_status status;
    const char *name = source->name;
    *map = (struct file_map){0};
    if (source->kind == FILE_SOURCE_MEMORY)
        return view_memory(source, map);
    const int file = open_regular(source, true, &status);
    if (file < 0)
        return VKCLIP_EIO;
    map->path = string_format("%s", name);
    if (!map->path) {
        descriptor_close(file);
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory", name);
    }
    const bool whole = source->kind == FILE_SOURCE_PATH;
    map->file = file;
    map->start = source->offset;
    map->size = (size_t)(whole ? status.size : source->size);
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
    if (!map->path || !size || !DESCRIPTOR_SHRINKS)
        return VKCLIP_OK;
    /* Places count from the page with which the mapping begins. */
    const size_t page = descriptor_unit(), mapped = map->lead + map->size;
    const size_t first = map->lead + (size_t)offset, end = first + (size_t)size;
    const size_t begin = first & ~(page - 1), whole = (end - begin + page - 1) & ~(page - 1);
    char *place = (char *)(uintptr_t)map->data - map->lead + begin;
    if (!descriptor_replace(place, whole))
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
        descriptor_unmap((char *)(uintptr_t)map->data - map->lead, map->lead + map->size);
    if (map->path)
        descriptor_close(map->file);
    memory_free(map->path);
    *map = (struct file_map){0};
}

/* Reads the first bytes of a descriptor's part. A system that fails says so to who maps it. */
static bool begin_descriptor(const struct file_source *source, void *bytes, size_t *size)
{
    if (*size > source->size)
        *size = (size_t)source->size;
    const int file = descriptor_copy(source->file); /* Its position stays on every system. */
    const int64_t count = file < 0 ? -1 : descriptor_read(file, source->offset, bytes, *size);
    if (file >= 0)
        descriptor_close(file);
    *size = count > 0 ? (size_t)count : 0;
    return count >= 0;
}

static bool begin_path(const char *path, void *bytes, size_t *size)
{
    struct file_status status;
    const int file = descriptor_open(path, false);
    int64_t count = -1;
    if (file < 0)
        return false;
    if (file_status_of_descriptor(file, &status) && status.kind == FILE_KIND_FILE)
        count = descriptor_read(file, 0, bytes, *size);
    descriptor_close(file);
    *size = count > 0 ? (size_t)count : 0;
    return count >= 0;
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

int file_read(const char *path, size_t limit, char **data, size_t *size)
{
    *data = NULL;
    *size = 0;
    struct file_status status;
    const struct file_source source = file_source_path(path);
    const int file = open_regular(&source, false, &status);
    if (file < 0)
        return VKCLIP_EIO;
    const size_t length = (size_t)status.size;
    int error = allocate_bytes(path, limit, length, data);
    if (!error)
        error = read_bytes(file, path, 0, length, *data);
    descriptor_close(file);
    if (!error) {
        *size = length;
    } else {
        memory_free(*data);
        *data = NULL;
    }
    return error;
}

/* ---- Writing --------------------------------------------------------------------------------- */

/* Copies what is left of a stream. */
static bool copy_stream(FILE *source, FILE *target)
{
    char block[1 << 14];
    size_t size;
    bool good = true;
    while (good && (size = fread(block, 1, sizeof(block), source)))
        good = fwrite(block, 1, size, target) == size;
    return good && !ferror(source) && !fflush(target);
}

#ifdef _WIN32
FILE *file_stream(const char *path, const char *mode)
{
    wchar_t *wide = wide_path(path), *wide_mode = wide_from_utf8(mode);
    FILE *file = wide && wide_mode ? _wfopen(wide, wide_mode) : NULL;
    memory_free(wide);
    memory_free(wide_mode);
    return file;
}

/* Makes a path in the folder for temporary files that no other process uses. */
static wchar_t *name_kept(void)
{
    static atomic_uint kept;
    wchar_t folder[MAX_PATH + 1];
    const DWORD units = GetTempPathW(MAX_PATH + 1, folder);
    const size_t size = units + 40;
    wchar_t *path = units ? memory_alloc(size * sizeof(*path)) : NULL;
    if (path)
        swprintf(path, size, L"%lsvkclip.%ld.%u.tmp", folder, process_number(),
                 atomic_fetch_add(&kept, 1));
    return path;
}

/* The system removes the file when its last handle is closed: one is open until the process ends,
 * and lets others read. */
char *file_keep_stream(FILE *stream)
{
    wchar_t *path = name_kept();
    FILE *copy = path ? _wfopen(path, L"wb") : NULL;
    bool good = copy && copy_stream(stream, copy);
    good = (!copy || !fclose(copy)) && good;
    HANDLE keeper =
        good ? CreateFileW(path, GENERIC_READ | DELETE, FILE_SHARE_READ | FILE_SHARE_DELETE, NULL,
                           OPEN_EXISTING, FILE_FLAG_DELETE_ON_CLOSE, NULL)
             : INVALID_HANDLE_VALUE;
    if (copy && keeper == INVALID_HANDLE_VALUE)
        _wremove(path);
    char *kept = keeper == INVALID_HANDLE_VALUE ? NULL : wide_to_utf8(path);
    memory_free(path);
    return kept;
}

bool file_remove(const char *path)
{
    wchar_t *wide = wide_path(path);
    const bool good = wide && (DeleteFileW(wide) || wide_fail());
    memory_free(wide);
    return good;
}

/* This is FILE_RENAME_INFO, and FileRenameInfoEx with its flags, as winbase.h has them under
 * conditions that differ from compiler to compiler. */
struct rename_info {
    DWORD flags;
    HANDLE root;
    DWORD bytes;
    wchar_t target[];
};
enum { RENAME_INFO_EX = 22, RENAME_REPLACES = 1, RENAME_AS_POSIX = 2 };

/* Renames as other systems do: who has the replaced file open keeps it. Windows 10 can do that on
 * its own file systems. */
static bool replace_open(const wchar_t *source, const wchar_t *target)
{
    const size_t bytes = (wcslen(target) + 1) * sizeof(*target);
    struct rename_info *info = memory_alloc(sizeof(*info) + bytes);
    HANDLE file = INVALID_HANDLE_VALUE;
    bool good = false;
    if (info)
        file = CreateFileW(
            source, DELETE | SYNCHRONIZE, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
            NULL, OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OPEN_REPARSE_POINT, NULL);
    if (file != INVALID_HANDLE_VALUE) {
        *info = (struct rename_info){.flags = RENAME_REPLACES | RENAME_AS_POSIX,
                                     .bytes = (DWORD)(bytes - sizeof(*target))};
        memcpy(info->target, target, bytes);
        good = SetFileInformationByHandle(file, (FILE_INFO_BY_HANDLE_CLASS)RENAME_INFO_EX, info,
                                          (DWORD)(sizeof(*info) + bytes));
        CloseHandle(file);
    }
    memory_free(info);
    return good;
}

bool file_move(const char *source, const char *target)
{
    wchar_t *wide_source = wide_path(source), *wide_target = wide_path(target);
    const bool good =
        wide_source && wide_target &&
        (replace_open(wide_source, wide_target) ||
         MoveFileExW(wide_source, wide_target, MOVEFILE_REPLACE_EXISTING) || wide_fail());
    memory_free(wide_source);
    memory_free(wide_target);
    return good;
}

/* Links need a right that most users do not have. */
bool file_link(const char *target, const char *path)
{
    (void)target;
    (void)path;
    errno = EPERM;
    return false;
}

bool file_sync(FILE *file)
{
    return !fflush(file) && !_commit(_fileno(file));
}

uint64_t file_place(FILE *file)
{
    return (uint64_t)_ftelli64(file);
}

bool file_truncate(FILE *file, uint64_t size)
{
    FILE_END_OF_FILE_INFO end = {.EndOfFile.QuadPart = (int64_t)size};
    return !fflush(file) &&
           (SetFileInformationByHandle((HANDLE)_get_osfhandle(_fileno(file)), FileEndOfFileInfo,
                                       &end, sizeof(end)) ||
            wide_fail()) &&
           !_fseeki64(file, (int64_t)size, SEEK_SET);
}
#else
FILE *file_stream(const char *path, const char *mode)
{
    return fopen(path, mode);
}

char *file_keep_stream(FILE *stream)
{
    FILE *copy = tmpfile();
    if (copy && copy_stream(stream, copy))
        return string_format("/dev/fd/%d", fileno(copy));
    if (copy)
        fclose(copy);
    return NULL;
}

bool file_remove(const char *path)
{
    return !unlink(path);
}

bool file_move(const char *source, const char *target)
{
    return !rename(source, target);
}

bool file_link(const char *target, const char *path)
{
    return !symlink(target, path);
}

bool file_sync(FILE *file)
{
    return !fflush(file) && !fsync(fileno(file));
}

uint64_t file_place(FILE *file)
{
    return (uint64_t)ftello(file);
}

bool file_truncate(FILE *file, uint64_t size)
{
    return !fflush(file) && !ftruncate(fileno(file), (off_t)size) &&
           !fseeko(file, (off_t)size, SEEK_SET);
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
    return string_format("%s.%ld.%u.tmp", path, process_number(), atomic_fetch_add(&opened, 1));
}

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

bool file_is_left_over(const char *name)
{
    long number, process = 0;
    if (!string_ends_with(name, ".tmp"))
        return false;
    const char *end = find_number(name, name + strlen(name) - strlen(".tmp"), &number);
    end = end ? find_number(name, end, &process) : NULL;
    return end && process > 0 && process <= INT_MAX && !process_is_running(process);
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
    output->file = file_stream(output->temporary, "wb");
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

int file_output_sync(struct file_output *output)
{
    errno = 0;
    if (!output->error && !file_sync(output->file))
        output->error = file_fail_writing(output->path);
    return output->error;
}

int file_rename(const char *source, const char *target)
{
    errno = 0;
    if (file_move(source, target))
        return VKCLIP_OK;
    return error_fail(VKCLIP_EIO, "%s: cannot be renamed to %s: %s", source, target,
                      strerror(errno));
}

int file_output_close(struct file_output *output, int error)
{
    if (!error)
        error = output->error;
    errno = 0;
    bool good = !output->file || error || file_sync(output->file);
    good = (!output->file || !fclose(output->file)) && good;
    if (!error && !(good && file_move(output->temporary, output->path)))
        error = file_fail_writing(output->path);
    if (error && output->file)
        file_remove(output->temporary);
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

int file_copy(const char *source, const char *target)
{
    struct file_map map;
    int error = file_map_open(source, &map);
    if (error)
        return error;
    const struct file_part part = {map.data, map.size};
    error = file_write(target, &part, 1);
    file_map_close(&map);
    return error;
}
