/* SPDX-License-Identifier: MIT
 *
 * What a program asks about its own process and others.
 */
#ifndef VKCLIP_BASE_PROCESS_H
#define VKCLIP_BASE_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

/* Returns this process's number, by which files and handles of others are told apart. */
long process_number(void);
/* Tells whether the process of this number runs. The system gives the number of a process that has
 * ended to another one some time. */
bool process_is_running(long number);
/* Runs a function in every child that is forked from now on, where the system forks. */
void process_watch_forks(void (*child)(void));

#endif
