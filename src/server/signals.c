/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* pipe2 */
#include "server/signals.h"
#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

/* Drivers have threads that block no signal, so that any thread may get one. Its handler writes the
 * signal's number into this pipe. */
static int signal_pipe[2] = {-1, -1};
static atomic_bool has_ended;

static void note_signal(int number)
{
    const int before = errno;
    const unsigned char byte = (unsigned char)number;
    if (number != SIGHUP)
        atomic_store(&has_ended, true);
    /* A full pipe has signals enough. */
    if (write(signal_pipe[1], &byte, 1) < 0)
        errno = before;
}

/* SIGHUP comes when a log is rotated, but without a log also when the terminal was closed. */
static void handle_signals(const struct server_options *options, void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    if (options->access_log && strcmp(options->access_log, "-") != 0)
        sigaction(SIGHUP, &action, NULL);
}

int signals_open(const struct server_options *options)
{
    if (pipe2(signal_pipe, O_CLOEXEC | O_NONBLOCK))
        return error_fail(VKCLIP_EIO, "the server cannot open a pipe: %s", strerror(errno));
    handle_signals(options, note_signal);
    signal(SIGPIPE, SIG_IGN); /* A reader of the log that has ended must not end the server. */
    return VKCLIP_OK;
}

void signals_release(const struct server_options *options)
{
    handle_signals(options, SIG_DFL);
}

void signals_close(void)
{
    for (size_t i = 0; i < 2; i++) {
        if (signal_pipe[i] >= 0)
            close(signal_pipe[i]);
        signal_pipe[i] = -1;
    }
}

int signals_wait(void)
{
    struct pollfd look = {.fd = signal_pipe[0], .events = POLLIN};
    unsigned char byte = 0;
    if (poll(&look, 1, 1000) > 0 && read(signal_pipe[0], &byte, 1) < 0)
        return 0;
    return byte;
}

bool signals_want_end(void)
{
    return atomic_load(&has_ended);
}
