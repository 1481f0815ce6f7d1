/* SPDX-License-Identifier: MIT
 *
 * vkclip tokenize: texts to token ids, exactly those that the text tower is given.
 */
#include "base/file.h"
#include "base/string.h"
#include "cli/command.h"
#include "cli/commands/prompt_output.h"
#include "cli/conditioner.h"
#include "cli/log.h"
#include "cli/model.h"
#include "cli/reader.h"

#include <stdlib.h>

enum { FIRST_CAPACITY = 256 }; /* ids of a text whose length nothing limits, at first */

struct options {
    struct cli_model_options model;
    struct cli_encoder_files files; /* several only for a conditioner */
    struct cli_strictness strictness;
    struct cli_syntax syntax;
    uint32_t context;
    bool lines, records, full;
};

struct ids {
    int32_t *data;
    size_t count, capacity;
    unsigned flags; /* of vkclip_tokenize */
};

struct run {
    const struct options *options;
    struct vkclip_conditioner *conditioner; /* NULL: there is one model or vocabulary */
    struct vkclip_conditioner_info info;
    struct ids ids;
};

/* Names the text by its beginning in what the library says about it. */
static void begin_subject(struct cli_session *session, const char *text, size_t length)
{
    const size_t shown = string_fit(text, length, 40);
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
        cli_fail_memory();
        return false;
    }
    ids->data = data;
    ids->capacity = capacity;
    return true;
}

/* Prints what an encoder is given of a prompt. False: nothing more can be printed. */
static bool tokenize_prompt(struct cli_session *session, const char *text, size_t length,
                            const struct run *run, size_t index)
{
    const struct options *options = run->options;
    const struct vkclip_prompt_params params = {.size = sizeof(params),
                                                .syntax = cli_find_syntax(&options->syntax),
                                                .length = options->context,
                                                .strict = options->strictness.strict};
    struct cli_encoder encoder = {.model = session->model};
    struct vkclip_prompt prompt = {.size = sizeof(prompt)};
    int error;
    begin_subject(session, text, length);
    if (run->conditioner) {
        const struct vkclip_encoder_info *info = run->info.encoders[index];
        encoder = (struct cli_encoder){info->name, info->model, info->embeddings};
        error = vkclip_tokenize_condition(run->conditioner, index, text, &params, &prompt);
    } else {
        error = vkclip_tokenize_prompt(session->model, text, length, &params, &prompt);
    }
    if (!end_subject(session, error))
        return true;
    const bool good = cli_print_prompt(session, &encoder, text, length, &prompt);
    vkclip_free_prompt(&prompt);
    return good;
}

/* Prints what each encoder is given of a prompt. */
static bool tokenize_prompts(struct cli_session *session, const char *text, size_t length,
                             const struct run *run)
{
    bool good = true;
    for (size_t i = 0; i < run->info.encoder_count && good; i++)
        if (!run->info.encoders[i]->absent)
            good = tokenize_prompt(session, text, length, run, i);
    return good;
}

/* Prints the ids of a text, or reports why it has none. False: nothing more can be printed. */
static bool tokenize_text(struct cli_session *session, const char *text, size_t length,
                          struct run *run)
{
    struct ids *ids = &run->ids;
    if (run->conditioner)
        return tokenize_prompts(session, text, length, run);
    if (run->options->syntax.given)
        return tokenize_prompt(session, text, length, run, 0);
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

static bool tokenize_stream(struct cli_session *session, int delimiter, struct run *run)
{
    struct cli_reader reader;
    bool good = true;
    if (!cli_open_reader(session, &reader, "-", delimiter))
        return true;
    while (good && cli_read_text(session, &reader))
        good = tokenize_text(session, reader.length ? reader.text : "", reader.length, run);
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

static int tokenize_inputs(struct cli_session *session, struct run *run)
{
    const struct options *options = run->options;
    const struct cli_inputs *arguments = &session->arguments;
    const size_t limit = find_limit(session, options);
    if (!limit)
        run->ids.flags = VKCLIP_TOKENIZE_FULL;
    bool good = grow_ids(&run->ids, limit ? limit : FIRST_CAPACITY);
    for (size_t i = 0; good && i < arguments->count; i++)
        good = tokenize_text(session, arguments->items[i].text, arguments->items[i].length, run);
    if (good && !arguments->count)
        good = tokenize_stream(session, options->lines ? '\n' : 0, run);
    return good ? CLI_DONE : CLI_FAILED;
}

static int open_model(struct cli_session *session, const struct options *options)
{
    struct cli_model_options model = options->model;
    if (options->files.models.count)
        model.path = options->files.models.items[0].text;
    if (options->files.vocabs.count)
        model.vocab = options->files.vocabs.items[0].text;
    int status = cli_open_model(session, &model);
    return status ? status : cli_check_model(session, model.path, CLI_NEED_VOCABULARY);
}

/* Tells whether the options name the text encoders of a diffusion model, not one model. */
static bool names_encoders(const struct options *options)
{
    const size_t count = options->files.models.count;
    if (options->files.family || count > 1 || options->files.vocabs.count > 1 ||
        options->files.embeddings.count)
        return true;
    char *index =
        count ? string_format("%s/model_index.json", options->files.models.items[0].text) : NULL;
    const bool pipeline = index && file_exists(index);
    free(index);
    return pipeline;
}

static int check_options(const struct cli_session *session, const struct options *options)
{
    if (options->full && (options->syntax.given || names_encoders(options)))
        return cli_fail_usage(session, "--full shows no prompts of diffusion models");
    if (!options->files.models.count && !options->files.vocabs.count)
        return cli_fail_usage(session, "name a model with -m or a vocabulary with --vocab");
    if (!options->files.models.count && names_encoders(options))
        return cli_fail_usage(session, "name the files of the diffusion model with -m");
    if ((session->arguments.count > 0) + options->lines + options->records != 1)
        return cli_fail_usage(session, "expected texts, --stdin or --stdin0");
    return CLI_DONE;
}

static int run_tokenize(struct cli_session *session, void *user)
{
    const struct options *options = user;
    struct run run = {.info.size = sizeof(run.info), .options = options};
    if (options->full)
        run.ids.flags = VKCLIP_TOKENIZE_FULL;
    else if (options->strictness.strict)
        run.ids.flags = VKCLIP_TOKENIZE_STRICT;
    int status = check_options(session, options);
    if (!status)
        status = names_encoders(options)
                     ? cli_open_conditioner(session, &options->files,
                                            (struct vkclip_conditioner_params){
                                                .size = sizeof(struct vkclip_conditioner_params)},
                                            &run.conditioner, &run.info)
                     : open_model(session, options);
    if (!status)
        status = tokenize_inputs(session, &run);
    free(run.ids.data);
    vkclip_close_conditioner(&run.conditioner);
    return status;
}

#define FIELD(name) offsetof(struct options, name)
static const struct cli_option table[] = {
    CLI_INCLUDE(cli_encoder_files_options, FIELD(files)),
    CLI_INCLUDE(cli_encoder_options, FIELD(model)),
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
        "\n"
        "With --syntax, or where -m names a pipeline of diffusers, a text is the prompt of a\n"
        "diffusion model: the tokens of each of its text encoders, with their weights, in chunks,\n"
        "and what is left out. Several -m, and --family, name the encoders as condition does.\n"
        "JSON has every place: {\"text\":...,\"encoder\":...,\"used\":...,\"available\":...,\n"
        "\"rest\":...,\"chunks\":[{\"ids\":[...],\"weights\":[...],\"vectors\":[...]},...]}.",
    .options = table,
    .options_size = sizeof(struct options),
    .run = run_tokenize,
};
