/* SPDX-License-Identifier: MIT
 *
 * Text to ids and back: cleaning by the family's rules, splitting into words, byte-pair merging.
 * Does not truncate, pad or warn; who knows the model's context does that.
 */
#include "text/tokenizer.h"
#include "base/array.h"
#include "base/error.h"

#include "text/clean.h"
#include "text/vocabulary.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

enum { TEXT_LIMIT = 1 << 28 }; /* bytes; positions fit 32 bits even after cleaning */

struct pattern {
    struct text text;
    int32_t id;
};

struct patterns {
    struct pattern *at; /* sorted by code points */
    size_t count;
};

struct tokenizer {
    struct vocabulary vocabulary;
    enum tokenizer_rules rules;
    struct patterns added[2]; /* Hugging Face: looked for before, and after normalising */
};

/* A token of the word being merged. */
struct piece {
    int32_t id; /* -1: merged into the one before */
    uint32_t before, after;
};

struct job {
    const struct tokenizer *tokenizer;
    int32_t *ids;
    size_t capacity, count;
    struct piece *pieces;
    uint64_t *queue; /* heap of rank << 32 | place of the left part; smallest first */
    size_t queued, room;
    tokenizer_word_fn *word; /* NULL: words are merged */
    void *user;
    bool failed;
};

/* ---- Byte-pair merging ----------------------------------------------------------------------- */

static void push_id(struct job *job, int32_t id)
{
    if (job->count < job->capacity)
        job->ids[job->count] = id;
    job->count++;
}

static void enqueue(struct job *job, uint64_t key)
{
    size_t at = job->queued++;
    for (; at && job->queue[(at - 1) / 2] > key; at = (at - 1) / 2)
        job->queue[at] = job->queue[(at - 1) / 2];
    job->queue[at] = key;
}

static uint64_t dequeue(struct job *job)
{
    uint64_t first = job->queue[0], key = job->queue[--job->queued];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < job->queued; at = child) {
        child += child + 1 < job->queued && job->queue[child + 1] < job->queue[child];
        if (job->queue[child] >= key)
            break;
        job->queue[at] = job->queue[child];
    }
    job->queue[at] = key;
    return first;
}

static const struct merge *merge_at(const struct job *job, uint32_t left, uint32_t end)
{
    uint32_t right = job->pieces[left].after;
    return right == end ? NULL
                        : vocabulary_merge(&job->tokenizer->vocabulary, job->pieces[left].id,
                                           job->pieces[right].id);
}

static void enqueue_merge(struct job *job, uint32_t left, uint32_t end)
{
    const struct merge *merge = merge_at(job, left, end);
    if (merge)
        enqueue(job, (uint64_t)merge->rank << 32 | left);
}

/* Always the merge that was learnt first, leftmost first. OpenAI's lists make a merge's parts
 * before it, so this is also their reference's order: all pairs of one kind, then the next kind. */
static void merge_pieces(struct job *job, uint32_t count)
{
    struct piece *pieces = job->pieces;
    job->queued = 0;
    for (uint32_t i = 0; i < count; i++)
        enqueue_merge(job, i, count);
    while (job->queued) {
        uint64_t key = dequeue(job);
        uint32_t left = (uint32_t)key, right;
        const struct merge *merge = pieces[left].id < 0 ? NULL : merge_at(job, left, count);
        if (!merge || merge->rank != key >> 32)
            continue; /* one of the two has merged with another meanwhile */
        right = pieces[left].after;
        pieces[left].id = merge->joined;
        pieces[left].after = pieces[right].after;
        pieces[right].id = -1;
        if (pieces[left].after != count)
            pieces[pieces[left].after].before = left;
        enqueue_merge(job, left, count);
        if (left)
            enqueue_merge(job, pieces[left].before, count);
    }
    for (uint32_t i = 0; i < count; i = pieces[i].after)
        push_id(job, pieces[i].id);
}

static bool make_room(struct job *job, size_t bytes)
{
    if (bytes <= job->room)
        return true;
    size_t room = 2 * bytes + 64;
    struct piece *pieces = realloc(job->pieces, room * sizeof(*pieces));
    job->pieces = pieces ? pieces : job->pieces;
    uint64_t *queue =
        realloc(job->queue, 2 * room * sizeof(*queue)); /* a merge takes one, adds two */
    job->queue = queue ? queue : job->queue;
    job->room = pieces && queue ? room : job->room;
    job->failed = !pieces || !queue;
    return !job->failed;
}

