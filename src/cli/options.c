/* SPDX-License-Identifier: MIT
 *
 * From a command's table of options to its parsed command line. An option that is no list is
 * refused when it is given twice, because a later value that silently wins hides a mistake.
 */
#include "cli/options.h"
#include "cli/print.h"
#include "cli/suggest.h"

#include <errno.h>
#include <float.h>
#include <stdlib.h>
#include <string.h>

/* The values of enums are copied as int. */
_Static_assert(sizeof(enum vkclip_precision) == sizeof(int), "an enum has the size of an int");

/* ---- Tables ---------------------------------------------------------------------------------- */

#define FIELD(name) offsetof(struct cli_common, name)
static const struct cli_option common_options[] = {
    CLI_OPTION(0, "json", NULL, CLI_FLAG, FIELD(json), "print JSON, one object per line"),
    CLI_OPTION('v', "verbose", NULL, CLI_COUNT, FIELD(verbose),
               "tell what is done; given twice: debug messages"),
    CLI_OPTION('q', "quiet", NULL, CLI_FLAG, FIELD(quiet), "no warnings and no progress bar"),
    CLI_OPTION('h', "help", NULL, CLI_FLAG, FIELD(help), "show this text"),
    {0}};
#undef FIELD

static void add_rows(struct cli_rows *rows, const struct cli_option *table, size_t field,
                     bool common)
{
    for (; table->name || table->included; table++) {
        if (table->included)
            add_rows(rows, table->included, field + table->field, common);
        else if (rows->count < CLI_MOST_OPTIONS)
            rows->items[rows->count++] = (struct cli_row){table, field + table->field, common};
    }
}

void cli_list_options(const struct cli_command *command, struct cli_rows *rows)
{
    rows->count = 0;
    if (command->options)
        add_rows(rows, command->options, 0, false);
    add_rows(rows, common_options, 0, true);
}

void cli_describe_argument(const struct cli_option *option, char text[CLI_ARGUMENT_SIZE])
{
    size_t length = 0;
    snprintf(text, CLI_ARGUMENT_SIZE, "%s", option->argument ? option->argument : "");
    for (const struct cli_choice *choice = option->choices; choice && choice->name; choice++)
        length += (size_t)snprintf(text + length, CLI_ARGUMENT_SIZE - length, "%s%s",
                                   length ? "|" : "", choice->name);
}

const char *cli_choice_name(const struct cli_choice *choices, int value)
{
    while (choices->name && choices->value != value)
        choices++;
    return choices->name;
}

static bool takes_argument(const struct cli_option *option)
{
    return option->kind != CLI_FLAG && option->kind != CLI_COUNT;
}

static bool is_list(const struct cli_option *option)
{
    return option->kind == CLI_ITEM || option->kind == CLI_LIST;
}

static void *find_field(struct cli_session *session, void *options, const struct cli_row *row)
{
    return (char *)(row->common ? (void *)&session->common : options) + row->field;
}

/* ---- Values ---------------------------------------------------------------------------------- */

static int parse_number(const struct cli_session *session, const char *name, const char *text,
                        uint32_t *number)
{
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || value < 1 || value > UINT32_MAX)
        return cli_fail_usage(session, "--%s: expected a number from 1 to %u, found '%s'", name,
                              UINT32_MAX, text);
    *number = (uint32_t)value;
    return CLI_DONE;
}

static int parse_reals(const struct cli_session *session, const struct cli_option *option,
                       const char *text, double *values)
{
    const char *name = option->argument, *start = text;
    bool last = false;
    while (!last) {
        char *end;
        const char *comma = strchr(name, ',');
        const double value = strtod(start, &end);
        last = !comma;
        if (end == start || !(value >= 0 && value <= DBL_MAX) || *end != (last ? 0 : ','))
            return cli_fail_usage(session, "--%s: expected %s, numbers from 0 up, found '%s'",
                                  option->name, option->argument, text);
        *values++ = value > 0 ? value : -1;
        name = last ? name : comma + 1;
        start = last ? start : end + 1;
    }
    return CLI_DONE;
}

