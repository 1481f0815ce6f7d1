/* SPDX-License-Identifier: MIT
 *
 * The library's messages with the command's options in place of the library's parameters, and with
 * commands in place of its functions.
 */
#include "cli/log.h"
#include "base/array.h"
#include "base/string.h"
#include "cli/options.h"
#include "cli/print.h"

#include <stdlib.h>
#include <string.h>

/* ---- Words of the command in place of the library's ------------------------------------------- */

/* Tells whether the option sets the parameter of `length` bytes: it has its name, with _ for -,
 * unless the table gives another. */
static bool sets_parameter(const struct cli_option *option, const char *parameter, size_t length)
{
    const char *name = option->parameter ? option->parameter : option->name;
    size_t i = 0;
    while (i < length && (name[i] == parameter[i] || (name[i] == '-' && parameter[i] == '_')))
        i++;
    return i == length && !name[length];
}

static const struct cli_option *find_option(const struct cli_rows *rows, const char *parameter,
                                            size_t length)
{
    for (size_t i = 0; i < rows->count; i++)
        if (sets_parameter(rows->items[i].option, parameter, length))
            return rows->items[i].option;
    return NULL;
}

/* Returns the command that does what a function of the library does; NULL: there is none. */
static const char *find_command(const char *function, size_t length)
{
    static const struct {
        const char *function, *command;
    } commands[] = {{"vkclip_check_device", "vkclip check"},
                    {"vkclip_list_devices", "vkclip devices"}};
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++)
        if (!strncmp(commands[i].function, function, length) && !commands[i].function[length])
            return commands[i].command;
    return NULL;
}

char *cli_name_options(const struct cli_session *session, const char *message)
{
    struct cli_rows rows;
    char *named = string_format("%s", message);
    size_t done = 0;
    cli_list_options(session->command, &rows);
    while (named) {
        const char *start = strchr(named + done, '`');
        const char *end = start ? strchr(start + 1, '`') : NULL;
        if (!end)
            break;
        const size_t before = (size_t)(start - named);
        const size_t length = (size_t)(end - start) - 1;
        const struct cli_option *option = find_option(&rows, start + 1, length);
        const char *command = option ? NULL : find_command(start + 1, length);
        done = (size_t)(end - named);
        if (!option && !command)
            continue; /* This command has no option for it, or it is no parameter. */
        char *next = option ? string_format("%.*s--%s%s", (int)before, named, option->name, end + 1)
                            : string_format("%.*s`%s`%s", (int)before, named, command, end + 1);
        done = command ? before + strlen(command) + 1 : before;
        free(named);
        named = next;
    }
    return named;
}

/* ---- Messages --------------------------------------------------------------------------------- */

static void print_message(const struct cli_session *session, const char *prefix,
                          const char *subject, const char *message)
{
    char *named = cli_name_options(session, message);
    cli_print_line(prefix, subject, named ? named : message);
    free(named);
}

/* JSON is read by a program, for which a warning of a slow device is of no use. */
static bool is_shown(const struct cli_session *session, const char *warning)
{
    const bool of_cpu = string_begins_with(warning, "no GPU has");
    return !session->common.quiet && !(session->common.json && of_cpu);
}

/* Errors are printed where the command meets them, with what it does about them. */
static void log_line(void *user, enum vkclip_log_level level, const char *message)
{
    const struct cli_session *session = user;
    const uint32_t verbose = session->common.verbose;
    if (level == VKCLIP_LOG_WARNING && is_shown(session, message))
        print_message(session, "warning: ", session->subject, message);
    else if ((level == VKCLIP_LOG_INFO && verbose > 0) ||
             (level == VKCLIP_LOG_DEBUG && verbose > 1))
        print_message(session, "", session->subject, message);
    else if (level == VKCLIP_LOG_INFO && string_begins_with(message, "measuring kernels"))
        cli_show_wait(session, message);
    else if (level == VKCLIP_LOG_INFO && strstr(message, "kernels for "))
        cli_clear_progress();
}

void cli_start_log(struct cli_session *session)
{
    vkclip_set_log(log_line, session);
}

int cli_fail_library(const struct cli_session *session, int status)
{
    print_message(session, "", "", vkclip_last_error());
    return status;
}

int cli_fail_library_usage(const struct cli_session *session)
{
    char *named = cli_name_options(session, vkclip_last_error());
    int status = cli_fail_usage(session, "%s", named ? named : vkclip_last_error());
    free(named);
    return status;
}

void cli_fail_library_input(struct cli_session *session, const char *prefix)
{
    print_message(session, "", prefix, vkclip_last_error());
    session->failures++;
}

void cli_fail_named_input(struct cli_session *session, const struct cli_input *input,
                          const char *message)
{
    const bool copied = input->file && string_begins_with(message, input->file);
    print_message(session, "", copied ? "standard input" : "",
                  message + (copied ? strlen(input->file) : 0));
    session->failures++;
}

void cli_fail_file(struct cli_session *session, const char *path, const char *message)
{
    char *subject = string_begins_with(message, path) ? NULL : string_format("%s: ", path);
    print_message(session, "", subject ? subject : "", message);
    free(subject);
    session->failures++;
}
