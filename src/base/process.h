/* SPDX-License-Identifier: MIT
 *
 * What a program asks about its own process and others.
 */
#ifndef VKCLIP_BASE_PROCESS_H
#define VKCLIP_BASE_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Returns this process's number, by which files and handles of others are told apart. */
long process_number(void);
/* Tells whether the process of this number runs. The system gives the number of a process that has
 * ended to another one some time. */
bool process_is_running(long number);
/* Returns the text for a number of the system's own errors: of errno, or of GetLastError. */
const char *process_error_text(int number);
/* Loads the first library of these names that is there, and returns its function of this name, or
 * NULL. The library stays to the end of the process. */
typedef void process_function(void);
process_function *process_load(const char *const *libraries, size_t count, const char *name);
/* Runs a function in every child that is forked from now on, where the system forks. */
void process_watch_forks(void (*child)(void));

/* Runs a function in a child process, which has loaded and opened nothing that this one has not,
 * and copies what it writes to `result`. False where the system has no such children, or it fails.
 */
bool process_run_apart(void (*run)(void *user, void *result), void *user, void *result,
                       size_t size);
/* Returns the most memory that this process had, in bytes; 0: unknown. */
uint64_t process_most_memory(void);
/* Opens a file with the program that the desktop has for its kind, and does not wait for it.
 * *program is what opens it, for messages. False, with the reason in errno, if that cannot be
 * started. */
bool process_show(const char *path, const char **program);

#endif
