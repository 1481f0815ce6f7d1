/* SPDX-License-Identifier: MIT
 *
 * Either all lines of a file have a key or none has: which text stands for a missing one depends on
 * the model, so that it is not guessed.
 */
#include "cli/commands/prompts.h"
#include "base/array.h"
#include "base/string.h"
#include "cli/print.h"
#include "cli/reader.h"

#include <string.h>

/* The keys of a line, in the order of struct prompts. */
static const char *const keys[] = {"prompt", "prompt_2", "prompt_3", "negative", "name"};
enum { KEYS = ARRAY_COUNT(keys), NAME = KEYS - 1 };

static struct cli_inputs *find_list(struct prompts *prompts, size_t key)
{
    if (key < VKCLIP_ENCODERS)
        return &prompts->texts[key];
    return key == NAME ? &prompts->names : &prompts->negatives;
}

static bool is_key(const char *name)
{
    for (size_t i = 0; i < KEYS; i++)
        if (!strcmp(keys[i], name))
            return true;
    return false;
}

static int fail_line(const char *path, size_t number, const char *problem, const char *key)
{
    return cli_fail(CLI_FAILED, "%s: line %zu: %s%.40s", path, number, problem, key);
}

static int take_line(const char *path, size_t number, json_t *line, struct prompts *prompts)
{
    const char *key;
    json_t *value;
    char name[32];
    if (!json_is_object(line) || !json_is_string(json_object_get(line, keys[0])))
        return fail_line(path, number, "expected an object with a \"prompt\"", "");
    json_object_foreach (line, key, value)
        if (!is_key(key) || !json_is_string(value))
            return fail_line(path, number,
                             "expected texts called prompt, prompt_2, prompt_3, "
                             "negative and name, found ",
                             key);
    snprintf(name, sizeof(name), "%zu", number);
    for (size_t i = 0; i < KEYS; i++) {
        const json_t *text = json_object_get(line, keys[i]);
        struct cli_inputs *list = find_list(prompts, i);
        if (text && i && i != NAME && list->count + 1 != prompts->texts[0].count)
            return fail_line(path, number, "earlier lines have no ", keys[i]);
        if (!text && i != NAME && list->count)
            return fail_line(path, number, "expected, as in earlier lines, a text called ",
                             keys[i]);
        if (!text && i != NAME)
            continue;
        const char *bytes = text ? json_string_value(text) : name;
        if (strlen(bytes) != (text ? json_string_length(text) : strlen(name)))
            return fail_line(path, number, "a NUL character in ", keys[i]);
        if (!cli_add_input(list, bytes, strlen(bytes)))
            return cli_fail_memory();
    }
    return CLI_DONE;
}

int prompts_read(struct cli_session *session, const char *path, struct prompts *prompts)
{
    struct cli_reader reader;
    int status = CLI_DONE;
    size_t number = 0;
    if (!cli_open_reader(session, &reader, path, '\n'))
        return CLI_FAILED;
    while (!status && cli_read_text(session, &reader)) {
        number++;
        if (!reader.length)
            continue;
        json_error_t error;
        json_t *line =
            json_loadb(reader.text, reader.length, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &error);
        status = line ? take_line(path, number, line, prompts)
                      : cli_fail(CLI_FAILED, "%s: line %zu: %s", path, number, error.text);
        json_decref(line);
    }
    cli_close_reader(&reader);
    if (!status && !prompts->texts[0].count)
        status = cli_fail(CLI_FAILED, "%s: no prompt in it", path);
    return status;
}

int prompts_check(const struct cli_session *session, const struct prompts *prompts)
{
    const size_t count = prompts->texts[0].count, negatives = prompts->negatives.count;
    if (!count)
        return cli_fail_usage(session, "expected --prompt or --prompts-from");
    for (size_t i = 1; i < VKCLIP_ENCODERS; i++)
        if (prompts->texts[i].count && prompts->texts[i].count != count)
            return cli_fail_usage(session,
                                  "%zu times --prompt-%zu and %zu times --prompt, expected "
                                  "as many",
                                  prompts->texts[i].count, i + 1, count);
    if (negatives > 1 && negatives != count)
        return cli_fail_usage(session,
                              "%zu times --negative and %zu times --prompt, expected one or "
                              "as many",
                              negatives, count);
    return CLI_DONE;
}

void prompts_free(struct prompts *prompts)
{
    for (size_t i = 0; i < KEYS; i++)
        cli_free_inputs(find_list(prompts, i));
}
