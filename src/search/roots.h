/* SPDX-License-Identifier: MIT
 *
 * What a pass over files searches: the files and folders that the caller named, or all folders of
 * the index. Refuses a path of which nothing is known.
 */
#ifndef VKCLIP_SEARCH_ROOTS_H
#define VKCLIP_SEARCH_ROOTS_H

#include "search/index.h"

struct root {
    char *path; /* absolute, without links where it exists */
    bool known; /* The index was given this folder before. */
    bool exists, folder;
    bool below;   /* It lies below another one. */
    bool covered; /* The search of another one comes to it, too. */
};

struct roots {
    struct root *items;
    size_t count;
};

/* Makes the list of `count` paths; 0: of the folders of the index. */
int roots_list(struct vkclip_index *index, const char *const *paths, size_t count,
               struct roots *roots);
void roots_free(struct roots *roots);

#endif
