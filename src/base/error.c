/* SPDX-License-Identifier: MIT
 *
 * Every thread has its own last error message, so that no other thread overwrites it.
 */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char last_error[ERROR_MESSAGE];

int error_fail(int error, const char *format, ...)
{
    char message[ERROR_MESSAGE]; /* The arguments may point into last_error. */
    va_list args;
    va_start(args, format);
    log_format_line(message, sizeof(message), format, args);
    va_end(args);
    memcpy(last_error, message, sizeof(message));
    log_message(error == VKCLIP_ECANCELLED ? VKCLIP_LOG_DEBUG : VKCLIP_LOG_ERROR, "%s", message);
    return error;
}

void error_keep(const char *message)
{
    snprintf(last_error, sizeof(last_error), "%s", message);
}

const char *error_last(void)
{
    return last_error;
}

const char *error_text(int error)
{
    switch (error) {
#define X(name, value, text) \
    case value:              \
        return text;
        VKCLIP_ERRORS(X)
#undef X
    }
    return "unknown error";
}
