/* SPDX-License-Identifier: MIT
 *
 * What joins the two halves of vkclip pull: the command, and the part that needs a network, which a
 * build without libcurl leaves out.
 */
#ifndef VKCLIP_CLI_COMMANDS_PULL_H
#define VKCLIP_CLI_COMMANDS_PULL_H

#include "cli/session.h"
#include "format/hub.h"

/* Downloads the files of a model that the hub's cache lacks. *fetched is the number of bytes
 * received. Prints its failures; returns an enum cli_exit. */
int cli_fetch_model(struct cli_session *session, const struct hub_name *name, uint64_t *fetched);

#endif
