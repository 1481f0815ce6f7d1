/* SPDX-License-Identifier: MIT
 *
 * What a command needs of the system: its arguments, its streams and the terminal. Only programs
 * call this, and libraries do not, because it changes the whole process.
 */
#ifndef VKCLIP_BASE_CONSOLE_H
#define VKCLIP_BASE_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>

/* Prepares the process: a reader that goes away is an error to report, and standard streams that
 * the caller has closed are open, so that no file takes their place. On Windows the arguments
 * become UTF-8, streams pass bytes on unchanged, and the console shows UTF-8. Returns false if that
 * fails. */
bool console_begin(int *argc, char ***argv);

/* Leaves out what libraries print on standard error while mute_is_on() says so, where the C library
 * lets a program do that. */
void console_mute_libraries(void);

/* Tells whether standard output (1) or standard error (2) is a terminal. */
bool console_is_terminal(int stream);

/* The size of the terminal of standard output, and of its cells in pixels; 0 is not known. False:
 * there is none. */
struct console_size {
    unsigned columns, rows, width, height;
};
bool console_find_size(struct console_size *size);

/* Asks the terminal and reads its answer up to the character `last`, or until nothing comes any
 * more. Returns the bytes of the answer, 0 where there is no terminal to ask. */
size_t console_ask(const char *question, char last, char *answer, size_t capacity);

#endif
