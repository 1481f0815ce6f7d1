/* SPDX-License-Identifier: MIT
 *
 * Byte-pair learning with counts that follow each merge: every pair knows the words that it occurs
 * in, so a merge looks at those alone, and a heap has the most frequent pair on top.
 */
#include "text/bpe.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/string.h"

#include "text/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

enum {
    WORD_LIMIT = 1024,      /* code points: a merge rewrites the words that it is in */
    PLAIN_TOKENS = 512 + 2, /* of a vocabulary without merges */
    SIZE_LIMIT = 1 << 20
};

static const char HEAD[] = "#version: 0.2\n";

struct word {
    size_t first; /* of its code points in `codes`, later of its tokens in `symbols` */
    uint32_t length;
    uint64_t count;
};

struct pair {
    int32_t left, right;
    uint64_t count;
    uint32_t *words; /* that it occurs in, or did */
    uint32_t word_count, word_capacity;
};

/* A pair with the count that it had when it came into the heap, which is no less than it has. */
struct candidate {
    uint64_t count;
    uint32_t pair;
};

struct bpe {
    int32_t *codes; /* of all words */
    size_t codes_count, codes_capacity;
    struct word *words;
    size_t word_count, word_capacity, long_words;
    uint32_t *word_slots; /* hash table: index + 1 */
    size_t word_mask;
    bool failed; /* out of memory */

    char **tokens; /* by number: those of `plain` without start and end, then one a merge */
    uint32_t token_count;
    struct vocabulary plain;
    int32_t *symbols;
    struct pair *pairs;
    size_t pair_count, pair_capacity;
    uint32_t *pair_slots;
    size_t pair_mask;
    struct candidate *heap;
    size_t heap_count, heap_capacity;
    char *merges; /* as a file has them */
    size_t merges_size, merges_capacity;
};

/* Room for `count` elements of `size` bytes at least. */
static bool reserve(struct bpe *bpe, void *array, size_t *capacity, size_t count, size_t size)
{
    void *old, *larger;
    if (count <= *capacity)
        return true;
    memcpy(&old, array, sizeof(old));
    larger = realloc(old, (2 * count + 64) * size);
    if (larger) {
        memcpy(array, &larger, sizeof(larger));
        *capacity = 2 * count + 64;
    }
    bpe->failed |= !larger;
    return larger;
}

