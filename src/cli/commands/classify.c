/* SPDX-License-Identifier: MIT
 *
 * vkclip classify: the labels that fit each picture best, or how often they are right.
 */
#include "cli/command.h"
#include "cli/commands/accuracy.h"
#include "cli/commands/compare.h"
#include "cli/inputs.h"
#include "cli/log.h"
#include "cli/model.h"
#include "cli/templates.h"

#include <math.h>
#include <stdlib.h>

enum { DEFAULT_TOP = 5, DEFAULT_CONFUSIONS = 10 };

struct options {
    struct cli_model_options model;
    struct cli_device_options device;
    struct cli_pictures pictures;
    struct cli_index_options index;
    struct cli_strictness strictness;
    struct cli_evaluation_options zero_shot; /* labels and templates, also without --eval */
    uint32_t top;
    bool softmax;
};

/* How a label compares with one picture. */
struct rank {
    float logit;
    double prob;
    size_t label;
};

struct classify {
    struct compare compare; /* the first member: compare's function gets a pointer to it */
    struct rank *ranks;     /* of one picture [L], best first */
    size_t top;             /* labels to print */
    bool sigmoid;           /* Labels have probabilities of their own, which need not sum to one. */
};

/* ---- Results ---------------------------------------------------------------------------------- */

/* The better label first; equal ones stay in the order given. */
static int compare_ranks(const void *a, const void *b)
{
    const struct rank *x = a, *y = b;
    if (x->logit != y->logit)
        return x->logit > y->logit ? -1 : 1;
    return (x->label > y->label) - (x->label < y->label);
}

/* Sorts the labels, best first, and gives them the softmax over all of them, or each the sigmoid of
 * its logit. */
static void rank_labels(struct classify *classify)
{
    struct rank *ranks = classify->ranks;
    const size_t count = classify->compare.texts->count;
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        ranks[i] = (struct rank){classify->compare.logits[i], 0, i};
    qsort(ranks, count, sizeof(*ranks), compare_ranks);
    for (size_t i = 0; i < count; i++) {
        ranks[i].prob = exp((double)ranks[i].logit - (double)ranks[0].logit);
        sum += ranks[i].prob;
    }
    for (size_t i = 0; i < count; i++)
        ranks[i].prob =
            classify->sigmoid ? compare_probability(ranks[i].logit) : ranks[i].prob / sum;
}

static bool print_json(const struct classify *classify, const struct cli_input *picture)
{
    json_t *results = json_array();
    for (size_t i = 0; i < classify->top; i++) {
        const struct rank *rank = &classify->ranks[i];
        const struct cli_input *label = &classify->compare.texts->items[rank->label];
        json_array_append_new(results, json_pack("{so sf sf}", "label",
                                                 cli_json_text(label->text, label->length), "prob",
                                                 rank->prob, "logit", (double)rank->logit));
    }
    json_t *json = cli_json_name("path", picture->text, picture->length);
    if (classify->sigmoid)
        json = cli_json_with(json, "sigmoid", json_true());
    return cli_print_json(cli_json_with(json, "results", results), stdout);
}

static bool print_table(const struct classify *classify, const struct cli_input *picture)
{
    const struct compare *compare = &classify->compare;
    for (size_t i = 0; i < classify->top; i++) {
        const struct rank *rank = &classify->ranks[i];
        cli_print_text(i ? "" : picture->text, compare->picture_columns);
        printf("  ");
        cli_print_text(compare->texts->items[rank->label].text, compare->text_columns);
        printf("  %6.2f %%\n", 100 * rank->prob);
    }
    return !ferror(stdout);
}

static bool print_picture(struct compare *compare, const struct cli_input *picture)
{
    struct classify *classify = (struct classify *)(void *)compare;
    rank_labels(classify);
    if (compare->session->common.json)
        return print_json(classify, picture);
    return print_table(classify, picture);
}

/* ---- The command ------------------------------------------------------------------------------ */

static int check_options(struct cli_session *session, struct options *options)
{
    const bool pictures = session->arguments.count || options->pictures.images.count;
    if (!options->model.path)
        return cli_fail_usage(session, "name a model with -m");
    if (options->zero_shot.folder) {
        if (pictures || options->index.path)
            return cli_fail_usage(session, "--eval names the pictures, expected no others");
        return cli_read_templates(session, &options->zero_shot.templates);
    }
    if (!options->zero_shot.labels.count)
        return cli_fail_usage(session, "expected --label or --labels");
    if (pictures && options->index.path)
        return cli_fail_usage(session, "expected pictures or --index, found both");
    if (!pictures && !options->index.path)
        return cli_fail_usage(session, "expected pictures, folders or --index");
    return cli_read_templates(session, &options->zero_shot.templates);
}

static int read_inputs(struct cli_session *session, struct options *options)
{
    int status = cli_read_lists(session, &options->zero_shot.labels, options->pictures.null, false);
    if (!status)
        status = cli_read_pictures(session, &options->pictures);
    if (!status && !options->zero_shot.labels.count)
        status = cli_fail(CLI_FAILED, "there are no labels");
    return status;
}

/* Says that probabilities do not compare the labels, where that is so. */
static void print_kind(const struct classify *classify)
{
    if (classify->sigmoid && !classify->compare.session->common.json)
        printf("Probability of each label by itself, by the model's sigmoid (--softmax: among all "
               "labels)\n\n");
}

