/* SPDX-License-Identifier: MIT
 *
 * Every function that fails returns a negative VKCLIP_E*, and its thread keeps a message of one
 * line that says what failed, where, what was expected and what was found.
 */
#ifndef VKCLIP_BASE_ERROR_H
#define VKCLIP_BASE_ERROR_H

#include "base/log.h"

#define ERROR_MESSAGE LOG_LINE /* bytes of the longest message, its NUL included */

/* Keeps the message as this thread's last error, logs it, and returns `error`:
 *     return error_fail(VKCLIP_EFORMAT, "%s: expected ..., found ...", path, ...);  */
int error_fail(int error, const char *format, ...) PRINTF_LIKE(2, 3);
/* Makes a message the last error of this thread without logging it, because another thread did. */
void error_keep(const char *message);
/* Returns the message of this thread's last error, or "" if there is none. */
const char *error_last(void);
/* Returns the text of an error code. */
const char *error_text(int error);

#endif
