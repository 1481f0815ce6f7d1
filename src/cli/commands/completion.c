/* SPDX-License-Identifier: MIT
 *
 * vkclip completion: scripts that complete the command in bash, zsh and fish, from the tables of
 * commands and options. What can be completed of an argument is read off its description: words in
 * lower case are offered as they are, FILE, FOLDER, PATH and IMAGE stand for files, ARCH for the
 * library's architectures, and everything else for nothing.
 */
#include "base/array.h"
#include "cli/command.h"

#include <string.h>

enum { WORDS_SIZE = 512 };

/* What a shell may offer for an argument. */
struct values {
    bool files;
    char words[WORDS_SIZE]; /* with a space between */
};

/* ---- Arguments --------------------------------------------------------------------------------- */

static void add_word(struct values *values, const char *word, size_t length)
{
    const size_t used = strlen(values->words);
    snprintf(values->words + used, WORDS_SIZE - used, "%s%.*s", used ? " " : "", (int)length, word);
}

static bool is_word(const char *text, size_t length, const char *word)
{
    return strlen(word) == length && !memcmp(text, word, length);
}

static void add_placeholder(struct values *values, const char *text, size_t length)
{
    static const char *const files[] = {"FILE", "FOLDER", "PATH", "IMAGE"};
    for (size_t i = 0; i < ARRAY_COUNT(files); i++)
        values->files = values->files || is_word(text, length, files[i]);
    if (!is_word(text, length, "ARCH"))
        return;
    const char *name;
    for (size_t i = 0; (name = vkclip_arch_name(i)); i++)
        add_word(values, name, strlen(name));
}

/* Reads a description as "ARCH|FILE" or "f32|f16". */
static struct values read_values(const char *argument)
{
    struct values values = {0};
    while (*argument) {
        const size_t length = strcspn(argument, "|");
        if (*argument >= 'a' && *argument <= 'z')
            add_word(&values, argument, length);
        else
            add_placeholder(&values, argument, length);
        argument += length + (argument[length] == '|');
    }
    return values;
}

static struct values command_values(const struct cli_command *command)
{
    return read_values(command->arguments ? command->arguments : "");
}

static bool is_repeatable(const struct cli_option *option)
{
    return option->kind == CLI_ITEM || option->kind == CLI_LIST || option->kind == CLI_COUNT;
}

/* Prints text within single quotes; `quote` is how the shell writes one of these there, and the
 * characters in `escaped` get a backslash. */
static void print_quoted(const char *text, const char *quote, const char *escaped)
{
    for (; *text; text++) {
        if (*text == '\'') {
            fputs(quote, stdout);
            continue;
        }
        if (strchr(escaped, *text))
            putchar('\\');
        putchar(*text);
    }
}

/* ---- bash -------------------------------------------------------------------------------------- */

static void print_bash_options(const struct cli_rows *rows)
{
    printf("        options='");
    for (size_t i = 0; i < rows->count; i++) {
        const struct cli_option *option = rows->items[i].option;
        if (option->letter)
            printf("-%c ", option->letter);
        printf("--%s%s", option->name, i + 1 < rows->count ? " " : "'\n");
    }
}

/* Sets `kind` and `words` for what follows an option or the command. */
static void print_bash_values(const struct values *values)
{
    printf("kind=%s", values->files ? "files" : "words");
    if (*values->words)
        printf(" words='%s'", values->words);
}

static void print_bash_command(const struct cli_command *command)
{
    struct cli_rows rows;
    struct values values = command_values(command);
    cli_list_options(command, &rows);
    printf("    %s)\n", command->name);
    print_bash_options(&rows);
    printf("        ");
    print_bash_values(&values);
    printf("\n        case $previous in\n");
    for (size_t i = 0; i < rows.count; i++) {
        const struct cli_option *option = rows.items[i].option;
        char argument[CLI_ARGUMENT_SIZE];
        cli_describe_argument(option, argument);
        if (!*argument)
            continue;
        values = read_values(argument);
        printf("        ");
        if (option->letter)
            printf("-%c | ", option->letter);
        printf("--%s) options= words= ", option->name);
        print_bash_values(&values);
        printf(" ;;\n");
    }
    printf("        esac\n        ;;\n");
}

