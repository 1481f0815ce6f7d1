/* SPDX-License-Identifier: MIT
 *
 * Reads the vocabulary in a GGUF file. The file has tokens but no merges; the merges are derived
 * from the order of the tokens, which is the order in which the merges were learnt.
 */
#include "base/error.h"
#include "format/gguf.h"
#include "text/vocabulary.h"

#include <string.h>

enum {
    TOKENS_LIMIT = 1 << 18, /* CLIP has 49408 */
    PIECES_LIMIT = 64       /* characters of a token; CLIP's have at most 32 */
};

/* Splits a token's text into the tokens of its characters, where "</w>" belongs to the last
 * character. Returns their number, or 0 if a character is no token or if there are too many. */
static size_t split_symbols(const struct vocabulary *v, const char *text,
                            int32_t pieces[PIECES_LIMIT])
{
    const size_t suffix = strlen(VOCABULARY_WORD_END);
    size_t count = 0, size = strlen(text);
    const bool word_end = size > suffix && !strcmp(text + size - suffix, VOCABULARY_WORD_END);
    if (word_end)
        size -= suffix;
    for (size_t i = 0, length; i < size; i += length) {
        length = 1;
        while (i + length < size && (text[i + length] & 0xC0) == 0x80) /* UTF-8 continues */
            length++;
        const char *end = word_end && i + length == size ? VOCABULARY_WORD_END : "";
        const int32_t id = vocabulary_find_joined(v, text + i, length, end, strlen(end));
        if (id < 0 || count == PIECES_LIMIT)
            return 0;
        pieces[count++] = id;
    }
    return count;
}

/* Joins the pair whose merge was learnt first. Returns false if no two neighbours merge. */
static bool join_pieces(const struct vocabulary *v, int32_t *pieces, size_t count)
{
    const struct merge *best = NULL;
    size_t place = 0;
    for (size_t i = 0; i + 1 < count; i++) {
        const struct merge *merge = vocabulary_merge(v, pieces[i], pieces[i + 1]);
        if (merge && (!best || merge->rank < best->rank)) {
            best = merge;
            place = i;
        }
    }
    if (!best)
        return false;
    pieces[place] = best->joined;
    memmove(pieces + place + 1, pieces + place + 2, (count - place - 2) * sizeof(*pieces));
    return true;
}

/* Derives the merges: a token's merge joins the two pieces that the earlier merges make of the
 * token's text. For OpenAI's vocabulary this gives exactly the original merges. */
static int derive_merges(struct vocabulary *v, const char *path)
{
    uint32_t rank = 0;
    for (uint32_t id = 0; id < v->count; id++) {
        int32_t pieces[PIECES_LIMIT];
        if ((int32_t)id == v->start || (int32_t)id == v->end)
            continue;
        size_t count = split_symbols(v, v->tokens[id], pieces);
        if (count == 1) /* a byte's token, which no merge makes */
            continue;
        while (count > 2 && join_pieces(v, pieces, count))
            count--;
        if (count != 2 || !vocabulary_add_merge(v, rank++, pieces[0], pieces[1], (int32_t)id))
            return error_fail(
                VKCLIP_EUNSUPPORTED,
                "%s: token %u is not two earlier tokens joined, as CLIP's are: name a "
                "vocabulary (`vocab`)",
                path, id);
    }
    return VKCLIP_OK;
}

static int load_tokens(struct vocabulary *v, const char *path, const struct gguf_value *value)
{
    const uint8_t *next = value->data;
    size_t bytes = 0, length;
    for (uint64_t i = 0; i < value->count; i++) {
        gguf_next_text(&next, &length);
        bytes += length + 1;
    }
    if (bytes > 16 * TOKENS_LIMIT)
        return error_fail(VKCLIP_EUNSUPPORTED, "%s: tokens of %zu bytes, expected at most %d", path,
                          bytes, 16 * TOKENS_LIMIT);
    int error = vocabulary_make_tables(v, path, (size_t)value->count, bytes, (size_t)value->count);
    if (error)
        return error;
    next = value->data;
    for (; v->count < value->count; v->count++) {
        const char *text = gguf_next_text(&next, &length);
        if (!length || memchr(text, 0, length) || !vocabulary_add(v, v->count, text, length))
            return error_fail(VKCLIP_EFORMAT, "%s: token %u is empty, occurs twice or is no text",
                              path, v->count);
    }
    return VKCLIP_OK;
}

static int load_file(struct vocabulary *v, const struct gguf *file)
{
    const struct gguf_value *value = gguf_find(file, "tokenizer.ggml.tokens");
    if (!value || value->type != GGUF_ARRAY || value->element != GGUF_STRING ||
        value->count > TOKENS_LIMIT)
        return error_fail(VKCLIP_EFORMAT,
                          "%s: tokenizer.ggml.tokens: expected a list of at most %d tokens",
                          file->path, TOKENS_LIMIT);
    int error = load_tokens(v, file->path, value);
    if (!error)
        error = vocabulary_find_ends(v, file->path, VOCABULARY_START, VOCABULARY_END);
    if (!error)
        error = derive_merges(v, file->path);
    if (!error)
        error = vocabulary_make_added(v, file->path, 2);
    if (!error) {
        vocabulary_find_symbols(v, -1);
        /* Only a tokenizer by Hugging Face's rules uses the added tokens. In the tokenizers of
         * openai/clip-vit-*, too, only the start is searched for in the normalised text. */
        vocabulary_add_added(v, v->start, true);
        vocabulary_add_added(v, v->end, false);
        v->openai = true;
    }
    return error;
}

int vocabulary_from_gguf(const struct gguf *file, struct vocabulary *v)
{
    *v = (struct vocabulary){0};
    int error = load_file(v, file);
    if (error)
        vocabulary_close(v);
    return error;
}
