/* SPDX-License-Identifier: MIT
 *
 * Repairs mojibake, that is, UTF-8 that was once read as another encoding, as ftfy.fix_encoding
 * (6.3.1) does: only where characters stand side by side that hardly any text has. "cafÃ©" becomes
 * "café", and "Ã la carte" "à la carte".
 */
#ifndef VKCLIP_TEXT_MOJIBAKE_H
#define VKCLIP_TEXT_MOJIBAKE_H

#include "text/code_points.h"

void mojibake_fix(struct code_points *text);

/* ---- Tables ---------------------------------------------------------------------------------- */

/* The classes of ftfy's badness.py. */
enum {
    MOJIBAKE_COMMON = 1,
    MOJIBAKE_CONTROL = 2,
    MOJIBAKE_BAD = 4, /* has hardly a use but in mojibake */
    MOJIBAKE_LAW = 8,
    MOJIBAKE_CURRENCY = 16,
    MOJIBAKE_OPENING = 32, /* punctuation before a word */
    MOJIBAKE_CLOSING = 64, /* punctuation after a word */
    MOJIBAKE_NUMERIC = 128,
    MOJIBAKE_KAOMOJI = 256, /* letters of faces */
    MOJIBAKE_UPPER = 512,   /* letters with accents */
    MOJIBAKE_LOWER = 1024,
    MOJIBAKE_UPPER_COMMON = 2048, /* Greek and Cyrillic letters */
    MOJIBAKE_LOWER_COMMON = 4096,
    MOJIBAKE_BOX = 8192,
    /* ASCII and what Python's regexes call so. */
    MOJIBAKE_SMALL_LETTER = 1 << 14,
    MOJIBAKE_CAPITAL_LETTER = 1 << 15,
    MOJIBAKE_SPACE = 1 << 16,
    MOJIBAKE_WORD = 1 << 17
};

struct mojibake_class {
    uint16_t first, last;
    uint16_t classes;
};
extern const struct mojibake_class mojibake_classes[]; /* sorted */
extern const size_t mojibake_class_count;

enum { MOJIBAKE_ENCODINGS = 10, MOJIBAKE_WINDOWS = 7 }; /* The first seven are like Latin-1. */

struct mojibake_encoding {
    const char *name;
    bool lossy;          /* Byte 0x1A is U+FFFD, of which nothing is known. */
    bool is_macroman;    /* A space is never a lost byte 0xA0. */
    uint16_t codes[128]; /* of the bytes from 0x80 on */
};
extern const struct mojibake_encoding mojibake_encodings[MOJIBAKE_ENCODINGS];

#endif
