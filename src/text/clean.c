/* SPDX-License-Identifier: MIT
 *
 * OpenAI's and Hugging Face's cleaning of text. The rules are those of ftfy 6.3.1, of Python's html
 * and str, and of the `tokenizers` library; the tables are utf8proc's (Unicode) and gumbo's (HTML
 * entities). Refuses nothing: every text has a cleaned form. Never guesses an encoding.
 */
#include "text/clean.h"
#include "base/array.h"

#include <gumbo.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

static bool reserve(struct text *text, size_t capacity)
{
    if (capacity > text->capacity && !text->failed) {
        size_t larger = capacity + capacity / 2 + 16;
        int32_t *at =
            larger < SIZE_MAX / sizeof(*at) ? realloc(text->at, larger * sizeof(*at)) : NULL;
        text->failed = !at;
        if (at) {
            text->at = at;
            text->capacity = larger;
        }
    }
    return !text->failed;
}

void text_push(struct text *text, int32_t code)
{
    if (text->length < text->capacity || reserve(text, text->length + 1))
        text->at[text->length++] = code;
}

static void push_all(struct text *text, const int32_t *codes, size_t count)
{
    if (count && reserve(text, text->length + count)) {
        memcpy(text->at + text->length, codes, count * sizeof(*codes));
        text->length += count;
    }
}

void text_free(struct text *text)
{
    free(text->at);
    *text = (struct text){0};
}

/* What a step wrote becomes the text; the old text's memory is the next step's. */
static void replace(struct text *text, struct text *spare)
{
    struct text old = *text;
    *text = *spare;
    text->failed |= old.failed;
    *spare = old;
    spare->length = 0;
}

/* Reads one code point; returns its bytes. The second byte's limits leave out overlong forms,
 * surrogates and what is above U+10FFFF. */
static size_t decode(const uint8_t *bytes, size_t size, int32_t *code)
{
    uint8_t first = bytes[0], low = 0x80, high = 0xBF;
    size_t length = first < 0x80 ? 1 : first < 0xC2 ? 0 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    *code = 0xFFFD;
    if (!length || first > 0xF4)
        return 1;
    low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : low;
    high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : high;
    int32_t value = length == 1 ? first : first & (0x7F >> length);
    for (size_t i = 1; i < length; i++) {
        if (i == size || bytes[i] < low || bytes[i] > high)
            return i;
        value = value << 6 | (bytes[i] & 0x3F);
        low = 0x80;
        high = 0xBF;
    }
    *code = value;
    return length;
}

void text_push_utf8(struct text *text, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size;) {
        int32_t code;
        i += decode((const uint8_t *)bytes + i, size - i, &code);
        text_push(text, code);
    }
}

bool text_is_space(int32_t code)
{
    return (code >= 9 && code <= 13) || code == 0x85 || code == ' ' || code == 0xA0 ||
           (code >= 0x1680 &&
            (utf8proc_category(code) == UTF8PROC_CATEGORY_ZS || code == 0x2028 || code == 0x2029));
}

/* ---- Normal form C --------------------------------------------------------------------------- */

static uint8_t combining_class(int32_t code)
{
    return (uint8_t)utf8proc_get_property(code)->combining_class;
}

/* Stable sort by combining class. utf8proc's own is quadratic in the marks behind one letter. */
static void order_marks(int32_t *marks, size_t count, int32_t *sorted)
{
    size_t place[257] = {0};
    for (size_t i = 0; i < count; i++)
        place[combining_class(marks[i]) + 1]++;
    for (size_t i = 1; i < 257; i++)
        place[i] += place[i - 1];
    for (size_t i = 0; i < count; i++)
        sorted[place[combining_class(marks[i])]++] = marks[i];
    memcpy(marks, sorted, count * sizeof(*marks));
}

static void push_decomposed(struct text *text, int32_t code, utf8proc_option_t options)
{
    int32_t parts[32]; /* the longest decomposition has 18 */
    int boundary;
    utf8proc_ssize_t count = utf8proc_decompose_char(code, parts, 32, options, &boundary);
    if (count > 0 && count <= 32)
        push_all(text, parts, (size_t)count);
    else
        text_push(text, code);
}

