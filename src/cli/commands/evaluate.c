/* SPDX-License-Identifier: MIT
 *
 * vkclip evaluate: how well a model finds the captions of pictures, and the pictures of captions
 * (recall at 1, 5 and 10). Every picture and every caption is encoded once. Ranks are exact: all
 * pairs are compared, in double precision.
 */
#include "cli/captions.h"
#include "cli/command.h"
#include "cli/commands/compare.h"
#include "cli/log.h"
#include "cli/model.h"

#include <stdlib.h>
#include <string.h>

struct options {
    struct cli_model_options model;
    struct cli_device_options device;
    struct cli_caption_options captions;
    struct cli_decoding decoding;
    struct cli_strictness strictness;
};

enum { PLACES = 3 };
static const size_t places[PLACES] = {1, 5, 10};

/* The embeddings of the inputs that could be encoded. */
struct encoded {
    const struct cli_inputs *inputs;
    float *rows;  /* [count,D] */
    bool *there;  /* [count] */
    size_t count; /* of those that are there */
};

/* How many queries have an answer of their own among the first places. */
struct recall {
    size_t queries, found[PLACES];
};

struct evaluation {
    struct cli_session *session;
    struct cli_captions captions;
    struct encoded pictures, texts;
    double *own;    /* similarity of each caption with its picture [M] */
    size_t *better; /* pictures at least as similar to a caption as its own [M] */
    size_t dim;
    struct recall to_text, to_image;
};

/* ---- Embeddings -------------------------------------------------------------------------------- */

static bool make_encoded(struct encoded *encoded, const struct cli_inputs *inputs, size_t dim)
{
    encoded->inputs = inputs;
    encoded->rows = calloc(inputs->count + 1, dim * sizeof(*encoded->rows));
    encoded->there = calloc(inputs->count + 1, sizeof(*encoded->there));
    return encoded->rows && encoded->there;
}

/* Is a cli_embed_fn. */
static bool take_row(void *user, const struct cli_input *input, const float *embed, size_t width)
{
    struct encoded *encoded = user;
    const size_t index = (size_t)(input - encoded->inputs->items);
    memcpy(&encoded->rows[index * width], embed, width * sizeof(*embed));
    encoded->there[index] = true;
    encoded->count++;
    return true;
}

static int encode(struct evaluation *evaluation, const struct options *options)
{
    const struct cli_inputs *pictures = &evaluation->captions.pictures;
    const struct cli_inputs *captions = &evaluation->captions.captions;
    struct cli_encoding encoding = {.strict = options->strictness.strict,
                                    .decoding = options->decoding,
                                    .embed = take_row,
                                    .user = &evaluation->texts};
    evaluation->own = calloc(captions->count + 1, sizeof(*evaluation->own));
    evaluation->better = calloc(captions->count + 1, sizeof(*evaluation->better));
    if (!make_encoded(&evaluation->pictures, pictures, evaluation->dim) ||
        !make_encoded(&evaluation->texts, captions, evaluation->dim) || !evaluation->own ||
        !evaluation->better)
        return cli_fail(CLI_FAILED, "out of memory");
    int status = cli_encode_texts(evaluation->session, &encoding, captions);
    encoding.user = &evaluation->pictures;
    if (!status)
        status = cli_encode_files(evaluation->session, &encoding, pictures);
    return status;
}

static void free_evaluation(struct evaluation *evaluation)
{
    cli_free_captions(&evaluation->captions);
    free(evaluation->pictures.rows);
    free(evaluation->pictures.there);
    free(evaluation->texts.rows);
    free(evaluation->texts.there);
    free(evaluation->own);
    free(evaluation->better);
}

/* ---- Ranks ------------------------------------------------------------------------------------- */

