/* SPDX-License-Identifier: MIT
 *
 * The signals of the server's process: SIGINT and SIGTERM end it, SIGHUP comes when a log is
 * rotated.
 */
#ifndef VKCLIP_SERVER_SIGNALS_H
#define VKCLIP_SERVER_SIGNALS_H

#include "server/options.h"

/* Notes signals from now on. Errors: EIO. */
int signals_open(const struct server_options *options);
/* Lets signals end the process at once from now on. */
void signals_release(const struct server_options *options);
void signals_close(void);

/* Waits a second for a signal and returns its number; 0: none came. */
int signals_wait(void);
/* Tells whether SIGINT or SIGTERM has come. */
bool signals_want_end(void);

#endif
