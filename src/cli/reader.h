/* SPDX-License-Identifier: MIT
 *
 * Reads the texts of a file or of standard input one after the other, as editors and shells write
 * them: UTF-8 with a byte-order mark or without one, and UTF-16 with one, which becomes UTF-8.
 * UTF-16 without a mark is refused, and so are lines that end in CR alone.
 */
#ifndef VKCLIP_CLI_READER_H
#define VKCLIP_CLI_READER_H

#include <stdio.h>

#include "cli/session.h"

struct cli_reader {
    FILE *file;
    const char *name;
    int delimiter; /* '\n' (a '\r' before it belongs to it) or 0 */
    size_t number; /* of the text that was read last, from 1 */
    char *text;
    size_t length, capacity;
    enum { CLI_UTF8, CLI_UTF16_LITTLE, CLI_UTF16_BIG } encoding;
    unsigned char ahead[4]; /* bytes that were read and not used yet, the last one first */
    int ahead_count;
};

/* Opens the file, or with "-" standard input. False: it cannot be read, which was reported and
 * counted as a failed input. */
bool cli_open_reader(struct cli_session *session, struct cli_reader *reader, const char *path,
                     int delimiter);
/* Reads the next text; false: there are no more. */
bool cli_read_text(struct cli_session *session, struct cli_reader *reader);
void cli_close_reader(struct cli_reader *reader);

#endif
