/* SPDX-License-Identifier: MIT
 *
 * Reads SentencePiece's precompiled map of characters, which is also in a tokenizer.json
 * ("Precompiled") and in GGUF files: rules that replace a sequence of characters by a text. The
 * rules are found by a double-array trie (darts-clone) over the bytes of UTF-8.
 */
#ifndef VKCLIP_TEXT_CHARSMAP_H
#define VKCLIP_TEXT_CHARSMAP_H

#include "vkclip.h"

/* A struct of zeros is a map without rules. */
struct charsmap {
    uint32_t *units; /* [unit_count] */
    size_t unit_count;
    const char *texts; /* the replacements, each with its NUL */
    size_t texts_size;
};

/* Copies a map, whose last byte must be a NUL. Messages call the file `name`. */
int charsmap_open(const void *data, size_t size, const char *name, struct charsmap *map);
void charsmap_close(struct charsmap *map);

enum charsmap_choice { CHARSMAP_SHORTEST, CHARSMAP_LONGEST };

/* Finds a rule for the first code points of `codes`. Returns the replacement and sets *used to the
 * number of code points that it replaces, or returns NULL. */
const char *charsmap_find(const struct charsmap *map, const int32_t *codes, size_t length,
                          enum charsmap_choice choice, size_t *used);

#endif
