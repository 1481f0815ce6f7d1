/* SPDX-License-Identifier: MIT
 *
 * Where inputs come from: lists of paths and texts, and the pictures in folders. An input that
 * cannot be read is reported and counted as failed; the others are done.
 */
#ifndef VKCLIP_CLI_INPUTS_H
#define VKCLIP_CLI_INPUTS_H

#include <stdio.h>

#include "cli/groups.h"

/* Reads the texts of a file, or with "-" of standard input, one after the other. */
struct cli_reader {
    FILE *file;
    const char *name;
    int delimiter; /* '\n' (a '\r' before it belongs to it) or 0 */
    size_t number; /* of the text that was read last, from 1 */
    char *text;
    size_t length, capacity;
};
bool cli_open_reader(struct cli_session *session, struct cli_reader *reader, const char *path,
                     int delimiter);
/* Reads the next text; false: there are no more. */
bool cli_read_text(struct cli_session *session, struct cli_reader *reader);
void cli_close_reader(struct cli_reader *reader);

/* Replaces every file of inputs by the inputs that it lists. Empty lines are inputs only if
 * `keep_empty`. Returns an enum cli_exit, as the functions below. */
int cli_read_lists(struct cli_session *session, struct cli_inputs *inputs, bool keep_empty);
/* Replaces every folder by the pictures in it, sorted by name. */
int cli_read_folders(struct cli_session *session, struct cli_inputs *inputs, bool recursive);
/* Completes the pictures of a command: appends its arguments, then reads lists and folders. */
int cli_read_pictures(struct cli_session *session, struct cli_pictures *pictures);

#endif
