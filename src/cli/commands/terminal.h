/* SPDX-License-Identifier: MIT
 *
 * Finds out how the terminal shows pictures, and how large it is.
 */
#ifndef VKCLIP_CLI_COMMANDS_TERMINAL_H
#define VKCLIP_CLI_COMMANDS_TERMINAL_H

#include "cli/commands/preview.h"

/* Completes `screen`: its size, and the protocol where it is AUTO. The terminal is asked, which
 * takes a fifth of a second if it does not answer. Where standard output is no terminal, AUTO means
 * blocks. */
void terminal_find(struct preview_screen *screen);

/* What was asked, and the protocol that an answer of `size` bytes means; AUTO: none. */
extern const char terminal_question[];
enum preview_protocol terminal_read_answer(const char *answer, size_t size);

#endif
