/* SPDX-License-Identifier: MIT
 *
 * Learns byte pairs with counts that each merge updates: every pair knows the words in which it
 * occurs, so that a merge visits only those words, and a heap has the most frequent pair on top.
 */
#include "text/bpe.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/progress.h"
#include "base/hash.h"
#include "base/string.h"
#include "text/clip_bpe.h"

#include <stdio.h>
#include <string.h>
#include <utf8proc.h>

enum {
    WORD_LIMIT = 1024,      /* code points; a merge rewrites its words as a whole */
    PLAIN_TOKENS = 512 + 2, /* tokens of a vocabulary without merges */
    SIZE_LIMIT = 1 << 20    /* tokens */
};

static const char HEAD[] = "#version: 0.2\n";

struct word {
    size_t first; /* position of its code points in `codes`, later of its tokens in `symbols` */
    uint32_t length;
    uint64_t count;
};

struct pair {
    int32_t left, right;
    uint64_t count;
    uint32_t *words; /* the words in which it occurs or did occur */
    uint32_t word_count, word_capacity;
};

/* A candidate is a pair with the count that it had when it entered the heap. The count of a pair
 * never rises afterwards, so a candidate whose count is out of date is pushed again with the lower
 * count. */
struct candidate {
    uint64_t count;
    uint32_t pair;
};

struct bpe {
    int32_t *codes; /* the code points of all words */
    size_t codes_count, codes_capacity;
    struct word *words;
    size_t word_count, word_capacity, long_words;
    uint32_t *word_slots; /* hash table of a word's index + 1; 0: free */
    size_t word_mask;
    bool failed; /* Memory ran out. */

    char **tokens; /* the tokens of `plain` without start and end of text, then one per merge */
    uint32_t token_count;
    struct vocabulary plain; /* the vocabulary without merges */
    int32_t *symbols;        /* the tokens of all words */
    struct pair *pairs;
    size_t pair_count, pair_capacity;
    uint32_t *pair_slots; /* hash table of a pair's index + 1; 0: free */
    size_t pair_mask;
    struct candidate *heap;
    size_t heap_count, heap_capacity;
    char *merges; /* the text of merges.txt */
    size_t merges_size, merges_capacity;
};

/* Makes room for at least `count` elements of `size` bytes in the array whose pointer is at
 * `array`.
 */
static bool reserve(struct bpe *bpe, void *array, size_t *capacity, size_t count, size_t size)
{
    void *old;
    if (count <= *capacity)
        return true;
    memcpy(&old, array, sizeof(old)); /* The pointer may be of any type, so its bytes are copied. */
    void *larger = memory_realloc(old, (2 * count + 64) * size);
    if (larger) {
        memcpy(array, &larger, sizeof(larger));
        *capacity = 2 * count + 64;
    }
    bpe->failed |= !larger;
    return larger;
}

/* Doubles a hash table of indices when it is half full. `hash` gives the hash of an element. */
static bool grow_slots(struct bpe *bpe, uint32_t **slots, size_t *mask, size_t count,
                       uint64_t (*hash)(const struct bpe *, size_t))
{
    if (*slots && 2 * count <= *mask)
        return true;
    const size_t size = *slots ? 2 * (*mask + 1) : 1 << 12;
    uint32_t *larger = memory_calloc(size, sizeof(*larger));
    bpe->failed |= !larger;
    if (!larger)
        return false;
    memory_free(*slots);
    *slots = larger;
    *mask = size - 1;
    for (size_t i = 0; i < count; i++) {
        size_t slot = hash(bpe, i) & *mask;
        while (larger[slot])
            slot = (slot + 1) & *mask;
        larger[slot] = (uint32_t)i + 1;
    }
    return true;
}

/* ---- Words ----------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 32) * 0x9E3779B97F4A7C15u;
    return x ^ x >> 32;
}

static uint64_t codes_hash(const int32_t *codes, size_t length)
{
    return mix(hash_bytes(0, codes, length * sizeof(*codes)));
}

static uint64_t word_hash(const struct bpe *bpe, size_t index)
{
    return codes_hash(bpe->codes + bpe->words[index].first, bpe->words[index].length);
}

/* Appends a new word, whose place in the hash table is `slot`. */
static void append_word(struct bpe *bpe, const int32_t *codes, size_t length, uint32_t *slot)
{
    if (bpe->word_count >= UINT32_MAX / 2 ||
        !reserve(bpe, &bpe->words, &bpe->word_capacity, bpe->word_count + 1, sizeof(*bpe->words)) ||
        !reserve(bpe, &bpe->codes, &bpe->codes_capacity, bpe->codes_count + length,
                 sizeof(*codes))) {
        bpe->failed = true;
        return;
    }
    memcpy(bpe->codes + bpe->codes_count, codes, length * sizeof(*codes));
    bpe->words[bpe->word_count] = (struct word){bpe->codes_count, (uint32_t)length, 1};
    bpe->codes_count += length;
    *slot = (uint32_t)++bpe->word_count;
}

