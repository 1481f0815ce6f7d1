/* SPDX-License-Identifier: MIT
 *
 * This file has the tables of a vocabulary. The hash tables are at most half full and probe one
 * slot after the other, up to a limit, so that a hostile file whose tokens collide is refused in a
 * short time.
 */
#include "text/vocabulary.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/memory.h"

#include <string.h>
#include <utf8proc.h>

enum {
    TOKENS_LIMIT = 4 << 20, /* CLIP has 49408 */
    PROBES = 1024           /* A table of a file that is not hostile needs a few. */
};

/* ---- Bytes as characters --------------------------------------------------------------------- */

/* Returns the character of a byte by GPT-2's rule: a printable byte is the character of the same
 * code point; the other bytes (0 to 32, 127 to 160, and 173) are numbered in this order from U+0100
 * on. */
static int32_t byte_symbol(uint8_t byte)
{
    if ((byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte != 0xAD))
        return byte;
    if (byte <= ' ')
        return 256 + byte;
    return byte == 0xAD ? 323 : 289 + byte - 127;
}

int vocabulary_byte(int32_t symbol)
{
    if (symbol == 323)
        return 0xAD;
    if (symbol >= 289 && symbol < 323)
        return symbol - 289 + 127;
    if (symbol >= 256 && symbol < 289)
        return symbol - 256;
    return symbol >= 0 && symbol < 256 && byte_symbol((uint8_t)symbol) == symbol ? symbol : -1;
}

size_t vocabulary_token_bytes(const char *token, char *bytes)
{
    size_t size = 0, length = strlen(token);
    for (size_t i = 0; i < length;) {
        int32_t code;
        const size_t used = (size_t)utf8proc_iterate((const uint8_t *)token + i,
                                                     (utf8proc_ssize_t)(length - i), &code);
        const int byte = vocabulary_byte(code);
        const bool as_it_is = byte < 0; /* A character of an added token means itself. */
        if (bytes && as_it_is)
            memcpy(bytes + size, token + i, used);
        else if (bytes)
            bytes[size] = (char)byte;
        size += as_it_is ? used : 1;
        i += used;
    }
    return size;
}

size_t vocabulary_symbol_text(uint8_t byte, bool word_end, char text[VOCABULARY_SYMBOL_SIZE])
{
    const int32_t code = byte_symbol(byte);
    const size_t suffix = word_end ? strlen(VOCABULARY_WORD_END) : 0;
    size_t length = 0;
    if (code < 0x80) {
        text[length++] = (char)code;
    } else {
        text[length++] = (char)(0xC0 | code >> 6);
        text[length++] = (char)(0x80 | (code & 0x3F));
    }
    memcpy(text + length, VOCABULARY_WORD_END, suffix);
    return length + suffix;
}

/* ---- Hash tables ----------------------------------------------------------------------------- */

static uint32_t table_size(size_t entries)
{
    uint32_t size = 16;
    while (size < 2 * entries)
        size *= 2;
    return size;
}

/* Returns the slot of the token whose text is `left` followed by `right`, or the free slot for such
 * a token. Returns NULL after PROBES other slots. */
static uint32_t *token_slot(const struct vocabulary *v, const char *left, size_t left_length,
                            const char *right, size_t right_length)
{
    uint64_t hash = hash_bytes(hash_bytes(0, left, left_length), right, right_length);
    hash ^= hash >> 32;
    for (uint32_t i = 0; i < PROBES; i++) {
        uint32_t *slot = v->slots + ((hash + i) & v->slot_mask);
        const char *token = *slot ? v->tokens[*slot - 1] : NULL;
        if (!token || (!strncmp(token, left, left_length) &&
                       !strncmp(token + left_length, right, right_length) &&
                       !token[left_length + right_length]))
            return slot;
    }
    return NULL;
}

static struct merge *merge_slot(const struct vocabulary *v, int32_t left, int32_t right)
{
    uint64_t hash = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * 0x9E3779B97F4A7C15u;
    hash ^= hash >> 32;
    for (uint32_t i = 0; i < PROBES; i++) {
        struct merge *merge = v->merges + ((hash + i) & v->merge_mask);
        if (merge->rank == MERGE_NONE || (merge->left == left && merge->right == right))
            return merge;
    }
    return NULL;
}

int32_t vocabulary_find_joined(const struct vocabulary *v, const char *left, size_t left_length,
                               const char *right, size_t right_length)
{
    const uint32_t *slot = token_slot(v, left, left_length, right, right_length);
    return slot && *slot ? (int32_t)*slot - 1 : -1;
}