static void print_command_names(void)
{
    for (const struct cli_command *const *command = cli_commands; *command; command++)
        printf("%s ", (*command)->name);
}

static void print_bash(void)
{
    puts("# Completes vkclip in bash; written by 'vkclip completion bash'.\n"
         "_vkclip()\n"
         "{\n"
         "    local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}\n"
         "    local kind=words words= options=\n"
         "    COMPREPLY=()\n"
         "    # bash makes three words of --option=value\n"
         "    [ \"$previous\" = '=' ] && previous=${COMP_WORDS[COMP_CWORD - 2]}\n"
         "    [ \"$word\" = '=' ] && word=\n"
         "    case ${COMP_WORDS[1]} in");
    for (const struct cli_command *const *command = cli_commands; *command; command++)
        print_bash_command(*command);
    printf("    help) words='");
    print_command_names();
    puts("' ;;\n"
         "    esac");
    printf("    [ \"$COMP_CWORD\" -eq 1 ] && kind=words options= words='");
    print_command_names();
    puts("help --help --version'\n"
         "    case $kind:$word in\n"
         "    *:-* | words:*) words=\"$words $options\" ;;\n"
         "    esac\n"
         "    COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
         "    # Without a word to offer, bash completes files, if these are allowed here.\n"
         "    [ \"$kind\" = files ] || compopt +o default 2>/dev/null\n"
         "}\n"
         "complete -o default -F _vkclip vkclip");
}

/* ---- zsh --------------------------------------------------------------------------------------- */

/* In a specification of _arguments, a colon ends a part and a bracket the description. */
static void print_zsh_text(const char *text)
{
    print_quoted(text, "'\\''", ":[]\\");
}

static void print_zsh_action(const char *argument, const struct values *values)
{
    printf(":");
    print_zsh_text(argument);
    if (*values->words && values->files)
        printf(":_alternative \"words\\:word\\:(%s)\" \"files\\:file\\:_files\"", values->words);
    else if (*values->words)
        printf(":(%s)", values->words);
    else
        printf(values->files ? ":_files" : ": ");
}

static void print_zsh_option(const struct cli_option *option)
{
    char argument[CLI_ARGUMENT_SIZE];
    cli_describe_argument(option, argument);
    const struct values values = read_values(argument);
    printf(" \\\n            ");
    if (is_repeatable(option))
        printf("'*'");
    else if (option->letter)
        printf("'(-%c --%s)'", option->letter, option->name);
    if (option->letter)
        printf("{-%c%s,--%s%s}'", option->letter, *argument ? "+" : "", option->name,
               *argument ? "=" : "");
    else
        printf("'--%s%s", option->name, *argument ? "=" : "");
    printf("[");
    print_zsh_text(option->help);
    printf("]");
    if (*argument)
        print_zsh_action(argument, &values);
    printf("'");
}

static void print_zsh_command(const struct cli_command *command)
{
    struct cli_rows rows;
    const struct values values = command_values(command);
    cli_list_options(command, &rows);
    printf("    %s)\n        _arguments -s -S", command->name);
    for (size_t i = 0; i < rows.count; i++)
        print_zsh_option(rows.items[i].option);
    if (command->arguments) {
        printf(" \\\n            '*");
        print_zsh_action(command->arguments, &values);
        printf("'");
    }
    printf("\n        ;;\n");
}

static void print_zsh(void)
{
    puts("#compdef vkclip\n"
         "# Completes vkclip in zsh; written by 'vkclip completion zsh'.\n"
         "_vkclip()\n"
         "{\n"
         "    local -a commands=(");
    for (const struct cli_command *const *command = cli_commands; *command; command++) {
        printf("        '%s:", (*command)->name);
        print_zsh_text((*command)->summary);
        puts("'");
    }
    puts("        'help:describe a command')\n"
         "    if ((CURRENT == 2)); then\n"
         "        _describe command commands\n"
         "        return\n"
         "    fi\n"
         "    shift words\n"
         "    ((CURRENT--))\n"
         "    case $words[1] in");
    for (const struct cli_command *const *command = cli_commands; *command; command++)
        print_zsh_command(*command);
    puts("    help) _describe command commands ;;\n"
         "    esac\n"
         "}\n"
         "if [ \"$funcstack[1]\" = _vkclip ]; then\n"
         "    _vkclip \"$@\"\n"
         "else\n"
         "    compdef _vkclip vkclip\n"
         "fi");
}