/* Eight sums let the compiler use vectors, because it may not reorder a single one. */
static double compare_rows(const float *a, const float *b, size_t dim)
{
    double sums[8] = {0};
    size_t d = 0;
    for (; d + 8 <= dim; d += 8)
        for (size_t i = 0; i < 8; i++)
            sums[i] += (double)a[d + i] * b[d + i];
    for (; d < dim; d++)
        sums[0] += (double)a[d] * b[d];
    return ((sums[0] + sums[1]) + (sums[2] + sums[3])) +
           ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

static double compare_pair(const struct evaluation *evaluation, size_t picture, size_t caption)
{
    return compare_rows(&evaluation->pictures.rows[picture * evaluation->dim],
                        &evaluation->texts.rows[caption * evaluation->dim], evaluation->dim);
}

static void count_query(struct recall *recall, size_t better)
{
    recall->queries++;
    for (size_t i = 0; i < PLACES; i++)
        recall->found[i] += better < places[i];
}

/* Compares a picture with its own captions. Returns whether it has one, and the best one. */
static bool compare_own(struct evaluation *evaluation, size_t picture, double *best)
{
    const size_t *first = evaluation->captions.first;
    bool found = false;
    for (size_t j = first[picture]; j < first[picture + 1]; j++) {
        if (!evaluation->texts.there[j])
            continue;
        evaluation->own[j] = compare_pair(evaluation, picture, j);
        *best = found && *best > evaluation->own[j] ? *best : evaluation->own[j];
        found = true;
    }
    return found;
}

/* Compares a picture with the captions of all others: counts those that are at least as similar to
 * it as its best own one, and counts it for captions that it is as similar to as their own. */
static size_t compare_others(struct evaluation *evaluation, size_t picture, double best)
{
    const size_t *first = evaluation->captions.first;
    size_t better = 0;
    for (size_t j = 0; j < evaluation->captions.captions.count; j++) {
        if (!evaluation->texts.there[j] || (j >= first[picture] && j < first[picture + 1]))
            continue;
        const double similarity = compare_pair(evaluation, picture, j);
        better += similarity >= best;
        evaluation->better[j] += similarity >= evaluation->own[j];
    }
    return better;
}

/* A caption whose picture could not be encoded is taken out, because nothing can find it. */
static void take_out_orphans(struct evaluation *evaluation)
{
    const size_t *first = evaluation->captions.first;
    for (size_t i = 0; i < evaluation->captions.pictures.count; i++)
        for (size_t j = first[i]; j < first[i + 1] && !evaluation->pictures.there[i]; j++)
            if (evaluation->texts.there[j]) {
                evaluation->texts.there[j] = false;
                evaluation->texts.count--;
            }
}

static void rank_all(struct evaluation *evaluation)
{
    const size_t pictures = evaluation->captions.pictures.count;
    double best = 0;
    take_out_orphans(evaluation);
    for (size_t i = 0; i < pictures; i++)
        if (evaluation->pictures.there[i])
            compare_own(evaluation, i, &best);
    cli_show_wait(evaluation->session, "comparing");
    for (size_t i = 0; i < pictures; i++) {
        if (!evaluation->pictures.there[i])
            continue;
        const bool query = compare_own(evaluation, i, &best);
        const size_t better = compare_others(evaluation, i, best);
        if (query)
            count_query(&evaluation->to_text, better);
    }
    for (size_t j = 0; j < evaluation->captions.captions.count; j++)
        if (evaluation->texts.there[j])
            count_query(&evaluation->to_image, evaluation->better[j]);
    cli_clear_progress();
}

/* ---- Results ----------------------------------------------------------------------------------- */

static double percent(const struct recall *recall, size_t place)
{
    return 100.0 * (double)recall->found[place] / (double)recall->queries;
}

static json_t *pack_recall(const struct recall *recall)
{
    return json_pack("{sf sf sf}", "recall@1", percent(recall, 0), "recall@5", percent(recall, 1),
                     "recall@10", percent(recall, 2));
}

static bool print_json(const struct evaluation *evaluation)
{
    return cli_print_json(json_pack("{sI sI sI so so}", "images",
                                    (json_int_t)evaluation->pictures.count, "captions",
                                    (json_int_t)evaluation->texts.count, "failed",
                                    (json_int_t)evaluation->session->failures, "image_to_text",
                                    pack_recall(&evaluation->to_text), "text_to_image",
                                    pack_recall(&evaluation->to_image)),
                          stdout);
}

static void print_recall(const char *name, const struct recall *recall)
{
    printf("%-13s", name);
    for (size_t i = 0; i < PLACES; i++)
        printf("  %6.2f %%", percent(recall, i));
    printf("\n");
}

static bool print_text(const struct evaluation *evaluation, const char *model_path)
{
    const struct cli_pictures pictures = {.images = evaluation->captions.pictures};
    const struct compare compare = {
        .session = evaluation->session, .pictures = &pictures, .model_path = model_path};
    compare_print_header(&compare);
    printf("%zu pictures, %zu captions", evaluation->pictures.count, evaluation->texts.count);
    if (evaluation->session->failures)
        printf("; %zu inputs failed", evaluation->session->failures);
    printf("\n\n%-13s  %8s  %8s  %8s\n", "recall at", "1", "5", "10");
    print_recall("image to text", &evaluation->to_text);
    print_recall("text to image", &evaluation->to_image);
    return !ferror(stdout);
}

/* ---- The command ------------------------------------------------------------------------------- */

static int check_options(const struct cli_session *session, const struct options *options)
{
    if (!options->model.path)
        return cli_fail_usage(session, "name a model with -m");
    if (!options->captions.path)
        return cli_fail_usage(session, "expected --captions with a file");
    if (session->arguments.count)
        return cli_fail_usage(session, "unexpected argument '%s'",
                              session->arguments.items[0].text);
    return CLI_DONE;
}

static int open_model(struct cli_session *session, const struct options *options)
{
    const struct vkclip_model_info *info = &session->info;
    int status = cli_open_model_on_device(session, &options->model, &options->device);
    if (!status)
        status = cli_check_model(session, options->model.path, CLI_NEED_ALL);
    if (!status && info->embed_dim != info->text_embed_dim)
        status = cli_fail(CLI_NO_MODEL,
                          "%s: embeddings of pictures have %u numbers, of texts %u, expected "
                          "one space",
                          options->model.path, info->embed_dim, info->text_embed_dim);
    return status;
}

static int run_evaluate(struct cli_session *session, void *user)
{
    const struct options *options = user;
    struct evaluation evaluation = {.session = session};
    int status = check_options(session, options);
    if (!status)
        status = cli_read_captions(session, &options->captions, &evaluation.captions);
    if (!status)
        status = open_model(session, options);
    evaluation.dim = session->info.embed_dim;
    if (!status)
        status = encode(&evaluation, options);
    if (!status)
        rank_all(&evaluation);
    if (!status && !evaluation.to_text.queries)
        status = cli_fail(CLI_FAILED, "%s: no picture could be encoded with a caption",
                          options->captions.path);
    if (!status && !(session->common.json ? print_json(&evaluation)
                                          : print_text(&evaluation, options->model.path)))
        status = CLI_FAILED;
    free_evaluation(&evaluation);
    return status;
}

#define FIELD(name) offsetof(struct options, name)
static const struct cli_option table[] = {CLI_INCLUDE(cli_caption_options, FIELD(captions)),
                                          CLI_INCLUDE(cli_decoding_options, FIELD(decoding)),
                                          CLI_INCLUDE(cli_strict_options, FIELD(strictness)),
                                          CLI_INCLUDE(cli_model_options, FIELD(model)),
                                          CLI_INCLUDE(cli_batch_options, FIELD(model)),
                                          CLI_INCLUDE(cli_device_options, FIELD(device)),
                                          {0}};

const struct cli_command cli_evaluate_command = {
    .name = "evaluate",
    .summary = "measure how well pictures and captions find each other",
    .usage = "-m PATH --captions FILE [OPTION...]",
    .text =
        "Prints recall at 1, 5 and 10 both ways, in per cent: the pictures that have one of their\n"
        "captions among the 1, 5 or 10 captions most similar to them, and the captions whose\n"
        "picture is among the most similar pictures. Rows of the same picture are its captions.\n"
        "Ties count against the model. FILE is a table as in vkclip train, a .jsonl file with the\n"
        "same names as members, or a .txt file of lines PATH<TAB>CAPTION; paths are relative to\n"
        "its folder. A picture that cannot be read is left out with its captions. JSON:\n"
        "{\"images\":...,\"captions\":...,\"failed\":...,\"image_to_text\":{\"recall@1\":...,\n"
        "\"recall@5\":...,\"recall@10\":...},\"text_to_image\":{...}}.",
    .options = table,
    .options_size = sizeof(struct options),
    .run = run_evaluate,
};
