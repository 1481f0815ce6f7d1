/* SPDX-License-Identifier: MIT
 *
 * What vkclip pull asks a server for: a document, a file's metadata, a file. All that can fail
 * prints its message and returns an enum cli_exit.
 */
#ifndef VKCLIP_CLI_HTTP_H
#define VKCLIP_CLI_HTTP_H

#include <jansson.h>

#include "cli/session.h"

struct cli_http;

/* `token` goes to the host of the first request alone, not to one it redirects to; may be NULL. */
int cli_open_http(struct cli_session *session, const char *token, struct cli_http **http);
void cli_close_http(struct cli_http **http);

/* `text` with everything escaped that is not a letter, a digit or one of -._~; a new string. */
char *cli_escape_url(const char *text);

/* The JSON document at `url`. */
int cli_get_json(struct cli_http *http, const char *url, json_t **json);

/* What the hub tells of a file in its headers: the file's own where the answer is a redirection. */
struct cli_metadata {
    char etag[128];  /* without W/ and quotes */
    char commit[64]; /* "": not told */
    int64_t size;    /* bytes; -1: not told */
};
int cli_get_metadata(struct cli_http *http, const char *url, struct cli_metadata *metadata);

/* Goes on where the file at `path` ends; a broken connection is taken up again some times. What has
 * arrived stays when it fails. *fetched grows by the bytes received. */
int cli_get_file(struct cli_http *http, const char *url, const char *path, int64_t size,
                 uint64_t *fetched);

/* Holds a file against the hash that its ETag is: SHA-256, or that of a git blob. */
int cli_check_hash(const char *path, const char *etag, bool *good);

#endif
