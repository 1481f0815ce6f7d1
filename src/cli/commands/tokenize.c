/* SPDX-License-Identifier: MIT
 *
 * vkclip tokenize: texts to token ids, exactly those that the text tower is given.
 */
#include "cli/command.h"
#include "cli/commands/prompt_output.h"
#include "cli/log.h"
#include "cli/model.h"
#include "cli/reader.h"

#include <stdlib.h>

enum { FIRST_CAPACITY = 256 }; /* ids of a text whose length nothing limits, at first */

struct options {
    struct cli_model_options model;
    struct cli_strictness strictness;
    struct cli_syntax syntax;
    uint32_t context;
    bool lines, records, full;
};

struct ids {
    const struct options *options;
    int32_t *data;
    size_t count, capacity;
    unsigned flags; /* of vkclip_tokenize */
};

/* Names the text by its beginning in what the library says about it. */
static void begin_subject(struct cli_session *session, const char *text, size_t length)
{
    size_t shown = length < 40 ? length : 40;
    while (shown && shown < length && (text[shown] & 0xc0) == 0x80)
        shown--; /* The text is not cut within a character. */
    snprintf(session->subject, sizeof(session->subject), "text '%.*s%s': ", (int)shown, text,
             shown < length ? "..." : "");
}

/* Ends what begin_subject began, and reports the failure of the text if there is one. */
static bool end_subject(struct cli_session *session, int error)
{
    if (error)
        cli_fail_library_input(session, session->subject);
    session->subject[0] = 0;
    return !error;
}

static bool make_ids(struct cli_session *session, const char *text, size_t length, struct ids *ids)
{
    begin_subject(session, text, length);
    return end_subject(session, vkclip_tokenize(session->model, text, length, ids->flags, ids->data,
                                                ids->capacity, &ids->count));
}

static bool print_ids(const struct cli_session *session, const char *text, size_t length,
                      const struct ids *ids)
{
    if (!session->common.json) {
        for (size_t i = 0; i < ids->count; i++)
            printf(i ? " %d" : "%d", (int)ids->data[i]);
        return putchar('\n') != EOF;
    }
    json_t *array = json_array();
    for (size_t i = 0; i < ids->count; i++)
        json_array_append_new(array, json_integer(ids->data[i]));
    return cli_print_json(json_pack("{so so}", "text", cli_json_text(text, length), "ids", array),
                          stdout);
}

static bool grow_ids(struct ids *ids, size_t capacity)
{
    int32_t *data = realloc(ids->data, capacity * sizeof(*data));
    if (!data) {
        cli_fail(CLI_FAILED, "out of memory");
        return false;
    }
    ids->data = data;
    ids->capacity = capacity;
    return true;
}

/* Prints what an encoder is given of a prompt. False: nothing more can be printed. */
static bool tokenize_prompt(struct cli_session *session, const char *text, size_t length,
                            const struct options *options)
{
    const struct vkclip_prompt_params params = {.syntax =
                                                    (enum vkclip_syntax)(options->syntax.given - 1),
                                                .length = options->context,
                                                .strict = options->strictness.strict};
    struct vkclip_prompt prompt;
    begin_subject(session, text, length);
    if (!end_subject(session,
                     vkclip_tokenize_prompt(session->model, text, length, &params, &prompt)))
        return true;
    const bool good = cli_print_prompt(session, session->model, text, length, &prompt);
    vkclip_free_prompt(&prompt);
    return good;
}

/* Prints the ids of a text, or reports why it has none. False: nothing more can be printed. */
static bool tokenize_text(struct cli_session *session, const char *text, size_t length,
                          struct ids *ids)
{
    if (ids->options->syntax.given)
        return tokenize_prompt(session, text, length, ids->options);
    if (!make_ids(session, text, length, ids))
        return true;
    if (ids->count > ids->capacity) { /* With --full a text may need more room: it is repeated. */
        if (!grow_ids(ids, ids->count))
            return false;
        if (!make_ids(session, text, length, ids))
            return true;
    }
    return print_ids(session, text, length, ids);
}

static bool tokenize_stream(struct cli_session *session, int delimiter, struct ids *ids)
{
    struct cli_reader reader;
    bool good = true;
    if (!cli_open_reader(session, &reader, "-", delimiter))
        return true;
    while (good && cli_read_text(session, &reader))
        good = tokenize_text(session, reader.length ? reader.text : "", reader.length, ids);
    cli_close_reader(&reader);
    return good;
}

