/* SPDX-License-Identifier: MIT
 *
 * Windows waits for sockets by a library of its own, which nothing else needs. There the thread
 * sleeps for a moment, and the caller finds out whether there is something to read.
 */
#include "base/poll.h"
#include "base/clock.h"

#ifdef _WIN32
int poll_readable(int file, double seconds)
{
    (void)file;
    clock_sleep(seconds < 0.001 ? seconds : 0.001);
    return 1;
}
#else
#include <limits.h>
#include <poll.h>

int poll_readable(int file, double seconds)
{
    struct pollfd waits = {.fd = file, .events = POLLIN};
    if (seconds <= 0)
        return poll(&waits, 1, 0);
    return poll(&waits, 1, seconds < INT_MAX / 1000 ? (int)(seconds * 1000) : -1);
}
#endif
