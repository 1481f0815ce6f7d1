/* SPDX-License-Identifier: MIT
 *
 * Splits texts as `tokenizers` does for a unigram model.
 */
#include "text/unigram_pipeline.h"
#include "base/memory.h"

#include <string.h>
#include <utf8proc.h>

/* ---- Splits ---------------------------------------------------------------------------------- */

/* A job is the tokenization of one text. */
struct job {
    struct unigram_search search;
    const struct unigram_pipeline *pipeline;
    struct code_points word;
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
    const bool cleaned = job->search.unigram->tokenizer.cleaning != CLEANING_NONE;
    if (!job->pipeline->splits_space && !(cleaned && job->pipeline->splits_cleaned)) {
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

void unigram_normalize_pipeline(const struct unigram *unigram, struct code_points *text)
{
    normalizer_apply(&unigram->pipeline->normalizer, text);
}

static void normalize_part(const void *tokenizer, struct code_points *text)
{
    unigram_normalize_pipeline(tokenizer, text);
}

static void encode_part(struct added_walk *walk, const int32_t *codes, size_t length, bool first)
{
    struct job *job = walk->job;
    encode_words(job, codes, length, first);
    walk->failed |= job->search.failed || job->word.failed;
}

bool unigram_encode_pipeline(const struct unigram *unigram, const struct code_points *text,
                             struct token_ids *ids)
{
    struct job job = {.search = {.unigram = unigram, .ids = ids}, .pipeline = unigram->pipeline};
    struct added_walk walk = {.tokens = &unigram->added,
                              .ids = ids,
                              .normalize = normalize_part,
                              .encode = encode_part,
                              .tokenizer = unigram,
                              .job = &job};
    added_tokens_walk(&walk, text->codes, text->length);
    unigram_search_free(&job.search);
    code_points_free(&job.word);
    return !walk.failed;
}

void unigram_free_pipeline(struct unigram_pipeline *pipeline)
{
    normalizer_close(&pipeline->normalizer);
    memory_free(pipeline);
}
