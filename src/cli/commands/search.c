/* SPDX-License-Identifier: MIT
 *
 * vkclip search: the pictures of an index that are nearest to texts and pictures.
 */
#include "base/file.h"
#include "base/string.h"
#include "cli/command.h"
#include "base/calendar.h"
#include "cli/commands/limits.h"
#include "cli/commands/query.h"
#include "cli/commands/refresh.h"
#include "cli/commands/search_output.h"
#include "cli/encode.h"
#include "cli/inputs.h"
#include "cli/reader.h"
#include "cli/log.h"
#include "cli/model.h"
#include "cli/remote.h"

#include <float.h>
#include <stdlib.h>
#include <string.h>

/* More models than anybody keeps in one index. */
enum { MOST_MODELS = 32 };

struct options {
    struct cli_model_options model;
    struct cli_device_options device;
    struct cli_remote_options remote;
    struct cli_index_options index;
    struct cli_inputs add, subtract;
    uint32_t top, max_pixels;
    double min_score, min_z, relative;
    const char *path, *after, *before, *near, *camera, *type, *min_size;
    enum vkclip_sort sort;
    enum preview_protocol graphics;
    bool paths_only, nul, open, preview, refresh, lines;
};

struct search {
    struct cli_session *session;
    struct options *options;
    struct vkclip_index *index;
    struct vkclip_search_params params;
    struct search_output output;
};

/* ---- Options ----------------------------------------------------------------------------------- */

/* A limit of 0 that was given is -1 here, and 0 means that none was given. */
static double read_limit(double value)
{
    return value < 0 ? DBL_MIN : value;
}

static int read_dates(struct search *search)
{
    const struct options *options = search->options;
    const char *const texts[] = {options->after, options->before};
    int64_t *const values[] = {&search->params.after, &search->params.before};
    for (size_t i = 0; i < 2; i++) {
        if (!texts[i])
            continue;
        if (!calendar_read(texts[i], values[i]))
            return cli_fail_usage(search->session,
                                  "--%s: expected a date as 2024, 2024-07, 2024-07-31 or "
                                  "2024-07-31T12:30, found '%s'",
                                  i ? "before" : "after", texts[i]);
        *values[i] += !*values[i]; /* 0 means no limit: a second later is near enough. */
    }
    return CLI_DONE;
}

static int read_filters(struct search *search)
{
    const struct options *options = search->options;
    struct vkclip_search_params *params = &search->params;
    double place[3] = {0};
    *params = (struct vkclip_search_params){.size = sizeof(struct vkclip_search_params),
                                            .top = options->top,
                                            .sort = options->sort,
                                            .min_score = read_limit(options->min_score),
                                            .min_z = read_limit(options->min_z),
                                            .relative = read_limit(options->relative),
                                            .path_glob = options->path,
                                            .camera = options->camera,
                                            .type = options->type,
                                            .max_pixels = options->max_pixels};
    if (options->near && !limits_read_place(options->near, place))
        return cli_fail_usage(search->session,
                              "--near: expected LAT,LON,KM, such as 52.5,13.4,10, found '%s'",
                              options->near);
    params->latitude = place[0];
    params->longitude = place[1];
    params->kilometers = place[2];
    if (options->min_size &&
        !limits_read_size(options->min_size, &params->min_width, &params->min_height))
        return cli_fail_usage(search->session,
                              "--min-size: expected pixels as 1000 or 1920x1080, found '%s'",
                              options->min_size);
    return read_dates(search);
}

static int check_options(struct search *search)
{
    struct options *options = search->options;
    const bool given =
        search->session->arguments.count || options->add.count || options->subtract.count;
    if (options->lines == given)
        return cli_fail_usage(search->session, given ? "expected a query or --stdin, found both"
                                                     : "expected a query or --stdin");
    options->paths_only |= options->nul;
    if (options->paths_only && search->session->common.json)
        return cli_fail_usage(search->session, "expected one of --json and --paths-only");
    return read_filters(search);
}

/* ---- The query --------------------------------------------------------------------------------- */

