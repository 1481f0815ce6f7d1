/* SPDX-License-Identifier: MIT
 *
 * vkclip tokenize: texts to token ids, exactly those that the text tower is given.
 */
#include "cli/cli.h"

#include <stdlib.h>

enum { DEFAULT_CONTEXT = 77 }; /* of OpenAI's models, for a vocabulary without a model */

struct ids {
    int32_t *data;
    size_t count, capacity;
};

static bool print_ids(const struct cli *cli, const char *text, size_t length, const struct ids *ids)
{
    if (!cli->json) {
        for (size_t i = 0; i < ids->count; i++)
            printf(i ? " %d" : "%d", (int)ids->data[i]);
        return putchar('\n') != EOF;
    }
    json_t *array = json_array();
    for (size_t i = 0; array && i < ids->count; i++)
        if (json_array_append_new(array, json_integer(ids->data[i]))) {
            json_decref(array);
            array = NULL;
        }
    return cli_print_json(json_pack("{so so}", "text", cli_json_text(text, length), "ids", array),
                          stdout);
}

static bool tokenize_text(struct cli *cli, const char *text, size_t length, struct ids *ids)
{
    unsigned flags = cli->full ? VKCLIP_TOKENIZE_FULL : cli->strict ? VKCLIP_TOKENIZE_STRICT : 0;
    if (!cli_tokenize_text(cli, text, length, flags, ids->data, ids->capacity, &ids->count))
        return true;                  /* reported; the others are done */
    if (ids->count > ids->capacity) { /* only with --full: make room and repeat */
        int32_t *data = realloc(ids->data, ids->count * sizeof(*data));
        if (!data) {
            cli_fail(0, "out of memory");
            return false;
        }
        ids->data = data;
        ids->capacity = ids->count;
        if (!cli_tokenize_text(cli, text, length, flags, data, ids->capacity, &ids->count))
            return true;
    }
    return print_ids(cli, text, length, ids);
}

static bool tokenize_stream(struct cli *cli, struct ids *ids)
{
    struct cli_reader reader;
    bool good = true;
    if (!cli_open_reader(cli, &reader, "-", cli->lines ? '\n' : 0))
        return true;
    while (good && cli_read_text(cli, &reader))
        good = tokenize_text(cli, reader.length ? reader.text : "", reader.length, ids);
    cli_close_reader(&reader);
    return good;
}

static int run_tokenize(struct cli *cli)
{
    struct ids ids = {.capacity = cli->context ? cli->context : DEFAULT_CONTEXT};
    if (!cli->model_path && !cli->vocab)
        return cli_fail_usage(cli, "name a model with -m or a vocabulary with --vocab");
    if ((cli->arguments.count > 0) + (cli->lines > 0) + (cli->records > 0) != 1)
        return cli_fail_usage(cli, "expected texts, --stdin or --stdin0");
    int status = cli_open_model(cli, true);
    if (!status)
        status = cli_need(cli, false, false, true);
    if (status)
        return status;
    if (cli->info.context && (!cli->context || cli->context > cli->info.context))
        ids.capacity = cli->info.context;
    ids.data = calloc(ids.capacity, sizeof(*ids.data));
    bool good = ids.data != NULL;
    if (!good)
        cli_fail_input(cli, "out of memory");
    for (size_t i = 0; good && i < cli->arguments.count; i++)
        good =
            tokenize_text(cli, cli->arguments.items[i].text, cli->arguments.items[i].length, &ids);
    if (good && !cli->arguments.count)
        good = tokenize_stream(cli, &ids);
    free(ids.data);
    return good ? CLI_DONE : CLI_FAILED;
}

static const struct cli_option options[] = {
    CLI_MODEL_OPTION,
    CLI_VOCAB_OPTION,
    CLI_ENCODER_OPTION,
    CLI_OPTION(0, "stdin", NULL, CLI_FLAG, lines, "read a text a line from standard input"),
    CLI_OPTION(0, "stdin0", NULL, CLI_FLAG, records, "the same, with a NUL byte behind each text"),
    CLI_OPTION(0, "context", "N", CLI_NUMBER, context, "cut to N ids (the model's context, or 77)"),
    CLI_OPTION(0, "full", NULL, CLI_FLAG, full, "do not cut: print all ids"),
    CLI_STRICT_OPTION,
    CLI_ACTIVATION_OPTION,
    CLI_COMMON_OPTIONS,
    {0}};

const struct cli_command cli_tokenize = {
    .name = "tokenize",
    .summary = "print the token ids of texts",
    .usage = "-m PATH|--vocab FILE [OPTION...] TEXT...\n"
             "-m PATH|--vocab FILE [OPTION...] --stdin|--stdin0",
    .text =
        "Prints a line of token ids a text, with the start and the end of the text and without\n"
        "padding. A text longer than the context is cut as for encoding, and a warning says so.\n"
        "JSON: {\"text\":...,\"ids\":[...]}. Needs no device.",
    .options = options,
    .run = run_tokenize,
    .arguments = true,
};