static void encode_word(struct job *job, const int32_t *word, size_t length)
{
    const struct vocabulary *vocabulary = &job->tokenizer->vocabulary;
    uint32_t count = 0;
    if (job->word) {
        job->word(job->user, word, length);
        return;
    }
    if (!make_room(job, 4 * length))
        return;
    for (size_t i = 0; i < length; i++) {
        uint8_t bytes[4];
        size_t size = (size_t)utf8proc_encode_char(word[i], bytes);
        for (size_t k = 0; k < size; k++) {
            bool last = i + 1 == length && k + 1 == size;
            int32_t id = vocabulary->symbols[last][bytes[k]];
            if (id >= 0) {
                job->pieces[count] = (struct piece){id, count - 1, count + 1};
                count++;
            }
        }
    }
    merge_pieces(job, count);
}

/* ---- Splitting into words -------------------------------------------------------------------- */

static const char *const LITERALS[] = {
    "<|startoftext|>", "<|endoftext|>", "'s", "'t", "'re", "'ve", "'m", "'ll", "'d"};

enum { MARKERS = 2 }; /* the first two of them */

/* OpenAI's regex ignores case, and a long s is an s then: the one such letter that lower case
 * leaves. */
static size_t literal_length(const char *literal, const int32_t *at, size_t length, bool fold)
{
    size_t i = 0;
    for (; literal[i]; i++)
        if (i == length || (at[i] != literal[i] && !(fold && literal[i] == 's' && at[i] == 0x17F)))
            return 0;
    return i;
}

enum kind { LETTER, NUMBER, OTHER, SPACE };

/* U+0345: ignoring case it is the letter iota to OpenAI's "neither letter nor digit", but a mark to
 * its "letter". So no word takes it. */
static enum kind kind_of(int32_t code, bool openai)
{
    if (text_is_space(code) || (openai && code == 0x345))
        return SPACE;
    switch (utf8proc_category(code)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
        return LETTER;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
        return NUMBER;
    default:
        return OTHER;
    }
}

/* Length of the regex's match at `at`; *literal is its index, or the number of literals for none.
 */
static size_t match_length(const struct tokenizer *tokenizer, const int32_t *at, size_t length,
                           size_t *literal)
{
    bool openai = tokenizer->rules == TOKENIZER_OPENAI;
    *literal = openai || tokenizer->vocabulary.literals ? 0 : MARKERS;
    for (; *literal < ARRAY_COUNT(LITERALS); ++*literal) {
        size_t matched = literal_length(LITERALS[*literal], at, length, openai);
        if (matched)
            return matched;
    }
    enum kind kind = kind_of(at[0], openai);
    size_t end = 1;
    while (kind != NUMBER && end < length && kind_of(at[end], openai) == kind)
        end++;
    return end;
}

static void encode_words(struct job *job, const int32_t *at, size_t length)
{
    const struct tokenizer *tokenizer = job->tokenizer;
    for (size_t i = 0, end, literal; i < length && !job->failed; i = end) {
        if (kind_of(at[i], tokenizer->rules == TOKENIZER_OPENAI) == SPACE) {
            end = i + 1;
            continue;
        }
        end = i + match_length(tokenizer, at + i, length - i, &literal);
        if (literal >= MARKERS) {
            encode_word(job, at + i, end - i);
        } else if (tokenizer->rules ==
                   TOKENIZER_HF) { /* ByteLevel's own regex splits it once more */
            encode_word(job, at + i, 2);
            encode_word(job, at + i + 2, end - i - 4);
            encode_word(job, at + end - 2, 2);
        } else if (literal_length(LITERALS[literal], at + i, length - i, false)) {
            push_id(job, literal ? tokenizer->vocabulary.end : tokenizer->vocabulary.start);
        } else {
            encode_word(job, at + i, end - i);
        }
    }
}

/* ---- Added tokens (Hugging Face) ------------------------------------------------------------- */

static int by_code_points(const void *a, const void *b)
{
    const struct text *left = &((const struct pattern *)a)->text,
                      *right = &((const struct pattern *)b)->text;
    size_t i = 0;
    while (i < left->length && i < right->length && left->at[i] == right->at[i])
        i++;
    if (i == left->length || i == right->length)
        return (left->length > right->length) - (left->length < right->length);
    return left->at[i] < right->at[i] ? -1 : 1;
}

