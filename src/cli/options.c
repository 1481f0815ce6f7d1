/* SPDX-License-Identifier: MIT
 *
 * From a command's table of options to the parsed command line, and to the text of --help.
 */
#include "cli/cli.h"

#include <errno.h>
#include <float.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_OPTIONS = 64, FIRST_LONG = 256 /* values above those of letters */ };

static int parse_number(const struct cli *cli, const char *name, const char *text, uint32_t *number)
{
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || value < 1 || value > UINT32_MAX)
        return cli_fail_usage(cli, "--%s: expected a number from 1 to %u, found '%s'", name,
                              UINT32_MAX, text);
    *number = (uint32_t)value;
    return CLI_DONE;
}

static int parse_reals(const struct cli *cli, const struct cli_option *option, const char *text,
                       double *values)
{
    const char *name = option->argument, *at = text;
    for (char *end; name; name = strchr(name, ','), at = end + (name != NULL)) {
        name++; /* behind the comma, or into a name of one letter */
        double value = strtod(at, &end);
        if (end == at || !(value >= 0 && value <= DBL_MAX) || *end != (strchr(name, ',') ? ',' : 0))
            return cli_fail_usage(cli, "--%s: expected %s, numbers from 0 up, found '%s'",
                                  option->name, option->argument, text);
        *values++ = value > 0 ? value : -1;
    }
    return CLI_DONE;
}

static int parse_choice(const struct cli *cli, const struct cli_option *option, const char *text,
                        unsigned *choice)
{
    unsigned position = 1;
    for (const char *at = option->argument; *at; position++) {
        size_t length = strcspn(at, "|");
        if (strlen(text) == length && !memcmp(at, text, length)) {
            *choice = position;
            return CLI_DONE;
        }
        at += length + (at[length] == '|');
    }
    return cli_fail_usage(cli, "--%s: expected %s, found '%s'", option->name, option->argument,
                          text);
}

static int parse_value(struct cli *cli, const struct cli_option *option, const char *text)
{
    void *field = (char *)cli + option->field;
    switch (option->kind) {
    case CLI_FLAG:
        ++*(uint32_t *)field;
        return CLI_DONE;
    case CLI_TEXT:
        *(const char **)field = text;
        return CLI_DONE;
    case CLI_NUMBER:
        return parse_number(cli, option->name, text, field);
    case CLI_REAL:
        return parse_reals(cli, option, text, field);
    case CLI_CHOICE:
        return parse_choice(cli, option, text, field);
    case CLI_ITEM:
    case CLI_LIST:
        break;
    }
    struct cli_inputs *inputs = field;
    if (!cli_add_input(inputs, text, strlen(text)))
        return cli_fail(CLI_FAILED, "out of memory");
    inputs->items[inputs->count - 1].list = option->kind == CLI_LIST;
    return CLI_DONE;
}

/* The table in getopt's form. */
static size_t list_options(const struct cli_command *command, struct option *longs, char *letters)
{
    size_t count = 0;
    *letters++ = ':'; /* tell a missing argument from an unknown option */
    for (const struct cli_option *at = command->options; at->name; at++, count++) {
        int argument = at->argument ? required_argument : no_argument;
        longs[count] = (struct option){at->name, argument, NULL, FIRST_LONG + (int)count};
        if (at->letter)
            *letters++ = at->letter;
        if (at->letter && at->argument)
            *letters++ = ':';
    }
    *letters = 0;
    longs[count] = (struct option){0};
    return count;
}

static int refuse(const struct cli *cli, int problem, char *word)
{
    char letter[] = {'-', (char)optopt, 0};
    const char *name = optopt > 0 && optopt < FIRST_LONG ? letter : word;
    if (problem == ':')
        return cli_fail_usage(cli, "option %s needs an argument", name);
    if (optopt >= FIRST_LONG)
        return cli_fail_usage(cli, "option %s takes no argument", name);
    return cli_fail_usage(cli, "unknown or ambiguous option %s", name);
}

int cli_parse_options(struct cli *cli, int argc, char **argv)
{
    const struct cli_option *options = cli->command->options;
    struct option longs[MAX_OPTIONS + 1];
    char letters[2 * MAX_OPTIONS + 2];
    size_t count = list_options(cli->command, longs, letters);
    int status = CLI_DONE, value;
    opterr = 0;
    while (!status && (value = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
        size_t row = 0;
        if (value >= FIRST_LONG)
            row = (size_t)(value - FIRST_LONG);
        else
            while (row < count && options[row].letter != value)
                row++;
        status = value == '?' || value == ':' ? refuse(cli, value, argv[optind - 1])
                                              : parse_value(cli, &options[row], optarg);
    }
    for (; !status && optind < argc; optind++)
        if (!cli_add_input(&cli->arguments, argv[optind], strlen(argv[optind])))
            status = cli_fail(CLI_FAILED, "out of memory");
    if (!status && !cli->help && cli->arguments.count && !cli->command->arguments)
        status = cli_fail_usage(cli, "unexpected argument '%s'", cli->arguments.items[0].text);
    return status;
}

void cli_print_help(const struct cli_command *command)
{
    printf("vkclip %s: %s\n\n", command->name, command->summary);
    const char *usage = command->usage;
    for (const char *head = "Usage:"; *usage; head = "   or:") {
        size_t length = strcspn(usage, "\n");
        printf("%s vkclip %s %.*s\n", head, command->name, (int)length, usage);
        usage += length + (usage[length] == '\n');
    }
    printf("\n%s\n\nOptions:\n", command->text);
    for (const struct cli_option *at = command->options; at->name; at++) {
        char left[64];
        snprintf(left, sizeof(left), "%c%c%c --%s %s", at->letter ? '-' : ' ',
                 at->letter ? at->letter : ' ', at->letter ? ',' : ' ', at->name,
                 at->argument ? at->argument : "");
        printf("  %-32s %s\n", left, at->help);
    }
}
