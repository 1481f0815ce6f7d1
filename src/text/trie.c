/* SPDX-License-Identifier: MIT
 *
 * The tree is built level by level from the sorted texts. A node that waits for its children holds
 * the range of texts that go through it in their place.
 */
#include "text/trie.h"
#include "base/memory.h"

#include <stdlib.h>

static int compare_texts(const void *a, const void *b)
{
    const struct trie_text *x = a, *y = b;
    uint32_t i = 0;
    while (i < x->length && i < y->length && x->codes[i] == y->codes[i])
        i++;
    if (i < x->length && i < y->length)
        return x->codes[i] < y->codes[i] ? -1 : 1;
    if (x->length != y->length)
        return x->length < y->length ? -1 : 1;
    return (x->value > y->value) - (x->value < y->value);
}

/* Gives a node at `depth` its value and its children. */
static void grow(struct trie *trie, size_t index, const struct trie_text *texts, uint32_t depth)
{
    struct trie_node *node = &trie->nodes[index];
    const uint32_t end = node->first + node->count;
    uint32_t next = node->first;
    for (; next < end && texts[next].length == depth; next++)
        node->value = depth ? texts[next].value : -1;
    node->first = (uint32_t)trie->count;
    node->count = 0;
    for (; next < end; next++) {
        const int32_t code = texts[next].codes[depth];
        if (!node->count || trie->nodes[trie->count - 1].code != code) {
            trie->nodes[trie->count++] = (struct trie_node){code, -1, next, 0};
            node->count++;
        }
        trie->nodes[trie->count - 1].count++;
    }
}

bool trie_build(struct trie *trie, struct trie_text *texts, size_t count)
{
    size_t room = 1;
    for (size_t i = 0; i < count; i++)
        room += texts[i].length;
    *trie = (struct trie){0};
    if (room < UINT32_MAX)
        trie->nodes = memory_alloc(room * sizeof(*trie->nodes));
    if (!trie->nodes)
        return false;
    if (count)
        qsort(texts, count, sizeof(*texts), compare_texts);
    trie->nodes[0] = (struct trie_node){-1, -1, 0, (uint32_t)count};
    trie->count = 1;
    size_t level_end = 1;
    uint32_t depth = 0;
    for (size_t i = 0; i < trie->count; i++) {
        if (i == level_end) {
            level_end = trie->count;
            depth++;
        }
        grow(trie, i, texts, depth);
    }
    return true;
}

void trie_free(struct trie *trie)
{
    memory_free(trie->nodes);
    *trie = (struct trie){0};
}

const struct trie_node *trie_root(const struct trie *trie)
{
    return trie->nodes;
}

const struct trie_node *trie_child(const struct trie *trie, const struct trie_node *node,
                                   int32_t code)
{
    uint32_t low = node->first, high = low + node->count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (trie->nodes[middle].code < code)
            low = middle + 1;
        else
            high = middle;
    }
    const bool found = low < node->first + node->count && trie->nodes[low].code == code;
    return found ? &trie->nodes[low] : NULL;
}

size_t trie_longest(const struct trie *trie, const int32_t *codes, size_t length, int32_t *value)
{
    const struct trie_node *node = trie_root(trie);
    size_t longest = 0;
    for (size_t i = 0; node && i < length; i++) {
        node = trie_child(trie, node, codes[i]);
        if (node && node->value >= 0) {
            longest = i + 1;
            *value = node->value;
        }
    }
    return longest;
}