/* The longest pattern at `at`: narrows the sorted patterns to those that agree so far. */
static size_t match_added(const struct patterns *patterns, const int32_t *at, size_t length,
                          int32_t *id)
{
    size_t low = 0, high = patterns->count, best = 0;
    for (size_t depth = 0; low < high; depth++) {
        if (patterns->at[low].text.length == depth) {
            best = depth;
            *id = patterns->at[low].id;
            while (low < high && patterns->at[low].text.length == depth)
                low++;
        }
        if (depth == length)
            break;
        for (int bound = 0; bound < 2; bound++) { /* first not below, then first above at[depth] */
            size_t from = low, to = high;
            while (from < to) {
                size_t middle = from + (to - from) / 2;
                bool below = patterns->at[middle].text.at[depth] < at[depth] + bound;
                from = below ? middle + 1 : from;
                to = below ? to : middle;
            }
            *(bound ? &high : &low) = from;
        }
    }
    return best;
}

static void encode_added(struct job *job, const int32_t *at, size_t length, bool normalized);

static void encode_part(struct job *job, const int32_t *at, size_t length, bool normalized)
{
    if (normalized) {
        encode_words(job, at, length);
        return;
    }
    struct text text = {0};
    for (size_t i = 0; i < length; i++)
        text_push(&text, at[i]);
    text_clean_hf(&text);
    job->failed |= text.failed;
    if (!job->failed)
        encode_added(job, text.at, text.length, true);
    text_free(&text);
}

static void encode_added(struct job *job, const int32_t *at, size_t length, bool normalized)
{
    size_t from = 0, matched;
    for (size_t i = 0; i < length; i += matched) {
        int32_t id = -1;
        matched = match_added(&job->tokenizer->added[normalized], at + i, length - i, &id);
        if (matched) {
            encode_part(job, at + from, i - from, normalized);
            push_id(job, id);
            from = i + matched;
        }
        matched += !matched;
    }
    if (from < length) /* an empty text may have no memory at all */
        encode_part(job, at + from, length - from, normalized);
}

static bool make_patterns(struct tokenizer *tokenizer)
{
    const struct vocabulary *vocabulary = &tokenizer->vocabulary;
    for (int normalized = 0; normalized < 2; normalized++) {
        struct patterns *patterns = &tokenizer->added[normalized];
        patterns->at = calloc(vocabulary->added_count + 1, sizeof(*patterns->at));
        if (!patterns->at)
            return false;
        for (size_t i = 0; i < vocabulary->added_count; i++) {
            const struct added_token *added = vocabulary->added + i;
            if (added->normalized != normalized)
                continue;
            struct pattern *pattern = patterns->at + patterns->count++;
            pattern->id = added->id;
            text_push_utf8(&pattern->text, added->text, strlen(added->text));
            if (normalized)
                text_clean_hf(&pattern->text);
            if (pattern->text.failed)
                return false;
        }
        qsort(patterns->at, patterns->count, sizeof(*patterns->at), by_code_points);
    }
    return true;
}

/* ---- The interface --------------------------------------------------------------------------- */

int tokenizer_open(const char *path, enum tokenizer_rules rules, struct tokenizer **result)
{
    *result = NULL;
    struct tokenizer *tokenizer = calloc(1, sizeof(*tokenizer));
    if (!tokenizer)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory", path);
    int error = vocabulary_open(path, &tokenizer->vocabulary);
    if (error)
        goto fail;
    if (rules == TOKENIZER_BY_FILE)
        rules = tokenizer->vocabulary.openai ? TOKENIZER_OPENAI : TOKENIZER_HF;
    tokenizer->rules = rules;
    if (rules == TOKENIZER_HF && (error = vocabulary_read_pad(&tokenizer->vocabulary, path)))
        goto fail;
    if (rules == TOKENIZER_HF && !make_patterns(tokenizer)) {
        error = error_fail(VKCLIP_EMEMORY, "%s: out of memory for the added tokens", path);
        goto fail;
    }
    *result = tokenizer;
    return VKCLIP_OK;
fail:
    tokenizer_close(&tokenizer);
    return error;
}

void tokenizer_close(struct tokenizer **tokenizer)
{
    if (!*tokenizer)
        return;
    for (int i = 0; i < 2; i++) {
        for (size_t k = 0; k < (*tokenizer)->added[i].count; k++)
            text_free(&(*tokenizer)->added[i].at[k].text);
        free((*tokenizer)->added[i].at);
    }
    vocabulary_close(&(*tokenizer)->vocabulary);
    free(*tokenizer);
    *tokenizer = NULL;
}