/* The query as one list of words: the arguments, then each --add and --subtract after its sign. */
static int parse_arguments(const struct search *search, struct query *query)
{
    const struct options *options = search->options;
    const struct cli_inputs *lists[] = {&search->session->arguments, &options->add,
                                        &options->subtract};
    static const char *const signs[] = {NULL, "+", "-"};
    size_t count = 0;
    const char **words =
        calloc(lists[0]->count + 2 * (lists[1]->count + lists[2]->count) + 1, sizeof(*words));
    if (!words)
        return cli_fail_memory();
    for (size_t k = 0; k < 3; k++)
        for (size_t i = 0; i < lists[k]->count; i++) {
            if (signs[k])
                words[count++] = signs[k];
            words[count++] = lists[k]->items[i].text;
        }
    const bool good = query_parse(words, count, file_exists, query);
    free(words);
    return good ? CLI_DONE : cli_fail_usage(search->session, "%s", query->error);
}

/* Tells whether a server can do all that needs a device. A picture of a query is looked up in the
 * index by its bytes first, which only this process does. */
static bool can_be_remote(const struct options *options, const struct query *query)
{
    if (options->lines || options->refresh || options->device.name)
        return false;
    for (size_t i = 0; i < query->count; i++)
        if (query->parts[i].kind == VKCLIP_QUERY_IMAGE)
            return false;
    return true;
}

/* Tells whether a query can be answered from the index alone, without a device. */
static bool has_ids_only(const struct query *query)
{
    for (size_t i = 0; i < query->count; i++)
        if (query->parts[i].kind != VKCLIP_QUERY_ID)
            return false;
    return query->count;
}

/* Lets the server encode the texts of a query, so that no model is needed here. */
static bool encode_texts(const struct search *search, struct query *query)
{
    const struct cli_session *session = search->session;
    const struct cli_decoding decoding = {.orient = false};
    const size_t dim = session->info.embed_dim;
    for (size_t i = 0; i < query->count; i++) {
        struct vkclip_query_part *part = &query->parts[i];
        if (part->kind != VKCLIP_QUERY_TEXT)
            continue;
        const struct cli_remote_item item = {.text = part->value, .size = strlen(part->value)};
        float *embed = malloc(dim * sizeof(*embed));
        part->data = embed; /* query_free frees it. */
        part->size = dim * sizeof(*embed);
        snprintf(query->error, sizeof(query->error), "out of memory for an embedding");
        if (!embed || !cli_encode_remotely(session->remote, &decoding, &item, 1, dim, embed,
                                           query->error, sizeof(query->error)))
            return false;
        part->kind = VKCLIP_QUERY_EMBED;
    }
    return true;
}

/* Searches and prints. A query that fails is reported and counted; false: nothing more can be
 * printed. */
static bool run_query(struct search *search, struct query *query, const char *line)
{
    struct cli_session *session = search->session;
    search->params.parts = query->parts;
    search->params.part_count = query->count;
    search_output_begin(&search->output, line);
    if (!query_fetch(session, search->params.max_pixels, query) ||
        (session->remote && !encode_texts(search, query))) {
        cli_fail_input(session, "%s", query->error);
        return search_output_end(&search->output, query->error);
    }
    const int error = vkclip_search(search->index, session->model, &search->params,
                                    search_output_hit, &search->output);
    if (ferror(stdout))
        return false;
    if (error)
        cli_fail_library_input(session, "");
    else if (!search->output.count && !session->common.quiet)
        cli_say("no picture passes the filters and limits");
    return search_output_end(&search->output, error ? vkclip_last_error() : NULL);
}

static bool run_line(struct search *search, const char *line)
{
    struct query query;
    bool good = true;
    if (query_parse_line(line, file_exists, &query)) {
        good = run_query(search, &query, line);
    } else {
        cli_fail_input(search->session, "%s: %s", line, query.error);
        search_output_begin(&search->output, line);
        good = search_output_end(&search->output, query.error);
    }
    query_free(&query);
    return good;
}

/* A GPU searches faster than the processor from some queries on. Where its memory is too small, the
 * processor searches. */
static void use_gpu(struct search *search)
{
    struct vkclip_device_info info = {.size = sizeof(info)};
    const struct cli_session *session = search->session;
    if (vkclip_get_device_info(session->device, &info) || info.type == VKCLIP_DEVICE_CPU ||
        info.type == VKCLIP_DEVICE_OTHER)
        return;
    if (vkclip_upload_index(search->index, session->model) && session->common.verbose)
        cli_say("the processor searches: %s", vkclip_last_error());
}

static int run_lines(struct search *search)
{
    struct cli_reader reader;
    use_gpu(search);
    bool good = cli_open_reader(search->session, &reader, "-", '\n');
    while (good && cli_read_text(search->session, &reader))
        if (reader.length) {
            reader.text[reader.length] = 0;
            good = run_line(search, reader.text);
        }
    cli_close_reader(&reader);
    return CLI_DONE;
}

