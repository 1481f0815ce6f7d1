/* SPDX-License-Identifier: MIT
 *
 * Normalises and splits texts as `tokenizers` does. Its map of characters works on grapheme
 * clusters and takes the shortest rule, where SentencePiece takes the longest one.
 */
#include "text/unigram_pipeline.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

/* ---- Normalisers ----------------------------------------------------------------------------- */

/* Returns the length of the first grapheme cluster. */
static size_t cluster_length(const int32_t *codes, size_t length)
{
    int32_t state = 0;
    size_t end = 1;
    while (end < length && !utf8proc_grapheme_break_stateful(codes[end - 1], codes[end], &state))
        end++;
    return end;
}

/* Tells whether UTF-8 needs fewer than six bytes. */
static bool is_short(const int32_t *codes, size_t length)
{
    size_t size = 0;
    for (size_t i = 0; i < length && size < 6; i++) {
        uint8_t bytes[4];
        size += (size_t)utf8proc_encode_char(codes[i], bytes);
    }
    return size < 6;
}

/* Replaces a short cluster by the rule of its first characters, else each character by its own. */
static void replace_cluster(const struct charsmap *map, const int32_t *codes, size_t length,
                            struct code_points *out)
{
    size_t used;
    const char *text = is_short(codes, length)
                           ? charsmap_find(map, codes, length, CHARSMAP_SHORTEST, &used)
                           : NULL;
    if (text) {
        code_points_push_utf8(out, text, strlen(text));
        return;
    }
    for (size_t i = 0; i < length; i++) {
        text = charsmap_find(map, codes + i, 1, CHARSMAP_SHORTEST, &used);
        if (text)
            code_points_push_utf8(out, text, strlen(text));
        else
            code_points_push(out, codes[i]);
    }
}

void unigram_step_charsmap(const struct unigram *unigram, const struct unigram_step *step,
                           const struct code_points *text, struct code_points *out)
{
    (void)step;
    for (size_t i = 0, length; i < text->length && !out->failed; i += length) {
        length = cluster_length(text->codes + i, text->length - i);
        replace_cluster(&unigram->charsmap, text->codes + i, length, out);
    }
}

void unigram_step_strip(const struct unigram *unigram, const struct unigram_step *step,
                        const struct code_points *text, struct code_points *out)
{
    size_t start = 0, end = text->length;
    (void)unigram;
    while (step->left && start < end && code_point_is_space(text->codes[start]))
        start++;
    while (step->right && start < end && code_point_is_space(text->codes[end - 1]))
        end--;
    code_points_push_all(out, text->codes + start, end - start);
}

void unigram_step_spaces(const struct unigram *unigram, const struct unigram_step *step,
                         const struct code_points *text, struct code_points *out)
{
    (void)unigram;
    for (size_t i = 0, end; i < text->length; i = end) {
        end = i;
        while (end < text->length && text->codes[end] == ' ')
            end++;
        if (end - i >= 2)
            code_points_push_all(out, step->content.codes, step->content.length);
        else
            code_points_push(out, text->codes[i]);
        end = end == i ? i + 1 : end;
    }
}

void unigram_normalize(const struct unigram *unigram, struct code_points *text)
{
    const struct unigram_pipeline *pipeline = unigram->pipeline;
    for (size_t i = 0; i < pipeline->step_count && !text->failed; i++) {
        struct code_points out = {0};
        pipeline->steps[i].apply(unigram, &pipeline->steps[i], text, &out);
        code_points_free(text);
        *text = out;
    }
}

/* ---- Splits ---------------------------------------------------------------------------------- */

/* A job is the tokenization of one text. */
struct job {
    struct unigram_search search;
    const struct unigram_pipeline *pipeline;
    struct code_points word;
    bool failed; /* out of memory */
};

/* Encodes a word that white space or an added token ends, or a text where white space does not
 * split. */
static void encode_word(struct job *job, const int32_t *codes, size_t length, bool first)
{
    const struct unigram_pipeline *pipeline = job->pipeline;
    struct code_points *word = &job->word;
    const bool prefixed = codes[0] == ' ' || codes[0] == UNIGRAM_SPACE;
    word->length = 0;
    if (!prefixed && (pipeline->prefix == UNIGRAM_PREFIX_ALWAYS ||
                      (pipeline->prefix == UNIGRAM_PREFIX_FIRST && first)))
        code_points_push(word, UNIGRAM_SPACE);
    for (size_t i = 0; i < length; i++)
        code_points_push(word, codes[i] == ' ' ? UNIGRAM_SPACE : codes[i]);
    for (size_t i = 0, end; i < word->length && !word->failed; i = end) {
        end = i + 1;
        while (end < word->length &&
               !(pipeline->splits_prefix && word->codes[end] == UNIGRAM_SPACE))
            end++;
        unigram_search_run(&job->search, word->codes + i, end - i);
    }
}

static void encode_words(struct job *job, const int32_t *codes, size_t length, bool first)
{
    if (!job->pipeline->splits_space) {
        encode_word(job, codes, length, first);
        return;
    }
    for (size_t i = 0, end; i < length; i = end + 1) {
        end = i;
        while (end < length && !code_point_is_space(codes[end]))
            end++;
        if (end > i)
            encode_word(job, codes + i, end - i, first && !i);
    }
}

static void encode_added(struct job *job, const int32_t *codes, size_t length, bool normalized,
                         bool first);

/* Normalises and encodes the text between two added tokens. */
static void encode_part(struct job *job, const int32_t *codes, size_t length, bool first)
{
    struct code_points text = {0};
    code_points_push_all(&text, codes, length);
    unigram_normalize(job->search.unigram, &text);
    job->failed |= text.failed;
    if (!job->failed)
        encode_added(job, text.codes, text.length, true, first);
    code_points_free(&text);
}

/* Encodes a text with added tokens. `first` says whether it begins where the whole text does. */
static void encode_added(struct job *job, const int32_t *codes, size_t length, bool normalized,
                         bool first)
{
    const struct added_tokens *added = &job->pipeline->added;
    struct added_match match;
    for (size_t i = 0; i < length && !job->failed; i += match.end) {
        match = added_tokens_find(added, normalized, codes + i, length - i);
        if (match.start)
            (normalized ? encode_words : encode_part)(job, codes + i, match.start, first && !i);
        if (match.id >= 0)
            token_ids_push(job->search.ids, match.id);
    }
}

bool unigram_encode_pipeline(const struct unigram *unigram, const struct code_points *text,
                             struct token_ids *ids)
{
    struct job job = {.search = {.unigram = unigram, .ids = ids}, .pipeline = unigram->pipeline};
    encode_added(&job, text->codes, text->length, false, true);
    const bool failed = job.failed || job.search.failed || job.word.failed;
    unigram_search_free(&job.search);
    code_points_free(&job.word);
    return !failed;
}

void unigram_free_pipeline(struct unigram_pipeline *pipeline)
{
    for (size_t i = 0; i < pipeline->step_count; i++)
        code_points_free(&pipeline->steps[i].content);
    added_tokens_close(&pipeline->added);
    free(pipeline->steps);
    free(pipeline->list);
    free(pipeline);
}
