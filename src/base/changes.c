/* SPDX-License-Identifier: MIT
 *
 * The kernel keeps the events until they are read.
 */
#define _GNU_SOURCE
#include "base/changes.h"
#include "base/memory.h"
#include "base/poll.h"

#ifdef __linux__
#include <errno.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

struct changes {
    int file;
};

int changes_open(struct changes **result)
{
    struct changes *changes = *result = memory_calloc(1, sizeof(*changes));
    if (!changes)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a watch");
    changes->file = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (changes->file >= 0)
        return VKCLIP_OK;
    int error = error_fail(VKCLIP_EIO, "changes of files cannot be watched: %s", strerror(errno));
    changes_close(result);
    return error;
}

void changes_close(struct changes **changes)
{
    if (*changes && (*changes)->file >= 0)
        close((*changes)->file);
    memory_free(*changes);
    *changes = NULL;
}

int changes_add(struct changes *changes, const char *folder)
{
    const uint32_t events = IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO |
                            IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
    if (inotify_add_watch(changes->file, folder, events) >= 0 || errno == ENOENT ||
        errno == EACCES || errno == ENOTDIR)
        return VKCLIP_OK;
    if (errno == ENOSPC)
        return error_fail(VKCLIP_EIO,
                          "%s: more folders than may be watched: raise fs.inotify.max_user_watches",
                          folder);
    return error_fail(VKCLIP_EIO, "%s: cannot be watched: %s", folder, strerror(errno));
}

static struct change describe(const struct inotify_event *event)
{
    if (event->mask & (IN_Q_OVERFLOW | IN_DELETE_SELF | IN_MOVE_SELF))
        return (struct change){0};
    return (struct change){.name = event->len ? event->name : "",
                           .folder = event->mask & IN_ISDIR,
                           .attributes = event->mask & IN_ATTRIB};
}

/* Reads the events that wait, and tells whether one of them is relevant. */
static bool read_events(const struct changes *changes,
                        bool (*is_relevant)(const struct change *change))
{
    _Alignas(struct inotify_event) char buffer[16384];
    bool relevant = false;
    ssize_t size;
    while ((size = read(changes->file, buffer, sizeof(buffer))) > 0)
        for (char *next = buffer; next < buffer + size;) {
            const struct inotify_event *event = (const struct inotify_event *)next;
            const struct change change = describe(event);
            relevant |= is_relevant(&change);
            next += sizeof(*event) + event->len;
        }
    return relevant;
}

int changes_wait(struct changes *changes, double seconds,
                 bool (*is_relevant)(const struct change *change), bool *some, bool *relevant)
{
    const int ready = poll_readable(changes->file, seconds);
    *some = ready > 0;
    *relevant = false;
    if (ready < 0 && errno != EINTR)
        return error_fail(VKCLIP_EIO, "changes cannot be waited for: %s", strerror(errno));
    if (*some)
        *relevant = read_events(changes, is_relevant);
    return VKCLIP_OK;
}
#else
int changes_open(struct changes **changes)
{
    *changes = NULL;
    return error_fail(VKCLIP_EUNSUPPORTED, "this system does not tell of changes of files");
}

void changes_close(struct changes **changes)
{
    *changes = NULL;
}

int changes_add(struct changes *changes, const char *folder)
{
    (void)changes;
    (void)folder;
    return VKCLIP_OK;
}

int changes_wait(struct changes *changes, double seconds,
                 bool (*is_relevant)(const struct change *change), bool *some, bool *relevant)
{
    (void)changes;
    (void)seconds;
    (void)is_relevant;
    *some = *relevant = false;
    return VKCLIP_OK;
}
#endif
