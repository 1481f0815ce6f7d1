/* SPDX-License-Identifier: MIT
 *
 * Each function has one version per system.
 */
#define _GNU_SOURCE
#include "base/process.h"
#include "base/memory.h"

#include <errno.h>
#include <string.h>

#ifdef _WIN32
#include "base/wide.h"

#include <windows.h>
#include <psapi.h>
#include <shellapi.h>
#else
#include "base/string.h"

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#ifndef __ANDROID__
#include <spawn.h>
#endif
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

#ifdef _WIN32
long process_number(void)
{
    return (long)GetCurrentProcessId();
}

bool process_is_running(long number)
{
    HANDLE process = OpenProcess(SYNCHRONIZE, FALSE, (DWORD)number);
    if (!process)
        return GetLastError() == ERROR_ACCESS_DENIED;
    const bool running = WaitForSingleObject(process, 0) == WAIT_TIMEOUT;
    CloseHandle(process);
    return running;
}

const char *process_error_text(int number)
{
    SetLastError((DWORD)number);
    wide_fail();
    return strerror(errno);
}

process_function *process_load(const char *const *libraries, size_t count, const char *name)
{
    HMODULE library = NULL;
    for (size_t i = 0; i < count && !library; i++)
        library = LoadLibraryA(libraries[i]);
    return library ? (process_function *)(void *)GetProcAddress(library, name) : NULL;
}

void process_watch_forks(void (*child)(void))
{
    (void)child;
}

bool process_run_apart(void (*run)(void *user, void *result), void *user, void *result, size_t size)
{
    (void)run;
    (void)user;
    (void)result;
    (void)size;
    return false;
}

uint64_t process_most_memory(void)
{
    PROCESS_MEMORY_COUNTERS counters = {.cb = sizeof(counters)};
    if (!K32GetProcessMemoryInfo(GetCurrentProcess(), &counters, sizeof(counters)))
        return 0;
    return counters.PeakWorkingSetSize;
}

/* The result is a number above 32 unless that fails. */
bool process_show(const char *path, const char **program)
{
    wchar_t *wide = wide_path(path);
    *program = "the desktop";
    const bool shown =
        wide &&
        ((INT_PTR)ShellExecuteW(NULL, NULL, wide, NULL, NULL, SW_SHOWNORMAL) > 32 || wide_fail());
    memory_free(wide);
    return shown;
}
#else
long process_number(void)
{
    return (long)getpid();
}

bool process_is_running(long number)
{
    return number > 0 && (kill((pid_t)number, 0) == 0 || errno == EPERM);
}

const char *process_error_text(int number)
{
    return strerror(number);
}

/* What follows is no C, but POSIX has it so. */
process_function *process_load(const char *const *libraries, size_t count, const char *name)
{
    void *library = NULL;
    for (size_t i = 0; i < count && !library; i++)
        library = dlopen(libraries[i], RTLD_NOW | RTLD_LOCAL);
    return library ? (process_function *)dlsym(library, name) : NULL;
}

void process_watch_forks(void (*child)(void))
{
    pthread_atfork(NULL, NULL, child);
}

/* Reads what the child writes to its end of the pipe before it ends. */
static bool wait_for(pid_t child, int from, void *result, size_t size)
{
    const bool whole = child > 0 && read(from, result, size) == (ssize_t)size;
    if (child > 0)
        waitpid(child, NULL, 0);
    return whole;
}

bool process_run_apart(void (*run)(void *user, void *result), void *user, void *result, size_t size)
{
    int ends[2];
    if (pipe(ends))
        return false;
    const pid_t child = fork();
    if (!child) {
        run(user, result);
        _exit(write(ends[1], result, size) != (ssize_t)size);
    }
    close(ends[1]);
    const bool good = wait_for(child, ends[0], result, size);
    close(ends[0]);
    return good;
}

uint64_t process_most_memory(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage))
        return 0;
#ifdef __APPLE__
    return (uint64_t)usage.ru_maxrss;
#else
    return (uint64_t)usage.ru_maxrss * 1024;
#endif
}

#ifdef __ANDROID__
/* Android has posix_spawn since API level 28, and nothing on it that a command could open files
 * with. */
bool process_show(const char *path, const char **program)
{
    (void)path;
    *program = "Android";
    errno = ENOSYS;
    return false;
}
#else
extern char **environ;

/* No shell reads the path. The viewer outlives the command, which does not wait for it. */
bool process_show(const char *path, const char **program)
{
#ifdef __APPLE__
    static char viewer[] = "open";
#else
    static char viewer[] = "xdg-open";
#endif
    char *copy = string_format("%s", path);
    char *const arguments[] = {viewer, copy, NULL};
    pid_t child;
    *program = viewer;
    errno = copy ? posix_spawnp(&child, viewer, NULL, NULL, arguments, environ) : ENOMEM;
    memory_free(copy);
    return !errno;
}
#endif
#endif
