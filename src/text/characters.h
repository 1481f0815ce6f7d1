/* SPDX-License-Identifier: MIT
 *
 * Tells the kinds of characters, and looks at single characters of a text in UTF-8, for rules that
 * leave the text's bytes as they are. Bytes that are not UTF-8 are characters of no kind.
 */
#ifndef VKCLIP_TEXT_CHARACTERS_H
#define VKCLIP_TEXT_CHARACTERS_H

#include "vkclip.h"

/* The kinds that the regexes which split words know. */
enum character_kind { CHARACTER_LETTER, CHARACTER_NUMBER, CHARACTER_OTHER, CHARACTER_SPACE };
enum character_kind character_kind(int32_t code);

/* Returns the length of the white space character with which the text begins, or 0. */
size_t character_space(const char *text, size_t length);
/* Tells whether the text begins with a letter, a digit or "_", which Python's \w matches. */
bool character_is_word(const char *text, size_t length);
/* Returns the place of the character that ends at `end`, which is not 0. */
size_t character_before(const char *text, size_t end);

#endif
