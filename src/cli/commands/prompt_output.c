/* SPDX-License-Identifier: MIT
 *
 * People get a line per run of tokens with one weight, JSON has every place.
 */
#include "cli/commands/prompt_output.h"

#include <stdlib.h>
#include <string.h>

/* Returns where the run of places ends that begins at `start`: they are in one chunk, have one
 * weight, and are either all of the text or all special. */
static size_t find_run_end(const struct vkclip_prompt *prompt, size_t start)
{
    const struct vkclip_prompt_place *places = prompt->places;
    const size_t chunk_end = (start / prompt->length + 1) * prompt->length;
    size_t end = start + 1;
    while (end < chunk_end && places[end].special == places[start].special &&
           places[end].weight == places[start].weight)
        end++;
    return end;
}

static bool print_run(const struct vkclip_model *model, const struct vkclip_prompt *prompt,
                      size_t start, size_t end)
{
    const size_t count = end - start;
    int32_t *ids = malloc(count * sizeof(*ids));
    char *text = NULL;
    size_t length = 0;
    for (size_t i = 0; ids && i < count; i++)
        ids[i] = prompt->places[start + i].id;
    bool good = ids && !vkclip_detokenize(model, ids, count, NULL, 0, &length);
    if (good)
        text = malloc(length + 1);
    good = text && !vkclip_detokenize(model, ids, count, text, length + 1, &length);
    if (good) {
        while (length && text[length - 1] == ' ') /* CLIP's words end with a space. */
            text[--length] = 0;
        printf("%5zu  %-8.4g %3zu  ", start / prompt->length + 1, prompt->places[start].weight,
               count);
        cli_print_text(text, 0);
        putchar('\n');
    }
    free(ids);
    free(text);
    return good;
}

static bool print_lines(const struct vkclip_model *model, const struct vkclip_prompt *prompt)
{
    printf("%u of %u tokens\n", prompt->used, prompt->available);
    if (prompt->used)
        puts("chunk  weight tokens  text");
    for (size_t i = 0, end; i < (size_t)prompt->chunks * prompt->length; i = end) {
        end = find_run_end(prompt, i);
        if (!prompt->places[i].special && !print_run(model, prompt, i, end)) {
            cli_fail(CLI_FAILED, "out of memory");
            return false;
        }
    }
    if (prompt->rest) {
        fputs("left out: ", stdout);
        cli_print_text(prompt->rest, 0);
        putchar('\n');
    }
    return !ferror(stdout);
}

static json_t *describe_chunk(const struct vkclip_prompt *prompt, size_t chunk)
{
    const struct vkclip_prompt_place *places = prompt->places + chunk * prompt->length;
    json_t *ids = json_array(), *weights = json_array();
    for (size_t i = 0; i < prompt->length; i++) {
        json_array_append_new(ids, json_integer(places[i].id));
        json_array_append_new(weights, json_real(places[i].weight));
    }
    return json_pack("{so so}", "ids", ids, "weights", weights);
}

static json_t *describe_prompt(const struct vkclip_prompt *prompt, const char *text, size_t length)
{
    json_t *chunks = json_array();
    json_t *rest = prompt->rest ? cli_json_text(prompt->rest, strlen(prompt->rest)) : json_null();
    for (size_t i = 0; i < prompt->chunks; i++)
        json_array_append_new(chunks, describe_chunk(prompt, i));
    return json_pack("{so si si so so}", "text", cli_json_text(text, length), "used",
                     (int)prompt->used, "available", (int)prompt->available, "rest", rest,
                     "chunks", chunks);
}

bool cli_print_prompt(const struct cli_session *session, const struct vkclip_model *model,
                      const char *text, size_t length, const struct vkclip_prompt *prompt)
{
    if (session->common.json)
        return cli_print_json(describe_prompt(prompt, text, length), stdout);
    return print_lines(model, prompt);
}
