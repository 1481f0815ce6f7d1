/* SPDX-License-Identifier: MIT
 *
 * CLIP's tokenizer turns text to ids and back: it cleans a text by the rules of OpenAI or Hugging
 * Face, splits it into words, and merges byte pairs.
 */
#include "text/clip_bpe.h"
#include "base/array.h"
#include "base/error.h"
#include "base/memory.h"
#include "text/added_tokens.h"
#include "text/characters.h"
#include "text/clean.h"
#include "text/merger.h"
#include "text/tokenizer_kind.h"
#include "text/vocabulary.h"

#include <string.h>
#include <utf8proc.h>

struct clip_bpe {
    struct tokenizer tokenizer;
    struct vocabulary vocabulary;
    enum tokenizer_rules rules;
    struct added_tokens added; /* Hugging Face's */
};

/* A job is the tokenization of one text. */
struct job {
    const struct clip_bpe *tokenizer;
    struct merger merger;
    clip_bpe_word_fn *word; /* receives the words; NULL: words are merged to ids */
    void *user;
};

/* ---- Words ----------------------------------------------------------------------------------- */

static void encode_word(struct job *job, const int32_t *word, size_t length)
{
    const struct vocabulary *vocabulary = &job->tokenizer->vocabulary;
    if (job->word) {
        job->word(job->user, word, length);
        return;
    }
    if (!merger_begin(&job->merger, 4 * length))
        return;
    for (size_t i = 0; i < length; i++) {
        uint8_t bytes[4];
        size_t size = (size_t)utf8proc_encode_char(word[i], bytes);
        for (size_t k = 0; k < size; k++) {
            bool last = i + 1 == length && k + 1 == size;
            int32_t id = vocabulary->symbols[last][bytes[k]];
            if (id >= 0)
                merger_push(&job->merger, id);
        }
    }
    merger_end(&job->merger);
}

/* ---- Splitting into words -------------------------------------------------------------------- */

/* The regex matches these literals before it looks at the kinds of characters. */
static const char *const LITERALS[] = {
    VOCABULARY_START, VOCABULARY_END, "'s", "'t", "'re", "'ve", "'m", "'ll", "'d"};

enum { MARKERS = 2 }; /* The first two literals are the start and the end of text. */

/* Returns the literal's length if `codes` begins with it, else 0. OpenAI's regex ignores case
 * (`fold`), so that a long s matches an s. No other letter that is left after lower-casing matches
 * another one. */
static size_t literal_length(const char *literal, const int32_t *codes, size_t length, bool fold)
{
    size_t i = 0;
    for (; literal[i]; i++) {
        const bool is_long_s = fold && literal[i] == 's' && i < length && codes[i] == 0x17F;
        if (i == length || (codes[i] != literal[i] && !is_long_s))
            return 0;
    }
    return i;
}

/* Returns the kind of a character. OpenAI's regex matches U+0345 nowhere: ignoring case, the class
 * "neither letter nor digit" takes it for the letter iota, but the class "letter" takes it for a
 * mark. So U+0345 separates words as a space does. */
static enum character_kind find_kind(int32_t code, bool openai)
{
    return openai && code == 0x345 ? CHARACTER_SPACE : character_kind(code);
}

/* Returns the length of the regex's match at the start of `codes`. *literal becomes the index of
 * the literal that matched, or the number of literals if none did. */
static size_t match_length(const struct clip_bpe *tokenizer, const int32_t *codes, size_t length,
                           size_t *literal)
{
    const bool openai = tokenizer->rules == TOKENIZER_OPENAI;
    *literal = openai || tokenizer->vocabulary.literals ? 0 : MARKERS;
    for (; *literal < ARRAY_COUNT(LITERALS); ++*literal) {
        size_t matched = literal_length(LITERALS[*literal], codes, length, openai);
        if (matched)
            return matched;
    }
    const enum character_kind kind = find_kind(codes[0], openai);
    size_t end = 1;
    while (kind != CHARACTER_NUMBER && end < length && find_kind(codes[end], openai) == kind)
        end++;
    return end;
}

