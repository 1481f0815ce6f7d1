/* SPDX-License-Identifier: MIT
 *
 * Waits for what others write.
 */
#ifndef VKCLIP_BASE_POLL_H
#define VKCLIP_BASE_POLL_H

/* Waits until a file or a socket has something to read, or for some seconds; INFINITY means for
 * ever. Returns 1 if it has, 0 if not, and -1 with errno after an error or a signal. */
int poll_readable(int file, double seconds);

#endif
