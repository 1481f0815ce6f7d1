/* SPDX-License-Identifier: MIT
 *
 * Each function has one version per system.
 */
#define _GNU_SOURCE
#include "base/clock.h"

#ifdef _WIN32
#include <windows.h>
#else
#include <time.h>
#endif

#ifdef _WIN32
double clock_seconds(void)
{
    LARGE_INTEGER frequency, now;
    QueryPerformanceFrequency(&frequency);
    QueryPerformanceCounter(&now);
    return (double)now.QuadPart / (double)frequency.QuadPart;
}

int64_t clock_date(void)
{
    FILETIME now;
    GetSystemTimePreciseAsFileTime(&now);
    /* Windows counts units of 100 nanoseconds since 1601. */
    const int64_t units = (int64_t)((uint64_t)now.dwHighDateTime << 32 | now.dwLowDateTime);
    return (units - 116444736000000000) * 100;
}

void clock_sleep(double seconds)
{
    Sleep((DWORD)(seconds * 1000));
}
#else
double clock_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

int64_t clock_date(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void clock_sleep(double seconds)
{
    struct timespec rest = {.tv_sec = (time_t)seconds};
    rest.tv_nsec = (long)((seconds - (double)rest.tv_sec) * 1e9);
    nanosleep(&rest, NULL);
}
#endif
