/* SPDX-License-Identifier: MIT
 *
 * What is done with the tables of options: rows listed, a command line parsed.
 */
#ifndef VKCLIP_CLI_OPTIONS_H
#define VKCLIP_CLI_OPTIONS_H

#include "cli/table.h"

enum { CLI_MOST_OPTIONS = 96, CLI_ARGUMENT_SIZE = 64 };

/* The rows of a table and of those that it includes, in one list. */
struct cli_rows {
    size_t count;
    struct cli_row {
        const struct cli_option *option;
        size_t field; /* offset in the outermost struct */
        bool common;  /* that struct is session->common, not the command's */
    } items[CLI_MOST_OPTIONS];
};
/* Lists the command's own options, then those that every command takes. */
void cli_list_options(const struct cli_command *command, struct cli_rows *rows);

/* Writes what --help shows as an option's argument, as "FILE" or "f32|f16", or "" if it takes none.
 */
void cli_describe_argument(const struct cli_option *option, char text[CLI_ARGUMENT_SIZE]);
/* Returns the word of a value; NULL if the table does not have it. */
const char *cli_choice_name(const struct cli_choice *choices, int value);

/* Fills session->common, session->arguments and the command's struct `options` from the command
 * line; argv[0] is the command's name. Returns an enum cli_exit. */
int cli_parse_options(struct cli_session *session, void *options, int argc, char **argv);
/* Frees the lists in `options` and session->arguments. */
void cli_free_options(struct cli_session *session, void *options);

#endif
