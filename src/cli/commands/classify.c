/* SPDX-License-Identifier: MIT
 *
 * vkclip classify and vkclip similarity: pictures against labels, pictures against texts.
 */
#include "base/array.h"
#include "base/string.h"
#include "cli/cli.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_TOP = 5, MAX_COLUMNS = 60 };

/* How a text compares with one picture. */
struct rank {
    float logit;
    double prob;
    size_t text;
};

/* What both commands keep while the pictures come by in groups. */
struct comparison {
    struct cli *cli;
    const struct cli_inputs *texts; /* labels, or the texts that could be encoded */
    float *embeds;                  /* [M,D] */
    float *logits;                  /* [M] of one picture */
    struct rank *ranks;             /* [M] */
    size_t top;
    int picture_columns, text_columns;
};

static int columns_of(const struct cli_inputs *inputs)
{
    int columns = 0;
    for (size_t i = 0; i < inputs->count; i++) {
        int mine = cli_text_columns(inputs->items[i].text);
        columns = mine > columns ? mine : columns;
    }
    return columns < MAX_COLUMNS ? columns : MAX_COLUMNS;
}

static void print_header(const struct cli *cli)
{
    struct vkclip_device_info devices[16];
    size_t count = 0;
    if (cli->json || !cli->images.count ||
        vkclip_get_device_infos(cli->device, devices, ARRAY_COUNT(devices), &count))
        return;
    printf("Model ");
    cli_print_text(cli->model_path, 0);
    printf(" in %s", cli->info.precision == VKCLIP_PRECISION_F16 ? "f16" : "f32");
    for (size_t i = 0; i < count; i++) {
        printf(i ? " and " : " on ");
        cli_print_text(devices[i].name, 0);
    }
    printf("\n\n");
}

/* The row of logits of one picture, or false when it is unusable. */
static bool compare_picture(struct comparison *comparison, const struct cli_input *input,
                            const float *embed)
{
    struct cli *cli = comparison->cli;
    size_t count = comparison->texts->count;
    if (vkclip_similarity(cli->model, embed, 1, comparison->embeds, count, comparison->logits)) {
        cli_fail_input(cli, "%s: %s", input->text, vkclip_last_error());
        return false;
    }
    return cli_check_finite(cli, input, comparison->logits, count);
}

/* Pictures from the options and the arguments to `group`. */
static int compare_pictures(struct comparison *comparison, cli_group_fn *group)
{
    struct cli *cli = comparison->cli;
    comparison->picture_columns = columns_of(&cli->images);
    comparison->text_columns = columns_of(comparison->texts);
    struct cli_run run = {.inputs = cli->images.items,
                          .count = cli->images.count,
                          .images = true,
                          .group = group,
                          .user = comparison};
    return cli_encode(cli, &run);
}

static bool allocate(struct comparison *comparison, const struct cli *cli, size_t count)
{
    comparison->embeds = calloc(count * cli->info.text_embed_dim + 1, sizeof(float));
    comparison->logits = calloc(count + 1, sizeof(float));
    comparison->ranks = calloc(count + 1, sizeof(*comparison->ranks));
    return comparison->embeds && comparison->logits && comparison->ranks;
}

static void release(struct comparison *comparison)
{
    free(comparison->embeds);
    free(comparison->logits);
    free(comparison->ranks);
}

/* ---- classify -------------------------------------------------------------------------------- */

static int compare_ranks(const void *a, const void *b)
{
    const struct rank *x = a, *y = b;
    if (x->logit != y->logit)
        return x->logit > y->logit ? -1 : 1;
    return x->text < y->text ? -1 : x->text > y->text; /* equal ones stay in the order given */
}

/* Best first, with the softmax over all labels. */
static void rank_labels(struct comparison *comparison)
{
    struct rank *ranks = comparison->ranks;
    size_t count = comparison->texts->count;
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        ranks[i] = (struct rank){comparison->logits[i], 0, i};
    qsort(ranks, count, sizeof(*ranks), compare_ranks);
    for (size_t i = 0; i < count; i++)
        sum += ranks[i].prob = exp((double)ranks[i].logit - (double)ranks[0].logit);
    for (size_t i = 0; i < count; i++)
        ranks[i].prob /= sum;
}

static bool print_labels_json(const struct comparison *comparison, const struct cli_input *input)
{
    json_t *results = json_array();
    for (size_t i = 0; i < comparison->top; i++) {
        const struct rank *rank = &comparison->ranks[i];
        const struct cli_input *label = &comparison->texts->items[rank->text];
        json_array_append_new(results, json_pack("{so sf sf}", "label",
                                                 cli_json_text(label->text, label->length), "prob",
                                                 rank->prob, "logit", (double)rank->logit));
    }
    return cli_print_json(
        json_pack("{so so}", "path", cli_json_text(input->text, input->length), "results", results),
        stdout);
}

static bool print_labels(const struct comparison *comparison, const struct cli_input *input)
{
    for (size_t i = 0; i < comparison->top; i++) {
        const struct rank *rank = &comparison->ranks[i];
        cli_print_text(i ? "" : input->text, comparison->picture_columns);
        printf("  ");
        cli_print_text(comparison->texts->items[rank->text].text, comparison->text_columns);
        printf("  %6.2f %%\n", 100 * rank->prob);
    }
    return !ferror(stdout);
}

