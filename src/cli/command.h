/* SPDX-License-Identifier: MIT
 *
 * The table of commands. A new one is a file in commands/ that defines its struct cli_command, and
 * one word in CLI_COMMANDS.
 */
#ifndef VKCLIP_CLI_COMMAND_H
#define VKCLIP_CLI_COMMAND_H

#include "cli/groups.h"
#include "cli/options.h"
#include "cli/print.h"

/* The overview lists the commands in this order. */
#define CLI_COMMANDS(X) \
    X(classify)         \
    X(similarity)       \
    X(explain)          \
    X(embed)            \
    X(index)            \
    X(search)           \
    X(duplicates)       \
    X(probe)            \
    X(evaluate)         \
    X(preprocess)       \
    X(tokenize)         \
    X(condition)        \
    X(info)             \
    X(devices)          \
    X(check)            \
    X(models)           \
    X(pull)             \
    X(serve)            \
    X(convert)          \
    X(init)             \
    X(train)            \
    X(tokenizer_train)  \
    X(bench)            \
    X(completion)

#define X(name) extern const struct cli_command cli_##name##_command;
CLI_COMMANDS(X)
#undef X

/* The table of all commands ends with NULL. */
extern const struct cli_command *const cli_commands[];

/* These print `vkclip COMMAND --help` and `vkclip --help`. */
void cli_print_help(const struct cli_command *command);
void cli_print_overview(void);
/* These print two parts of the manual page in roff: the usage of all commands, and their options.
 */
void cli_print_synopsis(void);
void cli_print_options(void);

#endif
