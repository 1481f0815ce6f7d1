/* SPDX-License-Identifier: MIT
 *
 * One run of the command: what every subcommand has besides its own options.
 */
#ifndef VKCLIP_CLI_SESSION_H
#define VKCLIP_CLI_SESSION_H

#include "cli/list.h"
#include "vkclip.h"

struct cli_command;
struct cli_remote;

/* The process returns one of these to the shell. */
enum cli_exit {
    CLI_DONE,
    CLI_FAILED, /* some inputs failed, and the others are done; or the result could not be written
                 */
    CLI_USAGE,  /* the command line is wrong */
    CLI_NO_DEVICE, /* there is no usable device */
    CLI_NO_MODEL   /* the model cannot be loaded, or lacks what was asked of it */
};

/* Every command takes these options, whose table is in options.c. */
struct cli_common {
    uint32_t verbose;
    bool json, quiet, help;
};

struct cli_session {
    const struct cli_command *command;
    struct cli_common common;
    struct cli_inputs arguments; /* the command's arguments that are not options */
    struct vkclip_device *device;
    struct vkclip_model *model;
    struct cli_remote *remote;     /* encodes in place of `model`; NULL: none does */
    struct vkclip_model_info info; /* of `model` */
    size_t failures;               /* inputs that were reported and left out */
    char subject[64]; /* names the text that the library works on, for its warnings; else "" */
};

#endif
