/* SPDX-License-Identifier: MIT
 *
 * Brings an index up to date, and shows how far that is.
 */
#ifndef VKCLIP_CLI_COMMANDS_REFRESH_H
#define VKCLIP_CLI_COMMANDS_REFRESH_H

#include "cli/session.h"

struct refresh {
    struct cli_session *session; /* its model encodes the pictures */
    struct vkclip_index *index;
    const char *const *paths; /* as for vkclip_index_paths */
    size_t count;
    struct vkclip_update_params params; /* without functions */
    bool lines; /* Where standard error is no terminal, there is a line per minute. */
};

/* Returns an enum cli_exit. Files that fail are reported and counted as failed inputs. */
int refresh_index(const struct refresh *refresh, struct vkclip_update_result *result);

#endif
