/* SPDX-License-Identifier: MIT
 *
 * Each function has one version per system.
 */
#define _GNU_SOURCE
#include "base/process.h"

#ifdef _WIN32
#include <windows.h>
#else
#include <errno.h>
#include <pthread.h>
#include <signal.h>
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

void process_watch_forks(void (*child)(void))
{
    (void)child;
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

void process_watch_forks(void (*child)(void))
{
    pthread_atfork(NULL, NULL, child);
}
#endif
