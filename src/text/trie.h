/* SPDX-License-Identifier: MIT
 *
 * Holds a set of texts as a tree of code points, which finds all of them that begin a text in one
 * walk.
 */
#ifndef VKCLIP_TEXT_TRIE_H
#define VKCLIP_TEXT_TRIE_H

#include "vkclip.h"

struct trie_text {
    const int32_t *codes; /* [length] */
    uint32_t length;
    int32_t value; /* what the text means, such as an id; at least 0 */
};

struct trie_node {
    int32_t code;          /* the code point that leads here from the node above */
    int32_t value;         /* that of the text which ends here; -1: none does */
    uint32_t first, count; /* the nodes below, sorted by code point */
};

/* A struct of zeros is an empty set. */
struct trie {
    struct trie_node *nodes; /* the root comes first */
    size_t count;
};

/* Builds the tree, and sorts the texts for that. Of equal texts the one with the largest value
 * counts, and empty texts are left out. Returns false when out of memory. */
bool trie_build(struct trie *trie, struct trie_text *texts, size_t count);
void trie_free(struct trie *trie);

/* Returns the root, or NULL if the set is empty. */
const struct trie_node *trie_root(const struct trie *trie);
/* Returns the node to which `code` leads from `node`, or NULL. */
const struct trie_node *trie_child(const struct trie *trie, const struct trie_node *node,
                                   int32_t code);
/* Returns the length of the longest text of the set with which `codes` begins, or 0 if there is
 * none. */
size_t trie_longest(const struct trie *trie, const int32_t *codes, size_t length, int32_t *value);

#endif
