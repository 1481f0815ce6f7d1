/* SPDX-License-Identifier: MIT
 *
 * The two halves of vkclip pull: the command, and what needs a network, which a build without
 * libcurl leaves out.
 */
#ifndef VKCLIP_CLI_COMMANDS_PULL_H
#define VKCLIP_CLI_COMMANDS_PULL_H

#include "cli/cli.h"
#include "format/hub.h"

/* Puts what is missing of a model into the hub's cache. *fetched: bytes received. Prints its
 * failures; returns an enum cli_exit. */
int cli_fetch_model(struct cli *cli, const struct hub_name *name, uint64_t *fetched);

#endif
