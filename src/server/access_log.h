/* SPDX-License-Identifier: MIT
 *
 * Writes a line of JSON for each request that has ended.
 */
#ifndef VKCLIP_SERVER_ACCESS_LOG_H
#define VKCLIP_SERVER_ACCESS_LOG_H

#include "server/request.h"

/* "-" is the standard output. NULL: nothing is written. */
int access_log_open(const char *path);
void access_log_close(void);
void access_log_write(const struct request *request, bool complete);

#endif