/* Counts a word. This is the clip_bpe_word_fn of bpe_add_text. */
static void add_word(void *user, const int32_t *codes, size_t length)
{
    struct bpe *bpe = user;
    if (length > WORD_LIMIT) {
        bpe->long_words++;
        return;
    }
    if (!grow_slots(bpe, &bpe->word_slots, &bpe->word_mask, bpe->word_count, word_hash))
        return;
    size_t slot = codes_hash(codes, length) & bpe->word_mask;
    for (; bpe->word_slots[slot]; slot = (slot + 1) & bpe->word_mask) {
        struct word *word = &bpe->words[bpe->word_slots[slot] - 1];
        if (word->length == length &&
            !memcmp(bpe->codes + word->first, codes, length * sizeof(*codes))) {
            word->count++;
            return;
        }
    }
    append_word(bpe, codes, length, &bpe->word_slots[slot]);
}

int bpe_add_text(struct bpe *bpe, const char *text, size_t length)
{
    int error = clip_bpe_split(text, length, add_word, bpe);
    if (!error && bpe->failed)
        error = error_fail(VKCLIP_EMEMORY, "out of memory for words");
    return error;
}

/* Spells every word in `symbols` as the tokens of its bytes. */
static bool spell_words(struct bpe *bpe)
{
    size_t used = 0;
    bpe->symbols = memory_alloc((4 * bpe->codes_count + 1) * sizeof(*bpe->symbols));
    if (!bpe->symbols)
        return false;
    for (size_t w = 0; w < bpe->word_count; w++) {
        struct word *word = &bpe->words[w];
        const int32_t *codes = bpe->codes + word->first;
        const size_t first = used;
        for (uint32_t i = 0; i < word->length; i++) {
            uint8_t bytes[4];
            const size_t size = (size_t)utf8proc_encode_char(codes[i], bytes);
            for (size_t k = 0; k < size; k++) {
                const bool word_end = i + 1 == word->length && k + 1 == size;
                bpe->symbols[used++] = bpe->plain.symbols[word_end][bytes[k]];
            }
        }
        word->first = first;
        word->length = (uint32_t)(used - first);
    }
    return true;
}

/* ---- Pairs ----------------------------------------------------------------------------------- */

static uint64_t tokens_hash(int32_t left, int32_t right)
{
    return mix((uint64_t)(uint32_t)left << 32 | (uint32_t)right);
}

static uint64_t pair_hash(const struct bpe *bpe, size_t index)
{
    return tokens_hash(bpe->pairs[index].left, bpe->pairs[index].right);
}

/* Finds a pair, or adds it if it is new. Returns NULL when out of memory. */
static struct pair *find_pair(struct bpe *bpe, int32_t left, int32_t right)
{
    if (!grow_slots(bpe, &bpe->pair_slots, &bpe->pair_mask, bpe->pair_count, pair_hash))
        return NULL;
    size_t slot = tokens_hash(left, right) & bpe->pair_mask;
    for (; bpe->pair_slots[slot]; slot = (slot + 1) & bpe->pair_mask) {
        struct pair *pair = &bpe->pairs[bpe->pair_slots[slot] - 1];
        if (pair->left == left && pair->right == right)
            return pair;
    }
    if (bpe->pair_count >= UINT32_MAX / 2 ||
        !reserve(bpe, &bpe->pairs, &bpe->pair_capacity, bpe->pair_count + 1, sizeof(*bpe->pairs)))
        return NULL;
    struct pair *pair = &bpe->pairs[bpe->pair_count];
    *pair = (struct pair){.left = left, .right = right};
    bpe->pair_slots[slot] = (uint32_t)++bpe->pair_count;
    return pair;
}

/* Notes that a pair occurs in a word, once per word. */
static bool add_occurrence(struct bpe *bpe, struct pair *pair, uint32_t word)
{
    if (pair->word_count && pair->words[pair->word_count - 1] == word)
        return true;
    size_t capacity = pair->word_capacity;
    if (!reserve(bpe, &pair->words, &capacity, (size_t)pair->word_count + 1, sizeof(*pair->words)))
        return false;
    pair->word_capacity = (uint32_t)capacity;
    pair->words[pair->word_count++] = word;
    return true;
}

/* Subtracts a word's occurrences from the counts of its pairs. */
static bool discount_pairs(struct bpe *bpe, uint32_t index)
{
    const struct word *word = &bpe->words[index];
    const int32_t *symbols = bpe->symbols + word->first;
    for (uint32_t i = 0; i + 1 < word->length; i++) {
        struct pair *pair = find_pair(bpe, symbols[i], symbols[i + 1]);
        if (!pair)
            return false;
        pair->count -= word->count;
    }
    return true;
}

