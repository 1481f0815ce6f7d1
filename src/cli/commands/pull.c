/* SPDX-License-Identifier: MIT
 *
 * vkclip pull: downloads a checkpoint from the Hugging Face hub into the hub's cache on this
 * machine, where -m finds it by its name.
 */
#include "cli/commands/pull.h"
#include "base/array.h"
#include "base/environment.h"
#include "cli/command.h"

#include <stdlib.h>
#include <string.h>

static bool is_offline(void)
{
    static const char *const yes[] = {"1",   "ON",   "YES", "TRUE", "on",
                                      "yes", "true", "On",  "Yes",  "True"};
    char *value = environment_ask("HF_HUB_OFFLINE");
    bool offline = false;
    for (size_t i = 0; value && i < ARRAY_COUNT(yes); i++)
        offline |= !strcmp(value, yes[i]);
    free(value);
    return offline;
}

static int fetch(struct cli_session *session, const struct hub_name *name, uint64_t *fetched)
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
    return cli_fetch_model(session, name, fetched);
#else
    (void)session;
    (void)fetched;
    return cli_fail(CLI_FAILED, "this vkclip cannot download: it was built without libcurl");
#endif
}

static int print_result(const struct cli_session *session, const struct hub_name *name,
                        const char *path, uint64_t fetched)
{
    if (!session->common.json) {
        cli_print_text(path, 0);
        putchar('\n');
        return CLI_DONE;
    }
    json_t *json = json_pack("{ss ss ss so sI}", "name", session->arguments.items[0].text,
                             "repository", name->repository, "revision", name->revision, "path",
                             cli_json_text(path, strlen(path)), "downloaded", (json_int_t)fetched);
    return cli_print_json(json, stdout) ? CLI_DONE : CLI_FAILED;
}

static int run_pull(struct cli_session *session, void *user)
{
    struct hub_name name;
    uint64_t fetched = 0;
    (void)user;
    if (!cli_has("hub"))
        return cli_fail(CLI_FAILED, "this build of vkclip leaves the hub out (VKCLIP_WITH_HUB)");
    if (session->arguments.count != 1)
        return cli_fail_usage(session, "name one model, found %zu", session->arguments.count);
    const char *text = session->arguments.items[0].text;
    if (!hub_parse_name(text, &name))
        return cli_fail_usage(session,
                              "'%s': expected ORG/NAME[@REVISION], or a name like ViT-B/32 that "
                              "'vkclip models' lists",
                              text);
    if (name.model && name.model->obstacle)
        return cli_fail(CLI_FAILED, "%s: vkclip does not run this model: %s", text,
                        name.model->obstacle);
    int status = fetch(session, &name, &fetched);
    if (status)
        return status;
    char *path = hub_find_snapshot(&name);
    if (!path)
        return cli_fail(CLI_FAILED, "%s: not found in the hub's cache", text);
    status = print_result(session, &name, path, fetched);
    free(path);
    return status;
}

const struct cli_command cli_pull_command = {
    .name = "pull",
    .summary = "download a checkpoint by its name",
    .usage = "NAME [OPTION...]",
    .arguments = "NAME",
    .text =
        "Downloads a checkpoint from the Hugging Face hub into the hub's cache, which Python's\n"
        "client shares, and prints the folder. -m NAME then opens it in every command.\n"
        "NAME is ORG/NAME of a repository (openai/clip-vit-base-patch32) or a name that 'vkclip\n"
        "models' lists: OpenAI's (ViT-B/32, RN50), OpenCLIP's (ViT-H-14:laion2b_s32b_b79k) or\n"
        "immich's (ViT-B-32__openai), each with @REVISION if wanted. Only the files that are\n"
        "needed are downloaded, of a pipeline of diffusers the text encoders and tokenizers.\n"
        "Interrupted downloads resume, and every file is verified against its hash.",
    .run = run_pull,
};
