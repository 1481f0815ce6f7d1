/* SPDX-License-Identifier: MIT
 *
 * A text that looks bad is written in each encoding that has all its characters, and is read again
 * as UTF-8. Where no encoding makes UTF-8 of the whole text, parts of it are tried.
 */
#include "text/mojibake.h"
#include "base/array.h"

#include <stdlib.h>
#include <string.h>
#include <uchar.h>
#include <utf8proc.h>

/* Repairs repeat until nothing changes, and parts of a text are repaired on their own. The limits
 * are far above what real texts need. */
enum { ROUNDS = 32, DEPTH = 4 };

/* ---- Whether a text looks bad ---------------------------------------------------------------- */

static bool is_word(int32_t code)
{
    const utf8proc_category_t category = utf8proc_category(code);
    return code == '_' || (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO) ||
           (category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO);
}

static uint32_t find_classes(int32_t code)
{
    uint32_t classes = 0;
    size_t low = 0, high = mojibake_class_count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (mojibake_classes[middle].last < code)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < mojibake_class_count && mojibake_classes[low].first <= code)
        classes = mojibake_classes[low].classes;
    if (code >= 'a' && code <= 'z')
        classes |= MOJIBAKE_SMALL_LETTER;
    if (code >= 'A' && code <= 'Z')
        classes |= MOJIBAKE_CAPITAL_LETTER;
    if (code_point_is_space(code) || (code >= 0x1C && code <= 0x1F))
        classes |= MOJIBAKE_SPACE;
    if (is_word(code))
        classes |= MOJIBAKE_WORD;
    return classes;
}

/* A set has the characters of its classes and some more, or with `without` all others. */
struct set {
    uint32_t classes;
    const char32_t *more; /* NULL: none */
    bool without;
};

enum { LONGEST_RULE = 7 };

/* A rule is a sequence of sets. A set of zeros ends it. */
struct rule {
    struct set sets[LONGEST_RULE];
};

#define BAD MOJIBAKE_BAD
#define LAW MOJIBAKE_LAW
#define MONEY MOJIBAKE_CURRENCY
#define OPENING MOJIBAKE_OPENING
#define CLOSING MOJIBAKE_CLOSING
#define NUMERIC MOJIBAKE_NUMERIC
#define UPPER MOJIBAKE_UPPER
#define LOWER MOJIBAKE_LOWER
#define BOX MOJIBAKE_BOX
#define LETTER (MOJIBAKE_SMALL_LETTER | MOJIBAKE_CAPITAL_LETTER)
#define SYMBOLS (LOWER | UPPER | BOX | OPENING | CLOSING | MONEY | NUMERIC | LAW)
#define BYTES (MOJIBAKE_CONTROL | BAD | OPENING | CLOSING | MONEY)
#define ARABIC                                                              \
    {                                                                       \
        MOJIBAKE_COMMON | MONEY | BAD | NUMERIC | OPENING, U"ŸŠ®°µ»", false \
    }
#define ANY            \
    {                  \
        0, U"\n", true \
    }

