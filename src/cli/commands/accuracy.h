/* SPDX-License-Identifier: MIT
 *
 * vkclip classify --eval: zero-shot accuracy of a model, in all and per label, and which labels it
 * takes for which.
 */
#ifndef VKCLIP_CLI_COMMANDS_ACCURACY_H
#define VKCLIP_CLI_COMMANDS_ACCURACY_H

#include "cli/evaluate.h"

/* Evaluates the session's model, which came from `model_path`, and prints the result with the `top`
 * most frequent confusions, or all of them as JSON. Returns an enum cli_exit. */
int accuracy_measure(struct cli_session *session, const struct cli_evaluation_inputs *inputs,
                     const char *model_path, size_t top);

#endif