/* Encodes a start or end of text that the text itself contains. */
static void encode_marker(struct job *job, const int32_t *codes, size_t length, size_t literal)
{
    const struct vocabulary *vocabulary = &job->tokenizer->vocabulary;
    if (job->tokenizer->rules ==
        TOKENIZER_HF) { /* The regex of ByteLevel splits the marker once more. */
        encode_word(job, codes, 2);
        encode_word(job, codes + 2, length - 4);
        encode_word(job, codes + length - 2, 2);
    } else if (literal_length(LITERALS[literal], codes, length, false)) {
        token_ids_push(job->merger.ids, literal ? vocabulary->end : vocabulary->start);
    } else { /* The marker matched only with a long s. */
        encode_word(job, codes, length);
    }
}

static void encode_words(struct job *job, const int32_t *codes, size_t length)
{
    const struct clip_bpe *tokenizer = job->tokenizer;
    for (size_t i = 0, matched, literal; i < length && !job->merger.failed; i += matched) {
        matched = 1;
        if (find_kind(codes[i], tokenizer->rules == TOKENIZER_OPENAI) == CHARACTER_SPACE)
            continue;
        matched = match_length(tokenizer, codes + i, length - i, &literal);
        if (literal < MARKERS)
            encode_marker(job, codes + i, matched, literal);
        else
            encode_word(job, codes + i, matched);
    }
}

/* ---- Added tokens (Hugging Face) ------------------------------------------------------------- */

static void normalize_part(const void *tokenizer, struct code_points *text)
{
    (void)tokenizer;
    clean_hugging_face(text);
}

static void encode_part(struct added_walk *walk, const int32_t *codes, size_t length, bool first)
{
    struct job *job = walk->job;
    (void)first;
    encode_words(job, codes, length);
    walk->failed |= job->merger.failed;
}

/* Spells an added token. This is the added_text_fn of CLIP's tokenizers. */
static void spell_added(const void *user, const struct added_token *token, struct code_points *text)
{
    const char *string = ((const struct vocabulary *)user)->tokens[token->id];
    code_points_push_utf8(text, string, strlen(string));
    if (token->normalized)
        clean_hugging_face(text);
}

/* ---- Opening --------------------------------------------------------------------------------- */

static int load_rules(struct clip_bpe *tokenizer, const struct vocabulary_source *source,
                      enum tokenizer_rules rules)
{
    tokenizer->rules = rules;
    if (rules == TOKENIZER_BY_FILE)
        tokenizer->rules = tokenizer->vocabulary.openai ? TOKENIZER_OPENAI : TOKENIZER_HF;
    if (tokenizer->rules == TOKENIZER_OPENAI)
        return VKCLIP_OK;
    tokenizer->vocabulary.pad = tokenizer->vocabulary.end;
    int error =
        source->in_memory ? VKCLIP_OK : vocabulary_read_pad(&tokenizer->vocabulary, source->path);
    const struct vocabulary *vocabulary = &tokenizer->vocabulary;
    if (!error && !added_tokens_open(&tokenizer->added, vocabulary->added, vocabulary->added_count,
                                     spell_added, vocabulary))
        error = error_fail(VKCLIP_EMEMORY, "%s: out of memory for the added tokens", source->path);
    return error;
}

static bool recognize_clip_bpe(const struct vocabulary_source *source)
{
    return source->gguf || source->root || !source->in_memory;
}

static void close_clip_bpe(struct tokenizer *tokenizer)
{
    struct clip_bpe *clip = (struct clip_bpe *)tokenizer;
    added_tokens_close(&clip->added);
    vocabulary_close(&clip->vocabulary);
    memory_free(clip);
}