/* ---- The index --------------------------------------------------------------------------------- */

static int open_index(struct search *search)
{
    const struct vkclip_index_params params = {.size = sizeof(params),
                                               .path = search->options->index.path,
                                               .read_only = !search->options->refresh};
    if (vkclip_open_index(&params, &search->index))
        return cli_fail_library(search->session, CLI_FAILED);
    search->output.index = search->index;
    return CLI_DONE;
}

static int refuse_empty(const struct search *search)
{
    struct vkclip_index_info info = {.size = sizeof(info)};
    if (vkclip_get_index_info(search->index, &info))
        return cli_fail_library(search->session, CLI_FAILED);
    return cli_fail(CLI_FAILED, "%s: the index has no pictures yet; 'vkclip index' adds them",
                    info.path);
}

/* Without -m, the model is the one that the index has, if it has one only. */
static int find_model(const struct search *search, struct vkclip_index_model *models)
{
    struct options *options = search->options;
    char names[2048] = "";
    size_t count = 0, length = 0;
    if (options->model.path)
        return CLI_DONE;
    if (vkclip_list_index_models(search->index, models, MOST_MODELS, &count))
        return cli_fail_library(search->session, CLI_FAILED);
    if (!count)
        return refuse_empty(search);
    for (size_t i = 0; i < count && i < MOST_MODELS && length < sizeof(names); i++)
        length += (size_t)snprintf(names + length, sizeof(names) - length, "%s%s", i ? ", " : "",
                                   models[i].name);
    if (count > 1)
        return cli_fail_usage(search->session, "name a model with -m: the index has %s", names);
    options->model.path = models[0].name;
    return CLI_DONE;
}

static int open_model(struct search *search, bool device)
{
    const struct options *options = search->options;
    if (!device)
        return cli_open_model(search->session, &options->model);
    return cli_open_model_on_device(search->session, &options->model, &options->device);
}

/* ---- The command ------------------------------------------------------------------------------- */

static int run_queries(struct search *search, struct query *query)
{
    const struct options *options = search->options;
    struct vkclip_index_model *models = calloc(MOST_MODELS, sizeof(*models));
    int status = models ? open_index(search) : cli_fail_memory();
    if (models)
        models->size = sizeof(*models);
    if (!status)
        status = find_model(search, models);
    if (!status && !has_ids_only(query) && can_be_remote(options, query))
        status = cli_find_remote(search->session, &options->remote, &options->model,
                                 &search->session->remote);
    if (!status)
        status = open_model(search,
                            options->refresh || (!has_ids_only(query) && !search->session->remote));
    const struct refresh refresh = {
        .session = search->session, .index = search->index, .params.size = sizeof(refresh.params)};
    if (!status && options->refresh)
        status = refresh_index(&refresh, NULL);
    if (!status && options->preview)
        terminal_find(&search->output.screen);
    if (!status && options->lines)
        status = run_lines(search);
    else if (!status)
        run_query(search, query, NULL);
    if (!status && options->open && search->output.best)
        status = search_output_open(search->output.best);
    free(models);
    return status;
}

static int run_search(struct cli_session *session, void *user)
{
    struct options *options = user;
    struct query query = {0};
    options->preview |= options->graphics != PREVIEW_AUTO;
    struct search search = {.session = session,
                            .options = options,
                            .output = {.session = session,
                                       .paths_only = options->paths_only || options->nul,
                                       .nul = options->nul,
                                       .preview = options->preview,
                                       .screen = {.protocol = options->graphics}}};
    int status = check_options(&search);
    if (!status && !options->lines)
        status = parse_arguments(&search, &query);
    if (!status)
        status = run_queries(&search, &query);
    free(search.output.best);
    query_free(&query);
    vkclip_close_index(&search.index);
    return status;
}

static const struct cli_choice sorts[] = {
    {"score", VKCLIP_SORT_SCORE}, {"date", VKCLIP_SORT_DATE}, {0}};
static const struct cli_choice protocols[] = {{"kitty", PREVIEW_KITTY},
                                              {"iterm", PREVIEW_ITERM},
                                              {"sixel", PREVIEW_SIXEL},
                                              {"blocks", PREVIEW_BLOCKS},
                                              {0}};

