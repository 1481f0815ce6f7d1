/* SPDX-License-Identifier: MIT
 *
 * vkclip init: a checkpoint of an architecture with random weights.
 */
#include "cli/command.h"
#include "cli/log.h"

#include <string.h>

struct options {
    uint32_t seed;
};

static int run_init(struct cli_session *session, void *user)
{
    const struct options *options = user;
    const struct cli_inputs *arguments = &session->arguments;
    if (arguments->count != 2)
        return cli_fail_usage(session, "name an architecture and a folder, found %zu arguments",
                              arguments->count);
    const char *arch = arguments->items[0].text, *path = arguments->items[1].text;
    const uint32_t seed = options->seed ? options->seed : 1;
    if (vkclip_init_model(arch, seed, path, NULL, NULL))
        return cli_fail_library(session, CLI_FAILED);
    if (session->common.json) {
        json_t *json = json_pack("{ss sI so}", "arch", arch, "seed", (json_int_t)seed, "path",
                                 cli_json_text(path, strlen(path)));
        return cli_print_json(json, stdout) ? CLI_DONE : CLI_FAILED;
    }
    cli_print_text(path, 0);
    putchar('\n');
    return CLI_DONE;
}

static const struct cli_option table[] = {CLI_OPTION(0, "seed", "N", CLI_NUMBER,
                                                     offsetof(struct options, seed),
                                                     "seed of the random numbers (1)"),
                                          {0}};

const struct cli_command cli_init_command = {
    .name = "init",
    .summary = "write a checkpoint of random weights",
    .usage = "ARCH FOLDER [OPTION...]",
    .arguments = "ARCH|FILE|FOLDER",
    .text =
        "Writes an architecture with the random weights that training begins with to a new\n"
        "folder, which -m then opens: in Hugging Face's layout, or in OpenCLIP's where\n"
        "Hugging Face's library has no such towers.\n"
        "The same seed gives the same bytes on every machine. The folder gets no vocabulary: name\n"
        "one with --vocab, or put it there.\n"
        "ARCH is ViT-B-32, ViT-B-16, ViT-L-14, ViT-L-14-336 (as OpenAI's, with QuickGELU),\n"
        "ViT-H-14, ViT-g-14, ViT-bigG-14, ViT-B-32-256, ViT-B-16-plus-240,\n"
        "xlm-roberta-base-ViT-B-32 (as LAION's), ViT-H-14-quickgelu, ViT-bigG-14-quickgelu,\n"
        "ViT-H-14-378-quickgelu (as MetaCLIP's and DFN's), ViT-H-14-worldwide-quickgelu,\n"
        "ViT-bigG-14-worldwide (as MetaCLIP 2's), ViT-L-14-CLIPA, ViT-H-14-CLIPA,\n"
        "ViT-bigG-14-CLIPA, RN50, RN101, RN50x4, RN50x16, RN50x64, convnext_base,\n"
        "convnext_base_w, convnext_large_d, convnext_xxlarge (as LAION's), EVA02-B-16,\n"
        "PE-Core-B-16, ViT-B-16-SigLIP, ViT-B-16-SigLIP2, the small emoji-clip, or a file:\n"
        "config.json or open_clip_config.json.",
    .options = table,
    .options_size = sizeof(struct options),
    .run = run_init,
};