static int open_clip_bpe(const struct vocabulary_source *source, enum tokenizer_rules rules,
                         struct tokenizer **result)
{
    struct clip_bpe *clip = memory_calloc(1, sizeof(*clip));
    if (!clip)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory", source->path);
    int error = vocabulary_load(source, &clip->vocabulary);
    if (!error)
        error = load_rules(clip, source, rules);
    if (error) {
        close_clip_bpe(&clip->tokenizer);
        return error;
    }
    const struct vocabulary *vocabulary = &clip->vocabulary;
    *result = &clip->tokenizer;
    **result = (struct tokenizer){.start = vocabulary->start,
                                  .end = vocabulary->end,
                                  .pad = vocabulary->pad,
                                  .size = vocabulary->count};
    return VKCLIP_OK;
}

/* ---- From text to ids ------------------------------------------------------------------------ */

/* Does the steps of a job whose text is `points`. */
static bool run_job(struct job *job, struct code_points *points)
{
    struct added_walk walk = {.tokens = &job->tokenizer->added,
                              .ids = job->merger.ids,
                              .normalize = normalize_part,
                              .encode = encode_part,
                              .job = job};
    const bool openai = job->tokenizer->rules == TOKENIZER_OPENAI;
    if (openai)
        clean_openai(points);
    if (!points->failed && openai)
        encode_words(job, points->codes, points->length);
    else if (!points->failed)
        added_tokens_walk(&walk, points->codes, points->length);
    merger_free(&job->merger);
    return !points->failed && !walk.failed && !job->merger.failed;
}

static bool encode_clip_bpe(const struct tokenizer *tokenizer, struct code_points *text,
                            struct token_ids *ids)
{
    const struct clip_bpe *clip = (const struct clip_bpe *)tokenizer;
    struct job job = {.tokenizer = clip, .merger = {.vocabulary = &clip->vocabulary, .ids = ids}};
    return run_job(&job, text);
}

int clip_bpe_split(const char *text, size_t length, clip_bpe_word_fn *word, void *user)
{
    static const struct clip_bpe plain = {.rules = TOKENIZER_HF};
    struct job job = {.tokenizer = &plain, .word = word, .user = user};
    struct code_points points = {0};
    code_points_push_utf8(&points, text, length);
    const bool good = run_job(&job, &points);
    code_points_free(&points);
    return good ? VKCLIP_OK
                : error_fail(VKCLIP_EMEMORY, "out of memory for a text of %zu bytes", length);
}

/* ---- From ids to text ------------------------------------------------------------------------ */

/* Writes code points as UTF-8, with a space in place of each "</w>". Returns NULL when out of
 * memory. */
static char *spell_text(const struct code_points *points)
{
    char *text = memory_alloc(4 * points->length + 1);
    size_t end = 0;
    if (!text)
        return NULL;
    for (size_t i = 0; i < points->length;) {
        const int32_t *codes = points->codes + i;
        const size_t suffix = literal_length(VOCABULARY_WORD_END, codes, points->length - i, false);
        end += (size_t)utf8proc_encode_char(suffix ? ' ' : *codes, (uint8_t *)text + end);
        i += suffix ? suffix : 1;
    }
    text[end] = 0;
    return text;
}

static char *decode_clip_bpe(const struct tokenizer *tokenizer, const int32_t *ids, size_t count)
{
    const struct vocabulary *vocabulary = &((const struct clip_bpe *)tokenizer)->vocabulary;
    struct code_points points = {0};
    size_t size = 0, end = 0;
    char *text = NULL;
    for (size_t i = 0; i < count; i++)
        size += vocabulary_token_bytes(vocabulary->tokens[ids[i]], NULL);
    char *bytes = memory_alloc(size + 1);
    for (size_t i = 0; i < count && bytes; i++)
        end += vocabulary_token_bytes(vocabulary->tokens[ids[i]], bytes + end);
    if (bytes)
        code_points_push_utf8(&points, bytes, end);
    if (bytes && !points.failed)
        text = spell_text(&points);
    code_points_free(&points);
    memory_free(bytes);
    return text;
}

const struct tokenizer_kind tokenizer_clip_bpe = {
    .context = 77,
    .recognizes = recognize_clip_bpe,
    .open = open_clip_bpe,
    .encode = encode_clip_bpe,
    .decode = decode_clip_bpe,
    .close = close_clip_bpe,
};
