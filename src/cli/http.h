/* SPDX-License-Identifier: MIT
 *
 * What vkclip pull and queries of vkclip search ask a server for: a document, a file's metadata, a
 * file, a picture. Functions that return an int print their failures and return an enum cli_exit.
 */
#ifndef VKCLIP_CLI_HTTP_H
#define VKCLIP_CLI_HTTP_H

#include <jansson.h>

#include "cli/session.h"

struct cli_http;

/* `token`, which may be NULL, is sent to the host of a request only, and not to one that the host
 * redirects to. */
int cli_open_http(struct cli_session *session, const char *token, struct cli_http **http);
void cli_close_http(struct cli_http **http);

/* Returns a new string: `text` with everything escaped that is not a letter, a digit or one of
 * -._~. */
char *cli_escape_url(const char *text);

/* Downloads the JSON document at `url`. */
int cli_get_json(struct cli_http *http, const char *url, json_t **json);

/* What the hub tells about a file in the headers of its answer, which may be a redirection. */
struct cli_metadata {
    char etag[128];  /* without W/ and quotes */
    char commit[64]; /* "": not told */
    int64_t size;    /* bytes; -1: not told */
};
int cli_get_metadata(struct cli_http *http, const char *url, struct cli_metadata *metadata);

/* Downloads into the file at `path`, from where the file ends; a broken connection is opened again
 * a few times. The bytes that have arrived stay if it fails. *fetched grows by the bytes received.
 */
int cli_get_file(struct cli_http *http, const char *url, const char *path, int64_t size,
                 uint64_t *fetched);

/* Downloads at most `limit` bytes within a minute, in one try, and returns them in memory of
 * malloc. After a failure returns NULL, and `message` has a line that begins with the URL. */
void *cli_get_picture(struct cli_http *http, const char *url, int64_t limit, size_t *size,
                      char *message, size_t capacity);

/* Sends the requests to a Unix socket instead of the hosts that URLs name. */
void cli_use_socket(struct cli_http *http, const char *path);
/* Trusts servers by the certificates in a PEM file, instead of those that the system trusts. */
void cli_use_authority(struct cli_http *http, const char *path);
/* Sends a JSON document by POST, or with `body` NULL asks for one by GET, and gives the status and
 * the document of the answer, whatever the status is. False: there is no such answer, and `message`
 * says why. */
bool cli_ask_json(struct cli_http *http, const char *url, const json_t *body, long *status,
                  json_t **answer, char *message, size_t capacity);

/* Compares a file with its ETag, if that is a hash: 64 digits are the file's SHA-256, 40 digits the
 * SHA-1 of a git blob ("blob SIZE", NUL, the bytes). *good is false if they differ. */
int cli_check_hash(const char *path, const char *etag, bool *good);

#endif
