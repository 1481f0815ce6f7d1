/* SPDX-License-Identifier: MIT
 *
 * The HTTP server of `vkclip serve`: models that stay loaded, and what clients ask of them and of
 * the index. It uses the library through vkclip.h alone.
 */
#ifndef VKCLIP_SERVER_SERVER_H
#define VKCLIP_SERVER_SERVER_H

#include "server/options.h"

/* Serves until SIGINT or SIGTERM. Errors: those of vkclip.h, EINVALID (an option is wrong), EIO (an
 * address cannot be used). *no_model tells that the error is about a model that cannot be loaded.
 */
int server_run(const struct server_options *options, bool *no_model);

#endif
