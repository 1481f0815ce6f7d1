/* SPDX-License-Identifier: MIT
 *
 * The prompts of vkclip condition, from options or from a file of JSON Lines.
 */
#ifndef VKCLIP_CLI_COMMANDS_PROMPTS_H
#define VKCLIP_CLI_COMMANDS_PROMPTS_H

#include "cli/list.h"
#include "cli/session.h"

struct prompts {
    /* texts[1] and texts[2] are empty if these encoders take the texts of the first one. */
    struct cli_inputs texts[VKCLIP_ENCODERS];
    struct cli_inputs negatives; /* none, one for all, or one per prompt */
    struct cli_inputs names;     /* one per prompt of a file, else none */
};

/* Reads one prompt per line, an object with "prompt" and, where they are wanted, "prompt_2",
 * "prompt_3", "negative" and "name". Without a name a prompt is called by the number of its line.
 * Returns an enum cli_exit. */
int prompts_read(struct cli_session *session, const char *path, struct prompts *prompts);
/* Checks that there are as many of each kind as there are prompts. Returns an enum cli_exit. */
int prompts_check(const struct cli_session *session, const struct prompts *prompts);
void prompts_free(struct prompts *prompts);

#endif
