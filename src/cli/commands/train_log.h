/* SPDX-License-Identifier: MIT
 *
 * The log of a training run: JSON Lines, with one object per step and one per evaluation or
 * validation, and beside it an SVG file with their curves.
 */
#ifndef VKCLIP_CLI_COMMANDS_TRAIN_LOG_H
#define VKCLIP_CLI_COMMANDS_TRAIN_LOG_H

#include "cli/evaluate.h"

struct cli_train_log;

/* Begins a log. After `step` of a resumed run it continues the one that is there, whose lines of
 * later steps are removed, and so is a line that was not finished. All functions return an enum
 * cli_exit. */
int cli_train_log_open(const char *path, uint64_t step, struct cli_train_log **log);
int cli_train_log_step(struct cli_train_log *log, const struct vkclip_train_result *result,
                       uint32_t pairs);
/* Also draws the curves again. */
int cli_train_log_evaluation(struct cli_train_log *log, uint64_t step,
                             const struct cli_evaluation *evaluation);
int cli_train_log_validation(struct cli_train_log *log, uint64_t step,
                             const struct vkclip_validation *validation);
int cli_train_log_close(struct cli_train_log **log);

#endif
