/* SPDX-License-Identifier: MIT
 *
 * Chooses the kind of a tokenizer and puts start and end around the ids. It does not truncate, pad
 * or warn, because only the caller knows the model's context.
 */
#include "text/tokenizer.h"
#include "base/array.h"
#include "base/error.h"
#include "text/clean.h"
#include "text/tokenizer_kind.h"

#include <stdlib.h>
#include <string.h>

enum { TEXT_LIMIT = 1 << 28 }; /* bytes, so that positions fit 32 bits even after cleaning */

/* CLIP's comes last, because its readers say what was expected of a file that nobody knows. */
static const struct tokenizer_kind *const kinds[] = {
    &tokenizer_unigram, &tokenizer_sentencepiece_bpe, &tokenizer_wordpiece, &tokenizer_byte_bpe,
    &tokenizer_clip_bpe};

static int open_source(const struct vocabulary_source *source, enum tokenizer_rules rules,
                       struct tokenizer **tokenizer)
{
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        if (!kinds[i]->recognizes(source))
            continue;
        int error = kinds[i]->open(source, rules, tokenizer);
        if (!error)
            (*tokenizer)->kind = kinds[i];
        return error;
    }
    return error_fail(VKCLIP_EFORMAT, "%s: neither a SentencePiece model nor a tokenizer.json",
                      source->path);
}

int tokenizer_open(const char *path, enum tokenizer_rules rules, struct tokenizer **tokenizer)
{
    const struct file_source file = file_source_path(path);
    return tokenizer_open_source(&file, rules, tokenizer);
}

int tokenizer_open_source(const struct file_source *file, enum tokenizer_rules rules,
                          struct tokenizer **tokenizer)
{
    struct vocabulary_source source;
    *tokenizer = NULL;
    int error = vocabulary_source_open(file, &source);
    if (error)
        return error;
    error = open_source(&source, rules, tokenizer);
    vocabulary_source_close(&source);
    return error;
}

int tokenizer_parse(const void *data, size_t size, const char *name, struct tokenizer **tokenizer)
{
    struct vocabulary_source source;
    *tokenizer = NULL;
    int error = vocabulary_source_view(data, size, name, &source);
    if (error)
        return error;
    error = open_source(&source, TOKENIZER_BY_FILE, tokenizer);
    vocabulary_source_close(&source);
    return error;
}

int tokenizer_from_gguf(const struct gguf *file, struct tokenizer **tokenizer)
{
    const struct vocabulary_source source = vocabulary_source_gguf(file);
    *tokenizer = NULL;
    return open_source(&source, TOKENIZER_BY_FILE, tokenizer);
}

void tokenizer_close(struct tokenizer **tokenizer)
{
    if (*tokenizer)
        (*tokenizer)->kind->close(*tokenizer);
    *tokenizer = NULL;
}

void tokenizer_clean(struct tokenizer *tokenizer, enum tokenizer_cleaning cleaning, bool strip_end)
{
    tokenizer->cleaning = cleaning;
    if (strip_end) {
        tokenizer->stripped = tokenizer->end;
        tokenizer->end = 0;
    }
}

static void clean_text(const struct tokenizer *tokenizer, struct code_points *text)
{
    switch (tokenizer->cleaning) {
    case CLEANING_NONE:
        break;
    case CLEANING_WHITESPACE:
        clean_fix(text);
        break;
    case CLEANING_LOWER:
        clean_openai(text);
        break;
    case CLEANING_CANONICALIZE:
        clean_canonicalize(text);
        break;
    }
}

static void strip_ids(const struct tokenizer *tokenizer, struct token_ids *list)
{
    for (size_t i = 0; tokenizer->stripped && i < list->count && i < list->capacity; i++)
        if (list->ids[i] == tokenizer->stripped)
            list->ids[i] = 0;
}

int tokenizer_encode(const struct tokenizer *tokenizer, const char *text, size_t length,
                     int32_t *ids, size_t capacity, size_t *count)
{
    struct token_ids list = {.ids = ids, .capacity = capacity};
    struct code_points points = {0};
    *count = 0;
    if (length >= TEXT_LIMIT)
        return error_fail(VKCLIP_EINVALID, "text of %zu bytes, expected less than %d", length,
                          TEXT_LIMIT);
    if (tokenizer->start >= 0)
        token_ids_push(&list, tokenizer->start);
    code_points_push_utf8(&points, text, length);
    clean_text(tokenizer, &points);
    const bool encoded = !points.failed && tokenizer->kind->encode(tokenizer, &points, &list);
    code_points_free(&points);
    if (!encoded)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a text of %zu bytes", length);
    token_ids_push(&list, tokenizer->end);
    strip_ids(tokenizer, &list);
    *count = list.count;
    return VKCLIP_OK;
}

int tokenizer_decode(const struct tokenizer *tokenizer, const int32_t *ids, size_t count,
                     char **text)
{
    *text = NULL;
    for (size_t i = 0; i < count; i++)
        if (ids[i] < 0 || (uint32_t)ids[i] >= tokenizer->size)
            return error_fail(VKCLIP_EINVALID, "id %d is outside the vocabulary, expected 0 to %u",
                              ids[i], tokenizer->size - 1);
    *text = tokenizer->kind->decode(tokenizer, ids, count);
    if (!*text)
        return error_fail(VKCLIP_EMEMORY, "out of memory for the text of %zu tokens", count);
    return VKCLIP_OK;
}

int tokenizer_fill(const struct tokenizer *tokenizer, const char *text, int32_t *ids,
                   size_t capacity, size_t *count)
{
    int error = tokenizer_encode(tokenizer, text, strlen(text), ids, capacity, count);
    if (error)
        return error;
    if (*count > capacity)
        ids[capacity - 1] = tokenizer->end;
    for (size_t i = *count; i < capacity; i++)
        ids[i] = tokenizer->pad;
    return VKCLIP_OK;
}

int32_t tokenizer_start(const struct tokenizer *tokenizer)
{
    return tokenizer->start;
}

int32_t tokenizer_end(const struct tokenizer *tokenizer)
{
    return tokenizer->end;
}

int32_t tokenizer_pad(const struct tokenizer *tokenizer)
{
    return tokenizer->pad;
}

uint32_t tokenizer_size(const struct tokenizer *tokenizer)
{
    return tokenizer->size;
}

uint32_t tokenizer_context(const struct tokenizer *tokenizer)
{
    return tokenizer->kind->context;
}
