/* SPDX-License-Identifier: MIT
 *
 * The program sets its log function once, before other threads use the library, so that reading the
 * function needs no lock.
 */
#include "base/log.h"

#include <stdio.h>

static vkclip_log_fn *log_function;
static void *log_user;
static _Thread_local struct log_target redirected;

void log_set(vkclip_log_fn *log, void *user)
{
    log_function = log;
    log_user = user;
}

char log_character(char c)
{
    return (unsigned char)c < 32 || c == 127 ? '?' : c;
}

void log_format_line(char *line, size_t size, const char *format, va_list args)
{
    vsnprintf(line, size, format, args);
    for (; *line; line++)
        *line = log_character(*line);
}

struct log_target log_redirect(struct log_target target)
{
    struct log_target before = redirected;
    redirected = target;
    return before;
}

void log_message(enum vkclip_log_level level, const char *format, ...)
{
    if (!log_function)
        return;
    char message[LOG_LINE];
    va_list args;
    va_start(args, format);
    log_format_line(message, sizeof(message), format, args);
    va_end(args);
    if (redirected.log)
        redirected.log(redirected.user, level, message);
    else
        log_function(log_user, level, message);
}
