/* SPDX-License-Identifier: MIT
 *
 * The texts of --help, from the tables of commands and options.
 */
#include "cli/command.h"

#include <stdio.h>
#include <string.h>

static void print_usage(const struct cli_command *command)
{
    const char *usage = command->usage, *head = "Usage:";
    while (*usage) {
        const size_t length = strcspn(usage, "\n");
        printf("%s vkclip %s %.*s\n", head, command->name, (int)length, usage);
        usage += length + (usage[length] == '\n');
        head = "   or:";
    }
}

/* The part of a line that stands left of the help text, as "-m, --model PATH". */
struct left {
    char text[128];
};

static struct left describe_option(const struct cli_option *option)
{
    struct left left;
    char letter[] = "    ", argument[CLI_ARGUMENT_SIZE];
    if (option->letter)
        snprintf(letter, sizeof(letter), "-%c, ", option->letter);
    cli_describe_argument(option, argument);
    snprintf(left.text, sizeof(left.text), "%s--%s %s", letter, option->name, argument);
    return left;
}

/* The help of an option that is wider stands on the next line, so that one option with many choices
 * does not move the help of all others to the right. */
enum { WIDTH_LIMIT = 50 };

static void print_options(const struct cli_rows *rows)
{
    int width = 0;
    for (size_t i = 0; i < rows->count; i++) {
        const int length = (int)strlen(describe_option(rows->items[i].option).text);
        width = length > width && length <= WIDTH_LIMIT ? length : width;
    }
    for (size_t i = 0; i < rows->count; i++) {
        const struct left left = describe_option(rows->items[i].option);
        if (strlen(left.text) > WIDTH_LIMIT)
            printf("  %s\n  %*s %s\n", left.text, width, "", rows->items[i].option->help);
        else
            printf("  %-*s %s\n", width, left.text, rows->items[i].option->help);
    }
}

void cli_print_help(const struct cli_command *command)
{
    struct cli_rows rows;
    printf("vkclip %s: %s\n\n", command->name, command->summary);
    print_usage(command);
    printf("\n%s\n\nOptions:\n", command->text);
    cli_list_options(command, &rows);
    print_options(&rows);
}

void cli_print_overview(void)
{
    puts("vkclip: CLIP models on any Vulkan device\n\n"
         "Usage: vkclip COMMAND [OPTION...] [ARGUMENT...]\n");
    for (const struct cli_command *const *command = cli_commands; *command; command++)
        printf("  %-15s %s\n", (*command)->name, (*command)->summary);
    puts("\n'vkclip help COMMAND' describes a command, 'vkclip --version' names the version.\n"
         "Exit status: 0 all done; 1 some inputs failed, and the others are done; 2 wrong usage;\n"
         "3 no usable device; 4 the model cannot be loaded.");
}
