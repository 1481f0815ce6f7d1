/* SPDX-License-Identifier: MIT
 *
 * A server (vkclip serve) that has the model loaded already, and encodes in place of this process.
 */
#ifndef VKCLIP_CLI_REMOTE_H
#define VKCLIP_CLI_REMOTE_H

#include "cli/groups.h"

struct cli_remote;

/* Finds the server that encodes with the model of the options. *remote is NULL where this process
 * has to do so: there is none, or it computes otherwise than the options say. A server that was
 * named and cannot be used is an error. */
int cli_find_remote(struct cli_session *session, const struct cli_remote_options *options,
                    const struct cli_model_options *model, struct cli_remote **remote);
void cli_close_remote(struct cli_remote **remote);

/* What is encoded: a text, or the bytes of a picture's file. */
struct cli_remote_item {
    const char *text; /* [size]; NULL: a picture */
    const void *data; /* [size] */
    size_t size;
};
enum { CLI_REMOTE_MOST = 32 }; /* items of one request */
/* Writes embeddings [count,dim] of unit length. False: `message` has the reason, which is that of
 * one of the items if there are several. */
bool cli_encode_remotely(struct cli_remote *remote, const struct cli_decoding *decoding,
                         const struct cli_remote_item *items, size_t count, size_t dim,
                         float *embeds, char *message, size_t capacity);

#endif
