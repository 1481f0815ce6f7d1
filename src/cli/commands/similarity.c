/* SPDX-License-Identifier: MIT
 *
 * vkclip similarity: the logits of pictures and texts.
 */
#include "cli/command.h"
#include "cli/commands/compare.h"
#include "cli/inputs.h"
#include "cli/model.h"

#include <string.h>

struct options {
    struct cli_model_options model;
    struct cli_device_options device;
    struct cli_pictures pictures;
    struct cli_texts texts;
    struct cli_strictness strictness;
};

/* The texts that could be encoded, with their embeddings [M,D]. */
struct text_embeds {
    struct cli_inputs texts;
    float *embeds;
};

/* ---- Texts ------------------------------------------------------------------------------------ */

/* Keeps an encoded text with its embedding. */
static bool take_text(void *user, const struct cli_input *text, const float *embed, size_t width)
{
    struct text_embeds *taken = user;
    memcpy(taken->embeds + taken->texts.count * width, embed, width * sizeof(*embed));
    if (cli_add_input(&taken->texts, text->text, text->length))
        return true;
    cli_fail_memory();
    return false;
}

static int encode_texts(struct cli_session *session, const struct options *options,
                        struct text_embeds *taken)
{
    const struct cli_encoding encoding = {
        .strict = options->strictness.strict, .embed = take_text, .user = taken};
    int status = cli_encode_texts(session, &encoding, &options->texts.texts);
    if (!status && !taken->texts.count)
        status = cli_fail(CLI_FAILED, "there are no texts to compare with");
    return status;
}

/* ---- Results ---------------------------------------------------------------------------------- */

static json_t *list_probabilities(const struct compare *compare)
{
    json_t *list = json_array();
    for (size_t i = 0; i < compare->texts->count; i++)
        json_array_append_new(list, json_real(compare_probability(compare->logits[i])));
    return list;
}

static bool print_json(const struct compare *compare, const struct cli_input *picture)
{
    json_t *texts = json_array();
    for (size_t i = 0; i < compare->texts->count; i++) {
        const struct cli_input *text = &compare->texts->items[i];
        json_array_append_new(texts, cli_json_text(text->text, text->length));
    }
    json_t *json = cli_json_name("path", picture->text, picture->length);
    json = cli_json_with(json, "logits", cli_json_floats(compare->logits, compare->texts->count));
    if (compare->session->info.sigmoid)
        json = cli_json_with(json, "prob", list_probabilities(compare));
    return cli_print_json(cli_json_with(json, "texts", texts), stdout);
}

static bool print_row(const struct compare *compare, const struct cli_input *picture)
{
    cli_print_text(picture->text, compare->picture_columns);
    const bool sigmoid = compare->session->info.sigmoid;
    for (size_t i = 0; i < compare->texts->count; i++)
        printf(" %8.3f", sigmoid ? 100 * compare_probability(compare->logits[i])
                                 : (double)compare->logits[i]);
    return putchar('\n') != EOF;
}

static bool print_picture(struct compare *compare, const struct cli_input *picture)
{
    if (compare->session->common.json)
        return print_json(compare, picture);
    return print_row(compare, picture);
}

/* The texts with their numbers, and the numbers above the columns. */
static void print_columns(const struct compare *compare)
{
    if (compare->session->common.json)
        return;
    for (size_t i = 0; i < compare->texts->count; i++) {
        printf("%4zu  ", i + 1);
        cli_print_text(compare->texts->items[i].text, 0);
        putchar('\n');
    }
    if (compare->session->info.sigmoid)
        printf("\nProbability of each pair in percent, by the model's sigmoid:\n");
    printf("\n%*s", compare_columns(&compare->pictures->images), "");
    for (size_t i = 0; i < compare->texts->count; i++)
        printf(" %8zu", i + 1);
    putchar('\n');
}

/* ---- The command ------------------------------------------------------------------------------ */

static int open_inputs(struct cli_session *session, struct options *options)
{
    if (!options->model.path)
        return cli_fail_usage(session, "name a model with -m");
    if (!session->arguments.count && !options->pictures.images.count)
        return cli_fail_usage(session, "expected pictures or --image, and --text");
    if (!options->texts.texts.count)
        return cli_fail_usage(session, "expected --text or --texts-from");
    int status = cli_open_model_on_device(session, &options->model, &options->device);
    if (!status)
        status = cli_check_model(session, options->model.path, CLI_NEED_ALL);
    if (!status)
        status = cli_read_lists(session, &options->texts.texts, options->pictures.null, true);
    if (!status)
        status = cli_read_pictures(session, &options->pictures);
    return status;
}

static int run_similarity(struct cli_session *session, void *user)
{
    struct options *options = user;
    struct text_embeds taken = {0};
    struct compare compare = {.session = session,
                              .pictures = &options->pictures,
                              .model_path = options->model.path,
                              .texts = &taken.texts,
                              .print = print_picture};
    int status = open_inputs(session, options);
    if (!status)
        status = compare_open(&compare, options->texts.texts.count);
    taken.embeds = compare.embeds;
    if (!status)
        status = encode_texts(session, options, &taken);
    if (!status) {
        compare_print_header(&compare);
        print_columns(&compare);
        status = compare_pictures(&compare);
    }
    cli_free_inputs(&taken.texts);
    compare_close(&compare);
    return status;
}

#define FIELD(name) offsetof(struct options, name)
static const struct cli_option table[] = {CLI_INCLUDE(cli_picture_options, FIELD(pictures)),
                                          CLI_INCLUDE(cli_texts_options, FIELD(texts)),
                                          CLI_INCLUDE(cli_strict_options, FIELD(strictness)),
                                          CLI_INCLUDE(cli_model_options, FIELD(model)),
                                          CLI_INCLUDE(cli_batch_options, FIELD(model)),
                                          CLI_INCLUDE(cli_device_options, FIELD(device)),
                                          {0}};

const struct cli_command cli_similarity_command = {
    .name = "similarity",
    .summary = "compare pictures with texts",
    .usage = "-m PATH (--text TEXT)...|--texts-from FILE [OPTION...] IMAGE|FOLDER...",
    .arguments = "IMAGE|FOLDER",
    .text =
        "Prints the logit of every picture with every text: the cosine of their embeddings times\n"
        "the model's scale. A model with logit_bias, such as SigLIP, adds that, and the sigmoid "
        "of\n"
        "the logit is the probability that picture and text belong together, which is printed in\n"
        "percent. JSON, one line per picture: {\"path\":...,\"logits\":[...],\"texts\":[...]}, "
        "with\n"
        "\"prob\":[...] where the model has a sigmoid.",
    .options = table,
    .options_size = sizeof(struct options),
    .run = run_similarity,
};