#define FIELD(name) offsetof(struct options, name)
static const struct cli_option table[] = {
    CLI_INCLUDE(cli_index_options, FIELD(index)),
    CLI_INCLUDE(cli_remote_options, FIELD(remote)),
    CLI_OPTION(0, "add", "QUERY", CLI_ITEM, FIELD(add), "the same as + QUERY"),
    CLI_OPTION(0, "subtract", "QUERY", CLI_ITEM, FIELD(subtract), "the same as - QUERY"),
    CLI_OPTION(0, "stdin", NULL, CLI_FLAG, FIELD(lines),
               "read texts from standard input, one per line"),
    CLI_OPTION('k', "top", "K", CLI_NUMBER, FIELD(top),
               "print the K best: labels (5), pictures (10)"),
    CLI_OPTION(0, "min-score", "S", CLI_REALS, FIELD(min_score),
               "only pictures with at least this score"),
    CLI_OPTION(0, "min-z", "Z", CLI_REALS, FIELD(min_z),
               "only pictures this many deviations above the mean"),
    CLI_OPTION(0, "relative", "SHARE", CLI_REALS, FIELD(relative),
               "only pictures with this share of the best score"),
    CLI_OPTION(0, "path", "GLOB", CLI_TEXT, FIELD(path),
               "only pictures whose name matches, or whole path if GLOB has a /"),
    CLI_OPTION(0, "after", "DATE", CLI_TEXT, FIELD(after), "only pictures of this date or later"),
    CLI_OPTION(0, "before", "DATE", CLI_TEXT, FIELD(before), "only pictures before this date"),
    CLI_OPTION(0, "near", "LAT,LON,KM", CLI_TEXT, FIELD(near), "only pictures taken near a place"),
    CLI_OPTION(0, "camera", "NAME", CLI_TEXT, FIELD(camera), "only pictures by this camera"),
    CLI_OPTION(0, "type", "FORMAT", CLI_TEXT, FIELD(type), "only files of a format, such as jpeg"),
    CLI_OPTION(0, "min-size", "PIXELS", CLI_TEXT, FIELD(min_size),
               "only pictures of at least N pixels per side, or WxH"),
    CLI_OPTION_CHOICE("sort", sorts, FIELD(sort), "order of the best pictures (score)"),
    CLI_OPTION(0, "paths-only", NULL, CLI_FLAG, FIELD(paths_only), "print one path per line"),
    CLI_OPTION('0', "print0", NULL, CLI_FLAG, FIELD(nul), "print paths, each ended by a NUL byte"),
    CLI_OPTION('p', "preview", NULL, CLI_FLAG, FIELD(preview), "show the pictures in the terminal"),
    CLI_OPTION_CHOICE("graphics", protocols, FIELD(graphics),
                      "how the preview is sent, if not as the terminal answers"),
    CLI_OPTION(0, "open", NULL, CLI_FLAG, FIELD(open),
               "open the best picture with the desktop's viewer"),
    CLI_OPTION(0, "refresh", NULL, CLI_FLAG, FIELD(refresh), "bring the index up to date first"),
    CLI_OPTION(0, "max-pixels", "N", CLI_NUMBER, FIELD(max_pixels),
               "refuse larger pictures (89478485)"),
    CLI_INCLUDE(cli_model_options, FIELD(model)),
    CLI_INCLUDE(cli_device_options, FIELD(device)),
    {0}};

const struct cli_command cli_search_command = {
    .name = "search",
    .summary = "find pictures of an index by texts and pictures",
    .usage = "[OPTION...] QUERY [+ QUERY|- QUERY]...\n"
             "[OPTION...] --stdin",
    .arguments = "QUERY",
    .text =
        "Prints the pictures of the index (see 'vkclip index') that are nearest to the query. A\n"
        "QUERY is a text, a picture file (/path, ./path or a file's name with a dot), the URL\n"
        "of a picture (http://... or https://...) or id:N, a picture of the index; 2:QUERY has\n"
        "twice the weight, and what follows a - is what the pictures should not show. z tells\n"
        "how many standard deviations a score is above the mean of all pictures; in a large\n"
        "index, z above 4 is seldom chance. Without -m the index's only model is\n"
        "used. JSON, one line per picture, the best first:\n"
        "{\"path\":...,\"score\":...,\"z\":...,\"id\":...}; with --stdin one line per query:\n"
        "{\"query\":...,\"results\":[...]}.",
    .options = table,
    .options_size = sizeof(struct options),
    .run = run_search,
};
