/* SPDX-License-Identifier: MIT
 *
 * Ctrl-C and the request to end (SIGTERM) let a command keep what it has done. A second one ends
 * the process at once.
 */
#ifndef VKCLIP_CLI_INTERRUPT_H
#define VKCLIP_CLI_INTERRUPT_H

#include <stdbool.h>

/* From here on signals are noted, and no longer end the process. */
void cli_catch_interrupts(void);
/* Tells whether a signal was noted. */
bool cli_interrupted(void);
/* Lets signals end the process again, as they do before the first call of the function above. */
void cli_release_interrupts(void);
/* Ends the process by the signal that was noted, so that a script which waits for it knows. Returns
 * if there was none. */
void cli_end_by_interrupt(void);

#endif
