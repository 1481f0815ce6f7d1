/* SPDX-License-Identifier: MIT
 *
 * vkclip tokenizer-train: a byte-pair vocabulary from captions.
 */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

static int print_result(const struct cli *cli, const char *folder,
                        const struct vkclip_tokenizer_result *result)
{
    if (cli->json) {
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

static int run_tokenizer_train(struct cli *cli)
{
    const size_t count = cli->arguments.count;
    struct vkclip_tokenizer_result result;
    const struct vkclip_tokenizer_params params = {.vocabulary = cli->vocab_size,
                                                   .min_frequency = cli->min_frequency,
                                                   .context = cli->context,
                                                   .column = cli->caption_column};
    if (count < 2)
        return cli_fail_usage(cli, "name files of captions and a folder, found %zu arguments",
                              count);
    const char *folder = cli->arguments.items[count - 1].text;
    const char **paths = calloc(count, sizeof(*paths));
    if (!paths)
        return cli_fail(CLI_FAILED, "out of memory");
    for (size_t i = 0; i + 1 < count; i++)
        paths[i] = cli->arguments.items[i].text;
    int error = vkclip_train_tokenizer(paths, count - 1, &params, folder, &result);
    free(paths);
    if (error)
        return cli_fail(CLI_FAILED, "%s", vkclip_last_error());
    if (result.skipped_words && !cli->quiet)
        cli_say("%llu words of more than 1024 characters were left out",
                (unsigned long long)result.skipped_words);
    if (result.vocabulary < cli->vocab_size && !cli->quiet)
        cli_say("%u tokens and not %u: no other pair occurs %u times", result.vocabulary,
                cli->vocab_size, cli->min_frequency ? cli->min_frequency : 2);
    return print_result(cli, folder, &result);
}

static const struct cli_option options[] = {
    CLI_OPTION(0, "vocab-size", "N", CLI_NUMBER, vocab_size,
               "tokens, start and end of text included (49408)"),
    CLI_OPTION(0, "min-frequency", "N", CLI_NUMBER, min_frequency,
               "merge pairs that occur N times at least (2)"),
    CLI_OPTION(0, "csv-caption-key", "NAME", CLI_TEXT, caption_column,
               "column of .csv and .tsv files (title)"),
    CLI_OPTION(0, "context-length", "N", CLI_NUMBER, context,
               "tokens of a text, written beside the vocabulary (77)"),
    CLI_COMMON_OPTIONS,
    {0}};

const struct cli_command cli_tokenizer_train = {
    .name = "tokenizer-train",
    .summary = "learn a vocabulary from captions",
    .usage = "FILE... FOLDER [OPTION...]",
    .text =
        "Learns a byte-pair vocabulary of CLIP's form: 256 bytes, 256 bytes at a word's end "
        "(</w>),\n"
        "merges, start and end of text. Files have a caption a line, or, named .csv or .tsv, in a\n"
        "column. Captions are cleaned and split into words as the tokenizer does it. The most\n"
        "frequent pair is merged next, of equally frequent ones the last by code points, so that\n"
        "the same captions always give the same files. Writes vocab.json, merges.txt,\n"
        "tokenizer_config.json and special_tokens_map.json, which --vocab opens, and "
        "transformers.\n"
        "Needs no device.",
    .options = options,
    .run = run_tokenizer_train,
    .arguments = true,
};
