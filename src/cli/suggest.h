/* SPDX-License-Identifier: MIT
 *
 * "Did you mean": the known name that a mistyped word was probably meant to be.
 */
#ifndef VKCLIP_CLI_SUGGEST_H
#define VKCLIP_CLI_SUGGEST_H

#include <stddef.h>

/* Set `word`, then offer every known name. */
struct cli_suggestion {
    const char *word;
    const char *name; /* the nearest name offered so far; NULL: none is near enough */
    size_t distance;
};

/* Takes `name` if it is nearer to the word than the names before it. A name is near if one or two
 * letters are changed, missing, added or exchanged with their neighbour, and these are a
 * third of the word at most: a wrong suggestion is worse than none. */
void cli_suggest(struct cli_suggestion *suggestion, const char *name);

#endif
