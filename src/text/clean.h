/* SPDX-License-Identifier: MIT
 *
 * Text before it is split into words: code points, and the two cleanings that CLIP's tokenizers
 * start with. Mojibake (UTF-8 once read as something else) is not repaired: that is guesswork.
 */
#ifndef VKCLIP_TEXT_CLEAN_H
#define VKCLIP_TEXT_CLEAN_H

#include "vkclip.h"

/* Growing code points. `failed` stays set once memory ran out, so that only the end of a chain of
 * steps has to look. All zero is an empty text. */
struct text {
    int32_t *at;
    size_t length, capacity;
    bool failed;
};

void text_push(struct text *text, int32_t code);
void text_free(struct text *text);

/* Appends UTF-8; what is not UTF-8 becomes U+FFFD, one for each maximal part of a character. */
void text_push_utf8(struct text *text, const char *bytes, size_t size);

/* White space as Unicode has it. */
bool text_is_space(int32_t code);

/* OpenAI: ftfy.fix_text without mojibake repair, html.unescape twice, white space trimmed and its
 * runs to one space, str.lower. */
void text_clean_openai(struct text *text);

/* Hugging Face's CLIP normaliser: NFC, runs of white space to one space, lower case letter by
 * letter. */
void text_clean_hf(struct text *text);

#endif
