/* SPDX-License-Identifier: MIT
 *
 * The log passes messages of one line to the program's callback. A thread may send its messages to
 * another receiver for a while.
 */
#ifndef VKCLIP_BASE_LOG_H
#define VKCLIP_BASE_LOG_H

#include "vkclip.h"

#include <stdarg.h>

#if defined(__MINGW32__)
#include <stdio.h> /* says whose format this is */
#define PRINTF_LIKE(text, first) __attribute__((format(__MINGW_PRINTF_FORMAT, text, first)))
#elif defined(__GNUC__)
#define PRINTF_LIKE(text, first) __attribute__((format(printf, text, first)))
#else
#define PRINTF_LIKE(text, first)
#endif

#define LOG_LINE 2048 /* bytes of the longest message, its NUL included */

/* Sets the function that receives the messages; NULL drops them. */
void log_set(vkclip_log_fn *log, void *user);
void log_message(enum vkclip_log_level level, const char *format, ...) PRINTF_LIKE(2, 3);

/* This receiver replaces the program's log function on one thread. With `log` NULL, the program's
 * function receives the messages. */
struct log_target {
    vkclip_log_fn *log;
    void *user;
};
/* Sets this thread's receiver and returns the previous receiver, which the caller sets back
 * afterwards. */
struct log_target log_redirect(struct log_target target);

/* Returns what a message has in place of a character: messages quote names and texts out of files,
 * so control characters become question marks. */
char log_character(char c);
/* Formats one line of plain text, of such characters. */
void log_format_line(char *line, size_t size, const char *format, va_list args);

#endif
