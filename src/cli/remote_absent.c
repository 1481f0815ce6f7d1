/* SPDX-License-Identifier: MIT
 *
 * Stands for remote.c in a build without libcurl or without vkclip serve.
 */
#include "cli/print.h"
#include "cli/remote.h"

#include <string.h>

int cli_find_remote(struct cli_session *session, const struct cli_remote_options *options,
                    const struct cli_model_options *model, struct cli_remote **remote)
{
    (void)model;
    *remote = NULL;
    if (!options->server || !strcmp(options->server, "auto") || !strcmp(options->server, "never"))
        return CLI_DONE;
    return cli_fail_usage(session, "--server: this vkclip was built without libcurl or without "
                                   "vkclip serve");
}

void cli_close_remote(struct cli_remote **remote)
{
    *remote = NULL;
}

bool cli_encode_remotely(struct cli_remote *remote, const struct cli_decoding *decoding,
                         const struct cli_remote_item *items, size_t count, size_t dim,
                         float *embeds, char *message, size_t capacity)
{
    (void)remote;
    (void)decoding;
    (void)items;
    (void)count;
    (void)dim;
    (void)embeds;
    snprintf(message, capacity, "this build has no servers");
    return false;
}
