/* SPDX-License-Identifier: MIT
 *
 * Tells of changes in folders, by inotify. Other systems than Linux are refused with
 * EUNSUPPORTED.
 */
#ifndef VKCLIP_BASE_CHANGES_H
#define VKCLIP_BASE_CHANGES_H

#include "base/error.h"

struct changes;

struct change {
    const char *name; /* in its folder; NULL: the folder itself is gone, or changes were lost */
    bool folder;      /* The name is a folder's. */
    bool attributes;  /* Neither the content nor the name is new. */
};

int changes_open(struct changes **changes);
void changes_close(struct changes **changes);
/* Watches a folder, but not those in it. Fails neither if it is watched already, nor if it is gone
 * or may not be read. */
int changes_add(struct changes *changes, const char *folder);
/* Waits for some seconds, or for ever if they are infinite, until something changes. *some tells
 * whether it did, and *relevant whether the function said so of one of the changes. */
int changes_wait(struct changes *changes, double seconds,
                 bool (*is_relevant)(const struct change *change), bool *some, bool *relevant);

#endif
