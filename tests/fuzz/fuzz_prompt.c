/* SPDX-License-Identifier: MIT
 *
 * Parses and encodes the input as a prompt. Its first two bytes choose the syntax and the form of
 * the encoder's input. Whatever is taken must have every place filled, and weights must be finite.
 */
#define _GNU_SOURCE
#include "fuzz/fuzz.h"
#include "base/array.h"
#include "text/prompt.h"

#include <math.h>

static struct tokenizer *tokenizer;

static void finish(void)
{
    tokenizer_close(&tokenizer);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static const char path[] = "tests/golden/conditioning/pipelines/sd1/tokenizer/vocab.json";
    (void)argc;
    (void)argv;
    fuzz_check(!tokenizer_open(path, TOKENIZER_HF, &tokenizer), path);
    atexit(finish);
    return 0;
}

static void check_prompt(const struct vkclip_prompt *prompt, const struct prompt_form *form)
{
    float rows[2] = {1, 2}, empty[2] = {3, 4};
    fuzz_check(prompt->chunks && prompt->length >= form->length, "a prompt has a chunk");
    fuzz_check(prompt->rest ? prompt->used > prompt->available : prompt->used <= prompt->available,
               "what does not fit is left out");
    for (size_t i = 0; i < (size_t)prompt->chunks * prompt->length; i++) {
        const struct vkclip_prompt_place *place = &prompt->places[i];
        fuzz_check(place->id >= 0 && (uint32_t)place->id < tokenizer_size(tokenizer), "id");
        fuzz_check(isfinite(place->weight), "weight");
        fuzz_check(place->embedding < 0 ||
                       place->vector < form->embeddings[place->embedding].vectors,
                   "vector");
    }
    const struct vkclip_prompt one = {
        .places = prompt->places, .chunks = 1, .length = 1, .weighting = prompt->weighting};
    prompt_weigh(&one, 0, 2, empty, rows);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct vkclip_embedding embeddings[] = {{"cat", 3}, {"a, b", 70}, {"<x>", 1}};
    struct prompt_form form = {.name = "fuzz",
                               .tokenizer = tokenizer,
                               .pad_text = "!",
                               .embeddings = embeddings,
                               .embedding_count = ARRAY_COUNT(embeddings)};
    struct vkclip_prompt prompt;
    if (size < 2)
        return 0;
    const enum vkclip_syntax syntax = (enum vkclip_syntax)(data[0] % 6);
    form.sequence = data[1] & 1;
    form.strict = data[1] & 2;
    form.length = data[1] & 4 ? 77 : 30;
    form.fill = data[1] & 8 ? tokenizer_end(tokenizer) : 0;
    if (prompt_encode((const char *)data + 2, size - 2, syntax, &form, &prompt))
        return 0;
    check_prompt(&prompt, &form);
    prompt_free(&prompt);
    return 0;
}