/* `index` is NULL if pictures are given. */
static int classify_pictures(struct classify *classify, const struct options *options,
                             struct vkclip_index *index)
{
    struct compare *compare = &classify->compare;
    const size_t count = options->zero_shot.labels.count;
    classify->sigmoid = compare->session->info.sigmoid && !options->softmax;
    classify->top = options->top ? options->top : DEFAULT_TOP;
    if (classify->top > count)
        classify->top = count;
    classify->ranks = calloc(count + 1, sizeof(*classify->ranks));
    int status = classify->ranks ? compare_open(compare, count) : cli_fail_memory();
    if (!status)
        status = cli_encode_labels(compare->session, &options->zero_shot.labels,
                                   &options->zero_shot.templates, options->strictness.strict,
                                   compare->embeds);
    if (!status) {
        compare_print_header(compare);
        print_kind(classify);
        status = index ? compare_index(compare, index) : compare_pictures(compare);
    }
    compare_close(compare);
    free(classify->ranks);
    return status;
}

static int classify_all(struct classify *classify, const struct options *options)
{
    const struct vkclip_index_params params = {
        .size = sizeof(params), .path = options->index.path, .read_only = true};
    struct vkclip_index *index = NULL;
    if (params.path && vkclip_open_index(&params, &index))
        return cli_fail_library(classify->compare.session, CLI_FAILED);
    const int status = classify_pictures(classify, options, index);
    vkclip_close_index(&index);
    return status;
}

static int open_model(struct cli_session *session, const struct options *options)
{
    int status = cli_open_model_on_device(session, &options->model, &options->device);
    if (!status)
        status = cli_check_model(session, options->model.path, CLI_NEED_ALL);
    return status;
}

static int evaluate(struct cli_session *session, struct options *options)
{
    struct cli_evaluation_inputs inputs = {.options = &options->zero_shot,
                                           .decoding = options->pictures.decoding,
                                           .strict = options->strictness.strict};
    const size_t top = options->top ? options->top : DEFAULT_CONFUSIONS;
    int status = cli_prepare_evaluation(session, &options->zero_shot, &inputs);
    if (!status)
        status = open_model(session, options);
    if (!status)
        status = accuracy_measure(session, &inputs, options->model.path, top);
    cli_free_evaluation(&inputs);
    return status;
}

static int run_classify(struct cli_session *session, void *user)
{
    struct options *options = user;
    struct classify classify = {.compare = {.session = session,
                                            .pictures = &options->pictures,
                                            .model_path = options->model.path,
                                            .texts = &options->zero_shot.labels,
                                            .print = print_picture}};
    int status = check_options(session, options);
    if (!status && options->zero_shot.folder)
        return evaluate(session, options);
    if (!status)
        status = open_model(session, options);
    if (!status)
        status = read_inputs(session, options);
    if (!status)
        status = classify_all(&classify, options);
    return status;
}

#define FIELD(name) offsetof(struct options, name)
static const struct cli_option table[] = {
    CLI_OPTION('l', "label", "TEXT", CLI_ITEM, FIELD(zero_shot.labels), "a label"),
    CLI_INCLUDE(cli_evaluation_options, FIELD(zero_shot)),
    CLI_OPTION('k', "top", "K", CLI_NUMBER, FIELD(top),
               "print the K best: labels (5), pictures (10)"),
    CLI_OPTION(0, "softmax", NULL, CLI_FLAG, FIELD(softmax),
               "probabilities among all labels, even where the model has a sigmoid"),
    CLI_INCLUDE(cli_picture_options, FIELD(pictures)),
    CLI_INCLUDE(cli_index_options, FIELD(index)),
    CLI_INCLUDE(cli_strict_options, FIELD(strictness)),
    CLI_INCLUDE(cli_model_options, FIELD(model)),
    CLI_INCLUDE(cli_batch_options, FIELD(model)),
    CLI_INCLUDE(cli_device_options, FIELD(device)),
    {0}};

const struct cli_command cli_classify_command = {
    .name = "classify",
    .summary = "name pictures with the best of your labels",
    .usage = "-m PATH (--label TEXT)...|--labels FILE [OPTION...] IMAGE|FOLDER...\n"
             "-m PATH (--label TEXT)...|--labels FILE [OPTION...] --index FILE\n"
             "-m PATH --eval FOLDER [--labels FILE] [OPTION...]",
    .arguments = "IMAGE|FOLDER",
    .text =
        "Prints the labels that fit each picture best, with their probabilities among all labels\n"
        "given. A model with logit_bias, such as SigLIP, gives each label a probability of its\n"
        "own, unless --softmax is given. With several templates, the embeddings of a label are\n"
        "averaged. A folder stands for the pictures in it, sorted by name. With --index, the\n"
        "pictures of an index are named by the embeddings that it has, and none is encoded again.\n"
        "JSON, one line per picture, best first:\n"
        "{\"path\":...,\"results\":[{\"label\":...,\"prob\":...,\"logit\":...},...]}, with\n"
        "\"sigmoid\":true before the results where each label has a probability of its own.\n"
        "With --eval, prints how often the label of a picture, which is the name of its folder,\n"
        "is the best one or among the five best, and the K (10) most frequent confusions.\n"
        "--labels then has lines FOLDER<TAB>LABEL, the folders' names, or a label for each\n"
        "folder in the order of their names.",
    .options = table,
    .options_size = sizeof(struct options),
    .run = run_classify,
};