int32_t vocabulary_find(const struct vocabulary *v, const char *text, size_t length)
{
    return vocabulary_find_joined(v, text, length, "", 0);
}

const struct merge *vocabulary_merge(const struct vocabulary *v, int32_t left, int32_t right)
{
    const struct merge *merge = merge_slot(v, left, right);
    return merge && merge->rank != MERGE_NONE ? merge : NULL;
}

/* ---- Building -------------------------------------------------------------------------------- */

int vocabulary_make_tables(struct vocabulary *v, const char *path, size_t tokens, size_t bytes,
                           size_t merges)
{
    if (tokens > TOKENS_LIMIT || merges > TOKENS_LIMIT)
        return error_fail(VKCLIP_EUNSUPPORTED, "%s: %zu tokens and %zu merges, expected at most %d",
                          path, tokens, merges, TOKENS_LIMIT);
    v->slot_mask = table_size(tokens) - 1;
    v->merge_mask = table_size(merges) - 1;
    v->arena = memory_alloc(bytes + 1);
    v->tokens = memory_calloc(tokens + 1, sizeof(*v->tokens));
    v->slots = memory_calloc((size_t)v->slot_mask + 1, sizeof(*v->slots));
    v->merges = memory_alloc(((size_t)v->merge_mask + 1) * sizeof(*v->merges));
    if (!v->arena || !v->tokens || !v->slots || !v->merges)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory for %zu tokens", path, tokens);
    for (size_t i = 0; i <= v->merge_mask; i++)
        v->merges[i].rank = MERGE_NONE;
    return VKCLIP_OK;
}

int vocabulary_make_added(struct vocabulary *v, const char *path, size_t count)
{
    v->added = memory_calloc(count + 1, sizeof(*v->added));
    return v->added ? VKCLIP_OK : error_fail(VKCLIP_EMEMORY, "%s: out of memory", path);
}

bool vocabulary_add_joined(struct vocabulary *v, uint32_t id, const char *left, size_t left_length,
                           const char *right, size_t right_length)
{
    uint32_t *slot = token_slot(v, left, left_length, right, right_length);
    if (!slot || *slot)
        return false;
    char *token = v->arena + v->arena_used;
    memcpy(token, left, left_length);
    memcpy(token + left_length, right, right_length);
    token[left_length + right_length] = 0;
    v->arena_used += left_length + right_length + 1;
    v->tokens[id] = token;
    *slot = id + 1;
    return true;
}

bool vocabulary_add(struct vocabulary *v, uint32_t id, const char *text, size_t length)
{
    return vocabulary_add_joined(v, id, text, length, "", 0);
}

bool vocabulary_add_merge(struct vocabulary *v, uint32_t rank, int32_t left, int32_t right,
                          int32_t joined)
{
    struct merge *merge = merge_slot(v, left, right);
    if (merge)
        *merge = (struct merge){left, right, joined, rank};
    return merge != NULL;
}

void vocabulary_add_added(struct vocabulary *v, int32_t id, bool normalized)
{
    v->added[v->added_count++] = (struct added_token){.id = id, .normalized = normalized};
}

void vocabulary_find_symbols(struct vocabulary *v, int32_t unknown)
{
    for (int word_end = 0; word_end < 2; word_end++)
        for (int byte = 0; byte < 256; byte++) {
            char text[VOCABULARY_SYMBOL_SIZE];
            const size_t length = vocabulary_symbol_text((uint8_t)byte, word_end, text);
            const int32_t id = vocabulary_find(v, text, length);
            v->symbols[word_end][byte] = id < 0 ? unknown : id;
        }
}

int vocabulary_find_ends(struct vocabulary *v, const char *path, const char *start, const char *end)
{
    v->start = vocabulary_find(v, start, strlen(start));
    v->end = vocabulary_find(v, end, strlen(end));
    if (v->start < 0)
        return error_fail(VKCLIP_EFORMAT, "%s: no token \"%.40s\", with which every text starts",
                          path, start);
    if (v->end < 0)
        return error_fail(VKCLIP_EFORMAT, "%s: no token \"%.40s\", with which every text ends",
                          path, end);
    return VKCLIP_OK;
}

void vocabulary_close(struct vocabulary *v)
{
    memory_free(v->arena);
    memory_free(v->tokens);
    memory_free(v->slots);
    memory_free(v->merges);
    memory_free(v->added);
    *v = (struct vocabulary){0};
}
