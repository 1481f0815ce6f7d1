/* SPDX-License-Identifier: MIT
 *
 * Finds the pictures in a folder and everything below it, by the extensions of their names. Hidden
 * files and folders and those that systems make are left out. A link is followed where it leads to
 * something that is not found without it, and no folder is searched twice, so that links in a
 * circle end.
 */
#ifndef VKCLIP_SEARCH_WALK_H
#define VKCLIP_SEARCH_WALK_H

#include "base/file_status.h"
#include "base/left_out.h"
#include "search/store.h"

struct walk_receiver {
    /* Receives a picture. A nonzero result ends the walk and is returned. */
    int (*file)(void *user, const char *path, const struct store_stamp *stamp);
    /* Receives a folder that cannot be read, or a file or folder of which nothing can be known. The
     * error is the thread's last. */
    int (*broken)(void *user, const char *path, int error);
    /* Receives each folder before what is in it; may be NULL. */
    int (*folder)(void *user, const char *path);
    void *user;
    uint64_t entries; /* is raised by the files and folders that were found, pictures or not */
    struct left_out others; /* gets the files that are no pictures by their names */
};

/* Searches a folder, whose path must be absolute and without links. */
int walk_folder(struct walk_receiver *walk, const char *path);

bool walk_is_picture(const char *name);
/* Tells whether a file or folder of this name is left out. */
bool walk_is_left_out(const char *name);
struct store_stamp walk_stamp(const struct file_status *status);
/* Makes a path absolute, also one that leads to nothing. Returns NULL when out of memory. */
char *walk_make_absolute(const char *path);
/* Tells whether `path` is `folder` or lies below it, as all paths do below "/". */
bool walk_is_below(const char *path, const char *folder);
/* Tells whether a walk of `folder` comes to `path` without following links: it lies below, and no
 * folder on the way is left out. */
bool walk_finds(const char *path, const char *folder);

#endif
