/* SPDX-License-Identifier: MIT
 *
 * The curves of a training run for TensorBoard, with the names that OpenCLIP gives them.
 */
#ifndef VKCLIP_CLI_COMMANDS_TRAIN_EVENTS_H
#define VKCLIP_CLI_COMMANDS_TRAIN_EVENTS_H

#include "cli/evaluate.h"

struct event_file;

/* Begins a file of events in a folder, after `step` of a resumed run. All functions return an enum
 * cli_exit, and do nothing without a file. */
int train_events_open(const char *folder, uint64_t step, struct event_file **file);
int train_events_step(struct event_file *file, const struct vkclip_train_result *result,
                      uint32_t pairs);
int train_events_evaluation(struct event_file *file, uint64_t step,
                            const struct cli_evaluation *evaluation);
int train_events_validation(struct event_file *file, uint64_t step,
                            const struct vkclip_validation *validation);
int train_events_close(struct event_file **file);

#endif
