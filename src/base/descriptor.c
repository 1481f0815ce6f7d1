/* SPDX-License-Identifier: MIT
 *
 * Each function has one version per system.
 */
#define _GNU_SOURCE
#include "base/descriptor.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>

#ifdef _WIN32
#include "base/wide.h"

#include <io.h>
#include <windows.h>
#else
#include <sys/mman.h>
#include <unistd.h>
#endif

#ifdef _WIN32
/* Makes a descriptor of a handle. */
static int take_handle(HANDLE handle)
{
    if (handle == INVALID_HANDLE_VALUE) {
        wide_fail();
        return -1;
    }
    const int file = _open_osfhandle((intptr_t)handle, _O_RDONLY | _O_BINARY | _O_NOINHERIT);
    if (file < 0)
        CloseHandle(handle);
    return file;
}

/* A folder is opened too, so that whoever opened it is told that it is one. */
int descriptor_open(const char *path, bool still)
{
    const DWORD sharing = FILE_SHARE_READ | FILE_SHARE_DELETE | (still ? 0 : FILE_SHARE_WRITE);
    wchar_t *wide = wide_path(path);
    if (!wide)
        return -1;
    HANDLE handle = CreateFileW(wide, GENERIC_READ, sharing, NULL, OPEN_EXISTING,
                                FILE_FLAG_BACKUP_SEMANTICS, NULL);
    memory_free(wide);
    return take_handle(handle);
}

/* A duplicate would share its position with the original, which reading at a place moves. */
int descriptor_copy(int file)
{
    return take_handle(ReOpenFile((HANDLE)_get_osfhandle(file), GENERIC_READ,
                                  FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, 0));
}

void descriptor_close(int file)
{
    _close(file);
}

int64_t descriptor_read(int file, uint64_t place, void *data, size_t size)
{
    OVERLAPPED overlapped = {.Offset = (DWORD)place, .OffsetHigh = (DWORD)(place >> 32)};
    const DWORD most = size < (size_t)1 << 30 ? (DWORD)size : (DWORD)1 << 30;
    DWORD count;
    if (ReadFile((HANDLE)_get_osfhandle(file), data, most, &count, &overlapped))
        return count;
    if (GetLastError() == ERROR_HANDLE_EOF)
        return 0;
    wide_fail();
    return -1;
}

void *descriptor_map(int file, uint64_t place, size_t size)
{
    HANDLE mapping =
        CreateFileMappingW((HANDLE)_get_osfhandle(file), NULL, PAGE_READONLY, 0, 0, NULL);
    void *data =
        mapping ? MapViewOfFile(mapping, FILE_MAP_READ, (DWORD)(place >> 32), (DWORD)place, size)
                : NULL;
    if (!data)
        wide_fail();
    if (mapping)
        CloseHandle(mapping);
    return data;
}

void descriptor_unmap(void *data, size_t size)
{
    (void)size;
    UnmapViewOfFile(data);
}

size_t descriptor_unit(void)
{
    SYSTEM_INFO info;
    GetSystemInfo(&info);
    return info.dwAllocationGranularity;
}

bool descriptor_replace(void *data, size_t size)
{
    (void)data;
    (void)size;
    return DESCRIPTOR_SHRINKS;
}
#else
int descriptor_open(const char *path, bool still)
{
    (void)still;
    return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

int descriptor_copy(int file)
{
    return fcntl(file, F_DUPFD_CLOEXEC, 0);
}

void descriptor_close(int file)
{
    close(file);
}

int64_t descriptor_read(int file, uint64_t place, void *data, size_t size)
{
    ssize_t count;
    do
        count = pread(file, data, size, (off_t)place);
    while (count < 0 && errno == EINTR);
    return count;
}

void *descriptor_map(int file, uint64_t place, size_t size)
{
    void *data = mmap(NULL, size, PROT_READ, MAP_PRIVATE, file, (off_t)place);
    return data == MAP_FAILED ? NULL : data;
}

void descriptor_unmap(void *data, size_t size)
{
    munmap(data, size);
}

size_t descriptor_unit(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

bool descriptor_replace(void *data, size_t size)
{
    return mmap(data, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
                0) != MAP_FAILED;
}
#endif
