/* SPDX-License-Identifier: MIT
 *
 * vkclip duplicates: the pictures of an index that are there several times.
 */
#include "cli/command.h"
#include "cli/log.h"
#include "cli/model.h"

#include <stdlib.h>
#include <string.h>

struct options {
    struct cli_index_options index;
    struct cli_device_options device;
    struct cli_model_options model;
    double distance;
    bool forget;
};

/* One call of vkclip_find_duplicates. */
struct finding {
    const struct cli_session *session;
    bool started; /* whether the progress bar was */
    size_t groups;
};

enum { STEPS = 1000 }; /* of the progress bar */

/* Is a vkclip_share_fn. */
static int show_share(void *user, double share)
{
    struct finding *finding = user;
    if (!finding->started)
        cli_start_progress(finding->session, 0, STEPS);
    finding->started = true;
    cli_show_progress((size_t)(share * STEPS), "");
    return 0;
}

static const char *const kinds[] = {[VKCLIP_GROUP_EXACT] = "the same file",
                                    [VKCLIP_GROUP_SAME] = "the same picture",
                                    [VKCLIP_GROUP_NEAR] = "near"};

static bool print_group_json(const struct vkclip_group *group)
{
    json_t *paths = json_array(), *bytes = json_object(), *ids = json_array();
    for (size_t i = 0; i < group->count; i++) {
        cli_json_add_name(paths, bytes, group->paths[i], strlen(group->paths[i]));
        json_array_append_new(ids, json_integer(group->ids[i]));
    }
    json_t *json =
        json_pack("{ss so sf so}", "kind", group->kind == VKCLIP_GROUP_EXACT ? "exact" : "near",
                  "paths", paths, "cosine", group->cosine, "ids", ids);
    if (json && group->kind != VKCLIP_GROUP_EXACT)
        json_object_set_new(json, "same_picture", json_boolean(group->kind == VKCLIP_GROUP_SAME));
    if (json && json_object_size(bytes))
        json_object_set(json, "paths_bytes", bytes);
    json_decref(bytes);
    return cli_print_json(json, stdout);
}

static void print_group_text(const struct vkclip_group *group, bool first)
{
    printf("%s%s", first ? "" : "\n", kinds[group->kind]);
    if (group->kind != VKCLIP_GROUP_EXACT)
        printf(", cosine %.4f", group->cosine);
    puts(":");
    for (size_t i = 0; i < group->count; i++) {
        fputs("  ", stdout);
        cli_print_text(group->paths[i], 0);
        putchar('\n');
    }
}

/* Is a vkclip_group_fn. */
static int print_group(void *user, const struct vkclip_group *group)
{
    struct finding *finding = user;
    cli_clear_progress();
    finding->groups++;
    if (finding->session->common.json)
        return !print_group_json(group);
    print_group_text(group, finding->groups == 1);
    return 0;
}

static int find_duplicates(struct cli_session *session, const struct options *options,
                           struct vkclip_index *index)
{
    struct finding finding = {.session = session};
    struct vkclip_duplicates_params params = {
        .size = sizeof(params), .distance = options->distance, .progress = show_share};
    int status = CLI_DONE;
    if (options->model.path) {
        status = cli_open_model(session, &options->model);
        params.model = session->info.weights_path; /* An index names its models so. */
    }
    if (!status)
        status = cli_open_device(session, &options->device);
    if (!status && vkclip_find_duplicates(index, session->device, &params, print_group, &finding))
        status = cli_fail_library(session, CLI_FAILED);
    cli_clear_progress();
    if (!status && !finding.groups && !session->common.json && !session->common.quiet)
        cli_say("no duplicates");
    return status;
}

static int run_duplicates(struct cli_session *session, void *user)
{
    const struct options *options = user;
    const struct vkclip_index_params params = {
        .size = sizeof(params), .path = options->index.path, .read_only = !options->forget};
    const struct cli_inputs *arguments = &session->arguments;
    struct vkclip_index *index = NULL;
    int status = CLI_DONE;
    if (arguments->count != (options->forget ? 2 : 0))
        return cli_fail_usage(session, options->forget
                                           ? "--forget: expected two pictures, each a path or id:N"
                                           : "expected no arguments without --forget");
    if (options->distance >= 1)
        return cli_fail_usage(session, "--distance: expected a number from 0 to less than 1");
    if (vkclip_open_index(&params, &index))
        return cli_fail_library(session, CLI_FAILED);
    if (!options->forget)
        status = find_duplicates(session, options, index);
    else if (vkclip_forget_duplicates(index, arguments->items[0].text, arguments->items[1].text))
        status = cli_fail_library(session, CLI_FAILED);
    vkclip_close_index(&index);
    return status;
}

#define FIELD(name) offsetof(struct options, name)
static const struct cli_option table[] = {
    CLI_INCLUDE(cli_index_options, FIELD(index)),
    CLI_OPTION(0, "distance", "D", CLI_REALS, FIELD(distance),
               "largest 1 - cosine of two near pictures (0.01)"),
    CLI_INCLUDE(cli_path_options, FIELD(model)),
    CLI_OPTION(0, "forget", NULL, CLI_FLAG, FIELD(forget),
               "remember that two pictures are no duplicates"),
    CLI_INCLUDE(cli_device_options, FIELD(device)),
    {0}};

const struct cli_command cli_duplicates_command = {
    .name = "duplicates",
    .summary = "list the pictures of an index that are there several times",
    .usage = "[OPTION...]\n"
             "--forget [--index FILE] PATH|id:N PATH|id:N",
    .arguments = "PATH|id:N",
    .text =
        "Prints groups of files with the same bytes, then groups of the same picture in other\n"
        "sizes and formats, then groups of near pictures. Two pictures are the same if their\n"
        "cosine is at least 0.995, their sides have the same proportion, and the moments at\n"
        "which they were taken do not differ. A group is what such pairs connect. With --json\n"
        "one line per group: {\"kind\":\"exact\"|\"near\",\"paths\":[...],\"cosine\":X,\n"
        "\"ids\":[...]}, and \"same_picture\" tells the last two kinds apart; \"paths_bytes\" has\n"
        "paths that are not UTF-8 in base64, by their place. Pairs that were given to --forget\n"
        "do not come together any more. --model is needed only where the index has pictures by\n"
        "several models.",
    .options = table,
    .options_size = sizeof(struct options),
    .run = run_duplicates,
};