static void normalize(struct text *text, struct text *spare)
{
    size_t plain = 0; /* below U+0300 nothing composes */
    while (plain < text->length && text->at[plain] < 0x300)
        plain++;
    if (plain == text->length)
        return;
    for (size_t i = 0; i < text->length; i++)
        push_decomposed(spare, text->at[i], UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    if (spare->failed || !reserve(text, spare->length)) {
        text->failed = true;
        return;
    }
    for (size_t i = 0, end; i < spare->length; i = end + 1) {
        for (end = i; end < spare->length && combining_class(spare->at[end]);)
            end++;
        if (end - i > 1)
            order_marks(spare->at + i, end - i, text->at);
    }
    utf8proc_ssize_t length = utf8proc_normalize_utf32(spare->at, (utf8proc_ssize_t)spare->length,
                                                       UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    spare->length = length < 0 ? spare->length : (size_t)length;
    replace(text, spare);
}

/* ---- HTML character references --------------------------------------------------------------- */

/* What windows-1252 has at 0x80..0x9F, as HTML and ftfy read these; itself where it has nothing. */
static int32_t windows_1252(int32_t code)
{
    static const uint16_t table[32] = {
        0x20AC, 0x0081, 0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
        0x2039, 0x0152, 0x008D, 0x017D, 0x008F, 0x0090, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
        0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0x009D, 0x017E, 0x0178};
    return code >= 0x80 && code <= 0x9F ? table[code - 0x80] : code;
}

static bool is_digit(int32_t code)
{
    return code >= '0' && code <= '9';
}

static bool is_ascii_letter(int32_t code)
{
    return (code >= 'a' && code <= 'z') || (code >= 'A' && code <= 'Z');
}

static bool is_ascii_word(int32_t code)
{
    return is_digit(code) || is_ascii_letter(code);
}

static int32_t digit_value(int32_t code)
{
    if (is_digit(code))
        return code - '0';
    return is_ascii_letter(code) ? (code | 32) - 'a' + 10 : 99;
}

/* Code points that html.unescape drops. */
static bool is_dropped(int32_t code)
{
    return (code >= 1 && code <= 8) || code == 11 || (code >= 14 && code <= 31) || code == 0x7F ||
           (code >= 0xFDD0 && code <= 0xFDEF) || (code & 0xFFFE) == 0xFFFE;
}

/* "&#65;", "&#x41", ...: pushes the character and returns the length; 0 when there is no number. */
static size_t push_numeric(struct text *out, const int32_t *at, size_t length)
{
    bool hexadecimal = length > 2 && (at[2] == 'x' || at[2] == 'X');
    size_t first = hexadecimal ? 3 : 2, end = first;
    int32_t base = hexadecimal ? 16 : 10, value = 0;
    for (; end < length && digit_value(at[end]) < base; end++)
        value = value > 0x10FFFF ? value : value * base + digit_value(at[end]);
    if (end == first)
        return 0;
    if (value == 0 || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF))
        value = 0xFFFD;
    if (!is_dropped(value))
        text_push(out, windows_1252(value));
    return end < length && at[end] == ';' ? end + 1 : end;
}

enum { NAME_SIZE = 32 }; /* the longest name has 31 letters */

/* Reads "&name" or "&name;" (`length` letters in all) as HTML's data state does: the whole name,
 * else the longest beginning of it that is a name without semicolon. The "x" keeps the parser from
 * dropping white space at the document's start. */
static void push_named(struct text *out, const int32_t *at, size_t length)
{
    char document[NAME_SIZE + 4] = "x";
    GumboOptions options = kGumboDefaultOptions;
    options.max_errors = 0;
    for (size_t i = 0; i < length; i++)
        document[i + 1] = (char)at[i];
    GumboOutput *output = gumbo_parse_with_options(&options, document, length + 1);
    const GumboNode *node = output->root;
    while (node && node->type == GUMBO_NODE_ELEMENT && node->v.element.children.length) {
        const GumboVector *children = &node->v.element.children;
        node = children->data[children->length - 1]; /* html, its body, the body's text */
    }
    if (node && node->type == GUMBO_NODE_TEXT)
        text_push_utf8(out, node->v.text.text + 1, strlen(node->v.text.text + 1));
    gumbo_destroy_output(&options, output);
}

static bool changed(const struct text *out, size_t from, const int32_t *at, size_t length)
{
    return out->length - from != length || memcmp(out->at + from, at, length * sizeof(*at));
}

static size_t name_length(const int32_t *at, size_t length, size_t limit)
{
    size_t end = 1;
    while (end < length && end <= limit && is_ascii_word(at[end]))
        end++;
    return end;
}

/* Python's html.unescape for the reference at `at`: pushes what it stands for, returns its length.
 */
static size_t unescape_python(struct text *out, const int32_t *at, size_t length)
{
    size_t end = 0;
    if (length > 1 && at[1] == '#') {
        end = push_numeric(out, at, length);
    } else {
        end = name_length(at, length, NAME_SIZE);
        end += end < length && at[end] == ';';
        if (end > 2)
            push_named(out, at, end);
        else
            end = 0;
    }
    if (!end)
        text_push(out, '&');
    return end ? end : 1;
}

/* An upper-case name that is none, such as "&NTILDE;", is ftfy's upper case of "&ntilde;". */
static void push_upper_named(struct text *out, const int32_t *at, size_t length)
{
    int32_t name[NAME_SIZE];
    size_t from = out->length;
    for (size_t i = 0; i < length; i++) {
        if (at[i] >= 'a' && at[i] <= 'z')
            return;
        name[i] = at[i] + (is_ascii_letter(at[i]) ? 32 : 0);
    }
    push_named(out, name, length);
    if (out->failed || !changed(out, from, name, length) ||
        (out->length - from > 1 && out->at[out->length - 1] == ';')) {
        out->length = from;
        return;
    }
    /* the ligatures, whose upper case is two letters too, are taken apart later anyway */
    bool sharp_s = out->at[from] == 0xDF;
    for (size_t i = from; i < out->length; i++)
        out->at[i] = sharp_s ? 'S' : utf8proc_toupper(out->at[i]);
    if (sharp_s)
        text_push(out, 'S');
}

/* ftfy's unescape_html: only what ends with a semicolon, and only as a whole. Returns 0 when there
 * is nothing to replace. */
static size_t unescape_ftfy(struct text *out, const int32_t *at, size_t length)
{
    size_t from = out->length, number = length > 1 && at[1] == '#';
    size_t end = number + name_length(at + number, length - number, 24);
    if (end == number + 1 || end >= length || at[end] != ';')
        return 0;
    end++;
    if (number) {
        if (push_numeric(out, at, end) == end && (out->length == from || out->at[from] != ';'))
            return end;
        out->length = from;
        return 0;
    }
    push_named(out, at, end);
    if (out->failed)
        return 0;
    bool known = changed(out, from, at, end);
    if (known && (out->length - from == 1 || out->at[out->length - 1] != ';'))
        return end;
    out->length = from; /* none, or one that stops before the semicolon as "&notit;" does */
    if (!known)
        push_upper_named(out, at, end);
    return out->length > from ? end : 0;
}

static void unescape(struct text *text, struct text *spare)
{
    for (size_t i = 0; i < text->length;)
        if (text->at[i] == '&')
            i += unescape_python(spare, text->at + i, text->length - i);
        else
            text_push(spare, text->at[i++]);
    replace(text, spare);
}

/* ---- ftfy ------------------------------------------------------------------------------------ */

/* An "&" that comes out is read again with what follows it: ftfy would do so in its next round, and
 * "&amp;amp;amp;..." would take a round for each. */
static void fix_references(struct text *text, struct text *spare)
{
    for (size_t i = 0; i < text->length;) {
        size_t from = spare->length, used = 0;
        if (text->at[i] == '&')
            used = unescape_ftfy(spare, text->at + i, text->length - i);
        if (!used) {
            text_push(spare, text->at[i++]);
        } else if (spare->length == from + 1 && spare->at[from] == '&') {
            spare->length = from;
            i += used - 1;
            text->at[i] = '&';
        } else {
            i += used;
        }
    }
    replace(text, spare);
}

static bool is_latin_ligature(int32_t code)
{
    return code == 0x132 || code == 0x133 || code == 0x149 || (code >= 0x1C4 && code <= 0x1CC) ||
           (code >= 0x1F1 && code <= 0x1F3) || (code >= 0xFB00 && code <= 0xFB06);
}

static bool is_single_quote(int32_t code)
{
    return code == 0x2BC || (code >= 0x2018 && code <= 0x201B);
}

/* Characters left from windows-1252, Latin ligatures, full and half width forms, curly quotes. */
static void fix_characters(struct text *text, struct text *spare)
{
    for (size_t i = 0; i < text->length; i++) {
        int32_t code = windows_1252(text->at[i]);
        size_t from = spare->length;
        if (code == 0xFB05) { /* its full decomposition would make an s of the long s */
            text_push(spare, 0x17F);
            text_push(spare, 't');
        } else if (is_latin_ligature(code) || (code >= 0xFF01 && code <= 0xFFEF)) {
            push_decomposed(spare, code, UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT);
        } else {
            text_push(spare, code == 0x3000 ? ' ' : code);
        }
        for (; from < spare->length; from++)
            if (is_single_quote(spare->at[from]))
                spare->at[from] = '\'';
            else if (spare->at[from] >= 0x201C && spare->at[from] <= 0x201F)
                spare->at[from] = '"';
    }
    replace(text, spare);
}

/* "ESC [ 1 ; 31 m" and its like; 0 when it is none. */
static size_t terminal_escape(const int32_t *at, size_t length)
{
    size_t end = 2;
    if (length < 3 || at[0] != 27 || at[1] != '[')
        return 0;
    while (end < length && (at[end] == ';' || utf8proc_category(at[end]) == UTF8PROC_CATEGORY_ND))
        end++;
    return end < length && is_ascii_letter(at[end]) ? end + 1 : 0;
}

static bool is_control(int32_t code)
{
    return (code >= 0 && code <= 8) || code == 11 || (code >= 14 && code <= 31) || code == 0x7F ||
           (code >= 0x206A && code <= 0x206F) || code == 0xFEFF ||
           (code >= 0xFFF9 && code <= 0xFFFC);
}

static void remove_controls(struct text *text)
{
    size_t kept = 0;
    for (size_t i = 0; i < text->length;) {
        size_t escape = terminal_escape(text->at + i, text->length - i);
        if (!escape && !is_control(text->at[i]))
            text->at[kept++] = text->at[i];
        i += escape ? escape : 1;
    }
    text->length = kept;
}

/* ftfy repeats its steps until nothing changes. Each round but the last undoes one level of
 * escaping; the bound is far above what text has, and keeps nested references from taking a round
 * each. */
enum { ROUNDS = 32 };

/* Line ends need no step of their own: white space becomes one space in the end. */
static void fix_segment(struct text *segment, struct text *spare, struct text *before, bool html)
{
    for (int round = 0; round < ROUNDS && !segment->failed; round++) {
        before->length = 0;
        push_all(before, segment->at, segment->length);
        if (html)
            fix_references(segment, spare);
        fix_characters(segment, spare);
        remove_controls(segment);
        normalize(segment, spare);
        segment->failed |= before->failed;
        if (segment->failed || !changed(segment, 0, before->at, before->length))
            return;
    }
}

/* Lines one by one, and one with "<" ends the unescaping of references for the rest. */
static void fix(struct text *text)
{
    enum { SEGMENT = 1000000 };
    struct text fixed = {0}, segment = {0}, spare = {0}, before = {0};
    bool html = true;
    for (size_t i = 0, end; i < text->length; i = end) {
        for (end = i; end < text->length && text->at[end] != '\n' && end - i < SEGMENT; end++)
            html = html && text->at[end] != '<';
        end += end < text->length && end - i < SEGMENT;
        segment.length = 0;
        push_all(&segment, text->at + i, end - i);
        fix_segment(&segment, &spare, &before, html);
        push_all(&fixed, segment.at, segment.length);
        fixed.failed |= segment.failed;
    }
    replace(text, &fixed);
    text_free(&fixed);
    text_free(&segment);
    text_free(&spare);
    text_free(&before);
}

/* ---- White space and lower case -------------------------------------------------------------- */

static void collapse_spaces(struct text *text, bool trim)
{
    size_t kept = 0;
    for (size_t i = 0; i < text->length; i++)
        if (!text_is_space(text->at[i]))
            text->at[kept++] = text->at[i];
        else if (kept ? text->at[kept - 1] != ' ' : !trim)
            text->at[kept++] = ' ';
    text->length = trim && kept && text->at[kept - 1] == ' ' ? kept - 1 : kept;
}

/* Unicode's Cased, for characters that are not Case_Ignorable: letters with case, and those symbols
 * and ordinals that have it without being such letters. */
static bool is_cased(int32_t code)
{
    utf8proc_category_t category = utf8proc_category(code);
    return category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LL ||
           category == UTF8PROC_CATEGORY_LT || code == 0xAA || code == 0xBA ||
           (code >= 0x2160 && code <= 0x217F) || (code >= 0x24B6 && code <= 0x24E9) ||
           (code >= 0x1F130 && code <= 0x1F149) || (code >= 0x1F150 && code <= 0x1F169) ||
           (code >= 0x1F170 && code <= 0x1F189);
}

/* Unicode's Case_Ignorable: marks, modifiers, format characters and the middle-of-word punctuation.
 */
static bool is_case_ignorable(int32_t code)
{
    static const uint16_t middle[] = {'\'',   '.',    ':',    0xB7,   0x387,  0x55F,
                                      0x5F4,  0x2018, 0x2019, 0x2024, 0x2027, 0xFE13,
                                      0xFE52, 0xFE55, 0xFF07, 0xFF0E, 0xFF1A};
    switch (utf8proc_category(code)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK:
        return true;
    default:
        for (size_t i = 0; i < ARRAY_COUNT(middle); i++)
            if (code == middle[i])
                return true;
        return false;
    }
}

/* A sigma at a word's end: something cased before it, nothing cased behind it. */
static bool is_final(const struct text *text, size_t at)
{
    size_t before = at, after = at + 1;
    while (before && is_case_ignorable(text->at[before - 1]))
        before--;
    while (after < text->length && is_case_ignorable(text->at[after]))
        after++;
    return before && is_cased(text->at[before - 1]) &&
           (after == text->length || !is_cased(text->at[after]));
}

static void lower(struct text *text, struct text *spare, bool final_sigma)
{
    for (size_t i = 0; i < text->length; i++)
        if (text->at[i] == 0x130) {
            text_push(spare, 'i');
            text_push(spare, 0x307);
        } else if (text->at[i] == 0x3A3 && final_sigma && is_final(text, i)) {
            text_push(spare, 0x3C2);
        } else {
            text_push(spare, utf8proc_tolower(text->at[i]));
        }
    replace(text, spare);
}

void text_clean_openai(struct text *text)
{
    struct text spare = {0};
    fix(text);
    unescape(text, &spare);
    unescape(text, &spare);
    collapse_spaces(text, true);
    lower(text, &spare, true);
    text_free(&spare);
}

void text_clean_hf(struct text *text)
{
    struct text spare = {0};
    normalize(text, &spare);
    collapse_spaces(text, false);
    lower(text, &spare, false);
    text_free(&spare);
}
