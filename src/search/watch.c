/* SPDX-License-Identifier: MIT
 *
 * Only that something has changed is told, and not what: the next pass over the files finds that,
 * as it does after a restart, and an event that the system has dropped does no harm.
 */
#include "search/watch.h"
#include "base/changes.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/progress.h"
#include "search/walk.h"

#include <math.h>

/* Seconds without a change after which a copy in progress counts as complete. */
#define QUIET 1.0
/* Seconds after which a change is told although others follow, as those of a camera that takes
 * pictures all the time. Until then a pass would find only a part of what comes. */
#define MOST_WAIT 60.0

struct watch {
    struct changes *changes;
};

int watch_open(struct watch **result)
{
    struct watch *watch = *result = memory_calloc(1, sizeof(*watch));
    int error = watch ? changes_open(&watch->changes)
                      : error_fail(VKCLIP_EMEMORY, "out of memory for a watch");
    if (error)
        watch_close(result);
    return error;
}

void watch_close(struct watch **watch)
{
    if (*watch)
        changes_close(&(*watch)->changes);
    memory_free(*watch);
    *watch = NULL;
}

static int watch_one(void *user, const char *path)
{
    const struct watch *watch = user;
    const int error = progress_check();
    return error ? error : changes_add(watch->changes, path);
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
static bool is_relevant(const struct change *change)
{
    if (!change->name)
        return true;
    if (!*change->name || walk_is_left_out(change->name))
        return false;
    return change->folder ? !change->attributes : walk_is_picture(change->name);
}

/* Waits for a change. Where the program can cancel that, it is asked now and then; else a signal
 * ends the wait, too. */
static int wait_for_change(const struct watch *watch, double seconds, bool *some, bool *relevant)
{
    const double end = clock_seconds() + seconds;
    int error;
    do {
        const double left = end - clock_seconds();
        error = changes_wait(watch->changes,
                             progress_asks() && left > CLOCK_MOMENT ? CLOCK_MOMENT : left,
                             is_relevant, some, relevant);
        if (!error)
            error = progress_check();
    } while (!error && !*some && progress_asks() && clock_seconds() < end);
    return error;
}

int watch_wait(struct watch *watch, double seconds, bool *changed)
{
    double end = seconds < 0 ? (double)INFINITY : clock_seconds() + seconds;
    bool some;
    *changed = false;
    do {
        const double left = end - clock_seconds();
        bool relevant;
        const int error =
            wait_for_change(watch, *changed && left > QUIET ? QUIET : left, &some, &relevant);
        if (error)
            return error;
        if (relevant && !*changed) {
            *changed = true;
            end = clock_seconds() + MOST_WAIT;
        }
    } while (some && clock_seconds() < end);
    return VKCLIP_OK;
}
