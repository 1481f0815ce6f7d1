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
/* Makes a folder, or accepts an empty one. Refuses others, so that no files are overwritten or
 * mixed. */
int folder_make_new(const char *path);
/* Makes a folder and all above it, for this user only. Returns whether it exists and can be written
 * to. */
bool folder_make_all(const char *path);
/* Renames a folder to `target` in place of an older folder of that name, which is removed. Its
 * files must be on the disk already. After an error the older folder is still there. */
int folder_replace(const char *source, const char *target);
/* Removes a folder and the files in it, but no folders; what cannot be removed stays. */
void folder_remove(const char *path);

/* Lists what a folder holds, sorted by name, without "." and ".."; free with folder_free_names. */
int folder_list(const char *path, char ***names, size_t *count);
void folder_free_names(char ***names, size_t count);

#endif
