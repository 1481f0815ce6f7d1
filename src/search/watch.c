/* SPDX-License-Identifier: MIT
 *
 * Only that something has changed is told, and not what: the next pass over the files finds that,
 * as it does after a restart, and an event that the system has dropped does no harm.
 */
#define _GNU_SOURCE
#include "search/watch.h"
#include "base/clock.h"
#include "base/memory.h"
#include "search/walk.h"

#ifdef __linux__
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <poll.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

/* Seconds without a change after which a copy in progress counts as complete. */
#define QUIET 1.0
/* Seconds after which a change is told although others follow, as those of a camera that takes
 * pictures all the time. Until then a pass would find only a part of what comes. */
#define MOST_WAIT 60.0

struct watch {
    int file;
};

int watch_open(struct watch **result)
{
    struct watch *watch = *result = memory_calloc(1, sizeof(*watch));
    if (!watch)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a watch");
    watch->file = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (watch->file >= 0)
        return VKCLIP_OK;
    int error = error_fail(VKCLIP_EIO, "changes of files cannot be watched: %s", strerror(errno));
    watch_close(result);
    return error;
}

void watch_close(struct watch **watch)
{
    if (*watch && (*watch)->file >= 0)
        close((*watch)->file);
    memory_free(*watch);
    *watch = NULL;
}

static int watch_one(void *user, const char *path)
{
    const struct watch *watch = user;
    const uint32_t events = IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO |
                            IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
    if (inotify_add_watch(watch->file, path, events) >= 0 || errno == ENOENT || errno == EACCES ||
        errno == ENOTDIR)
        return VKCLIP_OK;
    if (errno == ENOSPC)
        return error_fail(VKCLIP_EIO,
                          "%s: more folders than may be watched: raise fs.inotify.max_user_watches",
                          path);
    return error_fail(VKCLIP_EIO, "%s: cannot be watched: %s", path, strerror(errno));
}

static int ignore_file(void *user, const char *path, const struct store_stamp *stamp)
{
    (void)user;
    (void)path;
    (void)stamp;
    return VKCLIP_OK;
}

static int ignore_broken(void *user, const char *path, int error)
{
    (void)user;
    (void)path;
    (void)error;
    return VKCLIP_OK;
}

int watch_add(struct watch *watch, const char *folder)
{
    struct walk_receiver walk = {
        .file = ignore_file, .broken = ignore_broken, .folder = watch_one, .user = watch};
    return walk_folder(&walk, folder);
}

/* The index itself may lie in a folder that is watched, and is no change. */
static bool is_relevant(const struct inotify_event *event)
{
    const char *name = event->len ? event->name : "";
    if (event->mask & (IN_Q_OVERFLOW | IN_DELETE_SELF | IN_MOVE_SELF))
        return true;
    if (!*name || walk_is_left_out(name))
        return false;
    return event->mask & IN_ISDIR ? !(event->mask & IN_ATTRIB) : walk_is_picture(name);
}

/* Reads the events that wait, and tells whether one of them is a change. */
static bool read_events(const struct watch *watch)
{
    _Alignas(struct inotify_event) char buffer[16384];
    bool changed = false;
    ssize_t size;
    while ((size = read(watch->file, buffer, sizeof(buffer))) > 0)
        for (char *next = buffer; next < buffer + size;) {
            const struct inotify_event *event = (const struct inotify_event *)next;
            changed |= is_relevant(event);
            next += sizeof(*event) + event->len;
        }
    return changed;
}

/* Converts seconds for poll, for which a negative number means for ever. */
static int to_milliseconds(double seconds)
{
    if (seconds <= 0)
        return 0;
    return seconds < INT_MAX / 1000 ? (int)(seconds * 1000) : -1;
}

int watch_wait(struct watch *watch, double seconds, bool *changed)
{
    struct pollfd poll_file = {.fd = watch->file, .events = POLLIN};
    double end = seconds < 0 ? (double)INFINITY : clock_seconds() + seconds;
    *changed = false;
    do {
        const double left = end - clock_seconds();
        const int ready =
            poll(&poll_file, 1, to_milliseconds(*changed && left > QUIET ? QUIET : left));
        if (ready < 0 && errno != EINTR)
            return error_fail(VKCLIP_EIO, "changes cannot be waited for: %s", strerror(errno));
        if (ready <= 0)
            return VKCLIP_OK;
        if (read_events(watch) && !*changed) {
            *changed = true;
            end = clock_seconds() + MOST_WAIT;
        }
    } while (clock_seconds() < end);
    return VKCLIP_OK;
}
#else
int watch_open(struct watch **watch)
{
    *watch = NULL;
    return error_fail(VKCLIP_EUNSUPPORTED, "this system does not tell of changes of files");
}

void watch_close(struct watch **watch)
{
    *watch = NULL;
}

int watch_add(struct watch *watch, const char *folder)
{
    (void)watch;
    (void)folder;
    return VKCLIP_OK;
}

int watch_wait(struct watch *watch, double seconds, bool *changed)
{
    (void)watch;
    (void)seconds;
    *changed = false;
    return VKCLIP_OK;
}
#endif