/* The alternatives of ftfy's BADNESS_RE. */
static const struct rule rules[] = {
    {{{.classes = MOJIBAKE_CONTROL}}},
    {{{.classes = BAD | SYMBOLS}, {.classes = BAD}}},
    {{{.classes = LETTER},
      {.classes = MOJIBAKE_LOWER_COMMON | MOJIBAKE_UPPER_COMMON},
      {.classes = BAD}}},
    {{{.classes = BAD}, {.classes = SYMBOLS}}},
    {{{.classes = LOWER | MOJIBAKE_LOWER_COMMON | BOX | CLOSING | MONEY | NUMERIC},
      {.classes = UPPER}}},
    {{{.classes = BOX | CLOSING | MONEY | NUMERIC}, {.classes = LOWER}}},
    {{{.classes = LOWER | BOX | CLOSING}, {.classes = MONEY}}},
    {{{.classes = MOJIBAKE_SPACE}, {.classes = UPPER}, {.classes = MONEY}}},
    {{{.classes = UPPER | BOX}, {.classes = NUMERIC | LAW}}},
    {{{.classes = LOWER | UPPER | BOX | MONEY | CLOSING},
      {.classes = OPENING},
      {.classes = NUMERIC}}},
    {{{.classes = LOWER | UPPER | MONEY | NUMERIC | BOX | LAW},
      {.classes = CLOSING},
      {.classes = OPENING}}},
    {{{.classes = MONEY | NUMERIC | BOX}, {.classes = OPENING}}},
    {{{.classes = MOJIBAKE_SMALL_LETTER}, {.classes = UPPER}, {.classes = OPENING | MONEY}}},
    {{{.classes = BOX}, {.classes = MOJIBAKE_KAOMOJI}}},
    {{{.classes = LOWER | UPPER | MONEY | NUMERIC | OPENING | CLOSING | LAW}, {.classes = BOX}}},
    {{{.classes = BOX}, {.classes = CLOSING}}},
    {{{.classes = LOWER | UPPER}, {.classes = OPENING | CLOSING}, {.classes = MOJIBAKE_WORD}}},
    {{{0, U"Œœ", false}, {LETTER, NULL, true}}},
    {{{.classes = UPPER}, {0, U"°", false}}},
    {{{0, U"ÂÃÎÐ", false}, {OPENING | CLOSING, U"€œŠš¢£Ÿž\xa0\xad®©°·»–—´", false}}},
    {{{0, U"×", false}, {0, U"²³", false}}},
    {{{0, U"ØÙ", false}, ARABIC, {0, U"ØÙ", false}, ARABIC}},
    {{{0, U"à", false}, {0, U"²µ¹¼½¾", false}}},
    {{{0, U"√", false}, {0, U"±∂†≠®™´≤≥¥µø", false}}},
    {{{0, U"≈", false}, {0, U"°¢", false}}},
    {{{0, U"‚", false}, {0, U"Ä", false}, {0, U"ìîïòôúùû†°¢π", false}}},
    {{{0, U"‚", false}, {0, U"âó", false}, {0, U"àä°ê", false}}},
    {{{0, U"в", false}, {0, U"Ђ", false}}},
    {{{0, U"ВГРС", false}, {BYTES, U"°µ", false}, {0, U"ВГРС", false}}},
    {{{0, U"Г", false},
      {0, U"ў", false},
      {0, U"В", false},
      {0, U"Ђ", false},
      {0, U"В", false},
      ANY,
      {LETTER, U" ", false}}},
    {{{0, U"Ã", false}, {0, U"\xa0¡", false}}},
    {{{.classes = MOJIBAKE_SMALL_LETTER}, {0, U"ÃÂ", false}, {0, U" ", false}}},
    {{{.classes = MOJIBAKE_SMALL_LETTER},
      {.classes = MOJIBAKE_SPACE},
      {0, U"ÃÂ", false},
      {0, U" ", false}}},
    {{{MOJIBAKE_SMALL_LETTER | CLOSING, U".,?!", false},
      {0, U"Â", false},
      {OPENING | CLOSING, U" ", false}}},
    {{{0, U"β", false}, {0, U"€", false}, {0, U"™\xa0Ά\xad®°", false}}},
    {{{0, U"ΒΓΞΟ", false}, {BYTES, U"°", false}, {0, U"ΒΓΞΟ", false}}},
    {{{0, U"ā", false}, {0, U"€", false}}},
};

static bool has(const char32_t *list, int32_t code)
{
    while (*list && *list != (char32_t)code)
        list++;
    return *list;
}

/* Tells whether a rule matches `count` characters at least, whose classes are known. */
static bool matches(const struct rule *rule, const int32_t *codes, const uint32_t *classes,
                    size_t count)
{
    for (size_t i = 0; i < LONGEST_RULE; i++) {
        const struct set *set = &rule->sets[i];
        if (!set->classes && !set->more)
            break;
        if (i == count)
            return false;
        const bool inside = (set->classes & classes[i]) || (set->more && has(set->more, codes[i]));
        if (inside == set->without)
            return false;
    }
    return true;
}

/* Tells whether characters stand side by side that hardly any text has. */
static bool is_bad(const int32_t *codes, size_t length)
{
    uint32_t classes[LONGEST_RULE] = {0};
    for (size_t i = 0; i < LONGEST_RULE && i < length; i++)
        classes[i] = find_classes(codes[i]);
    if (length > 1 && (codes[0] == 0xC3 || codes[0] == 0xC2) && codes[1] == ' ')
        return true;
    for (size_t i = 0; i < length; i++) {
        const size_t left = length - i;
        for (size_t r = 0; r < ARRAY_COUNT(rules); r++)
            if (matches(&rules[r], codes + i, classes, left))
                return true;
        memmove(classes, classes + 1, sizeof(classes) - sizeof(classes[0]));
        classes[LONGEST_RULE - 1] = left > LONGEST_RULE ? find_classes(codes[i + LONGEST_RULE]) : 0;
    }
    return false;
}

/* ---- From characters to bytes and back ------------------------------------------------------- */

/* Bytes are kept as code points below 256, so that they share the memory of texts. */

