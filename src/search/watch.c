/* SPDX-License-Identifier: MIT
 *
 * Only that something has changed is told, and not what: the next pass over the files finds that,
 * as it does after a restart, and an event that the system has dropped does no harm.
 */
#include "search/watch.h"
#include "base/changes.h"
#include "base/clock.h"
#include "base/file_status.h"
#include "base/memory.h"
#include "base/progress.h"
#include "base/string.h"
#include "search/walk.h"

#include <math.h>
#include <string.h>

/* Seconds without a change after which a copy in progress counts as complete. */
#define QUIET 1.0
/* Seconds after which a change is told although others follow, as those of a camera that takes
 * pictures all the time. Until then a pass would find only a part of what comes. */
#define MOST_WAIT 60.0

/* Seconds between two looks at the folders that the index was given. The system tells nothing of a
 * disk that is mounted there, nor of a folder that comes back after it was renamed or removed. */
#define LOOK 1.0

/* Is what lies at the path of a folder that was given. */
struct watched_root {
    char *path;
    bool exists;
    uint64_t device, inode;
};

struct watch {
    struct changes *changes;
    struct watched_root *roots;
    size_t root_count;
    bool moved; /* Something has changed since the folders were searched for others to watch. */
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
    if (!*watch)
        return;
    changes_close(&(*watch)->changes);
    for (size_t i = 0; i < (*watch)->root_count; i++)
        memory_free((*watch)->roots[i].path);
    memory_free((*watch)->roots);
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

/* Tells whether another folder lies at a root's path than before, one that was not there, or none.
 */
static bool look_at_root(struct watched_root *root)
{
    struct file_status status = {0};
    const bool exists = file_status(root->path, &status);
    const bool same = exists == root->exists &&
                      (!exists || (status.device == root->device && status.inode == root->inode));
    root->exists = exists;
    root->device = status.device;
    root->inode = status.inode;
    return !same;
}

static bool look_at_roots(const struct watch *watch)
{
    bool changed = false;
    for (size_t i = 0; i < watch->root_count; i++)
        changed |= look_at_root(&watch->roots[i]);
    return changed;
}

static bool has_root(const struct watch *watch, const char *folder)
{
    for (size_t i = 0; i < watch->root_count; i++)
        if (!strcmp(watch->roots[i].path, folder))
            return true;
    return false;
}

static int keep_root(struct watch *watch, const char *folder)
{
    if (has_root(watch, folder))
        return VKCLIP_OK;
    struct watched_root *roots =
        memory_realloc(watch->roots, (watch->root_count + 1) * sizeof(*roots));
    if (roots)
        watch->roots = roots;
    struct watched_root root = {.path = roots ? string_format("%s", folder) : NULL};
    if (!root.path)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a watch");
    look_at_root(&root);
    watch->roots[watch->root_count++] = root;
    return VKCLIP_OK;
}

int watch_add(struct watch *watch, const char *folder)
{
    struct walk_receiver walk = {
        .file = ignore_file, .broken = ignore_broken, .folder = watch_one, .user = watch};
    /* Without a change there are no new folders, and a search of all would cost more than the rest
     * of an idle wait. */
    if (has_root(watch, folder) && !watch->moved)
        return VKCLIP_OK;
    int error = keep_root(watch, folder);
    if (!error)
        error = walk_folder(&walk, folder);
    watch->moved |= error != VKCLIP_OK; /* The next call tries again. */
    return error;
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
    const double end = clock_seconds() + seconds, step = progress_asks() ? CLOCK_MOMENT : LOOK;
    bool waited;
    int error;
    do {
        const double began = clock_seconds(), time = fmin(step, end - began);
        error = changes_wait(watch->changes, time, is_relevant, some, relevant);
        if (!error && look_at_roots(watch))
            *some = *relevant = true;
        if (!error)
            error = progress_check();
        waited = clock_seconds() - began > 0.9 * time;
    } while (!error && !*some && (progress_asks() || waited) && clock_seconds() < end);
    return error;
}

int watch_wait(struct watch *watch, double seconds, bool *changed)
{
    watch->moved = false; /* All folders were added. */
    double end = seconds < 0 ? (double)INFINITY : clock_seconds() + seconds;
    bool some;
    *changed = false;
    do {
        const double left = end - clock_seconds();
        bool relevant;
        const int error =
            wait_for_change(watch, *changed && left > QUIET ? QUIET : left, &some, &relevant);
        watch->moved |= some;
        if (error)
            return error;
        if (relevant && !*changed) {
            *changed = true;
            end = clock_seconds() + MOST_WAIT;
        }
    } while (some && clock_seconds() < end);
    return VKCLIP_OK;
}
