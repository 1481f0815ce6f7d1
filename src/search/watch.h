/* SPDX-License-Identifier: MIT
 *
 * Tells of changes of pictures in folders and everything below them, where base/changes can.
 */
#ifndef VKCLIP_SEARCH_WATCH_H
#define VKCLIP_SEARCH_WATCH_H

#include "base/error.h"

struct watch;

int watch_open(struct watch **watch);
void watch_close(struct watch **watch);
/* Watches a folder and all below it, also if some of them are watched already. */
int watch_add(struct watch *watch, const char *folder);
/* Waits for a change, and then until nothing has changed for a second, but for a minute at most. */
int watch_wait(struct watch *watch, double seconds, bool *changed);

#endif
