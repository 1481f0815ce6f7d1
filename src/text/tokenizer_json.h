/* SPDX-License-Identifier: MIT
 *
 * Reads the parts of a tokenizer.json that all kinds of tokenizers have.
 */
#ifndef VKCLIP_TEXT_TOKENIZER_JSON_H
#define VKCLIP_TEXT_TOKENIZER_JSON_H

#include "text/added_tokens.h"

#include <jansson.h>

/* Reads entry `number` of added_tokens: its text, which belongs to the entry, and its settings.
 * Refuses ids that are not below `room`, and tokens that are found as whole words only. */
int tokenizer_json_added(const char *path, size_t number, const json_t *entry, size_t room,
                         const char **text, struct added_token *token);

/* Checks that the model is a byte-pair encoding of whole texts or words, in which nothing marks the
 * parts of words, with a vocab and a list of merges. */
int tokenizer_json_check_merges(const char *path, const json_t *model);

/* Reads which tokens post_processor puts before and after a text. *start is -1 where there is none
 * before it. Refuses ids that are not below `count`, and texts without an end. */
int tokenizer_json_ends(const char *path, const json_t *root, size_t count, int32_t *start,
                        int32_t *end);

/* Fails with a message which says that a part of the file has a type that is not known. */
int tokenizer_json_refuse(const char *path, const char *part, const json_t *value,
                          const char *expected);

#endif
