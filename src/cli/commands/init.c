/* SPDX-License-Identifier: MIT
 *
 * vkclip init: a checkpoint of an architecture with random weights.
 */
#include "cli/cli.h"

#include <string.h>

static int run_init(struct cli *cli)
{
    if (cli->arguments.count != 2)
        return cli_fail_usage(cli, "name an architecture and a folder, found %zu arguments",
                              cli->arguments.count);
    const char *arch = cli->arguments.items[0].text, *path = cli->arguments.items[1].text;
    const uint32_t seed = cli->seed ? cli->seed : 1;
    if (vkclip_init_model(arch, seed, path))
        return cli_fail(CLI_FAILED, "%s", vkclip_last_error());
    if (cli->json) {
        json_t *json = json_pack("{ss sI so}", "arch", arch, "seed", (json_int_t)seed, "path",
                                 cli_json_text(path, strlen(path)));
        return cli_print_json(json, stdout) ? CLI_DONE : CLI_FAILED;
    }
    cli_print_text(path, 0);
    putchar('\n');
    return CLI_DONE;
}

static const struct cli_option options[] = {
    CLI_OPTION(0, "seed", "N", CLI_NUMBER, seed, "of the random numbers (1)"),
    CLI_COMMON_OPTIONS,
    {0}};

const struct cli_command cli_init = {
    .name = "init",
    .summary = "write a checkpoint of random weights",
    .usage = "ARCH FOLDER [OPTION...]",
    .text =
        "Writes an architecture with the random weights that training begins with to a new "
        "folder,\n"
        "which -m then opens: in Hugging Face's layout, a ModifiedResNet in OpenCLIP's. The same\n"
        "seed gives the same bytes on every machine. There is no vocabulary in it: name one with\n"
        "--vocab, or put it there.\n"
        "ARCH is ViT-B-32, ViT-B-16, ViT-L-14, ViT-L-14-336 (as OpenAI's, with QuickGELU),\n"
        "ViT-H-14, ViT-g-14, ViT-bigG-14 (as LAION's), RN50, RN101, RN50x4, RN50x16, RN50x64,\n"
        "the small emoji-clip, or a file: config.json or open_clip_config.json.",
    .options = options,
    .run = run_init,
    .arguments = true,
};