static bool classify_group(void *user, const struct cli_input *const *inputs, size_t count,
                           const float *embeds, size_t width)
{
    struct comparison *comparison = user;
    bool good = true;
    cli_clear_progress();
    for (size_t i = 0; good && i < count; i++) {
        if (!compare_picture(comparison, inputs[i], embeds + i * width))
            continue;
        rank_labels(comparison);
        good = comparison->cli->json ? print_labels_json(comparison, inputs[i])
                                     : print_labels(comparison, inputs[i]);
    }
    return !fflush(stdout) && good;
}

/* With --strict no label may be cut: without one of them the others' probabilities mean nothing. */
static int check_labels(struct cli *cli)
{
    struct cli_inputs plain = {.items = &(struct cli_input){.text = "{}"}, .count = 1};
    const struct cli_inputs *templates = cli->templates.count ? &cli->templates : &plain;
    int32_t *ids = calloc(cli->info.context, sizeof(*ids));
    bool good = ids != NULL;
    for (size_t i = 0; i < cli->labels.count && good; i++)
        for (size_t t = 0; t < templates->count && good; t++) {
            char *text = string_fill(templates->items[t].text, cli->labels.items[i].text);
            size_t count;
            if (!text)
                cli_fail(0, "out of memory");
            good = text && cli_tokenize_text(cli, text, strlen(text), VKCLIP_TOKENIZE_STRICT, ids,
                                             cli->info.context, &count);
            free(text);
        }
    free(ids);
    return good ? CLI_DONE : CLI_FAILED;
}

static int check_classify(struct cli *cli)
{
    if (!cli->model_path)
        return cli_fail_usage(cli, "name a model with -m");
    if (!cli->labels.count)
        return cli_fail_usage(cli, "expected --label or --labels");
    if (!cli->arguments.count && !cli->images.count)
        return cli_fail_usage(cli, "expected pictures or folders");
    return cli_check_templates(cli, &cli->templates);
}

/* Everything that must be right before the first picture is looked at. */
static int prepare_classify(struct cli *cli, struct comparison *comparison)
{
    int status = check_classify(cli);
    if (!status)
        status = cli_open_model(cli, false);
    if (!status)
        status = cli_need(cli, true, true, true);
    if (!status)
        status = cli_read_lists(cli, &cli->labels, false);
    if (!status)
        status = cli_read_pictures(cli);
    if (!status && !cli->labels.count)
        status = cli_fail(CLI_FAILED, "there are no labels");
    if (!status && cli->strict)
        status = check_labels(cli);
    if (!status && !allocate(comparison, cli, cli->labels.count))
        status = cli_fail(CLI_FAILED, "out of memory");
    return status ? status : cli_encode_labels(cli, &cli->templates, comparison->embeds);
}

static int run_classify(struct cli *cli)
{
    struct comparison comparison = {.cli = cli, .texts = &cli->labels};
    int status = prepare_classify(cli, &comparison);
    comparison.top = cli->top ? cli->top : DEFAULT_TOP;
    if (comparison.top > cli->labels.count)
        comparison.top = cli->labels.count;
    if (!status) {
        print_header(cli);
        status = compare_pictures(&comparison, classify_group);
    }
    release(&comparison);
    return status;
}

static const struct cli_option classify_options[] = {
    CLI_OPTION('l', "label", "TEXT", CLI_ITEM, labels, "a label"),
    CLI_OPTION(0, "labels", "FILE", CLI_LIST, labels, "a file of labels, one a line; -: stdin"),
    CLI_OPTION('t', "template", "TEXT", CLI_ITEM, templates, "sentence with {} for the label"),
    CLI_OPTION('k', "top", "K", CLI_NUMBER, top, "print the K best labels (5)"),
    CLI_OPTION(0, "images-from", "FILE", CLI_LIST, images,
               "a list of pictures, one a line; -: stdin"),
    CLI_ENCODE_OPTIONS,
    CLI_STRICT_OPTION,
    CLI_PICTURE_OPTIONS,
    CLI_COMMON_OPTIONS,
    {0}};

const struct cli_command cli_classify = {
    .name = "classify",
    .summary = "name pictures with the best of your labels",
    .usage = "-m PATH (--label TEXT)...|--labels FILE [OPTION...] IMAGE|FOLDER...",
    .text =
        "Prints for every picture the labels that fit best, with their probabilities among all\n"
        "labels given. With several templates the embeddings of a label are averaged. A folder\n"
        "stands for the pictures in it, sorted by name. JSON: "
        "{\"path\":...,\"results\":[{\"label\":...,\n"
        "\"prob\":...,\"logit\":...},...]}, best first.",
    .options = classify_options,
    .run = run_classify,
    .arguments = true,
};

/* ---- similarity ------------------------------------------------------------------------------ */

struct text_embeds {
    struct cli *cli;
    struct cli_inputs texts;
    float *embeds;
};

