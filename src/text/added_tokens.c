/* SPDX-License-Identifier: MIT
 *
 * The rules are those of AddedVocabulary in Hugging Face's `tokenizers`.
 */
#include "text/added_tokens.h"
#include "base/memory.h"

/* Builds the trie of the tokens that are `normalized` or not, with the texts [count] of all. */
static bool build_trie(struct added_tokens *tokens, const struct code_points *texts, size_t count,
                       bool normalized)
{
    struct trie_text *entries = memory_alloc((count + 1) * sizeof(*entries));
    size_t used = 0;
    for (size_t i = 0; entries && i < count; i++)
        if (tokens->list[i].normalized == normalized)
            entries[used++] =
                (struct trie_text){texts[i].codes, (uint32_t)texts[i].length, (int32_t)i};
    const bool built = entries && trie_build(&tokens->tries[normalized], entries, used);
    memory_free(entries);
    return built;
}

bool added_tokens_open(struct added_tokens *tokens, const struct added_token *list, size_t count,
                       added_text_fn *text, const void *user)
{
    struct code_points *texts = memory_calloc(count + 1, sizeof(*texts));
    bool good = texts;
    *tokens = (struct added_tokens){.list = list};
    for (size_t i = 0; good && i < count; i++) {
        text(user, &list[i], &texts[i]);
        good = !texts[i].failed;
    }
    good =
        good && build_trie(tokens, texts, count, false) && build_trie(tokens, texts, count, true);
    for (size_t i = 0; texts && i < count; i++)
        code_points_free(&texts[i]);
    memory_free(texts);
    return good;
}

void added_tokens_close(struct added_tokens *tokens)
{
    trie_free(&tokens->tries[false]);
    trie_free(&tokens->tries[true]);
}

struct added_match added_tokens_find(const struct added_tokens *tokens, bool normalized,
                                     const int32_t *codes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        int32_t place = 0;
        const size_t matched =
            trie_longest(&tokens->tries[normalized], codes + i, length - i, &place);
        if (!matched)
            continue;
        const struct added_token *token = &tokens->list[place];
        struct added_match match = {i, i + matched, token->id};
        while (token->strips_left && match.start && code_point_is_space(codes[match.start - 1]))
            match.start--;
        while (token->strips_right && match.end < length && code_point_is_space(codes[match.end]))
            match.end++;
        return match;
    }
    return (struct added_match){length, length, -1};
}

static void walk_added(struct added_walk *walk, const int32_t *codes, size_t length,
                       bool normalized, bool first);

/* Normalises the text between two added tokens, and finds those that are searched for in it. */
static void walk_part(struct added_walk *walk, const int32_t *codes, size_t length, bool first)
{
    struct code_points text = {0};
    code_points_push_all(&text, codes, length);
    walk->normalize(walk->tokenizer, &text);
    walk->failed |= text.failed;
    if (!walk->failed)
        walk_added(walk, text.codes, text.length, true, first);
    code_points_free(&text);
}

static void walk_added(struct added_walk *walk, const int32_t *codes, size_t length,
                       bool normalized, bool first)
{
    struct added_match match;
    for (size_t i = 0; i < length && !walk->failed; i += match.end) {
        match = added_tokens_find(walk->tokens, normalized, codes + i, length - i);
        if (match.start && normalized)
            walk->encode(walk, codes + i, match.start, first && !i);
        else if (match.start)
            walk_part(walk, codes + i, match.start, first && !i);
        if (match.id >= 0)
            token_ids_push(walk->ids, match.id);
    }
}

void added_tokens_walk(struct added_walk *walk, const int32_t *codes, size_t length)
{
    walk_added(walk, codes, length, false, true);
}
