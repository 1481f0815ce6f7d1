/* SPDX-License-Identifier: MIT
 *
 * The command vkclip: finds the subcommand, runs it, and checks that its output could be written.
 */
#include "base/array.h"
#include "base/console.h"
#include "cli/command.h"
#include "cli/log.h"
#include "cli/remote.h"
#include "cli/suggest.h"

#include <stdlib.h>
#include <string.h>

const struct cli_command *const cli_commands[] = {
#define X(name) &cli_##name##_command,
    CLI_COMMANDS(X)
#undef X
        NULL};

static const struct cli_command *find_command(const char *name)
{
    for (const struct cli_command *const *command = cli_commands; *command; command++)
        if (!strcmp((*command)->name, name))
            return *command;
    return NULL;
}

static int refuse_command(const char *name)
{
    struct cli_suggestion suggestion = {.word = name};
    for (const struct cli_command *const *command = cli_commands; *command; command++)
        cli_suggest(&suggestion, (*command)->name);
    if (suggestion.name)
        return cli_fail(CLI_USAGE, "%s: no such command (did you mean %s?); see 'vkclip --help'",
                        name, suggestion.name);
    return cli_fail(CLI_USAGE, "%s: no such command; see 'vkclip --help'", name);
}

static int parse_and_run(struct cli_session *session, void *options, int argc, char **argv)
{
    const struct cli_command *command = session->command;
    int status = cli_parse_options(session, options, argc, argv);
    if (status)
        return status;
    if (session->common.help) {
        cli_print_help(command);
        return CLI_DONE;
    }
    cli_start_log(session);
    status = command->run(session, options);
    cli_clear_progress();
    if (!status && session->failures)
        status = CLI_FAILED;
    return status;
}

static int run_command(const struct cli_command *command, int argc, char **argv)
{
    struct cli_session session = {.command = command, .info.size = sizeof(session.info)};
    void *options = calloc(1, command->options_size + 1);
    if (!options)
        return cli_fail_memory();
    int status = parse_and_run(&session, options, argc, argv);
    cli_close_remote(&session.remote);
    vkclip_close_model(&session.model);
    vkclip_close_device(&session.device);
    vkclip_set_log(NULL, NULL);
    cli_free_options(&session, options);
    free(options);
    return status;
}

static bool is_one_of(const char *name, const char *first, const char *second)
{
    return !strcmp(name, first) || !strcmp(name, second);
}

/* Runs `vkclip help COMMAND...`. The build asks for the parts of the manual page. */
static int print_help(int count, char **names)
{
    if (!count || is_one_of(names[0], "--help", "-h")) {
        cli_print_overview();
        return CLI_DONE;
    }
    if (!strcmp(names[0], "--man-synopsis")) {
        cli_print_synopsis();
        return CLI_DONE;
    }
    if (!strcmp(names[0], "--man-options")) {
        cli_print_options();
        return CLI_DONE;
    }
    for (int i = 0; i < count; i++) {
        const struct cli_command *command = find_command(names[i]);
        if (!command)
            return refuse_command(names[i]);
        if (i)
            putchar('\n');
        cli_print_help(command);
    }
    return CLI_DONE;
}

/* What a build may lack besides formats of pictures, with its word in vkclip_get_build, and the
 * library that it would need. */
static const struct {
    const char *word, *feature, *library;
} optional_features[] = {
    {"training", "training and explanations", NULL},
    {"torch", "PyTorch's files", "libzip"},
    {"hub", "models by their names", NULL},
    {"search", "picture search", "SQLite and xxHash"},
    {"postgresql", "indexes in PostgreSQL", "libpq"},
    {"exif", "orientation and date of pictures", "libexif"},
    {"tar", "tar shards", "libarchive"},
};

static void print_feature(const char **separator, const char *name, const char *library)
{
    printf("%s%s", *separator, name);
    if (library)
        printf(" (%s)", library);
    *separator = ", ";
}

/* Prints the formats of pictures that are read, or those that are not because this build lacks a
 * library, with that library. */
static void print_formats(const char **separator, bool readable)
{
    const struct vkclip_image_format *format;
    for (size_t i = 0; (format = vkclip_get_image_format(i)); i++)
        if (format->readable == readable)
            print_feature(separator, format->name, format->library);
}

/* Names the optional features too, because builds of one version may differ in them, and so in
 * speed on one GPU and in the pictures that they read. */
static int print_version(void)
{
    char caps[256];
    const char *separator = "pictures: ";
    if (vkclip_get_kernel_caps(caps, sizeof(caps)))
        return cli_fail(CLI_FAILED, "%s", vkclip_last_error());
    printf("vkclip %s\nbuilt with: %s\nkernels for: %s\n", vkclip_version(), vkclip_get_build(),
           caps);
    print_formats(&separator, true);
    separator = "\nbuilt without: ";
    print_formats(&separator, false);
    for (size_t i = 0; i < ARRAY_COUNT(optional_features); i++)
        if (!cli_has(optional_features[i].word))
            print_feature(&separator, optional_features[i].feature, optional_features[i].library);
#ifndef VKCLIP_WITH_CURL
    print_feature(&separator, "downloads", "libcurl");
#endif
    putchar('\n');
    return CLI_DONE;
}

static int run(int argc, char **argv)
{
    if (argc < 2) {
        cli_print_overview();
        return CLI_USAGE;
    }
    if (is_one_of(argv[1], "--version", "-V"))
        return print_version();
    if (is_one_of(argv[1], "--help", "-h"))
        return print_help(0, NULL);
    if (!strcmp(argv[1], "help"))
        return print_help(argc - 2, argv + 2);
    const struct cli_command *command = find_command(argv[1]);
    if (!command)
        return refuse_command(argv[1]);
    return run_command(command, argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
    /* A damaged file has its one line of an error without what libraries print of it. */
    console_mute_libraries();
    if (!console_begin(&argc, &argv))
        return CLI_FAILED;
    if (vkclip_read_environment())
        return cli_fail(CLI_FAILED, "%s", vkclip_last_error());
    int status = run(argc, argv);
    bool failed = ferror(stdout);
    if ((fclose(stdout) || failed) && (status == CLI_DONE || status == CLI_FAILED))
        status = cli_fail(CLI_FAILED, "standard output cannot be written");
    return status;
}
