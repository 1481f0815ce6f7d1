/* SPDX-License-Identifier: MIT
 *
 * Prints what an encoder is given of a prompt: tokens, weights and chunks.
 */
#ifndef VKCLIP_CLI_COMMANDS_PROMPT_OUTPUT_H
#define VKCLIP_CLI_COMMANDS_PROMPT_OUTPUT_H

#include "cli/print.h"

/* Prints a prompt of `length` bytes as its encoder is given it. `model` has the encoder's
 * vocabulary. False: nothing more can be printed. */
bool cli_print_prompt(const struct cli_session *session, const struct vkclip_model *model,
                      const char *text, size_t length, const struct vkclip_prompt *prompt);

#endif
