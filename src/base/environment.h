/* SPDX-License-Identifier: MIT
 *
 * Keeps a copy of the environment's variables that the library follows, and finds the user's
 * folders. No variable is read before environment_read is called, because an application may want
 * that only its own calls decide what the library does. No other file of the library calls getenv.
 */
#ifndef VKCLIP_BASE_ENVIRONMENT_H
#define VKCLIP_BASE_ENVIRONMENT_H

#include "base/error.h"

/* Copies all variables that the library knows, in place of an earlier copy. No other thread may
 * use the copy meanwhile. */
int environment_read(void);

/* Returns the copy of a variable, or NULL if it was not set or if the environment was not read. It
 * stays valid until environment_read is called again. */
const char *environment_get(const char *variable);

/* Asks the environment itself, which the command may do and the library must not. Returns a new
 * string, or NULL if the variable is not set, or out of memory. */
char *environment_ask(const char *variable);

/* Sets a variable for libraries that read it, or unsets it if the value is NULL. No other thread
 * may run. */
void environment_set(const char *variable, const char *value);

/* Finds the user's folder that a variable names, as a new string: by the copy if the environment
 * was read, and else HOME, USERPROFILE and LOCALAPPDATA by what the system knows of the user.
 * *folder is NULL where nothing tells. */
int environment_find_folder(const char *variable, char **folder);

#endif
