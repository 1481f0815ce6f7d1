/* SPDX-License-Identifier: MIT
 *
 * vkclip models: the published models that have names, and which of them are in the hub's cache.
 */
#include "base/array.h"
#include "cli/command.h"
#include "format/hub.h"

#include <stdlib.h>
#include <string.h>

struct options {
    bool markdown;
};

enum { COLUMNS = 7 };

/* What a line of the list shows of a model. */
struct line {
    char millions[16], width[16], state[128];
    const char *cells[COLUMNS];
};

/* ---- The filter ------------------------------------------------------------------------------- */

static char to_lower(char character)
{
    return character >= 'A' && character <= 'Z' ? (char)(character - 'A' + 'a') : character;
}

/* Tells whether a text begins with a word, in whatever case. */
static bool begins_with(const char *text, const char *word)
{
    while (*word && to_lower(*word) == to_lower(*text)) {
        word++;
        text++;
    }
    return !*word;
}

static bool contains(const char *text, const char *word)
{
    while (*text && !begins_with(text, word))
        text++;
    return *text;
}

static bool matches(const struct vkclip_hub_model *model, const char *filter)
{
    const char *const texts[] = {model->name,   model->aliases,   model->repository,
                                 model->family, model->languages, model->licence};
    if (hub_find_model(filter, strlen(filter)) == model)
        return true;
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++)
        if (contains(texts[i], filter))
            return true;
    return false;
}

/* Returns the first model from row `*row` on that all filters match, or NULL. */
static const struct vkclip_hub_model *next_model(const struct cli_session *session, size_t *row)
{
    const struct cli_inputs *filters = &session->arguments;
    const struct vkclip_hub_model *model;
    while ((model = hub_model((*row)++))) {
        size_t i = 0;
        while (i < filters->count && matches(model, filters->items[i].text))
            i++;
        if (i == filters->count)
            return model;
    }
    return NULL;
}

static bool is_cached(const struct vkclip_hub_model *model)
{
    struct hub_name name;
    char *path = hub_parse_name(model->name, &name) ? hub_find_snapshot(&name) : NULL;
    const bool found = path != NULL;
    free(path);
    return found;
}

/* ---- JSON ------------------------------------------------------------------------------------- */

/* Makes null of what is not known. */
static json_t *known_text(const char *text)
{
    return *text ? json_string(text) : json_null();
}

static json_t *known_number(uint32_t number)
{
    return number ? json_integer(number) : json_null();
}

static bool print_json(const struct vkclip_hub_model *model)
{
    json_t *json = json_pack("{ss so ss ss so so so so sb sb}", "name", model->name, "aliases",
                             cli_json_words(model->aliases), "repository", model->repository,
                             "family", model->family, "millions", known_number(model->millions),
                             "width", known_number(model->embed_dim), "languages",
                             known_text(model->languages), "licence", known_text(model->licence),
                             "runs", !model->obstacle, "cached", is_cached(model));
    if (model->obstacle)
        json = cli_json_with(json, "obstacle", json_string(model->obstacle));
    return cli_print_json(json, stdout);
}

/* ---- Text ------------------------------------------------------------------------------------- */

static const char *show_number(uint32_t number, const char *unit, char text[16])
{
    snprintf(text, 16, number ? "%u%s" : "-", number, unit);
    return text;
}

static const char *show_text(const char *text)
{
    return *text ? text : "-";
}

static const char *show_state(const struct vkclip_hub_model *model, char text[128])
{
    if (model->obstacle)
        snprintf(text, 128, "not run: %s", model->obstacle);
    else
        snprintf(text, 128, "%s", is_cached(model) ? "in the cache" : "");
    return text;
}

static void fill_line(const struct vkclip_hub_model *model, struct line *line)
{
    const char *const cells[COLUMNS] = {
        model->name,
        model->family,
        show_number(model->millions, " M", line->millions),
        show_number(model->embed_dim, "", line->width),
        show_text(model->languages),
        show_text(model->licence),
        show_state(model, line->state),
    };
    memcpy(line->cells, cells, sizeof(cells));
}

static void print_line(const struct line *line, const int widths[COLUMNS])
{
    for (int i = 0; i + 1 < COLUMNS; i++) {
        const bool last = i + 2 == COLUMNS && !*line->cells[i + 1];
        printf("%s%-*s", i ? "  " : "", last ? 0 : widths[i], line->cells[i]);
    }
    if (*line->cells[COLUMNS - 1])
        printf("  %s", line->cells[COLUMNS - 1]);
    putchar('\n');
}