/* Returns the number of ids that a text may have. 0: any number. */
static size_t find_limit(const struct cli_session *session, const struct options *options)
{
    const uint32_t context = session->info.context;
    if (context && (!options->context || options->context > context))
        return context;
    return options->context ? options->context : session->info.tokenizer_context;
}

static int tokenize_inputs(struct cli_session *session, const struct options *options,
                           struct ids *ids)
{
    const struct cli_inputs *arguments = &session->arguments;
    const size_t limit = find_limit(session, options);
    if (!limit)
        ids->flags = VKCLIP_TOKENIZE_FULL;
    bool good = grow_ids(ids, limit ? limit : FIRST_CAPACITY);
    for (size_t i = 0; good && i < arguments->count; i++)
        good = tokenize_text(session, arguments->items[i].text, arguments->items[i].length, ids);
    if (good && !arguments->count)
        good = tokenize_stream(session, options->lines ? '\n' : 0, ids);
    return good ? CLI_DONE : CLI_FAILED;
}

static int run_tokenize(struct cli_session *session, void *user)
{
    const struct options *options = user;
    struct ids ids = {.options = options};
    if (options->full)
        ids.flags = VKCLIP_TOKENIZE_FULL;
    else if (options->strictness.strict)
        ids.flags = VKCLIP_TOKENIZE_STRICT;
    if (options->full && options->syntax.given)
        return cli_fail_usage(session, "--full and --syntax exclude each other");
    if (!options->model.path && !options->model.vocab)
        return cli_fail_usage(session, "name a model with -m or a vocabulary with --vocab");
    if ((session->arguments.count > 0) + options->lines + options->records != 1)
        return cli_fail_usage(session, "expected texts, --stdin or --stdin0");
    int status = cli_open_model(session, &options->model);
    if (!status)
        status = cli_check_model(session, options->model.path, CLI_NEED_VOCABULARY);
    if (!status)
        status = tokenize_inputs(session, options, &ids);
    free(ids.data);
    return status;
}

#define FIELD(name) offsetof(struct options, name)
static const struct cli_option table[] = {
    CLI_INCLUDE(cli_path_options, FIELD(model)),
    CLI_INCLUDE(cli_text_options, FIELD(model)),
    CLI_OPTION(0, "stdin", NULL, CLI_FLAG, FIELD(lines),
               "read texts from standard input, one per line"),
    CLI_OPTION(0, "stdin0", NULL, CLI_FLAG, FIELD(records),
               "read texts from standard input, each ended by a NUL byte"),
    CLI_OPTION(0, "context", "N", CLI_NUMBER, FIELD(context),
               "cut to N ids (the model's context; without a model 77 for CLIP's vocabularies, and "
               "any number for T5's)"),
    CLI_OPTION(0, "full", NULL, CLI_FLAG, FIELD(full), "do not cut: print all ids"),
    CLI_INCLUDE(cli_syntax_options, FIELD(syntax)),
    CLI_INCLUDE(cli_strict_options, FIELD(strictness)),
    CLI_INCLUDE(cli_activation_options, FIELD(model)),
    {0}};

const struct cli_command cli_tokenize_command = {
    .name = "tokenize",
    .summary = "print the token ids of texts",
    .usage = "-m PATH|--vocab FILE [OPTION...] TEXT...\n"
             "-m PATH|--vocab FILE [OPTION...] --stdin|--stdin0",
    .arguments = "TEXT",
    .text =
        "Prints one line of token ids per text, with the ids of start and end of text (T5 has no\n"
        "start) and without padding. A text longer than the context is cut as for encoding, and a\n"
        "warning says so. JSON: {\"text\":...,\"ids\":[...]}. Needs no device.\n"
        "With --syntax a text is the prompt of a diffusion model: its tokens with their weights "
        "in\n"
        "chunks, and what is left out. JSON has every place: {\"text\":...,\"used\":...,\n"
        "\"available\":...,\"rest\":...,\"chunks\":[{\"ids\":[...],\"weights\":[...]},...]}.",
    .options = table,
    .options_size = sizeof(struct options),
    .run = run_tokenize,
};