/* Counts the pairs of a word. Only pairs from number `fresh` on need the word in their lists of
 * words, because an older pair that occurs in the word occurred in it before and has it already. */
static bool count_pairs(struct bpe *bpe, uint32_t index, size_t fresh)
{
    const struct word *word = &bpe->words[index];
    const int32_t *symbols = bpe->symbols + word->first;
    for (uint32_t i = 0; i + 1 < word->length; i++) {
        struct pair *pair = find_pair(bpe, symbols[i], symbols[i + 1]);
        if (!pair)
            return false;
        pair->count += word->count;
        if ((size_t)(pair - bpe->pairs) >= fresh && !add_occurrence(bpe, pair, index))
            return false;
    }
    return true;
}

/* ---- The heap -------------------------------------------------------------------------------- */

static bool is_before(const struct bpe *bpe, const struct candidate *a, const struct candidate *b)
{
    if (a->count != b->count)
        return a->count > b->count;
    const struct pair *x = &bpe->pairs[a->pair], *y = &bpe->pairs[b->pair];
    int order = strcmp(bpe->tokens[x->left], bpe->tokens[y->left]);
    return order ? order > 0 : strcmp(bpe->tokens[x->right], bpe->tokens[y->right]) > 0;
}

static bool push_candidate(struct bpe *bpe, uint32_t pair)
{
    const struct candidate candidate = {bpe->pairs[pair].count, pair};
    if (!reserve(bpe, &bpe->heap, &bpe->heap_capacity, bpe->heap_count + 1, sizeof(*bpe->heap)))
        return false;
    size_t i = bpe->heap_count++;
    for (; i && is_before(bpe, &candidate, &bpe->heap[(i - 1) / 2]); i = (i - 1) / 2)
        bpe->heap[i] = bpe->heap[(i - 1) / 2];
    bpe->heap[i] = candidate;
    return true;
}

static struct candidate pop_candidate(struct bpe *bpe)
{
    const struct candidate top = bpe->heap[0], last = bpe->heap[--bpe->heap_count];
    size_t i = 0, child = 1;
    while (child < bpe->heap_count) {
        if (child + 1 < bpe->heap_count && is_before(bpe, &bpe->heap[child + 1], &bpe->heap[child]))
            child++;
        if (!is_before(bpe, &bpe->heap[child], &last))
            break;
        bpe->heap[i] = bpe->heap[child];
        i = child;
        child = 2 * i + 1;
    }
    bpe->heap[i] = last;
    return top;
}

/* ---- Merges ---------------------------------------------------------------------------------- */

static bool write_merge(struct bpe *bpe, const char *left, const char *right)
{
    const size_t size = strlen(left) + strlen(right) + 2;
    if (!reserve(bpe, &bpe->merges, &bpe->merges_capacity, bpe->merges_size + size + 1, 1))
        return false;
    sprintf(bpe->merges + bpe->merges_size, "%s %s\n", left, right);
    bpe->merges_size += size;
    return true;
}

static bool has_pair(const struct bpe *bpe, const struct word *word, int32_t left, int32_t right)
{
    const int32_t *symbols = bpe->symbols + word->first;
    for (uint32_t i = 0; i + 1 < word->length; i++)
        if (symbols[i] == left && symbols[i + 1] == right)
            return true;
    return false;
}

/* Joins the tokens `left` and `right` wherever they follow one another in a word, beginning at the
 * left. */
static bool merge_word(struct bpe *bpe, uint32_t index, int32_t left, int32_t right, int32_t joined,
                       size_t fresh)
{
    struct word *word = &bpe->words[index];
    int32_t *symbols = bpe->symbols + word->first;
    if (!has_pair(bpe, word, left, right))
        return true; /* Other merges have used up the pair in this word. */
    if (!discount_pairs(bpe, index))
        return false;
    uint32_t length = 0;
    for (uint32_t i = 0; i < word->length; length++) {
        const bool joins = i + 1 < word->length && symbols[i] == left && symbols[i + 1] == right;
        symbols[length] = joins ? joined : symbols[i];
        i += joins ? 2 : 1;
    }
    word->length = length;
    return count_pairs(bpe, index, fresh);
}