/* Returns the byte of a character in an encoding, or -1. */
static int encode_character(const struct mojibake_encoding *encoding, int32_t code)
{
    if (encoding->lossy && (code == 0x1A || code == 0xFFFD))
        return code == 0x1A ? -1 : 0x1A;
    if (code < 0x80)
        return (int)code;
    for (int i = 0; i < 128; i++)
        if (encoding->codes[i] == code)
            return 0x80 + i;
    return -1;
}

static bool encode_text(const struct mojibake_encoding *encoding, const int32_t *codes,
                        size_t length, struct code_points *bytes)
{
    bytes->length = 0;
    for (size_t i = 0; i < length; i++) {
        const int byte = encode_character(encoding, codes[i]);
        if (byte < 0)
            return false;
        code_points_push(bytes, byte);
    }
    return true;
}

static bool is_continuation(int32_t byte)
{
    return byte >= 0x80 && byte <= 0xBF;
}

/* Reads a pair of surrogates, each of which was written as three bytes (CESU-8). Returns whether
 * there is one. */
static bool read_surrogates(const int32_t *b, size_t length, int32_t *code)
{
    if (length < 6 || b[0] != 0xED || b[1] < 0xA0 || b[1] > 0xAF || !is_continuation(b[2]) ||
        b[3] != 0xED || b[4] < 0xB0 || b[4] > 0xBF || !is_continuation(b[5]))
        return false;
    *code = 0x10000 + ((b[1] & 0x0F) << 16) + ((b[2] & 0x3F) << 10) + ((b[4] & 0x0F) << 6) +
            (b[5] & 0x3F);
    return true;
}

/* Reads UTF-8 strictly, but for surrogates and for NUL as two bytes, which Java writes. Returns
 * false if the bytes are something else. */
static bool decode_text(const struct code_points *bytes, struct code_points *out)
{
    out->length = 0;
    for (size_t i = 0, used; i < bytes->length; i += used) {
        const int32_t *b = bytes->codes + i;
        const size_t left = bytes->length - i;
        uint8_t raw[4];
        int32_t code;
        used = 6;
        if (!read_surrogates(b, left, &code)) {
            const size_t size = left < 4 ? left : 4;
            for (size_t k = 0; k < size; k++)
                raw[k] = (uint8_t)b[k];
            const utf8proc_ssize_t count = utf8proc_iterate(raw, (utf8proc_ssize_t)size, &code);
            const bool is_nul = size > 1 && raw[0] == 0xC0 && raw[1] == 0x80;
            if (count <= 0 && !is_nul)
                return false;
            code = is_nul ? 0 : code;
            used = is_nul ? 2 : (size_t)count;
        }
        code_points_push(out, code);
    }
    return true;
}

/* ---- Lost bytes ------------------------------------------------------------------------------ */

static bool is_between(int32_t byte, int32_t first, int32_t last)
{
    return byte >= first && byte <= last;
}

/* Tells whether a byte may stand beside a space that was byte 0xA0 in three bytes of UTF-8. */
static bool is_beside_space(int32_t byte)
{
    return is_continuation(byte) && byte != 0x85 && byte != 0xA0;
}

/* Returns the length of a sequence that would be UTF-8 if its space were byte 0xA0, or 0. */
static size_t altered_length(const int32_t *b, size_t length)
{
    static const uint8_t pairs[] = {0xC2, 0xC3, 0xC5, 0xCE, 0xD0, 0xD9};
    if (length < 2)
        return 0;
    if (b[1] == ' ' && memchr(pairs, b[0], sizeof(pairs)))
        return 2;
    if (length > 2 && ((is_between(b[0], 0xE2, 0xE3) && b[1] == ' ' && is_beside_space(b[2])) ||
                       (is_between(b[0], 0xE0, 0xE3) && is_beside_space(b[1]) && b[2] == ' ')))
        return 3;
    if (length < 4 || b[0] != 0xF0)
        return 0;
    const int spaces = (b[1] == ' ') + (b[2] == ' ') + (b[3] == ' ');
    const int others = is_continuation(b[1]) + is_continuation(b[2]) + is_continuation(b[3]);
    return spaces == 1 && others == 2 ? 4 : 0;
}

static bool begins_with(const int32_t *b, size_t length, const char *text)
{
    size_t i = 0;
    while (text[i] && i < length && b[i] == text[i])
        i++;
    return !text[i];
}

/* Tells whether "Ã " is the word "à" and not the beginning of a word, as it is in Portuguese. */
static bool is_grave_word(const int32_t *b, size_t length)
{
    static const char *const ends[] = {" ", "quele", "quela", "quilo", "s "};
    if (length < 2 || b[0] != 0xC3 || b[1] != ' ')
        return false;
    for (size_t i = 0; i < ARRAY_COUNT(ends); i++)
        if (begins_with(b + 2, length - 2, ends[i]))
            return false;
    return true;
}

