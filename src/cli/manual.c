/* SPDX-License-Identifier: MIT
 *
 * The parts of the manual page that come from the tables of commands and options, in roff. The
 * build puts them into man/vkclip.1.in.
 */
#include "cli/command.h"

#include <string.h>

/* Hyphens get a backslash, so that they can be copied from the page as they are typed. */
static void print_roff(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        switch (text[i]) {
        case '-':
            fputs("\\-", stdout);
            break;
        case '\\':
            fputs("\\e", stdout);
            break;
        default:
            putchar(text[i]);
        }
}

static void print_word(const char *text)
{
    print_roff(text, strlen(text));
}

/* Tells whether two commands mean the same by options of one name: what --help says of both is the
 * same. */
static bool is_same_option(const struct cli_option *a, const struct cli_option *b)
{
    char argument_a[CLI_ARGUMENT_SIZE], argument_b[CLI_ARGUMENT_SIZE];
    cli_describe_argument(a, argument_a);
    cli_describe_argument(b, argument_b);
    return !strcmp(a->name, b->name) && !strcmp(argument_a, argument_b) &&
           !strcmp(a->help, b->help);
}

/* Tells whether the command itself takes the option, and not only because every command does. */
static bool has_option(const struct cli_command *command, const struct cli_option *option)
{
    struct cli_rows rows;
    cli_list_options(command, &rows);
    for (size_t i = 0; i < rows.count; i++)
        if (!rows.items[i].common && is_same_option(rows.items[i].option, option))
            return true;
    return false;
}

static void print_option(const struct cli_option *option)
{
    char argument[CLI_ARGUMENT_SIZE];
    cli_describe_argument(option, argument);
    printf(".TP\n\\fB");
    if (option->letter)
        printf("\\-%c\\fR, \\fB", option->letter);
    print_word("--");
    print_word(option->name);
    printf("\\fR");
    if (*argument) {
        printf(" \\fI");
        print_word(argument);
        printf("\\fR");
    }
    printf("\n");
    print_word(option->help);
    printf("\n.br\n");
}

/* Prints the commands that take an option, as "(classify, embed)". */
static void print_takers(const struct cli_option *option)
{
    const char *separator = "(";
    for (const struct cli_command *const *command = cli_commands; *command; command++) {
        if (!has_option(*command, option))
            continue;
        fputs(separator, stdout);
        print_word((*command)->name);
        separator = ", ";
    }
    puts(")");
}

/* Prints the options that this command has and none before it, so that each is printed once. */
static void print_new_options(const struct cli_command *const *command)
{
    struct cli_rows rows;
    cli_list_options(*command, &rows);
    for (size_t i = 0; i < rows.count; i++) {
        const struct cli_option *option = rows.items[i].option;
        bool known = rows.items[i].common;
        for (const struct cli_command *const *other = cli_commands; other < command; other++)
            known = known || has_option(*other, option);
        if (known)
            continue;
        print_option(option);
        print_takers(option);
    }
}

void cli_print_synopsis(void)
{
    for (const struct cli_command *const *command = cli_commands; *command; command++) {
        const char *usage = (*command)->usage;
        while (*usage) {
            const size_t length = strcspn(usage, "\n");
            printf(".B vkclip %s\n", (*command)->name);
            print_roff(usage, length);
            puts("\n.br");
            usage += length + (usage[length] == '\n');
        }
    }
}

void cli_print_options(void)
{
    struct cli_rows rows;
    for (const struct cli_command *const *command = cli_commands; *command; command++)
        print_new_options(command);
    cli_list_options(cli_commands[0], &rows);
    for (size_t i = 0; i < rows.count; i++)
        if (rows.items[i].common) {
            print_option(rows.items[i].option);
            puts("(every command)");
        }
}