static int parse_choice(const struct cli_session *session, const struct cli_option *option,
                        const char *text, void *field)
{
    char expected[CLI_ARGUMENT_SIZE];
    for (const struct cli_choice *choice = option->choices; choice->name; choice++)
        if (!strcmp(choice->name, text)) {
            memcpy(field, &choice->value, sizeof(choice->value));
            return CLI_DONE;
        }
    cli_describe_argument(option, expected);
    return cli_fail_usage(session, "--%s: expected %s, found '%s'", option->name, expected, text);
}

static int parse_input(const struct cli_option *option, const char *text, struct cli_inputs *inputs)
{
    if (!cli_add_input(inputs, text, strlen(text)))
        return cli_fail_memory();
    inputs->items[inputs->count - 1].list = option->kind == CLI_LIST;
    return CLI_DONE;
}

static int parse_value(const struct cli_session *session, const struct cli_option *option,
                       const char *text, void *field)
{
    switch (option->kind) {
    case CLI_FLAG:
        *(bool *)field = true;
        return CLI_DONE;
    case CLI_COUNT:
        ++*(uint32_t *)field;
        return CLI_DONE;
    case CLI_TEXT:
        *(const char **)field = text;
        return CLI_DONE;
    case CLI_NUMBER:
        return parse_number(session, option->name, text, field);
    case CLI_REALS:
        return parse_reals(session, option, text, field);
    case CLI_CHOICE:
        return parse_choice(session, option, text, field);
    case CLI_ITEM:
    case CLI_LIST:
        break;
    }
    return parse_input(option, text, field);
}

/* ---- The command line ------------------------------------------------------------------------ */

/* A command line while it is read. */
struct reading {
    struct cli_session *session;
    void *options; /* the command's struct, which is filled */
    struct cli_rows rows;
    bool given[CLI_MOST_OPTIONS]; /* options so far */
    int argc, next;               /* the word that is read next */
    char **argv;
};

/* Lists the options that an abbreviation may mean, as "--image, --images-from" for "--im", and
 * returns their number. */
static size_t list_matches(const struct cli_rows *rows, const char *start, char *text, size_t size)
{
    size_t count = 0, length = 0;
    for (size_t i = 0; i < rows->count && length < size; i++) {
        const char *name = rows->items[i].option->name;
        if (strncmp(name, start, strlen(start)))
            continue;
        length += (size_t)snprintf(text + length, size - length, "%s--%s", count ? ", " : "", name);
        count++;
    }
    return count;
}

/* Explains a word that is neither the name of an option nor an abbreviation of exactly one. */
static int refuse_unknown(const struct cli_session *session, const struct cli_rows *rows,
                          const char *word)
{
    char name[64], matches[256];
    if (strncmp(word, "--", 2))
        return cli_fail_usage(session, "unknown option %s", word);
    snprintf(name, sizeof(name), "%.*s", (int)strcspn(word + 2, "="), word + 2);
    if (list_matches(rows, name, matches, sizeof(matches)) > 1)
        return cli_fail_usage(session, "ambiguous option --%s: expected one of %s", name, matches);
    struct cli_suggestion suggestion = {.word = name};
    for (size_t i = 0; i < rows->count; i++)
        cli_suggest(&suggestion, rows->items[i].option->name);
    if (suggestion.name)
        return cli_fail_usage(session, "unknown option --%s (did you mean --%s?)", name,
                              suggestion.name);
    return cli_fail_usage(session, "unknown option --%s", name);
}

/* Returns the option of this name, or else the only one of which it is the beginning, or NULL. */
static const struct cli_row *find_long(const struct cli_rows *rows, const char *name, size_t length)
{
    const struct cli_row *found = NULL;
    size_t count = 0;
    for (size_t i = 0; i < rows->count; i++) {
        const char *known = rows->items[i].option->name;
        if (strncmp(known, name, length))
            continue;
        found = &rows->items[i];
        if (!known[length])
            return found;
        count++;
    }
    return count == 1 ? found : NULL;
}