/* Puts byte 0xA0 back where something has made spaces of it. */
static void restore_spaces(struct code_points *bytes, struct code_points *spare)
{
    bool any = false;
    for (size_t i = 0; i < bytes->length && !any; i++)
        any = altered_length(bytes->codes + i, bytes->length - i);
    if (!any)
        return;
    spare->length = 0;
    for (size_t i = 0; i < bytes->length; i++) {
        code_points_push(spare, bytes->codes[i]);
        if (is_grave_word(bytes->codes + i, bytes->length - i))
            code_points_push(spare, 0xA0);
    }
    bytes->length = 0;
    for (size_t i = 0, used; i < spare->length; i += used) {
        const size_t altered = altered_length(spare->codes + i, spare->length - i);
        used = altered ? altered : 1;
        for (size_t k = 0; k < used; k++) {
            const int32_t byte = spare->codes[i + k];
            code_points_push(bytes, altered && byte == ' ' ? 0xA0 : byte);
        }
    }
}

/* Returns the length of a sequence of UTF-8 that has lost a byte, or 0. Byte 0x1A stands for an
 * unknown one, and one "?" may, too. */
static size_t lossy_length(const int32_t *b, size_t length)
{
    const int32_t first = b[0];
    const size_t size = first >= 0xF0 ? 4 : 3;
    int lost = 0, asked = 0;
    if (first == 0x1A)
        return 1;
    if (length > 1 && ((is_between(first, 0xC2, 0xDF) && b[1] == 0x1A) ||
                       (is_between(first, 0xC2, 0xC3) && b[1] == '?')))
        return 2;
    if (!is_between(first, 0xE0, 0xF4) || length < size)
        return 0;
    for (size_t i = 1; i < size; i++) {
        lost += b[i] == 0x1A;
        asked += b[i] == '?';
        if (b[i] != 0x1A && b[i] != '?' && !is_continuation(b[i]))
            return 0;
    }
    return (lost || asked) && asked <= 1 ? size : 0;
}

/* Returns the length of a pair of surrogates that has lost a byte, or 0. */
static size_t lossy_pair_length(const int32_t *b, size_t length)
{
    if (length < 6 || b[0] != 0xED || !is_between(b[1], 0xA0, 0xAF) || b[3] != 0xED ||
        !is_between(b[4], 0xB0, 0xBF))
        return 0;
    const bool first = b[2] == 0x1A || b[2] == '?', second = b[5] == 0x1A || b[5] == '?';
    const bool good =
        (first && (second || is_continuation(b[5]))) || (second && is_continuation(b[2]));
    return good ? 6 : 0;
}

/* Puts U+FFFD, as UTF-8, in place of what has lost a byte. */
static void replace_lossy(struct code_points *bytes, struct code_points *spare)
{
    static const int32_t unknown[] = {0xEF, 0xBF, 0xBD};
    spare->length = 0;
    for (size_t i = 0; i < bytes->length;) {
        const size_t left = bytes->length - i;
        size_t lossy = lossy_pair_length(bytes->codes + i, left);
        if (!lossy)
            lossy = lossy_length(bytes->codes + i, left);
        if (lossy)
            code_points_push_all(spare, unknown, ARRAY_COUNT(unknown));
        else
            code_points_push(spare, bytes->codes[i]);
        i += lossy ? lossy : 1;
    }
    bytes->length = 0;
    code_points_push_all(bytes, spare->codes, spare->length);
}

/* ---- Parts of a text ------------------------------------------------------------------------- */

/* Tells whether one of the encodings like Latin-1 has the character for a byte of the range. */
static bool is_byte_between(int32_t code, int32_t first, int32_t last)
{
    for (int e = 0; e < MOJIBAKE_WINDOWS; e++)
        for (int32_t byte = first; byte <= last; byte++)
            if (mojibake_encodings[e].codes[byte - 0x80] == code)
                return true;
    return false;
}

static bool may_continue(int32_t code)
{
    return code == ' ' || is_byte_between(code, 0x80, 0xBF);
}

/* Tells whether a character continues UTF-8 and is no punctuation that texts have as such. */
static bool surely_continues(int32_t code)
{
    static const char32_t punctuation[] = U"–—―‘’‚“”„•…";
    return code != ' ' && may_continue(code) && !has(punctuation, code);
}

