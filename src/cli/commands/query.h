/* SPDX-License-Identifier: MIT
 *
 * The grammar of queries, which is that of rclip:
 *
 *   query   = [sign] part {sign part}        sign = "+" | "-", a word of its own
 *   part    = [weight ":"] (id | picture | text)
 *   id      = "id:" number                   a picture of the index
 *   picture = a path that begins with /, ./ or ../, or a name with a dot that an existing file has,
 *             or a URL that begins with http:// or https://
 *   text    = all words up to the next sign, picture or id
 *
 * A text that looks like another part is written with a weight: "1:10:30 train".
 */
#ifndef VKCLIP_CLI_COMMANDS_QUERY_H
#define VKCLIP_CLI_COMMANDS_QUERY_H

#include "cli/session.h"

struct query {
    struct vkclip_query_part *parts;
    size_t count;
    char error[1024]; /* why query_parse or query_fetch failed */
};

/* Tells whether a path leads to a file; a test has its own. */
typedef bool query_is_file_fn(const char *path);

/* Parses words as the shell gives them. False: `error` says why. query_free frees the parts, also
 * after an error. */
bool query_parse(const char *const *words, size_t count, query_is_file_fn *is_file,
                 struct query *query);
/* Parses a line, in which only signs with white space around them separate parts, so that paths may
 * have spaces. */
bool query_parse_line(const char *line, query_is_file_fn *is_file, struct query *query);
/* Downloads the pictures that the query names by URLs, each of no more bytes than a picture of
 * `max_pixels` can need (0: the default) and within a minute. False: `error` says why. */
bool query_fetch(struct cli_session *session, uint64_t max_pixels, struct query *query);
void query_free(struct query *query);

bool query_is_url(const char *word);

#endif
