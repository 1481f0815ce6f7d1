/* SPDX-License-Identifier: MIT
 *
 * Prints what an encoder is given of a prompt: tokens, weights and chunks.
 */
#ifndef VKCLIP_CLI_COMMANDS_PROMPT_OUTPUT_H
#define VKCLIP_CLI_COMMANDS_PROMPT_OUTPUT_H

#include "cli/print.h"

/* The encoder that is given a prompt. */
struct cli_encoder {
    const char *name;                 /* NULL: it is the only one */
    const struct vkclip_model *model; /* has its vocabulary */
    const struct vkclip_embedding *embeddings;
};

/* Prints a prompt of `length` bytes as its encoder is given it. False: nothing more can be printed.
 */
bool cli_print_prompt(const struct cli_session *session, const struct cli_encoder *encoder,
                      const char *text, size_t length, const struct vkclip_prompt *prompt);

#endif