static int encode_text(struct job *job, const char *text, size_t length)
{
    struct text codes = {0};
    if (length >= TEXT_LIMIT)
        return error_fail(VKCLIP_EINVALID, "text of %zu bytes, expected less than %d", length,
                          TEXT_LIMIT);
    text_push_utf8(&codes, text, length);
    if (job->tokenizer->rules == TOKENIZER_OPENAI)
        text_clean_openai(&codes);
    if (!codes.failed && job->tokenizer->rules == TOKENIZER_OPENAI)
        encode_words(job, codes.at, codes.length);
    else if (!codes.failed)
        encode_added(job, codes.at, codes.length, false);
    bool failed = codes.failed || job->failed;
    text_free(&codes);
    free(job->pieces);
    free(job->queue);
    return failed ? error_fail(VKCLIP_EMEMORY, "out of memory for a text of %zu bytes", length)
                  : VKCLIP_OK;
}

int tokenizer_encode(const struct tokenizer *tokenizer, const char *text, size_t length,
                     int32_t *ids, size_t capacity, size_t *count)
{
    struct job job = {.tokenizer = tokenizer, .ids = ids, .capacity = capacity};
    push_id(&job, tokenizer->vocabulary.start);
    int error = encode_text(&job, text, length);
    push_id(&job, tokenizer->vocabulary.end);
    *count = error ? 0 : job.count;
    return error;
}

int tokenizer_split(const char *text, size_t length, tokenizer_word_fn *word, void *user)
{
    static const struct tokenizer plain = {.rules = TOKENIZER_HF};
    struct job job = {.tokenizer = &plain, .word = word, .user = user};
    return encode_text(&job, text, length);
}

/* A token's bytes: each of its characters stands for one. Returns their number; `bytes` may be
 * NULL. */
static size_t token_bytes(const char *token, char *bytes)
{
    size_t size = 0, length = strlen(token);
    for (size_t i = 0; i < length;) {
        int32_t code;
        size_t used = (size_t)utf8proc_iterate((const uint8_t *)token + i,
                                               (utf8proc_ssize_t)(length - i), &code);
        int byte = vocabulary_byte(code);
        if (byte < 0) { /* an added token's own characters */
            if (bytes)
                memcpy(bytes + size, token + i, used);
            size += used;
        } else if (bytes) {
            bytes[size++] = (char)byte;
        } else {
            size++;
        }
        i += used;
    }
    return size;
}

int tokenizer_decode(const struct tokenizer *tokenizer, const int32_t *ids, size_t count,
                     char **text)
{
    const struct vocabulary *vocabulary = &tokenizer->vocabulary;
    struct text codes = {0};
    char *bytes = NULL;
    size_t size = 0, end = 0;
    int error = VKCLIP_OK;
    *text = NULL;
    for (size_t i = 0; i < count; i++) {
        if (ids[i] < 0 || (uint32_t)ids[i] >= vocabulary->count)
            return error_fail(VKCLIP_EINVALID, "id %d is outside the vocabulary, expected 0 to %u",
                              ids[i], vocabulary->count - 1);
        size += token_bytes(vocabulary->tokens[ids[i]], NULL);
    }
    if (!(bytes = malloc(size + 1)))
        goto done;
    for (size_t i = 0; i < count; i++)
        end += token_bytes(vocabulary->tokens[ids[i]], bytes + end);
    text_push_utf8(&codes, bytes, end);
    if (codes.failed || !(*text = malloc(4 * codes.length + 1)))
        goto done;
    end = 0;
    for (size_t i = 0, word_end; i < codes.length; i += word_end ? word_end : 1) {
        word_end = literal_length("</w>", codes.at + i, codes.length - i, false);
        end += (size_t)utf8proc_encode_char(word_end ? ' ' : codes.at[i], (uint8_t *)*text + end);
    }
    (*text)[end] = 0;
done:
    if (!*text)
        error = error_fail(VKCLIP_EMEMORY, "out of memory for the text of %zu tokens", count);
    text_free(&codes);
    free(bytes);
    return error;
}

int32_t tokenizer_start(const struct tokenizer *tokenizer)
{
    return tokenizer->vocabulary.start;
}

int32_t tokenizer_end(const struct tokenizer *tokenizer)
{
    return tokenizer->vocabulary.end;
}

int32_t tokenizer_pad(const struct tokenizer *tokenizer)
{
    return tokenizer->vocabulary.pad;
}

uint32_t tokenizer_size(const struct tokenizer *tokenizer)
{
    return tokenizer->vocabulary.count;
}
