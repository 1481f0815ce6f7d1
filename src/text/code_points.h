/* SPDX-License-Identifier: MIT
 *
 * Keeps a text as Unicode code points, decoded from UTF-8, in memory that grows.
 */
#ifndef VKCLIP_TEXT_CODE_POINTS_H
#define VKCLIP_TEXT_CODE_POINTS_H

#include "vkclip.h"

/* A struct of zeros is an empty text. `failed` stays set once memory ran out, so that only the end
 * of a sequence of steps needs a check. */
struct code_points {
    int32_t *codes; /* [length]; NULL where nothing was ever pushed */
    size_t length, capacity;
    bool failed;
};

void code_points_push(struct code_points *text, int32_t code);
void code_points_push_all(struct code_points *text, const int32_t *codes, size_t count);
/* Appends UTF-8. Invalid bytes become U+FFFD, one for each maximal part of a character. */
void code_points_push_utf8(struct code_points *text, const char *bytes, size_t size);
/* Returns the text as UTF-8, a new string, or NULL when out of memory. */
char *code_points_utf8(const struct code_points *text);
/* Makes room for `capacity` code points. Returns false when memory ran out, now or before. */
bool code_points_reserve(struct code_points *text, size_t capacity);
void code_points_free(struct code_points *text);

/* Tells whether Unicode calls the code point white space. */
bool code_point_is_space(int32_t code);

#endif
