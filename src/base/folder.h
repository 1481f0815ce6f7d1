/* SPDX-License-Identifier: MIT
 *
 * Folders: listed, made, replaced and removed.
 */
#ifndef VKCLIP_BASE_FOLDER_H
#define VKCLIP_BASE_FOLDER_H

#include "base/error.h"

bool folder_exists(const char *path);
/* Makes a folder in a folder that exists. */
int folder_make(const char *path);
/* Makes a folder, or accepts an empty one: nobody's files are overwritten or mixed with others. */
int folder_make_new(const char *path);
/* Makes a folder and all above it; returns whether it exists and can be written to. */
bool folder_make_all(const char *path);
/* Renames a folder, whose files are whole, to `target`, and removes an older folder of that name.
 */
int folder_replace(const char *source, const char *target);
/* Removes a folder and the files in it; what cannot be removed stays. */
void folder_remove(const char *path);

/* Lists what a folder holds, sorted by name, without "." and ".."; free with folder_free_names. */
int folder_list(const char *path, char ***names, size_t *count);
void folder_free_names(char ***names, size_t count);

#endif
