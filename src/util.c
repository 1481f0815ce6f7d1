/* SPDX-License-Identifier: MIT
 *
 * Errors, log, 16-bit floats, files. The only file with operating system differences outside gpu.c.
 */
#define _GNU_SOURCE
#include "util.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

#ifdef _WIN32
#include <direct.h>
#include <io.h>
#include <process.h>
#include <windows.h>
#define getpid _getpid
#define access _access
#define W_OK 2
#else
#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#endif

static _Thread_local char last_error[UTIL_MESSAGE];
static _Thread_local struct util_redirect redirected;
static vkclip_log_fn *log_function;
static void *log_user;

const char *vkclip_version(void)
{
#define TEXT(x) #x
#define VERSION(a, b, c) TEXT(a) "." TEXT(b) "." TEXT(c)
    return VERSION(VKCLIP_VERSION_MAJOR, VKCLIP_VERSION_MINOR, VKCLIP_VERSION_PATCH);
}

const char *vkclip_error_text(int error)
{
    switch (error) {
#define X(name, value, text) \
    case value:              \
        return text;
        VKCLIP_ERRORS(X)
#undef X
    }
    return "unknown error";
}

const char *vkclip_last_error(void)
{
    return last_error;
}

void vkclip_set_log(vkclip_log_fn *log, void *user)
{
    log_function = log;
    log_user = user;
}

/* Messages quote names and texts out of files: whatever those hold, one line of plain text comes
 * out. */
static void format_line(char *line, size_t size, const char *format, va_list args)
{
    vsnprintf(line, size, format, args);
    for (; *line; line++)
        if ((unsigned char)*line < 32 || *line == 127)
            *line = '?';
}

int util_fail(int error, const char *format, ...)
{
    char message[sizeof(last_error)]; /* the arguments may point into last_error */
    va_list args;
    va_start(args, format);
    format_line(message, sizeof(message), format, args);
    va_end(args);
    memcpy(last_error, message, sizeof(message));
    util_log(VKCLIP_LOG_ERROR, "%s", message);
    return error;
}

void util_keep_error(const char *message)
{
    snprintf(last_error, sizeof(last_error), "%s", message);
}

struct util_redirect util_redirect_log(struct util_redirect redirect)
{
    struct util_redirect before = redirected;
    redirected = redirect;
    return before;
}

void util_log(enum vkclip_log_level level, const char *format, ...)
{
    if (!log_function)
        return;
    char message[sizeof(last_error)];
    va_list args;
    va_start(args, format);
    format_line(message, sizeof(message), format, args);
    va_end(args);
    if (redirected.log)
        redirected.log(redirected.user, level, message);
    else
        log_function(log_user, level, message);
}

char *util_format(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = length < 0 ? NULL : malloc((size_t)length + 1);
    if (text) {
        va_start(args, format);
        vsnprintf(text, (size_t)length + 1, format, args);
        va_end(args);
    }
    return text;
}

char *util_fill(const char *template, const char *text)
{
    const char *hole = strstr(template, "{}");
    return hole ? util_format("%.*s%s%s", (int)(hole - template), template, text, hole + 2) : NULL;
}

bool util_begins_with(const char *text, const char *start)
{
    return !strncmp(text, start, strlen(start));
}

bool util_ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), size = strlen(end);
    return length >= size && !strcmp(text + length - size, end);
}

const char *util_file_name(const char *path)
{
    const char *name = path;
    for (; *path; path++)
        if (*path == '/' || *path == '\\')
            name = path + 1;
    return name;
}