/* ---- fish -------------------------------------------------------------------------------------- */

static void print_fish_text(const char *text)
{
    putchar('\'');
    print_quoted(text, "\\'", "\\");
    putchar('\'');
}

static void print_fish_values(const struct values *values)
{
    printf(values->files ? " -F" : " -f");
    if (*values->words)
        printf(" -a '%s'", values->words);
}

static void print_fish_option(const struct cli_command *command, const struct cli_option *option)
{
    char argument[CLI_ARGUMENT_SIZE];
    cli_describe_argument(option, argument);
    const struct values values = read_values(argument);
    printf("complete -c vkclip -n '__vkclip_runs %s'", command->name);
    if (option->letter)
        printf(" -s %c", option->letter);
    printf(" -l %s -d ", option->name);
    print_fish_text(option->help);
    if (*argument) {
        printf(" -r");
        print_fish_values(&values);
    }
    putchar('\n');
}

static void print_fish_command(const struct cli_command *command)
{
    struct cli_rows rows;
    const struct values values = command_values(command);
    printf("complete -c vkclip -n __vkclip_needs_command -a %s -d ", command->name);
    print_fish_text(command->summary);
    printf("\ncomplete -c vkclip -n '__vkclip_runs help' -a %s\n", command->name);
    if (command->arguments) {
        printf("complete -c vkclip -n '__vkclip_runs %s'", command->name);
        print_fish_values(&values);
        putchar('\n');
    }
    cli_list_options(command, &rows);
    for (size_t i = 0; i < rows.count; i++)
        print_fish_option(command, rows.items[i].option);
}

static void print_fish(void)
{
    puts("# Completes vkclip in fish; written by 'vkclip completion fish'.\n"
         "function __vkclip_needs_command\n"
         "    test (count (commandline -opc)) -eq 1\n"
         "end\n"
         "function __vkclip_runs\n"
         "    set -l words (commandline -opc)\n"
         "    test (count $words) -ge 2; and test $words[2] = $argv[1]\n"
         "end\n"
         "complete -c vkclip -f\n"
         "complete -c vkclip -n __vkclip_needs_command -l help -d 'list the commands'\n"
         "complete -c vkclip -n __vkclip_needs_command -l version -d 'print the version'\n"
         "complete -c vkclip -n __vkclip_needs_command -a help -d 'describe a command'");
    for (const struct cli_command *const *command = cli_commands; *command; command++)
        print_fish_command(*command);
}

/* ---- The command ------------------------------------------------------------------------------- */

static int run_completion(struct cli_session *session, void *user)
{
    static const struct {
        const char *name;
        void (*print)(void);
    } shells[] = {{"bash", print_bash}, {"zsh", print_zsh}, {"fish", print_fish}};
    const struct cli_inputs *arguments = &session->arguments;
    (void)user;
    if (arguments->count != 1)
        return cli_fail_usage(session, "name one shell, found %zu arguments", arguments->count);
    for (size_t i = 0; i < ARRAY_COUNT(shells); i++)
        if (!strcmp(shells[i].name, arguments->items[0].text)) {
            shells[i].print();
            return CLI_DONE;
        }
    return cli_fail_usage(session, "expected bash, zsh or fish, found '%s'",
                          arguments->items[0].text);
}

const struct cli_command cli_completion_command = {
    .name = "completion",
    .summary = "print a script that completes this command in a shell",
    .usage = "bash|zsh|fish",
    .arguments = "bash|zsh|fish",
    .text = "Prints a script with which the shell completes commands, options and their values.\n"
            "An installed vkclip brings the scripts along. Otherwise, in bash:\n"
            "    source <(vkclip completion bash)",
    .run = run_completion,
};
