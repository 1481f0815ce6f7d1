/* SPDX-License-Identifier: MIT
 *
 * vkclip pull: brings a checkpoint from the Hugging Face hub into the hub's cache on this machine,
 * where -m finds it by its name.
 */
#include "cli/commands/pull.h"
#include "base/array.h"

#include <stdlib.h>
#include <string.h>

static bool is_offline(void)
{
    static const char *const yes[] = {"1",   "ON",   "YES", "TRUE", "on",
                                      "yes", "true", "On",  "Yes",  "True"};
    const char *value = getenv("HF_HUB_OFFLINE");
    for (size_t i = 0; value && i < ARRAY_COUNT(yes); i++)
        if (!strcmp(value, yes[i]))
            return true;
    return false;
}

static int fetch(struct cli *cli, const struct hub_name *name, uint64_t *fetched)
{
    if (is_offline()) {
        char *path = hub_find_snapshot(name);
        bool found = path != NULL;
        free(path);
        return found ? CLI_DONE
                     : cli_fail(CLI_FAILED,
                                "%s@%s: not in the hub's cache, and HF_HUB_OFFLINE is set",
                                name->repository, name->revision);
    }
#ifdef VKCLIP_WITH_CURL
    return cli_fetch_model(cli, name, fetched);
#else
    (void)cli;
    (void)fetched;
    return cli_fail(CLI_FAILED, "this vkclip cannot download: it was built without libcurl");
#endif
}

static int run_pull(struct cli *cli)
{
    struct hub_name name;
    uint64_t fetched = 0;
    if (cli->arguments.count != 1)
        return cli_fail_usage(cli, "name one model, found %zu", cli->arguments.count);
    const char *text = cli->arguments.items[0].text;
    if (!hub_parse_name(text, &name))
        return cli_fail_usage(cli, "'%s': expected ORG/NAME[@REVISION], or a name like ViT-B/32",
                              text);
    int status = fetch(cli, &name, &fetched);
    if (status)
        return status;
    char *path = hub_find_snapshot(&name);
    if (!path)
        return cli_fail(CLI_FAILED, "%s: not found in the hub's cache", text);
    if (cli->json) {
        json_t *json =
            json_pack("{ss ss ss so sI}", "name", text, "repository", name.repository, "revision",
                      name.revision, "path", cli_json_text(path, strlen(path)), "downloaded",
                      (json_int_t)fetched);
        status = cli_print_json(json, stdout) ? CLI_DONE : CLI_FAILED;
    } else {
        cli_print_text(path, 0);
        putchar('\n');
    }
    free(path);
    return status;
}

static const struct cli_option pull_options[] = {CLI_COMMON_OPTIONS, {0}};

const struct cli_command cli_pull = {
    .name = "pull",
    .summary = "download a checkpoint by its name",
    .usage = "NAME [OPTION...]",
    .text =
        "Brings a checkpoint from the Hugging Face hub into the hub's cache, which Python's "
        "client\n"
        "shares, and prints the folder. -m NAME then opens it, here and in the other commands.\n"
        "NAME is ORG/NAME of a repository (openai/clip-vit-base-patch32), OpenAI's name of a "
        "model\n"
        "(ViT-B/32, RN50) or OpenCLIP's (ViT-H-14:laion2b_s32b_b79k), each with @REVISION if "
        "wanted.\n"
        "Only the files that are needed are fetched; a broken download is gone on with, and every\n"
        "file is held against its hash.",
    .options = pull_options,
    .run = run_pull,
    .arguments = true,
};