static bool merge_pair(struct bpe *bpe, uint32_t index)
{
    struct pair *pair = &bpe->pairs[index];
    const int32_t left = pair->left, right = pair->right, joined = (int32_t)bpe->token_count;
    const size_t fresh = bpe->pair_count;
    const uint32_t count = pair->word_count;
    uint32_t *words = pair->words;
    pair->words = NULL;
    pair->word_count = pair->word_capacity = 0;
    char *token = string_format("%s%s", bpe->tokens[left], bpe->tokens[right]);
    bool good = token && write_merge(bpe, bpe->tokens[left], bpe->tokens[right]);
    bpe->tokens[bpe->token_count] = token;
    bpe->token_count += token != NULL;
    for (uint32_t i = 0; good && i < count; i++)
        good = merge_word(bpe, words[i], left, right, joined, fresh);
    for (size_t i = fresh; good && i < bpe->pair_count; i++)
        good = push_candidate(bpe, (uint32_t)i);
    memory_free(words);
    return good;
}

/* Prepares the learning: makes the tokens of the bytes, spells the words in them, and counts the
 * pairs of all words. */
static bool start_learning(struct bpe *bpe, uint32_t size)
{
    bpe->tokens = memory_calloc(size, sizeof(*bpe->tokens));
    if (!bpe->tokens || !spell_words(bpe) ||
        !reserve(bpe, &bpe->merges, &bpe->merges_capacity, 64, 1))
        return false;
    bpe->merges_size = (size_t)sprintf(bpe->merges, "%s", HEAD);
    while (bpe->token_count < PLAIN_TOKENS - 2) {
        char *token = string_format("%s", bpe->plain.tokens[bpe->token_count]);
        if (!token)
            return false;
        bpe->tokens[bpe->token_count++] = token;
    }
    for (size_t i = 0; i < bpe->word_count; i++)
        if (!count_pairs(bpe, (uint32_t)i, 0))
            return false;
    for (size_t i = 0; i < bpe->pair_count; i++)
        if (!push_candidate(bpe, (uint32_t)i))
            return false;
    return true;
}

/* The caller is asked after so many merges, each of which takes far less than a millisecond. */
enum { MERGES_PER_QUESTION = 64 };

/* Sets *error to ECANCELLED if the caller stops it. Returns false when out of memory. */
static bool learn(struct bpe *bpe, uint32_t size, uint64_t least, int *error)
{
    bool good = start_learning(bpe, size);
    while (good && bpe->heap_count && bpe->token_count + 2 < size) {
        *error = bpe->token_count % MERGES_PER_QUESTION ? VKCLIP_OK
                                                        : progress_tell(bpe->token_count, size);
        if (*error)
            break;
        const struct candidate top = pop_candidate(bpe);
        const uint64_t count = bpe->pairs[top.pair].count;
        if (count < least)
            continue;
        if (count == top.count)
            good = merge_pair(bpe, top.pair);
        else
            good = push_candidate(bpe, top.pair);
    }
    return good;
}

int bpe_learn(struct bpe *bpe, uint32_t size, uint64_t least, struct vocabulary *vocabulary)
{
    *vocabulary = (struct vocabulary){0};
    if (size < PLAIN_TOKENS || size > SIZE_LIMIT)
        return error_fail(VKCLIP_EINVALID,
                          "a vocabulary of %u tokens: expected %d (the bytes, start and end) to %d",
                          size, PLAIN_TOKENS, SIZE_LIMIT);
    int error = VKCLIP_OK;
    if (!learn(bpe, size, least ? least : 1, &error))
        return error_fail(VKCLIP_EMEMORY, "out of memory for the pairs of %zu words",
                          bpe->word_count);
    return error ? error : vocabulary_from_merges(bpe->merges, bpe->merges_size, vocabulary);
}

/* ---- The object ------------------------------------------------------------------------------ */

int bpe_open(struct bpe **result)
{
    struct bpe *bpe = *result = memory_calloc(1, sizeof(*bpe));
    if (!bpe)
        return error_fail(VKCLIP_EMEMORY, "out of memory");
    int error = vocabulary_from_merges(HEAD, sizeof(HEAD) - 1, &bpe->plain);
    if (error)
        bpe_close(result);
    return error;
}

void bpe_close(struct bpe **result)
{
    struct bpe *bpe = *result;
    if (!bpe)
        return;
    for (size_t i = 0; i < bpe->pair_count; i++)
        memory_free(bpe->pairs[i].words);
    for (uint32_t i = 0; i < bpe->token_count; i++)
        memory_free(bpe->tokens[i]);
    memory_free(bpe->codes);
    memory_free(bpe->words);
    memory_free(bpe->word_slots);
    memory_free(bpe->tokens);
    memory_free(bpe->symbols);
    memory_free(bpe->pairs);
    memory_free(bpe->pair_slots);
    memory_free(bpe->heap);
    memory_free(bpe->merges);
    vocabulary_close(&bpe->plain);
    memory_free(bpe);
    *result = NULL;
}

size_t bpe_words(const struct bpe *bpe)
{
    return bpe->word_count;
}

size_t bpe_long_words(const struct bpe *bpe)
{
    return bpe->long_words;
}