static size_t unit_length(const int32_t *codes, size_t length)
{
    size_t size = 0;
    if (codes[0] < 0x80)
        return 0;
    if (is_byte_between(codes[0], 0xC2, 0xDF) && length > 1 && may_continue(codes[1]))
        return 2;
    if (is_byte_between(codes[0], 0xE0, 0xEF))
        size = 3;
    if (size && length >= 3 && may_continue(codes[1]) && may_continue(codes[2]))
        return 3;
    if ((is_byte_between(codes[0], 0xF0, 0xF0) || is_byte_between(codes[0], 0xF3, 0xF3)) &&
        length >= 4 && may_continue(codes[1]) && may_continue(codes[2]) && may_continue(codes[3]))
        return 4;
    return 0;
}

static void fix(struct code_points *text, int depth);

/* Repairs the parts of a text that look like UTF-8 in some encoding, each on its own. */
static void fix_parts(const int32_t *codes, size_t length, int depth, struct code_points *out)
{
    out->length = 0;
    for (size_t i = 0, end; i < length; i = end) {
        end = i;
        if (!i || !surely_continues(codes[i - 1]))
            for (size_t used; end < length && (used = unit_length(codes + end, length - end));)
                end += used;
        if (end > i && end - i < length && is_bad(codes + i, end - i)) {
            struct code_points part = {0};
            code_points_push_all(&part, codes + i, end - i);
            fix(&part, depth + 1);
            code_points_push_all(out, part.codes, part.length);
            out->failed |= part.failed;
            code_points_free(&part);
            continue;
        }
        end = end > i ? end : i + 1;
        code_points_push_all(out, codes + i, end - i);
    }
}

/* ---- All together ---------------------------------------------------------------------------- */

/* Reads the control characters of Latin-1 as windows-1252. With `strict` returns false if one means
 * nothing there, and leaves it as it is without. */
static bool fix_controls(const struct code_points *text, bool strict, struct code_points *out)
{
    const struct mojibake_encoding *windows = &mojibake_encodings[1];
    out->length = 0;
    for (size_t i = 0; i < text->length; i++) {
        const int32_t code = text->codes[i];
        const bool control = code >= 0x80 && code <= 0x9F;
        const int32_t fixed = control ? windows->codes[code - 0x80] : code;
        if (strict && control && fixed == code)
            return false;
        code_points_push(out, fixed);
    }
    return true;
}

static bool differs(const struct code_points *a, const struct code_points *b)
{
    return a->length != b->length || memcmp(a->codes, b->codes, a->length * sizeof(*a->codes));
}

/* Writes into `fixed` the text that some encoding's bytes are as UTF-8. *latin says whether the
 * text could be Latin-1. Returns false if no encoding's are. */
static bool try_encodings(const struct code_points *text, struct code_points *bytes,
                          struct code_points *fixed, bool *latin)
{
    for (size_t e = 0; e < MOJIBAKE_ENCODINGS; e++) {
        const struct mojibake_encoding *encoding = &mojibake_encodings[e];
        if (!encode_text(encoding, text->codes, text->length, bytes))
            continue;
        *latin |= e == 0;
        if (!encoding->is_macroman)
            restore_spaces(bytes, fixed);
        if (encoding->lossy)
            replace_lossy(bytes, fixed);
        if (decode_text(bytes, fixed))
            return true;
    }
    return false;
}

/* Does one step of ftfy's, whose result is in `fixed`. Returns false if the text stays. */
static bool fix_step(const struct code_points *text, int depth, struct code_points *bytes,
                     struct code_points *fixed)
{
    bool plain = true, latin = false;
    for (size_t i = 0; i < text->length && plain; i++)
        plain = text->codes[i] < 0x80;
    if (plain || !is_bad(text->codes, text->length))
        return false;
    if (try_encodings(text, bytes, fixed, &latin))
        return differs(text, fixed);
    if (depth < DEPTH) {
        fix_parts(text->codes, text->length, depth, fixed);
        if (differs(text, fixed))
            return true;
    }
    if (latin && fix_controls(text, true, fixed) && differs(text, fixed))
        return true;
    return fix_controls(text, false, fixed) && differs(text, fixed);
}

static void fix(struct code_points *text, int depth)
{
    struct code_points bytes = {0}, fixed = {0};
    for (int round = 0; round < ROUNDS && !text->failed; round++) {
        if (!fix_step(text, depth, &bytes, &fixed))
            break;
        text->length = 0;
        code_points_push_all(text, fixed.codes, fixed.length);
        text->failed |= fixed.failed || bytes.failed;
    }
    text->failed |= fixed.failed || bytes.failed;
    code_points_free(&bytes);
    code_points_free(&fixed);
}

void mojibake_fix(struct code_points *text)
{
    fix(text, 0);
}