static bool take_texts(void *user, const struct cli_input *const *inputs, size_t count,
                       const float *embeds, size_t width)
{
    struct text_embeds *taken = user;
    for (size_t i = 0; i < count; i++) {
        if (!cli_check_finite(taken->cli, inputs[i], embeds + i * width, width))
            continue;
        memcpy(taken->embeds + taken->texts.count * width, embeds + i * width,
               width * sizeof(*embeds));
        if (!cli_add_input(&taken->texts, inputs[i]->text, inputs[i]->length))
            return false;
    }
    return true;
}

static bool print_logits_json(const struct comparison *comparison, const struct cli_input *input)
{
    json_t *texts = json_array();
    for (size_t i = 0; i < comparison->texts->count; i++) {
        const struct cli_input *text = &comparison->texts->items[i];
        json_array_append_new(texts, cli_json_text(text->text, text->length));
    }
    return cli_print_json(
        json_pack("{so so so}", "path", cli_json_text(input->text, input->length), "logits",
                  cli_json_floats(comparison->logits, comparison->texts->count), "texts", texts),
        stdout);
}

static bool print_logits(const struct comparison *comparison, const struct cli_input *input)
{
    cli_print_text(input->text, comparison->picture_columns);
    for (size_t i = 0; i < comparison->texts->count; i++)
        printf(" %8.3f", (double)comparison->logits[i]);
    return putchar('\n') != EOF;
}

static bool compare_group(void *user, const struct cli_input *const *inputs, size_t count,
                          const float *embeds, size_t width)
{
    struct comparison *comparison = user;
    bool good = true;
    cli_clear_progress();
    for (size_t i = 0; good && i < count; i++)
        if (compare_picture(comparison, inputs[i], embeds + i * width))
            good = comparison->cli->json ? print_logits_json(comparison, inputs[i])
                                         : print_logits(comparison, inputs[i]);
    return !fflush(stdout) && good;
}

/* The texts by number, and the numbers above the columns. */
static void print_columns(const struct comparison *comparison)
{
    print_header(comparison->cli);
    if (comparison->cli->json)
        return;
    for (size_t i = 0; i < comparison->texts->count; i++) {
        printf("%4zu  ", i + 1);
        cli_print_text(comparison->texts->items[i].text, 0);
        putchar('\n');
    }
    printf("\n%*s", columns_of(&comparison->cli->images), "");
    for (size_t i = 0; i < comparison->texts->count; i++)
        printf(" %8zu", i + 1);
    putchar('\n');
}

static int encode_texts(struct cli *cli, struct text_embeds *taken)
{
    struct cli_run run = {.inputs = cli->texts.items,
                          .count = cli->texts.count,
                          .length = cli->info.context,
                          .group = take_texts,
                          .user = taken};
    int status = cli_encode(cli, &run);
    return status || taken->texts.count
               ? status
               : cli_fail(CLI_FAILED, "there are no texts to compare with");
}

static int run_similarity(struct cli *cli)
{
    struct text_embeds taken = {.cli = cli};
    struct comparison comparison = {.cli = cli, .texts = &taken.texts};
    if (!cli->model_path)
        return cli_fail_usage(cli, "name a model with -m");
    if (!cli->images.count || !cli->texts.count)
        return cli_fail_usage(cli, "expected --image and --text, or lists of them");
    int status = cli_open_model(cli, false);
    if (!status)
        status = cli_need(cli, true, true, true);
    if (!status)
        status = cli_read_lists(cli, &cli->texts, true);
    if (!status)
        status = cli_read_pictures(cli);
    if (!status && !allocate(&comparison, cli, cli->texts.count))
        status = cli_fail(CLI_FAILED, "out of memory");
    taken.embeds = comparison.embeds;
    if (!status)
        status = encode_texts(cli, &taken);
    if (!status) {
        print_columns(&comparison);
        status = compare_pictures(&comparison, compare_group);
    }
    cli_free_inputs(&taken.texts);
    release(&comparison);
    return status;
}

static const struct cli_option similarity_options[] = {
    CLI_OPTION(0, "image", "FILE", CLI_ITEM, images, "a picture, or a folder of pictures"),
    CLI_OPTION(0, "images-from", "FILE", CLI_LIST, images,
               "a list of pictures, one a line; -: stdin"),
    CLI_OPTION(0, "text", "TEXT", CLI_ITEM, texts, "a text"),
    CLI_OPTION(0, "texts-from", "FILE", CLI_LIST, texts, "a file of texts, one a line; -: stdin"),
    CLI_ENCODE_OPTIONS,
    CLI_STRICT_OPTION,
    CLI_PICTURE_OPTIONS,
    CLI_COMMON_OPTIONS,
    {0}};

const struct cli_command cli_similarity = {
    .name = "similarity",
    .summary = "compare pictures with texts",
    .usage = "-m PATH (--image FILE)... (--text TEXT)... [OPTION...]",
    .text =
        "Prints the logit of every picture with every text: the cosine of their embeddings times\n"
        "the model's scale. JSON, a line a picture: "
        "{\"path\":...,\"logits\":[...],\"texts\":[...]}.",
    .options = similarity_options,
    .run = run_similarity,
};