/* Doubles a hash table of indices when it is half full. `hash` gives that of an index. */
static bool grow_slots(struct bpe *bpe, uint32_t **slots, size_t *mask, size_t count,
                       uint64_t (*hash)(const struct bpe *, size_t))
{
    if (*slots && 2 * count <= *mask)
        return true;
    const size_t size = *slots ? 2 * (*mask + 1) : 1 << 12;
    uint32_t *larger = calloc(size, sizeof(*larger));
    bpe->failed |= !larger;
    if (!larger)
        return false;
    free(*slots);
    *slots = larger;
    *mask = size - 1;
    for (size_t i = 0; i < count; i++) {
        size_t at = hash(bpe, i) & *mask;
        while (larger[at])
            at = (at + 1) & *mask;
        larger[at] = (uint32_t)i + 1;
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

static void add_word(void *user, const int32_t *codes, size_t length)
{
    struct bpe *bpe = user;
    if (length > WORD_LIMIT) {
        bpe->long_words++;
        return;
    }
    if (!grow_slots(bpe, &bpe->word_slots, &bpe->word_mask, bpe->word_count, word_hash))
        return;
    size_t at = codes_hash(codes, length) & bpe->word_mask;
    for (; bpe->word_slots[at]; at = (at + 1) & bpe->word_mask) {
        struct word *word = &bpe->words[bpe->word_slots[at] - 1];
        if (word->length == length &&
            !memcmp(bpe->codes + word->first, codes, length * sizeof(*codes))) {
            word->count++;
            return;
        }
    }
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
    bpe->word_slots[at] = (uint32_t)++bpe->word_count;
}

int bpe_add_text(struct bpe *bpe, const char *text, size_t length)
{
    int error = tokenizer_split(text, length, add_word, bpe);
    return error || !bpe->failed ? error : error_fail(VKCLIP_EMEMORY, "out of memory for words");
}

/* Every word as the tokens of its bytes, in `symbols`. */
static bool spell_words(struct bpe *bpe)
{
    size_t used = 0;
    bpe->symbols = malloc((4 * bpe->codes_count + 1) * sizeof(*bpe->symbols));
    if (!bpe->symbols)
        return false;
    for (size_t w = 0; w < bpe->word_count; w++) {
        struct word *word = &bpe->words[w];
        const int32_t *codes = bpe->codes + word->first;
        const size_t first = used;
        for (uint32_t i = 0; i < word->length; i++) {
            uint8_t bytes[4];
            size_t size = (size_t)utf8proc_encode_char(codes[i], bytes);
            for (size_t k = 0; k < size; k++)
                bpe->symbols[used++] =
                    bpe->plain.symbols[i + 1 == word->length && k + 1 == size][bytes[k]];
        }
        word->first = first;
        word->length = (uint32_t)(used - first);
    }
    return true;
}

/* ---- Pairs ----------------------------------------------------------------------------------- */

static uint64_t hash_of(int32_t left, int32_t right)
{
    return mix((uint64_t)(uint32_t)left << 32 | (uint32_t)right);
}

static uint64_t pair_hash(const struct bpe *bpe, size_t index)
{
    return hash_of(bpe->pairs[index].left, bpe->pairs[index].right);
}

/* The pair, added where it is not there yet. */
static struct pair *find_pair(struct bpe *bpe, int32_t left, int32_t right)
{
    if (!grow_slots(bpe, &bpe->pair_slots, &bpe->pair_mask, bpe->pair_count, pair_hash))
        return NULL;
    size_t at = hash_of(left, right) & bpe->pair_mask;
    for (; bpe->pair_slots[at]; at = (at + 1) & bpe->pair_mask) {
        struct pair *pair = &bpe->pairs[bpe->pair_slots[at] - 1];
        if (pair->left == left && pair->right == right)
            return pair;
    }
    if (bpe->pair_count >= UINT32_MAX / 2 ||
        !reserve(bpe, &bpe->pairs, &bpe->pair_capacity, bpe->pair_count + 1, sizeof(*bpe->pairs)))
        return NULL;
    struct pair *pair = &bpe->pairs[bpe->pair_count];
    *pair = (struct pair){.left = left, .right = right};
    bpe->pair_slots[at] = (uint32_t)++bpe->pair_count;
    return pair;
}

/* Counts the pairs of a word, or takes them away. Pairs from `fresh` on learn of the word: an older
 * one that it has, it had before. */
static bool count_pairs(struct bpe *bpe, uint32_t index, bool away, size_t fresh)
{
    const struct word *word = &bpe->words[index];
    const int32_t *symbols = bpe->symbols + word->first;
    for (uint32_t i = 0; i + 1 < word->length; i++) {
        struct pair *pair = find_pair(bpe, symbols[i], symbols[i + 1]);
        if (!pair)
            return false;
        pair->count = away ? pair->count - word->count : pair->count + word->count;
        if (away || (size_t)(pair - bpe->pairs) < fresh ||
            (pair->word_count && pair->words[pair->word_count - 1] == index))
            continue;
        size_t capacity = pair->word_capacity;
        if (!reserve(bpe, &pair->words, &capacity, (size_t)pair->word_count + 1,
                     sizeof(*pair->words)))
            return false;
        pair->word_capacity = (uint32_t)capacity;
        pair->words[pair->word_count++] = index;
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

static bool push(struct bpe *bpe, uint32_t pair)
{
    const struct candidate candidate = {bpe->pairs[pair].count, pair};
    if (!reserve(bpe, &bpe->heap, &bpe->heap_capacity, bpe->heap_count + 1, sizeof(*bpe->heap)))
        return false;
    size_t at = bpe->heap_count++;
    for (; at && is_before(bpe, &candidate, &bpe->heap[(at - 1) / 2]); at = (at - 1) / 2)
        bpe->heap[at] = bpe->heap[(at - 1) / 2];
    bpe->heap[at] = candidate;
    return true;
}

static struct candidate pop(struct bpe *bpe)
{
    const struct candidate top = bpe->heap[0], last = bpe->heap[--bpe->heap_count];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < bpe->heap_count; at = child) {
        if (child + 1 < bpe->heap_count && is_before(bpe, &bpe->heap[child + 1], &bpe->heap[child]))
            child++;
        if (!is_before(bpe, &bpe->heap[child], &last))
            break;
        bpe->heap[at] = bpe->heap[child];
    }
    bpe->heap[at] = last;
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

/* The word with the two tokens joined wherever they stand, from the left. */
static bool merge_word(struct bpe *bpe, uint32_t index, int32_t left, int32_t right, int32_t joined,
                       size_t fresh)
{
    struct word *word = &bpe->words[index];
    int32_t *symbols = bpe->symbols + word->first;
    uint32_t at = 0, length = 0;
    while (at + 1 < word->length && (symbols[at] != left || symbols[at + 1] != right))
        at++;
    if (at + 1 >= word->length)
        return true; /* other merges have taken it */
    if (!count_pairs(bpe, index, true, fresh))
        return false;
    for (at = 0; at < word->length; length++) {
        bool here = at + 1 < word->length && symbols[at] == left && symbols[at + 1] == right;
        symbols[length] = here ? joined : symbols[at];
        at += 1 + here;
    }
    word->length = length;
    return count_pairs(bpe, index, false, fresh);
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
        good = push(bpe, (uint32_t)i);
    free(words);
    return good;
}

static bool learn(struct bpe *bpe, uint32_t size, uint64_t least)
{
    bool good = spell_words(bpe);
    bpe->tokens = calloc(size, sizeof(*bpe->tokens));
    good = good && bpe->tokens && reserve(bpe, &bpe->merges, &bpe->merges_capacity, 64, 1);
    for (; good && bpe->token_count < PLAIN_TOKENS - 2; bpe->token_count += good)
        good = (bpe->tokens[bpe->token_count] =
                    string_format("%s", bpe->plain.tokens[bpe->token_count]));
    if (good)
        bpe->merges_size = (size_t)sprintf(bpe->merges, "%s", HEAD);
    for (size_t i = 0; good && i < bpe->word_count; i++)
        good = count_pairs(bpe, (uint32_t)i, false, 0);
    for (size_t i = 0; good && i < bpe->pair_count; i++)
        good = push(bpe, (uint32_t)i);
    while (good && bpe->heap_count && bpe->token_count + 2 < size) {
        const struct candidate top = pop(bpe);
        const uint64_t count = bpe->pairs[top.pair].count;
        if (count >= least && count == top.count)
            good = merge_pair(bpe, top.pair);
        else if (count >= least)
            good = push(bpe, top.pair);
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
    if (!learn(bpe, size, least ? least : 1))
        return error_fail(VKCLIP_EMEMORY, "out of memory for the pairs of %zu words",
                          bpe->word_count);
    return vocabulary_from_merges(bpe->merges, bpe->merges_size, vocabulary);
}

/* ---- The object ------------------------------------------------------------------------------ */

int bpe_open(struct bpe **result)
{
    struct bpe *bpe = *result = calloc(1, sizeof(*bpe));
    int error = bpe ? vocabulary_from_merges(HEAD, sizeof(HEAD) - 1, &bpe->plain)
                    : error_fail(VKCLIP_EMEMORY, "out of memory");
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
        free(bpe->pairs[i].words);
    for (uint32_t i = 0; i < bpe->token_count; i++)
        free(bpe->tokens[i]);
    free(bpe->codes);
    free(bpe->words);
    free(bpe->word_slots);
    free(bpe->tokens);
    free(bpe->symbols);
    free(bpe->pairs);
    free(bpe->pair_slots);
    free(bpe->heap);
    free(bpe->merges);
    vocabulary_close(&bpe->plain);
    free(bpe);
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
