/* SPDX-License-Identifier: MIT
 *
 * Locks of files, by which processes keep away from what another one does. The system unlocks them
 * when a process ends in any way, so that a file which was left behind locks nothing. File systems
 * that have no locks let every process pass.
 */
#ifndef VKCLIP_BASE_FILE_LOCK_H
#define VKCLIP_BASE_FILE_LOCK_H

#include "base/error.h"

struct file_lock {
    char *path; /* NULL: nothing is locked */
    int file;
    bool stays; /* The file is not removed. */
};

/* Says to other processes that this one writes a file: PATH.lock is made, locked, and removed by
 * file_unlock. Fails with EIO if another process holds the lock. */
int file_lock(const char *path, struct file_lock *lock);
/* Locks the file of this path, which is made if it is not there, and stays. If another process
 * holds the lock, this calls `tell` and waits. */
int file_lock_wait(const char *path, void (*tell)(void *user), void *user, struct file_lock *lock);
void file_unlock(struct file_lock *lock);

#endif
