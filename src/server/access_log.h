/* SPDX-License-Identifier: MIT
 *
 * Writes a line of JSON for each request that has ended. A line that cannot be written at once is
 * lost, so that a full disk or a reader that has stopped holds up nobody.
 */
#ifndef VKCLIP_SERVER_ACCESS_LOG_H
#define VKCLIP_SERVER_ACCESS_LOG_H

#include "server/request.h"

/* "-" is the standard output. NULL: nothing is written. */
int access_log_open(const char *path);
void access_log_close(void);
/* Opens the file of that name again, because the old one has been moved away. Without success the
 * old one is written further. */
void access_log_reopen(void);
void access_log_write(const struct request *request, bool complete);
/* How many lines were lost. */
uint64_t access_log_lost(void);

#endif
