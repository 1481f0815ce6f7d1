/* SPDX-License-Identifier: MIT
 *
 * vkclip tokenizer-train: a byte-pair vocabulary from captions.
 */
#include "cli/command.h"
#include "cli/log.h"

#include <stdlib.h>
#include <string.h>

/* The library's default of --min-frequency, for a message. */
enum { DEFAULT_FREQUENCY = 2 };

struct options {
    uint32_t vocab_size, min_frequency, context;
    const char *caption_column;
};

static int print_result(const struct cli_session *session, const char *folder,
                        const struct vkclip_tokenizer_result *result)
{
    if (session->common.json) {
        json_t *json = json_pack("{so sI sI sI}", "path", cli_json_text(folder, strlen(folder)),
                                 "vocab_size", (json_int_t)result->vocabulary, "texts",
                                 (json_int_t)result->texts, "words", (json_int_t)result->words);
        return cli_print_json(json, stdout) ? CLI_DONE : CLI_FAILED;
    }
    cli_print_text(folder, 0);
    printf(": %u tokens, from %llu different words in %llu texts\n", result->vocabulary,
           (unsigned long long)result->words, (unsigned long long)result->texts);
    return CLI_DONE;
}

/* What the result does not have, although it was asked for. */
static void print_remarks(const struct options *options,
                          const struct vkclip_tokenizer_result *result)
{
    const uint32_t frequency =
        options->min_frequency ? options->min_frequency : (uint32_t)DEFAULT_FREQUENCY;
    if (result->skipped_words)
        cli_say("%llu words of more than 1024 characters were left out",
                (unsigned long long)result->skipped_words);
    if (result->vocabulary < options->vocab_size)
        cli_say("%u tokens and not %u: no other pair occurs %u times", result->vocabulary,
                options->vocab_size, frequency);
}

static int run_tokenizer_train(struct cli_session *session, void *user)
{
    const struct options *options = user;
    const size_t count = session->arguments.count;
    struct vkclip_tokenizer_result result = {.size = sizeof(result)};
    const struct vkclip_tokenizer_params params = {.size = sizeof(params),
                                                   .vocabulary = options->vocab_size,
                                                   .min_frequency = options->min_frequency,
                                                   .context = options->context,
                                                   .column = options->caption_column};
    if (count < 2)
        return cli_fail_usage(session, "name files of captions and a folder, found %zu arguments",
                              count);
    const char **paths = cli_list_texts(&session->arguments);
    if (!paths)
        return cli_fail_memory();
    const char *folder = paths[count - 1];
    int error = vkclip_train_tokenizer(paths, count - 1, &params, folder, &result);
    free(paths);
    if (error)
        return cli_fail_library(session, CLI_FAILED);
    if (!session->common.quiet)
        print_remarks(options, &result);
    return print_result(session, folder, &result);
}

#define FIELD(name) offsetof(struct options, name)
static const struct cli_option table[] = {
    CLI_OPTION_PARAMETER(0, "vocab-size", "N", CLI_NUMBER, FIELD(vocab_size), "vocabulary",
                         "tokens, those of start and end of text included (49408)"),
    CLI_OPTION(0, "min-frequency", "N", CLI_NUMBER, FIELD(min_frequency),
               "merge pairs that occur at least N times (2)"),
    CLI_OPTION_PARAMETER(0, "csv-caption-key", "NAME", CLI_TEXT, FIELD(caption_column), "column",
                         "column of captions in .csv and .tsv files (title)"),
    CLI_OPTION_PARAMETER(0, "context-length", "N", CLI_NUMBER, FIELD(context), "context",
                         "tokens of a text, written beside the vocabulary (77)"),
    {0}};

const struct cli_command cli_tokenizer_train_command = {
    .name = "tokenizer-train",
    .summary = "learn a vocabulary from captions",
    .usage = "FILE... FOLDER [OPTION...]",
    .arguments = "FILE|FOLDER",
    .text =
        "Learns a byte-pair vocabulary of CLIP's form: 256 bytes, 256 bytes at a word's end\n"
        "(</w>), merges, start and end of text. Files have one caption per line or, if their name\n"
        "ends in .csv or .tsv, in a column. Captions are cleaned and split into words as the\n"
        "tokenizer does it. The most frequent pair is merged next, of equally frequent ones the\n"
        "last by code points, so that the same captions always give the same files. Writes\n"
        "vocab.json, merges.txt, tokenizer_config.json and special_tokens_map.json, which\n"
        "--vocab opens, and Python's transformers as well. Needs no device.",
    .options = table,
    .options_size = sizeof(struct options),
    .run = run_tokenizer_train,
};
