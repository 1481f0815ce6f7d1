/* SPDX-License-Identifier: MIT
 *
 * Zero-shot accuracy: how often a picture's own label is the best of all labels, or among the five
 * best.
 */
#include "cli/evaluate.h"
#include "base/file.h"
#include "cli/encode.h"
#include "cli/inputs.h"
#include "cli/log.h"
#include "cli/model.h"
#include "cli/print.h"

#include <stdlib.h>
#include <string.h>

struct scores {
    struct cli_session *session;
    const struct cli_inputs *labels, *folders;
    float *embeds;             /* of the labels [L,D] */
    float *logits;             /* of one picture [L] */
    uint32_t *confusion;       /* pictures by their own label and the best one [L,L], or NULL */
    size_t images, top1, top5; /* pictures seen, and those whose label is the best, or among five */
};

/* ---- Labels ------------------------------------------------------------------------------------ */

/* Finds the name of the folder that a picture is in: `length` bytes of the path. */
static const char *folder_name(const char *path, size_t *length)
{
    const char *end = file_name(path);
    end -= end > path; /* the separator before it */
    const char *name = end;
    while (name > path && !file_is_separator(name[-1]))
        name--;
    *length = (size_t)(end - name);
    return name;
}

/* Returns the place of a name in a list, or the list's length if it is not there. */
static size_t find_name(const struct cli_inputs *names, const char *name, size_t length)
{
    size_t i = 0;
    while (i < names->count &&
           (names->items[i].length != length || memcmp(names->items[i].text, name, length) != 0))
        i++;
    return i;
}

