/* SPDX-License-Identifier: MIT
 *
 * Lists, makes, replaces and removes folders.
 */
#ifndef VKCLIP_BASE_FOLDER_H
#define VKCLIP_BASE_FOLDER_H

#include "base/error.h"

bool folder_exists(const char *path);
/* Makes a folder in a folder that exists. */
int folder_make(const char *path);
/* Makes a folder, or accepts an empty folder. Refuses a folder that holds files, so that no files
 * are overwritten or mixed. */
int folder_make_new(const char *path);
/* Makes a folder and all folders above it with these permissions: 0700 for this user only, 0777 for
 * whom the user's umask allows. Returns whether the folder exists and can be written to. */
bool folder_make_all(const char *path, unsigned mode);
/* Makes a folder for temporary files of this process, whose name begins with `name`, and returns
 * its path as a new string, or NULL if that fails. */
char *folder_make_temporary(const char *name);
/* Renames the folder `source` to `target` and removes an older folder of that name. The files in
 * `source` must be on the disk already. After an error the older folder is still there. */
int folder_replace(const char *source, const char *target);
/* Removes a folder with all files and folders in it. A link in it is removed, and what it leads to
 * stays, as does what cannot be removed. */
void folder_remove(const char *path);

/* Removes a folder if nothing is in it. */
void folder_remove_empty(const char *path);

/* Returns the bytes that this user can still write to the disk of a folder; UINT64_MAX where the
 * system does not tell. */
uint64_t folder_free_bytes(const char *path);

/* Lists what a folder holds, sorted by name, without "." and "..". The caller frees the list with
 * folder_free_names. */
int folder_list(const char *path, char ***names, size_t *count);
void folder_free_names(char ***names, size_t count);

#endif
