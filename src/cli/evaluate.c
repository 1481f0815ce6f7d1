/* SPDX-License-Identifier: MIT
 *
 * Zero-shot accuracy: how often a picture's own label is the best of all labels, or among the five
 * best.
 */
#include "cli/evaluate.h"
#include "cli/encode.h"
#include "cli/inputs.h"
#include "cli/log.h"
#include "cli/model.h"
#include "cli/print.h"

#include <stdlib.h>
#include <string.h>

struct scores {
    struct cli_session *session;
    const struct cli_inputs *labels;
    float *embeds;             /* of the labels [L,D] */
    float *logits;             /* of one picture [L] */
    size_t images, top1, top5; /* pictures seen, and those whose label is the best, or among five */
};

/* ---- Labels ------------------------------------------------------------------------------------ */

/* Finds the name of the folder that a picture is in: `length` bytes of the path. */
static const char *folder_name(const char *path, size_t *length)
{
    const char *end = strrchr(path, '/');
    end = end ? end : path;
    const char *name = end;
    while (name > path && name[-1] != '/')
        name--;
    *length = (size_t)(end - name);
    return name;
}

size_t cli_find_label(const struct cli_inputs *labels, const char *path)
{
    size_t length, i = 0;
    const char *name = folder_name(path, &length);
    for (; i < labels->count; i++)
        if (labels->items[i].length == length && !memcmp(labels->items[i].text, name, length))
            break;
    return i;
}

/* Makes the folder's name a label, unless labels were given, of which it must be one. */
static int add_label(struct cli_inputs *labels, bool given, const char *path)
{
    size_t length;
    const char *name = folder_name(path, &length);
    if (cli_find_label(labels, path) < labels->count)
        return CLI_DONE;
    if (given)
        return cli_fail(CLI_FAILED, "%s: its folder's name is none of the labels", path);
    if (!cli_add_input(labels, name, length))
        return cli_fail(CLI_FAILED, "out of memory");
    return CLI_DONE;
}

int cli_add_labels(struct cli_inputs *labels, const struct cli_inputs *pictures)
{
    const bool given = labels->count > 0;
    int status = CLI_DONE;
    for (size_t i = 0; i < pictures->count && !status; i++)
        status = add_label(labels, given, pictures->items[i].text);
    return status;
}

int cli_prepare_evaluation(struct cli_session *session, struct cli_evaluation_options *options,
                           struct cli_inputs *pictures)
{
    const char *folder = options->folder;
    if (!cli_add_input(pictures, folder, strlen(folder)))
        return cli_fail(CLI_FAILED, "out of memory");
    int status = cli_read_folders(session, pictures, true);
    if (!status)
        status = cli_read_lists(session, &options->labels, false, false);
    if (!status && !pictures->count)
        status = cli_fail(CLI_FAILED, "%s: no pictures to evaluate with", folder);
    if (!status)
        status = cli_add_labels(&options->labels, pictures);
    if (!status && options->labels.count < 2)
        status = cli_fail(CLI_FAILED, "%s: expected a folder for each label, at least two", folder);
    return status;
}

/* ---- Scores ------------------------------------------------------------------------------------ */

/* Finds the rank of the right label among those of an encoded picture. */
static bool score_picture(void *user, const struct cli_input *picture, const float *embed,
                          size_t width)
{
    struct scores *scores = user;
    const size_t labels = scores->labels->count;
    const size_t label = cli_find_label(scores->labels, picture->text);
    size_t better = 0;
    (void)width;
    if (vkclip_similarity(scores->session->model, embed, 1, scores->embeds, labels,
                          scores->logits)) {
        cli_fail_library(scores->session, CLI_FAILED);
        return false;
    }
    for (size_t i = 0; i < labels; i++)
        better += scores->logits[i] > scores->logits[label];
    scores->images++;
    scores->top1 += better < 1;
    scores->top5 += better < 5;
    return true;
}

static int score_pictures(struct scores *scores, const struct cli_evaluation_inputs *inputs)
{
    struct cli_session *session = scores->session;
    const struct cli_encoding encoding = {.embed = score_picture, .user = scores};
    const size_t labels = scores->labels->count;
    scores->embeds = calloc(labels, session->info.embed_dim * sizeof(*scores->embeds));
    scores->logits = calloc(labels, sizeof(*scores->logits));
    if (!scores->embeds || !scores->logits)
        return cli_fail(CLI_FAILED, "out of memory");
    int status = cli_encode_labels(session, scores->labels, &inputs->options->templates, false,
                                   scores->embeds);
    if (!status)
        status = cli_encode_files(session, &encoding, &inputs->pictures);
    return status;
}

int cli_evaluate(struct cli_session *session, const struct cli_evaluation_inputs *inputs,
                 const char *path, struct cli_evaluation *evaluation)
{
    struct cli_model_options model = inputs->model;
    struct scores scores = {.session = session, .labels = &inputs->options->labels};
    model.path = path;
    int status = cli_open_model(session, &model);
    if (!status)
        status = cli_check_model(session, path, CLI_NEED_ALL);
    if (!status)
        status = score_pictures(&scores, inputs);
    const double percent = scores.images ? 100.0 / (double)scores.images : 0;
    *evaluation = (struct cli_evaluation){.images = scores.images,
                                          .top1 = percent * (double)scores.top1,
                                          .top5 = percent * (double)scores.top5};
    free(scores.embeds);
    free(scores.logits);
    vkclip_close_model(&session->model);
    return status;
}

/* ---- Options ----------------------------------------------------------------------------------- */

#define FIELD(name) offsetof(struct cli_evaluation_options, name)
const struct cli_option cli_evaluation_options[] = {
    CLI_OPTION(0, "eval", "FOLDER", CLI_TEXT, FIELD(folder),
               "measure zero-shot accuracy: a folder per label, of its name"),
    CLI_OPTION(0, "eval-every", "STEPS", CLI_NUMBER, FIELD(every), "not only at the end"),
    CLI_OPTION('t', "template", "TEXT", CLI_ITEM, FIELD(templates),
               "a sentence with {} for the label"),
    CLI_OPTION(0, "labels", "FILE", CLI_LIST, FIELD(labels),
               "a file of labels, one per line; -: stdin"),
    {0}};
