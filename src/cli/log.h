/* SPDX-License-Identifier: MIT
 *
 * The library's messages as the command shows them. The library writes its parameters in backquotes
 * (`lr`, `max_batch`), and the command writes its own options in their place (--lr, --batch).
 */
#ifndef VKCLIP_CLI_LOG_H
#define VKCLIP_CLI_LOG_H

#include "cli/table.h"

/* Sends the library's warnings, and the messages that -v asks for, to standard error. */
void cli_start_log(struct cli_session *session);
/* Prints the library's last error and returns `status`. */
int cli_fail_library(const struct cli_session *session, int status);
/* Prints the library's last error as wrong usage and returns CLI_USAGE. */
int cli_fail_library_usage(const struct cli_session *session);
/* Prints `prefix` and the library's last error, and counts one input as failed. */
void cli_fail_library_input(struct cli_session *session, const char *prefix);
/* Prints a message that begins with the path of an input, and counts the input as failed. */
void cli_fail_named_input(struct cli_session *session, const struct cli_input *input,
                          const char *message);
/* Prints the library's message about a file, after its path unless that is there, and counts the
 * file as failed. */
void cli_fail_file(struct cli_session *session, const char *path, const char *message);
/* Returns `message` with the options of the session's command in it, as a new string; NULL when out
 * of memory. */
char *cli_name_options(const struct cli_session *session, const char *message);

#endif
