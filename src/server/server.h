/* SPDX-License-Identifier: MIT
 *
 * The HTTP server of `vkclip serve`: models that stay loaded, and what clients ask of them and of
 * the index. It uses the library through vkclip.h alone.
 */
#ifndef VKCLIP_SERVER_SERVER_H
#define VKCLIP_SERVER_SERVER_H

#include "server/options.h"

/* Serves until SIGINT or SIGTERM. Errors: those of vkclip.h, EIO (an address cannot be used). */
int server_run(const struct server_options *options);

#endif