static const struct cli_row *find_letter(const struct cli_rows *rows, char letter)
{
    for (size_t i = 0; i < rows->count; i++)
        if (rows->items[i].option->letter == letter)
            return &rows->items[i];
    return NULL;
}

static int check_repetition(const struct cli_session *session, const struct cli_option *option,
                            bool *given)
{
    if (*given && option->kind != CLI_COUNT && !is_list(option))
        return cli_fail_usage(session, "option --%s was given twice, expected once", option->name);
    *given = true;
    return CLI_DONE;
}

/* Takes an option that the word `shown` names. Its argument is `value`, or the next word. */
static int take_option(struct reading *reading, const struct cli_row *row, const char *shown,
                       const char *value)
{
    struct cli_session *session = reading->session;
    const bool argument = takes_argument(row->option);
    if (value && !argument)
        return cli_fail_usage(session, "option %s takes no argument", shown);
    if (argument && !value && reading->next == reading->argc)
        return cli_fail_usage(session, "option %s needs an argument", shown);
    if (argument && !value)
        value = reading->argv[reading->next++];
    int status = check_repetition(session, row->option, &reading->given[row - reading->rows.items]);
    if (!status)
        status =
            parse_value(session, row->option, value, find_field(session, reading->options, row));
    return status;
}

/* Reads --NAME, --NAME=VALUE or --NAME VALUE. */
static int read_long(struct reading *reading, const char *word)
{
    const size_t length = strcspn(word + 2, "=");
    const char *value = word[2 + length] ? word + 2 + length + 1 : NULL;
    const struct cli_row *row = find_long(&reading->rows, word + 2, length);
    if (!row)
        return refuse_unknown(reading->session, &reading->rows, word);
    return take_option(reading, row, word, value);
}

/* Reads letters of options, of which the last one may have its value behind it in the same word. */
static int read_letters(struct reading *reading, const char *word)
{
    int status = CLI_DONE;
    for (const char *letter = word + 1; *letter && !status; letter++) {
        const char shown[] = {'-', *letter, 0};
        const struct cli_row *row = find_letter(&reading->rows, *letter);
        if (!row)
            return refuse_unknown(reading->session, &reading->rows, shown);
        if (takes_argument(row->option))
            return take_option(reading, row, shown, letter[1] ? letter + 1 : NULL);
        status = take_option(reading, row, shown, NULL);
    }
    return status;
}

/* Options may stand anywhere before "--". A "-" alone is an argument. */
static int read_words(struct reading *reading)
{
    struct cli_session *session = reading->session;
    bool ended = false;
    int status = CLI_DONE;
    while (reading->next < reading->argc && !status) {
        const char *word = reading->argv[reading->next++];
        if (ended || *word != '-' || !word[1]) {
            if (!cli_add_input(&session->arguments, word, strlen(word)))
                return cli_fail_memory();
        } else if (!strcmp(word, "--")) {
            ended = true;
        } else {
            status = word[1] == '-' ? read_long(reading, word) : read_letters(reading, word);
        }
    }
    return status;
}

int cli_parse_options(struct cli_session *session, void *options, int argc, char **argv)
{
    struct reading reading = {
        .session = session, .options = options, .argc = argc, .argv = argv, .next = 1};
    cli_list_options(session->command, &reading.rows);
    const int status = read_words(&reading);
    if (status || session->common.help || !session->arguments.count || session->command->arguments)
        return status;
    return cli_fail_usage(session, "unexpected argument '%s'", session->arguments.items[0].text);
}

void cli_free_options(struct cli_session *session, void *options)
{
    struct cli_rows rows;
    cli_list_options(session->command, &rows);
    for (size_t i = 0; i < rows.count; i++)
        if (is_list(rows.items[i].option))
            cli_free_inputs(find_field(session, options, &rows.items[i]));
    cli_free_inputs(&session->arguments);
}
