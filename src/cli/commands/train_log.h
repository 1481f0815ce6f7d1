/* SPDX-License-Identifier: MIT
 *
 * The log of a training run: JSON Lines, an object a step and one an evaluation, and beside it an
 * SVG with their curves.
 */
#ifndef VKCLIP_CLI_COMMANDS_TRAIN_LOG_H
#define VKCLIP_CLI_COMMANDS_TRAIN_LOG_H

#include "cli/evaluate.h"

struct cli_train_log;

/* Begins a log, or goes on with one behind `step`: what it has of later steps is cut off, and so is
 * a line that was not finished. All return an enum cli_exit. */
int cli_train_log_open(const char *path, uint64_t step, struct cli_train_log **log);
int cli_train_log_step(struct cli_train_log *log, const struct vkclip_train_result *result,
                       uint32_t pairs);
/* Also writes the picture anew. */
int cli_train_log_evaluation(struct cli_train_log *log, uint64_t step,
                             const struct cli_evaluation *evaluation);
int cli_train_log_close(struct cli_train_log **log);

#endif
