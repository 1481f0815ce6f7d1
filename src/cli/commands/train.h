/* SPDX-License-Identifier: MIT
 *
 * What joins the files of vkclip train: its options, and the loop over the steps of a run.
 */
#ifndef VKCLIP_CLI_COMMANDS_TRAIN_H
#define VKCLIP_CLI_COMMANDS_TRAIN_H

#include "cli/evaluate.h"
#include "cli/groups.h"

struct train_options {
    struct vkclip_trainer_params params; /* the options that the library takes as they are */
    struct cli_model_options model;
    struct cli_device_options device;
    struct cli_evaluation_options evaluation;
    uint32_t eval_every;               /* steps; 0: at the end only */
    uint32_t val_every, val_frequency; /* steps, or passes over the data; both 0: one pass */
    struct cli_inputs templates, data;
    const char *separator, *log, *tensorboard;
    double warmup;
    uint32_t steps, steps_cooldown, seed, save_every;
    bool dry_run;
};

/* Prints what a run would need. All return an enum cli_exit. */
int train_print_plan(const struct cli_session *session, const struct vkclip_trainer *trainer,
                     bool mixed);
/* Runs all steps of an open trainer, with log, evaluations and saved steps. */
int train_run(struct cli_session *session, const struct train_options *options,
              const struct cli_evaluation_inputs *evaluation, struct vkclip_trainer *trainer);

#endif
