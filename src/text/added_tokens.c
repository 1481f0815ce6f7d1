/* SPDX-License-Identifier: MIT
 *
 * The rules are those of AddedVocabulary in Hugging Face's `tokenizers`.
 */
#include "text/added_tokens.h"

#include <stdlib.h>

bool added_tokens_open(struct added_tokens *tokens, const struct added_token *list,
                       const struct code_points *texts, size_t count, bool normalized)
{
    struct trie_text *entries = malloc((count + 1) * sizeof(*entries));
    size_t used = 0;
    *tokens = (struct added_tokens){.list = list};
    for (size_t i = 0; entries && i < count; i++)
        if (list[i].normalized == normalized)
            entries[used++] =
                (struct trie_text){texts[i].codes, (uint32_t)texts[i].length, (int32_t)i};
    const bool built = entries && trie_build(&tokens->trie, entries, used);
    free(entries);
    return built;
}

void added_tokens_close(struct added_tokens *tokens)
{
    trie_free(&tokens->trie);
}

struct added_match added_tokens_find(const struct added_tokens *tokens, const int32_t *codes,
                                     size_t length)
{
    for (size_t i = 0; i < length; i++) {
        int32_t place = 0;
        const size_t matched = trie_longest(&tokens->trie, codes + i, length - i, &place);
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