double util_seconds(void)
{
    struct timespec now;
#ifdef CLOCK_MONOTONIC
    clock_gettime(CLOCK_MONOTONIC, &now);
#else
    timespec_get(&now, TIME_UTC);
#endif
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

int util_by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

uint64_t util_hash(uint64_t hash, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    hash = hash ? hash : 0xcbf29ce484222325u;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3u;
    return hash;
}

static float bits_to_float(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

float util_f16_to_f32(uint16_t value)
{
    uint32_t sign = (uint32_t)(value & 0x8000) << 16;
    uint32_t exponent = (value >> 10) & 31, mantissa = value & 1023;
    if (exponent == 0) /* zero and subnormals: mantissa * 2^-24 is exact in fp32 */
        return bits_to_float(sign) + (sign ? -1.0f : 1.0f) * (float)mantissa * 0x1p-24f;
    if (exponent == 31)
        return bits_to_float(sign | 0x7f800000 | mantissa << 13);
    return bits_to_float(sign | (exponent + 112) << 23 | mantissa << 13);
}

uint16_t util_f32_to_f16(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    bits &= 0x7fffffff;
    if (bits > 0x7f800000)
        return sign | 0x7e00;
    if (bits >= 0x477ff000) /* 65520 and above round to infinity */
        return sign | 0x7c00;
    if (bits < 0x38800000) { /* subnormal: adding 0.5 lets the FPU round at 2^-24 */
        float magnitude = bits_to_float(bits) + 0.5f;
        memcpy(&bits, &magnitude, sizeof(bits));
        return sign | (uint16_t)(bits - 0x3f000000);
    }
    return sign | (uint16_t)((bits + 0xfff + (bits >> 13 & 1) - 0x38000000) >> 13);
}

float util_bf16_to_f32(uint16_t value)
{
    return bits_to_float((uint32_t)value << 16);
}

uint16_t util_f32_to_bf16(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    if ((bits & 0x7fffffff) > 0x7f800000)
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

#ifdef _WIN32
int util_map_file(const char *path, struct util_map *map)
{
    *map = (struct util_map){0};
    HANDLE file = CreateFileA(path, GENERIC_READ, FILE_SHARE_READ, NULL, OPEN_EXISTING, 0, NULL);
    LARGE_INTEGER size = {0};
    if (file == INVALID_HANDLE_VALUE || !GetFileSizeEx(file, &size)) {
        if (file != INVALID_HANDLE_VALUE)
            CloseHandle(file);
        return util_fail(VKCLIP_EIO, "%s: cannot be opened", path);
    }
    if (size.QuadPart) {
        HANDLE mapping = CreateFileMappingA(file, NULL, PAGE_READONLY, 0, 0, NULL);
        map->data = mapping ? MapViewOfFile(mapping, FILE_MAP_READ, 0, 0, 0) : NULL;
        map->size = map->data ? (size_t)size.QuadPart : 0;
        if (mapping)
            CloseHandle(mapping);
    }
    CloseHandle(file);
    return map->data || !size.QuadPart ? VKCLIP_OK
                                       : util_fail(VKCLIP_EIO, "%s: cannot be mapped", path);
}

void util_unmap_file(struct util_map *map)
{
    if (map->data)
        UnmapViewOfFile(map->data);
    *map = (struct util_map){0};
}

void util_map_forget(const void *data, size_t size)
{
    (void)data;
    (void)size;
}
#else
int util_map_file(const char *path, struct util_map *map)
{
    int error = VKCLIP_OK;
    *map = (struct util_map){0};
    /* O_NONBLOCK: a FIFO given as a file must fail below instead of waiting for a writer */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return util_fail(VKCLIP_EIO, "%s: %s", path, strerror(errno));
    struct stat status;
    if (fstat(fd, &status) || !S_ISREG(status.st_mode)) {
        error = util_fail(VKCLIP_EIO, "%s: not a regular file", path);
    } else if (status.st_size > 0) {
        void *data = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED)
            error = util_fail(VKCLIP_EIO, "%s: cannot be mapped: %s", path, strerror(errno));
        else
            *map = (struct util_map){data, (size_t)status.st_size};
    }
    close(fd);
    return error;
}

void util_unmap_file(struct util_map *map)
{
    if (map->data)
        munmap((void *)map->data, map->size);
    *map = (struct util_map){0};
}

void util_map_forget(const void *data, size_t size)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    /* The first page is shared with what was read before: it goes as well, or one would stay of
     * each read. What is still needed of it comes back from the file. */
    uintptr_t first = (uintptr_t)data & ~(page - 1);
    uintptr_t end = ((uintptr_t)data + size) & ~(page - 1);
    if (end > first)
        madvise((void *)first, end - first, MADV_DONTNEED);
}
#endif

int util_read_file(const char *path, size_t limit, char **data, size_t *size)
{
    struct util_map map;
    *data = NULL;
    *size = 0;
    int error = util_map_file(path, &map);
    if (error)
        return error;
    if (map.size > limit) {
        error =
            util_fail(VKCLIP_EFORMAT, "%s: %zu bytes, expected at most %zu", path, map.size, limit);
    } else if (!(*data = malloc(map.size + 1))) {
        error = util_fail(VKCLIP_EMEMORY, "%s: out of memory for %zu bytes", path, map.size);
    } else {
        if (map.size)
            memcpy(*data, map.data, map.size);
        (*data)[map.size] = 0;
        *size = map.size;
    }
    util_unmap_file(&map);
    return error;
}

int util_output_open(const char *path, struct util_output *output)
{
    *output = (struct util_output){.path = util_format("%s", path),
                                   .beside = util_format("%s.%d.tmp", path, (int)getpid())};
    if (!output->path || !output->beside)
        return output->error = util_fail(VKCLIP_EMEMORY, "%s: out of memory", path);
    errno = 0;
    output->file = fopen(output->beside, "wb");
    if (!output->file)
        output->error = util_fail(VKCLIP_EIO, "%s: cannot be written: %s", path, strerror(errno));
    return output->error;
}

int util_output_write(struct util_output *output, const void *data, size_t size)
{
    errno = 0;
    if (!output->error && size && fwrite(data, size, 1, output->file) != 1)
        output->error =
            util_fail(VKCLIP_EIO, "%s: cannot be written: %s", output->path, strerror(errno));
    output->size += size;
    return output->error;
}

int util_output_close(struct util_output *output, int error)
{
    bool good = !error && !output->error;
    bool opened = output->file != NULL;
    errno = 0;
    if (opened) {
        good = !fflush(output->file) && good;
#ifndef _WIN32
        good = good && !fsync(fileno(output->file));
#endif
        good = !fclose(output->file) && good;
    }
#ifdef _WIN32
    good = good && MoveFileExA(output->beside, output->path, MOVEFILE_REPLACE_EXISTING);
#else
    good = good && !rename(output->beside, output->path);
#endif
    error = error ? error : output->error;
    if (!good && !error)
        error = util_fail(VKCLIP_EIO, "%s: cannot be written: %s", output->path, strerror(errno));
    if (!good && opened)
        remove(output->beside);
    free(output->path);
    free(output->beside);
    *output = (struct util_output){0};
    return error;
}

int util_write_file(const char *path, const struct util_part *parts, size_t count)
{
    struct util_output output;
    int error = util_output_open(path, &output);
    for (size_t i = 0; i < count && !error; i++)
        error = util_output_write(&output, parts[i].data, parts[i].size);
    return util_output_close(&output, error);
}

bool util_is_folder(const char *path)
{
    struct stat status;
    return !stat(path, &status) && (status.st_mode & S_IFMT) == S_IFDIR;
}

bool util_is_file(const char *path)
{
    struct stat status;
    return !stat(path, &status) && (status.st_mode & S_IFMT) == S_IFREG;
}

bool util_is_same(const char *a, const char *b)
{
#ifdef _WIN32
    char full_a[_MAX_PATH], full_b[_MAX_PATH];
    return util_is_file(a) && _fullpath(full_a, a, _MAX_PATH) && _fullpath(full_b, b, _MAX_PATH) &&
           !_stricmp(full_a, full_b);
#else
    struct stat status_a, status_b;
    return !stat(a, &status_a) && !stat(b, &status_b) && status_a.st_dev == status_b.st_dev &&
           status_a.st_ino == status_b.st_ino;
#endif
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool add_name(char ***names, size_t *count, const char *name)
{
    if (!strcmp(name, ".") || !strcmp(name, ".."))
        return true;
    char **larger = realloc(*names, (*count + 1) * sizeof(*larger));
    if (larger)
        *names = larger;
    return larger && (larger[*count] = util_format("%s", name)) && ++*count;
}

int util_list_folder(const char *path, char ***names, size_t *count)
{
    bool good = true;
    *names = NULL;
    *count = 0;
#ifdef _WIN32
    struct _finddata_t entry;
    char *pattern = util_format("%s/*", path);
    intptr_t folder = pattern ? _findfirst(pattern, &entry) : -1;
    free(pattern);
    if (folder == -1)
        return util_fail(VKCLIP_EIO, "%s: folder cannot be read", path);
    do
        good = add_name(names, count, entry.name);
    while (good && !_findnext(folder, &entry));
    _findclose(folder);
#else
    DIR *folder = opendir(path);
    if (!folder)
        return util_fail(VKCLIP_EIO, "%s: %s", path, strerror(errno));
    for (struct dirent *entry; good && (entry = readdir(folder));)
        good = add_name(names, count, entry->d_name);
    closedir(folder);
#endif
    if (!good) {
        util_free_names(names, *count);
        *count = 0;
        return util_fail(VKCLIP_EMEMORY, "%s: out of memory", path);
    }
    if (*count)
        qsort(*names, *count, sizeof(**names), by_name);
    return VKCLIP_OK;
}

void util_free_names(char ***names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free((*names)[i]);
    free(*names);
    *names = NULL;
}

static int make_folder(const char *path)
{
#ifdef _WIN32
    return _mkdir(path);
#else
    return mkdir(path, 0700);
#endif
}

int util_make_folder(const char *path)
{
#ifdef _WIN32
    bool made = !_mkdir(path);
#else
    bool made = !mkdir(path, 0777);
#endif
    return made ? VKCLIP_OK : util_fail(VKCLIP_EIO, "%s: %s", path, strerror(errno));
}

int util_make_new_folder(const char *path)
{
    char **names = NULL;
    size_t count = 0;
    if (!util_is_folder(path))
        return util_make_folder(path);
    int error = util_list_folder(path, &names, &count);
    util_free_names(&names, count);
    if (!error && count)
        error = util_fail(VKCLIP_EINVALID, "%s: expected a new or empty folder, found %zu files",
                          path, count);
    return error;
}

void util_remove_folder(const char *path)
{
    char **names = NULL;
    size_t count = 0;
    if (!util_is_folder(path) || util_list_folder(path, &names, &count))
        return;
    for (size_t i = 0; i < count; i++) {
        char *file = util_format("%s/%s", path, names[i]);
        if (file)
            remove(file);
        free(file);
    }
    util_free_names(&names, count);
#ifdef _WIN32
    _rmdir(path);
#else
    rmdir(path);
#endif
}

/* A name is on the disk when its folder is. */
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

int util_replace_folder(const char *from, const char *to)
{
    char *old = util_format("%s.old.tmp", to),
         *parent = util_format("%.*s.", (int)(util_file_name(to) - to), to);
    int error = old && parent ? VKCLIP_OK : util_fail(VKCLIP_EMEMORY, "%s: out of memory", to);
    if (!error) {
        sync_folder(from);
        util_remove_folder(old);
        rename(to, old); /* where there is one */
        errno = 0;
        if (rename(from, to))
            error =
                util_fail(VKCLIP_EIO, "%s: cannot be renamed to %s: %s", from, to, strerror(errno));
        util_remove_folder(old);
        sync_folder(parent);
    }
    free(old);
    free(parent);
    return error;
}

char *util_cache_dir(const char *named)
{
    const char *home = NULL;
    char *folder = NULL;
    named = named ? named : getenv("VKCLIP_CACHE_DIR");
    if (named) {
        folder = *named ? util_format("%s", named) : NULL;
#ifdef _WIN32
    } else if ((home = getenv("LOCALAPPDATA"))) {
        folder = util_format("%s/vkclip", home);
#elif defined(__APPLE__)
    } else if ((home = getenv("HOME"))) {
        folder = util_format("%s/Library/Caches/vkclip", home);
#else
    } else if ((home = getenv("XDG_CACHE_HOME")) && *home) {
        folder = util_format("%s/vkclip", home);
    } else if ((home = getenv("HOME")) && *home) {
        folder = util_format("%s/.cache/vkclip", home);
#endif
    }
    for (char *at = folder; at && *at; at++) /* mkdir -p */
        if (*at == '/' && at != folder) {
            *at = 0;
            make_folder(folder);
            *at = '/';
        }
    if (folder && ((make_folder(folder) && !util_is_folder(folder)) || access(folder, W_OK))) {
        free(folder);
        folder = NULL;
    }
    return folder;
}
