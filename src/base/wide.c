/* SPDX-License-Identifier: MIT
 *
 * Functions of Windows take paths of at most 259 units, unless the path begins with \\?\. Such a
 * path is passed on to the file system as it is, so that it must be absolute and have backslashes,
 * and nothing in it may need to be resolved. Short paths keep their form, because then CON and NUL
 * stay the names of devices.
 */
#include "base/wide.h"

#ifdef _WIN32
#include "base/array.h"
#include "base/memory.h"

#include <errno.h>
#include <windows.h>

/* A folder's path must leave room for the shortest name of a file in it. */
#define LONGEST_PLAIN (MAX_PATH - 13)

wchar_t *wide_from_utf8(const char *text)
{
    const int units = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text, -1, NULL, 0);
    if (!units) {
        errno = EILSEQ;
        return NULL;
    }
    wchar_t *wide = memory_alloc((size_t)units * sizeof(*wide));
    if (wide)
        MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text, -1, wide, units);
    else
        errno = ENOMEM;
    return wide;
}

/* A name on a disk may have half of a surrogate pair, which becomes U+FFFD. */
char *wide_to_utf8(const wchar_t *wide)
{
    const int bytes = WideCharToMultiByte(CP_UTF8, 0, wide, -1, NULL, 0, NULL, NULL);
    char *text = bytes ? memory_alloc((size_t)bytes) : NULL;
    if (text)
        WideCharToMultiByte(CP_UTF8, 0, wide, -1, text, bytes, NULL, NULL);
    else
        errno = ENOMEM;
    return text;
}

static bool is_slash(wchar_t unit)
{
    return unit == L'\\' || unit == L'/';
}

/* Tells whether a path begins with \\?\ or \\.\ already. */
static bool has_prefix(const wchar_t *path)
{
    return is_slash(path[0]) && is_slash(path[1]) && (path[2] == L'?' || path[2] == L'.') &&
           is_slash(path[3]);
}

/* Returns the absolute form with the prefix, which for a server's folder has a name of its own. */
static wchar_t *make_long(const wchar_t *path, DWORD units)
{
    static const wchar_t plain[] = L"\\\\?\\", server[] = L"\\\\?\\UNC\\";
    wchar_t *full = memory_alloc((units + ARRAY_COUNT(server)) * sizeof(*full)), *result = NULL;
    if (!full) {
        errno = ENOMEM;
        return NULL;
    }
    wchar_t *absolute = full + ARRAY_COUNT(server) - 1;
    if (!GetFullPathNameW(path, units, absolute, NULL)) {
        wide_fail();
    } else if (has_prefix(absolute)) {
        result = absolute;
    } else if (is_slash(absolute[0]) && is_slash(absolute[1])) {
        result = absolute + 2 - (ARRAY_COUNT(server) - 1);
        wmemcpy(result, server, ARRAY_COUNT(server) - 1);
    } else {
        result = absolute - (ARRAY_COUNT(plain) - 1);
        wmemcpy(result, plain, ARRAY_COUNT(plain) - 1);
    }
    if (result)
        wmemmove(full, result, wcslen(result) + 1);
    else
        memory_free(full);
    return result ? full : NULL;
}

wchar_t *wide_path(const char *path)
{
    wchar_t *wide = wide_from_utf8(path);
    if (!wide)
        return NULL;
    if (has_prefix(wide)) {
        for (wchar_t *unit = wide; *unit; unit++)
            *unit = is_slash(*unit) ? L'\\' : *unit;
        return wide;
    }
    const DWORD units = GetFullPathNameW(wide, 0, NULL, NULL);
    if (units <= LONGEST_PLAIN)
        return wide;
    wchar_t *longer = make_long(wide, units);
    memory_free(wide);
    return longer;
}

bool wide_fail(void)
{
    static const struct {
        DWORD error;
        int number;
    } numbers[] = {
        {ERROR_FILE_NOT_FOUND, ENOENT},
        {ERROR_PATH_NOT_FOUND, ENOENT},
        {ERROR_INVALID_NAME, ENOENT},
        {ERROR_BAD_NETPATH, ENOENT},
        {ERROR_BAD_NET_NAME, ENOENT},
        {ERROR_NOT_READY, ENOENT},
        {ERROR_TOO_MANY_OPEN_FILES, EMFILE},
        {ERROR_NOT_ENOUGH_MEMORY, ENOMEM},
        {ERROR_OUTOFMEMORY, ENOMEM},
        {ERROR_COMMITMENT_LIMIT, ENOMEM},
        {ERROR_FILE_EXISTS, EEXIST},
        {ERROR_ALREADY_EXISTS, EEXIST},
        {ERROR_DIR_NOT_EMPTY, ENOTEMPTY},
        {ERROR_DISK_FULL, ENOSPC},
        {ERROR_HANDLE_DISK_FULL, ENOSPC},
        {ERROR_DIRECTORY, ENOTDIR},
        {ERROR_FILENAME_EXCED_RANGE, ENAMETOOLONG},
        {ERROR_WRITE_PROTECT, EROFS},
        {ERROR_ACCESS_DENIED, EACCES},
        {ERROR_SHARING_VIOLATION, EACCES},
        {ERROR_LOCK_VIOLATION, EACCES},
        {ERROR_USER_MAPPED_FILE, EACCES},
        {ERROR_PRIVILEGE_NOT_HELD, EPERM},
        {ERROR_INVALID_HANDLE, EBADF},
    };
    const DWORD error = GetLastError();
    errno = EIO;
    for (size_t i = 0; i < ARRAY_COUNT(numbers); i++)
        if (numbers[i].error == error)
            errno = numbers[i].number;
    return false;
}

/* Windows counts units of 100 nanoseconds since 1601. */
int64_t wide_date(uint32_t low, uint32_t high)
{
    return ((int64_t)((uint64_t)high << 32 | low) - 116444736000000000) * 100;
}
#endif
