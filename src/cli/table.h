/* SPDX-License-Identifier: MIT
 *
 * The tables of options and commands. A row says how an option is written, where its value goes and
 * what --help says about it; the parser, --help, the completions of shells and the messages about
 * wrong usage all read the same rows.
 */
#ifndef VKCLIP_CLI_TABLE_H
#define VKCLIP_CLI_TABLE_H

#include "cli/session.h"

enum cli_kind {
    CLI_FLAG,   /* bool: whether it was given */
    CLI_COUNT,  /* uint32_t: how often it was given */
    CLI_TEXT,   /* const char *: NULL if not given */
    CLI_NUMBER, /* uint32_t from 1 up: 0 if not given */
    CLI_REALS,  /* double[], as many as `argument` has names with commas between, from 0 up: 0 if
                 * not given, therefore -1 for a 0 that was given */
    CLI_CHOICE, /* an enum: the value of the word in `choices`; unchanged if not given */
    CLI_ITEM,   /* struct cli_inputs: one more input each time the option is given */
    CLI_LIST    /* struct cli_inputs: one more file that lists inputs, one per line */
};

/* A word and the value of an enum that it stands for. The last row has no name. */
struct cli_choice {
    const char *name;
    int value;
};

struct cli_option {
    char letter;                 /* 0: there is only the long name */
    const char *name, *argument; /* argument NULL: takes none, or one of `choices` */
    const char *help;            /* one line */
    enum cli_kind kind;
    size_t field;                      /* offset in the struct that the table fills */
    const struct cli_choice *choices;  /* of CLI_CHOICE */
    const struct cli_option *included; /* not NULL: the row stands for all rows of this table, whose
                                        * struct is the member at `field` */
    const char *parameter;             /* the library's name, if not the option's with _ for - */
};

/* Rows of a table. `field` is offsetof() in the command's struct. A table ends with {0}. */
#define CLI_OPTION(letter_, name_, argument_, kind_, field_, help_)                              \
    {                                                                                            \
        .letter = letter_, .name = name_, .argument = argument_, .kind = kind_, .field = field_, \
        .help = help_                                                                            \
    }
#define CLI_OPTION_CHOICE(name_, choices_, field_, help_)                                      \
    {                                                                                          \
        .name = name_, .kind = CLI_CHOICE, .choices = choices_, .field = field_, .help = help_ \
    }
/* For a parameter that the library calls otherwise. */
#define CLI_OPTION_PARAMETER(letter_, name_, argument_, kind_, field_, parameter_, help_)        \
    {                                                                                            \
        .letter = letter_, .name = name_, .argument = argument_, .kind = kind_, .field = field_, \
        .parameter = parameter_, .help = help_                                                   \
    }
#define CLI_INCLUDE(table_, field_)         \
    {                                       \
        .included = table_, .field = field_ \
    }

struct cli_command {
    const char *name, *summary;
    const char *usage;     /* what follows the command's name; one form per line */
    const char *arguments; /* what stands there besides options, in the words of `argument` of an
                            * option: "IMAGE|FOLDER"; NULL: none */
    const char *text;      /* the paragraph of --help, in lines */
    const struct cli_option *options;
    size_t options_size; /* of the struct that the options fill, which begins as zeros */
    int (*run)(struct cli_session *session, void *options); /* returns an enum cli_exit */
};

#endif
