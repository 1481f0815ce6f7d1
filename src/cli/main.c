/* SPDX-License-Identifier: MIT
 *
 * The command vkclip: finds the subcommand, runs it, and sees to it that what was printed has
 * arrived.
 */
#include "cli/cli.h"

#include <signal.h>
#include <string.h>

#ifndef _WIN32
#include <fcntl.h>
#include <unistd.h>
#endif

const struct cli_command *const cli_commands[] = {&cli_classify, &cli_similarity,
                                                  &cli_embed,    &cli_preprocess,
                                                  &cli_tokenize, &cli_info,
                                                  &cli_devices,  &cli_pull,
                                                  &cli_convert,  &cli_init,
                                                  &cli_train,    &cli_tokenizer_train,
                                                  &cli_bench,    NULL};

static const struct cli_command *find_command(const char *name)
{
    for (const struct cli_command *const *at = cli_commands; *at; at++)
        if (!strcmp((*at)->name, name))
            return *at;
    return NULL;
}

static int print_overview(void)
{
    puts("vkclip: CLIP models on any Vulkan device\n\n"
         "Usage: vkclip COMMAND [OPTION...] [ARGUMENT...]\n");
    for (const struct cli_command *const *at = cli_commands; *at; at++)
        printf("  %-15s %s\n", (*at)->name, (*at)->summary);
    puts("\n'vkclip COMMAND --help' describes a command, 'vkclip --version' names the version.\n"
         "Exit status: 0 all done; 1 some inputs failed, the others are done; 2 wrong usage;\n"
         "3 no usable device; 4 the model cannot be loaded.");
    return CLI_DONE;
}

static void close_cli(struct cli *cli)
{
    vkclip_close_model(&cli->model);
    vkclip_close_device(&cli->device);
    cli_free_inputs(&cli->images);
    cli_free_inputs(&cli->texts);
    cli_free_inputs(&cli->labels);
    cli_free_inputs(&cli->templates);
    cli_free_inputs(&cli->eval_templates);
    cli_free_inputs(&cli->arguments);
}

static int run_command(const struct cli_command *command, int argc, char **argv)
{
    struct cli cli = {.command = command};
    int status = cli_parse_options(&cli, argc, argv);
    if (!status && cli.help) {
        cli_print_help(command);
    } else if (!status) {
        cli_start_log(&cli);
        status = command->run(&cli);
        cli_clear_progress();
    }
    if (!status && cli.failures)
        status = CLI_FAILED;
    close_cli(&cli);
    vkclip_set_log(NULL, NULL);
    return status;
}

static int run(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "--help";
    if (!strcmp(name, "--version") || !strcmp(name, "-V"))
        return printf("vkclip %s\n", vkclip_version()) < 0;
    if (!strcmp(name, "--help") || !strcmp(name, "-h") || (!strcmp(name, "help") && argc == 2)) {
        print_overview();
        return argc > 1 ? CLI_DONE : CLI_USAGE;
    }
    bool help = !strcmp(name, "help");
    if (help)
        name = argv[2];
    const struct cli_command *command = find_command(name);
    if (!command)
        return cli_fail(CLI_USAGE, "%s: no such command; see 'vkclip --help'", name);
    if (!help)
        return run_command(command, argc - 1, argv + 1);
    cli_print_help(command);
    return CLI_DONE;
}

int main(int argc, char **argv)
{
#ifndef _WIN32
    signal(SIGPIPE, SIG_IGN); /* a reader that goes away is an error to report, not a death */
    /* a file opened later must not become a standard stream that the caller has closed */
    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd ? O_RDONLY : O_WRONLY) != fd)
            return CLI_FAILED;
#endif
    int status = run(argc, argv);
    bool failed = ferror(stdout);
    if ((fclose(stdout) || failed) && (status == CLI_DONE || status == CLI_FAILED))
        status = cli_fail(CLI_FAILED, "standard output cannot be written");
    return status;
}