static void print_list(const struct cli_session *session)
{
    struct line line = {
        .cells = {"name", "family", "parameters", "width", "languages", "licence", ""}};
    int widths[COLUMNS] = {0};
    const struct line head = line;
    const struct vkclip_hub_model *model = NULL;
    size_t row = 0;
    do {
        for (int i = 0; i < COLUMNS; i++) {
            const int width = (int)strlen(line.cells[i]);
            widths[i] = width > widths[i] ? width : widths[i];
        }
        if ((model = next_model(session, &row)))
            fill_line(model, &line);
    } while (model);
    print_line(&head, widths);
    for (row = 0; (model = next_model(session, &row));) {
        fill_line(model, &line);
        print_line(&line, widths);
    }
}

/* ---- Families --------------------------------------------------------------------------------- */

/* What the models of a family are like. */
struct family_state {
    unsigned models, running;
    const char *obstacle; /* of the last model that does not run */
};

static struct family_state count_models(const struct hub_family *family)
{
    struct family_state state = {0};
    const struct vkclip_hub_model *model;
    for (size_t row = 0; (model = hub_model(row)); row++) {
        if (strcmp(model->family, family->name))
            continue;
        state.models++;
        state.running += !model->obstacle;
        if (model->obstacle)
            state.obstacle = model->obstacle;
    }
    return state;
}

/* Prints the families as a table in Markdown, of which a part is the README's. */
static void print_families(void)
{
    const struct hub_family *family;
    puts(
        "| family | models | image tower | text tower | tokenizer | compared with the reference |\n"
        "|---|---|---|---|---|---|");
    for (size_t row = 0; (family = hub_family(row)); row++) {
        const struct family_state state = count_models(family);
        printf("| %s | %u", family->name, state.models);
        if (state.running && state.running < state.models)
            printf(", %u of which run", state.running);
        printf(" | %s | %s | %s | ", family->image, family->text, family->tokenizer);
        if (!state.running)
            printf("not run: %s |\n", state.obstacle);
        else
            printf("%s |\n", *family->cases ? family->cases : "no");
    }
}

/* ---- The command ------------------------------------------------------------------------------ */

static int fail_no_match(const struct cli_inputs *filters)
{
    if (filters->count > 1) /* Each of them alone may match. */
        return cli_fail(CLI_FAILED,
                        "no published model matches all %zu filters: 'vkclip models' lists all",
                        filters->count);
    return cli_fail(CLI_FAILED, "no published model matches '%s': 'vkclip models' lists all",
                    filters->items[0].text);
}

static int run_models(struct cli_session *session, void *user)
{
    const struct options *options = user;
    const struct vkclip_hub_model *model;
    size_t row = 0;
    if (!cli_has("hub"))
        return cli_fail(CLI_FAILED, "this build of vkclip leaves the hub out (VKCLIP_WITH_HUB)");
    if (options->markdown) {
        print_families();
        return CLI_DONE;
    }
    if (!next_model(session, &row))
        return fail_no_match(&session->arguments);
    if (!session->common.json) {
        print_list(session);
        return CLI_DONE;
    }
    for (row = 0; (model = next_model(session, &row));)
        if (!print_json(model))
            return CLI_FAILED;
    return CLI_DONE;
}

static const struct cli_option table[] = {CLI_OPTION(0, "markdown", NULL, CLI_FLAG,
                                                     offsetof(struct options, markdown),
                                                     "print the families as a table instead"),
                                          {0}};

const struct cli_command cli_models_command = {
    .name = "models",
    .summary = "list the published models by name",
    .usage = "[FILTER...] [OPTION...]",
    .arguments = "FILTER",
    .text =
        "Lists the published models that vkclip knows by name: OpenAI's, OpenCLIP's, immich's and\n"
        "others, with their millions of parameters, the width of their embeddings, the languages\n"
        "of their texts, the licence of their weights, and whether they are in the hub's cache.\n"
        "A - stands for what is not known. Models that vkclip does not run say why. Each FILTER\n"
        "has to be in a model's name, family, repository, languages or licence.\n"
        "ARCHITECTURE:TAG may also be written ARCHITECTURE/TAG, or ARCHITECTURE__TAG as immich\n"
        "does; pull and -m take all of them. --markdown tells of each family what its towers\n"
        "and its tokenizer are, and with which reference data the tests compare it.",
    .options = table,
    .options_size = sizeof(struct options),
    .run = run_models,
};
