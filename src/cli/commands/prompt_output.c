/* SPDX-License-Identifier: MIT
 *
 * People get a line per run of tokens with one weight, JSON has every place.
 */
#include "cli/commands/prompt_output.h"
#include "base/string.h"

#include <stdlib.h>
#include <string.h>

/* Returns where the run of places ends that begins at `start`: they are in one chunk, have one
 * weight, and are all special, all tokens, or all vectors of one embedding. */
static size_t find_run_end(const struct vkclip_prompt *prompt, size_t start)
{
    const struct vkclip_prompt_place *places = prompt->places, *first = &places[start];
    const size_t chunk_end = (start / prompt->length + 1) * prompt->length;
    size_t end = start + 1;
    while (end < chunk_end && places[end].special == first->special &&
           places[end].weight == first->weight && places[end].embedding == first->embedding &&
           (first->embedding < 0 || places[end].vector))
        end++;
    return end;
}

/* Returns the text of a run, a new string; NULL when out of memory. */
static char *spell_run(const struct cli_encoder *encoder, const struct vkclip_prompt_place *places,
                       size_t count)
{
    size_t length = 0;
    if (places->embedding >= 0)
        return string_format("[%s]", encoder->embeddings[places->embedding].name);
    int32_t *ids = malloc(count * sizeof(*ids));
    for (size_t i = 0; ids && i < count; i++)
        ids[i] = places[i].id;
    char *text = NULL;
    if (ids && !vkclip_detokenize(encoder->model, ids, count, NULL, 0, &length))
        text = malloc(length + 1);
    if (text)
        vkclip_detokenize(encoder->model, ids, count, text, length + 1, &length);
    while (text && length && text[length - 1] == ' ') /* CLIP's words end with a space. */
        text[--length] = 0;
    free(ids);
    return text;
}

static bool print_run(const struct cli_encoder *encoder, const struct vkclip_prompt *prompt,
                      size_t start, size_t end)
{
    const struct vkclip_prompt_place *places = prompt->places + start;
    char *text = spell_run(encoder, places, end - start);
    if (!text) {
        cli_fail_memory();
        return false;
    }
    printf("%5zu  %-8.4g %3zu  ", start / prompt->length + 1, places->weight, end - start);
    cli_print_text(text, 0);
    putchar('\n');
    free(text);
    return true;
}

static bool print_lines(const struct cli_encoder *encoder, const struct vkclip_prompt *prompt)
{
    if (encoder->name)
        printf("%s: ", encoder->name);
    printf("%u of %u tokens\n", prompt->used, prompt->available);
    if (prompt->used)
        puts("chunk  weight tokens  text");
    for (size_t i = 0, end; i < (size_t)prompt->chunks * prompt->length; i = end) {
        end = find_run_end(prompt, i);
        if (!prompt->places[i].special && !print_run(encoder, prompt, i, end))
            return false;
    }
    if (prompt->rest) {
        fputs("left out: ", stdout);
        cli_print_text(prompt->rest, 0);
        putchar('\n');
    }
    return !ferror(stdout);
}

static json_t *describe_chunk(const struct cli_encoder *encoder, const struct vkclip_prompt *prompt,
                              size_t chunk)
{
    const struct vkclip_prompt_place *places = prompt->places + chunk * prompt->length;
    json_t *ids = json_array(), *weights = json_array(), *vectors = json_array();
    for (size_t i = 0; i < prompt->length; i++) {
        json_array_append_new(ids, json_integer(places[i].id));
        json_array_append_new(weights, json_real(places[i].weight));
        if (places[i].embedding < 0)
            continue;
        const char *name = encoder->embeddings[places[i].embedding].name;
        json_t *vector =
            json_pack("{si so si}", "place", (int)i, "embedding", cli_json_text(name, strlen(name)),
                      "vector", (int)places[i].vector);
        json_array_append_new(vectors, vector);
    }
    return json_pack("{so so so}", "ids", ids, "weights", weights, "vectors", vectors);
}

static json_t *describe_prompt(const struct cli_encoder *encoder, const char *text, size_t length,
                               const struct vkclip_prompt *prompt)
{
    json_t *chunks = json_array();
    json_t *rest = prompt->rest ? cli_json_text(prompt->rest, strlen(prompt->rest)) : json_null();
    for (size_t i = 0; i < prompt->chunks; i++)
        json_array_append_new(chunks, describe_chunk(encoder, prompt, i));
    return json_pack("{so ss* si si so so}", "text", cli_json_text(text, length), "encoder",
                     encoder->name, "used", (int)prompt->used, "available", (int)prompt->available,
                     "rest", rest, "chunks", chunks);
}

bool cli_print_prompt(const struct cli_session *session, const struct cli_encoder *encoder,
                      const char *text, size_t length, const struct vkclip_prompt *prompt)
{
    if (session->common.json)
        return cli_print_json(describe_prompt(encoder, text, length, prompt), stdout);
    return print_lines(encoder, prompt);
}