size_t cli_find_label(const struct cli_inputs *labels, const char *path)
{
    size_t length;
    const char *name = folder_name(path, &length);
    return find_name(labels, name, length);
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
        return cli_fail_memory();
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

static int copy_names(const struct cli_inputs *names, struct cli_inputs *copy)
{
    for (size_t i = 0; i < names->count; i++)
        if (!cli_add_input(copy, names->items[i].text, names->items[i].length))
            return cli_fail_memory();
    return CLI_DONE;
}

/* Divides the line of a label at its TAB: the name of the folder goes to the end of `folders`. */
static int split_label(struct cli_input *label, struct cli_inputs *folders)
{
    const char *tab = strchr(label->text, '\t');
    const size_t length = tab ? (size_t)(tab - label->text) : 0;
    if (!tab || !tab[1])
        return cli_fail(CLI_FAILED,
                        "--labels: expected FOLDER, a TAB and a label as in other "
                        "lines, found '%s'",
                        label->text);
    if (find_name(folders, label->text, length) < folders->count)
        return cli_fail(CLI_FAILED, "--labels: the folder '%.*s' has two labels, expected one",
                        (int)length, label->text);
    if (!cli_add_input(folders, label->text, length))
        return cli_fail_memory();
    label->length -= length + 1;
    memmove(label->text, tab + 1, label->length + 1);
    return CLI_DONE;
}

/* Gives each label, of which none has a TAB, its folder. `found` has the folders with pictures. */
static int assign_folders(const struct cli_inputs *labels, const struct cli_inputs *found,
                          struct cli_inputs *folders)
{
    const struct cli_input *unknown = NULL;
    size_t known = 0;
    for (size_t i = 0; i < found->count; i++) {
        const struct cli_input *name = &found->items[i];
        if (find_name(labels, name->text, name->length) < labels->count)
            known++;
        else if (!unknown)
            unknown = name;
    }
    if (!unknown)
        return copy_names(labels, folders);
    if (!known && labels->count == found->count)
        return copy_names(found, folders);
    return cli_fail(CLI_FAILED,
                    "--labels: %zu of the %zu folders are labels, and '%s' is not; expected every "
                    "folder's name, lines FOLDER<TAB>LABEL, or one label per folder in the order "
                    "of their names, found %zu labels",
                    known, found->count, unknown->text, labels->count);
}

/* Gives each label the name of its folder, and takes the folders' names for labels if none were
 * given: a TAB in such a name divides nothing. */
static int pair_labels(struct cli_inputs *labels, bool given, struct cli_evaluation_inputs *inputs)
{
    struct cli_inputs found = {0};
    bool tabs = false;
    int status = cli_add_labels(&found, &inputs->pictures);
    if (!status && !given)
        status = copy_names(&found, labels);
    for (size_t i = 0; i < labels->count && given; i++)
        tabs = tabs || strchr(labels->items[i].text, '\t');
    for (size_t i = 0; i < labels->count && tabs && !status; i++)
        status = split_label(&labels->items[i], &inputs->folders);
    if (!status && tabs)
        status = cli_add_labels(&inputs->folders, &inputs->pictures);
    else if (!status)
        status = assign_folders(labels, &found, &inputs->folders);
    cli_free_inputs(&found);
    return status;
}

int cli_prepare_evaluation(struct cli_session *session, struct cli_evaluation_options *options,
                           struct cli_evaluation_inputs *inputs)
{
    const char *folder = options->folder;
    int status = cli_read_subfolders(session, folder, &inputs->pictures);
    if (!status && inputs->pictures.count < 2)
        status = cli_fail(CLI_FAILED,
                          "%s: expected a folder for each label, at least two, found "
                          "%zu",
                          folder, inputs->pictures.count);
    if (!status)
        status = cli_read_folders(session, &inputs->pictures, true);
    if (!status && !inputs->pictures.count)
        status = cli_fail(CLI_FAILED, "%s: no pictures to evaluate with", folder);
    const size_t read = session->failures;
    const bool given = options->labels.count > 0;
    if (!status)
        status = cli_read_lists(session, &options->labels, false, false);
    if (!status && session->failures != read)
        status = CLI_FAILED; /* The list of labels cannot be read, which was reported. */
    if (!status && given && !options->labels.count)
        status = cli_fail(CLI_FAILED, "--labels: there are no labels in it, expected one per line");
    return status ? status : pair_labels(&options->labels, given, inputs);
}

void cli_free_evaluation(struct cli_evaluation_inputs *inputs)
{
    cli_free_inputs(&inputs->pictures);
    cli_free_inputs(&inputs->folders);
}

/* ---- Scores ------------------------------------------------------------------------------------ */

/* Counts a picture by the place of its own label among all of them, best first. Equal labels stay
 * in their order. */
static void count_picture(struct scores *scores, size_t label)
{
    const size_t labels = scores->labels->count;
    const float *logits = scores->logits;
    size_t better = 0, best = 0;
    for (size_t i = 0; i < labels; i++) {
        better += logits[i] > logits[label] || (i < label && logits[i] == logits[label]);
        best = logits[i] > logits[best] ? i : best;
    }
    scores->images++;
    scores->top1 += better < 1;
    scores->top5 += better < 5;
    if (scores->confusion)
        scores->confusion[label * labels + best]++;
}

/* Is a cli_embed_fn. */
static bool score_picture(void *user, const struct cli_input *picture, const float *embed,
                          size_t width)
{
    struct scores *scores = user;
    struct cli_session *session = scores->session;
    const size_t labels = scores->labels->count;
    (void)width;
    if (vkclip_similarity(session->model, embed, 1, scores->embeds, labels, scores->logits)) {
        cli_fail_library(session, CLI_FAILED);
        return false;
    }
    if (cli_check_finite(session, picture, scores->logits, labels))
        count_picture(scores, cli_find_label(scores->folders, picture->text));
    return true;
}

static int score_pictures(struct scores *scores, const struct cli_evaluation_inputs *inputs)
{
    struct cli_session *session = scores->session;
    const struct cli_encoding encoding = {
        .decoding = inputs->decoding, .embed = score_picture, .user = scores};
    const size_t labels = scores->labels->count;
    scores->embeds = calloc(labels, session->info.text_embed_dim * sizeof(*scores->embeds));
    scores->logits = calloc(labels, sizeof(*scores->logits));
    if (!scores->embeds || !scores->logits)
        return cli_fail_memory();
    int status = cli_encode_labels(session, scores->labels, &inputs->options->templates,
                                   inputs->strict, scores->embeds);
    if (!status)
        status = cli_encode_files(session, &encoding, &inputs->pictures);
    return status;
}

int cli_score(struct cli_session *session, const struct cli_evaluation_inputs *inputs,
              uint32_t *confusion, struct cli_evaluation *evaluation)
{
    struct scores scores = {.session = session,
                            .labels = &inputs->options->labels,
                            .folders = &inputs->folders,
                            .confusion = confusion};
    const int status = score_pictures(&scores, inputs);
    const double percent = scores.images ? 100.0 / (double)scores.images : 0;
    *evaluation = (struct cli_evaluation){.images = scores.images,
                                          .top1 = percent * (double)scores.top1,
                                          .top5 = percent * (double)scores.top5};
    free(scores.embeds);
    free(scores.logits);
    return status;
}

int cli_evaluate(struct cli_session *session, const struct cli_evaluation_inputs *inputs,
                 const char *path, struct cli_evaluation *evaluation)
{
    struct cli_model_options model = inputs->model;
    model.path = path;
    *evaluation = (struct cli_evaluation){0};
    int status = cli_open_model(session, &model);
    if (!status)
        status = cli_check_model(session, path, CLI_NEED_ALL);
    if (!status)
        status = cli_score(session, inputs, NULL, evaluation);
    vkclip_close_model(&session->model);
    return status;
}

/* ---- Options ----------------------------------------------------------------------------------- */

#define FIELD(name) offsetof(struct cli_evaluation_options, name)
const struct cli_option cli_evaluation_options[] = {
    CLI_OPTION(0, "eval", "FOLDER", CLI_TEXT, FIELD(folder),
               "measure zero-shot accuracy: a folder per label, of its name"),
    CLI_OPTION('t', "template", "TEXT", CLI_ITEM, FIELD(templates),
               "a sentence with {} for the label"),
    CLI_OPTION(0, "templates", "FILE|NAME", CLI_LIST, FIELD(templates),
               "a file of such sentences; or simple, openai: built-in ones"),
    CLI_OPTION(0, "labels", "FILE", CLI_LIST, FIELD(labels),
               "a file of labels, one per line; -: stdin"),
    {0}};
