/* SPDX-License-Identifier: MIT
 *
 * vkclip evaluate: how well a model finds the captions of pictures, and the pictures of captions
 * (recall at 1, 5 and 10). Every picture and every caption is encoded once.
 */
#include "base/recall.h"
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

/* The embeddings of the inputs that could be encoded. */
struct encoded {
    const struct cli_inputs *inputs;
    float *rows;  /* [count,D] */
    bool *there;  /* [count] */
    size_t count; /* of those that are there */
};

struct evaluation {
    struct cli_session *session;
    struct cli_captions captions;
    struct encoded pictures, texts;
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
    if (!make_encoded(&evaluation->pictures, pictures, evaluation->dim) ||
        !make_encoded(&evaluation->texts, captions, evaluation->dim))
        return cli_fail_memory();
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
}

/* ---- Ranks ------------------------------------------------------------------------------------- */

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

static struct recall_rows take_rows(const struct encoded *encoded)
{
    return (struct recall_rows){encoded->rows, encoded->there, encoded->inputs->count};
}

static int rank_all(struct evaluation *evaluation)
{
    const struct recall_input input = {.owners = take_rows(&evaluation->pictures),
                                       .owned = take_rows(&evaluation->texts),
                                       .first = evaluation->captions.first,
                                       .dim = evaluation->dim};
    struct workers *workers = NULL;
    take_out_orphans(evaluation);
    cli_show_wait(evaluation->session, "comparing");
    int error = workers_open(0, &workers);
    if (!error)
        error = recall_rank(&input, workers, &evaluation->to_text, &evaluation->to_image);
    workers_close(&workers);
    cli_clear_progress();
    return error ? cli_fail(CLI_FAILED, "%s", vkclip_last_error()) : CLI_DONE;
}

/* ---- Results ----------------------------------------------------------------------------------- */

static json_t *pack_recall(const struct recall *recall)
{
    double percents[RECALL_PLACES];
    for (size_t i = 0; i < RECALL_PLACES; i++)
        percents[i] = recall_percent(recall, i);
    return cli_json_recall(percents);
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
    for (size_t i = 0; i < RECALL_PLACES; i++)
        printf("  %6.2f %%", recall_percent(recall, i));
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
        status = rank_all(&evaluation);
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
