/* SPDX-License-Identifier: MIT
 *
 * Cleans texts as OpenAI and Hugging Face do. The rules are those of ftfy 6.3.1, of Python's html
 * and str, and of the `tokenizers` library; the tables are utf8proc's (Unicode) and gumbo's (HTML
 * entities). No text is refused: every text has a cleaned form.
 */
#include "text/clean.h"
#include "base/array.h"
#include "text/mojibake.h"

#include <gumbo.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

/* Makes the result that a step wrote into `spare` the text. The next step reuses the old text's
 * memory.
 */
static void replace(struct code_points *text, struct code_points *spare)
{
    struct code_points old = *text;
    *text = *spare;
    text->failed |= old.failed;
    *spare = old;
    spare->length = 0;
}

/* ---- Normal form C --------------------------------------------------------------------------- */

static uint8_t combining_class(int32_t code)
{
    return (uint8_t)utf8proc_get_property(code)->combining_class;
}

/* Sorts marks by combining class, stably and in linear time, because utf8proc's own sort takes
 * quadratic time in the number of marks that follow one letter. */
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

static void push_decomposed(struct code_points *text, int32_t code, utf8proc_option_t options)
{
    int32_t parts[32]; /* The longest decomposition has 18 code points. */
    int boundary;
    utf8proc_ssize_t count = utf8proc_decompose_char(code, parts, 32, options, &boundary);
    if (count > 0 && count <= 32)
        code_points_push_all(text, parts, (size_t)count);
    else
        code_points_push(text, code);
}

/* Makes `spare` the normal form D of the text, whose memory is overwritten. */
static bool decompose(struct code_points *text, struct code_points *spare)
{
    for (size_t i = 0; i < text->length; i++)
        push_decomposed(spare, text->codes[i], UTF8PROC_STABLE | UTF8PROC_DECOMPOSE);
    if (spare->failed || !code_points_reserve(text, spare->length)) {
        text->failed = true;
        return false;
    }
    for (size_t i = 0, end = 0; i < spare->length; i = end + 1) {
        end = i;
        while (end < spare->length && combining_class(spare->codes[end]))
            end++;
        if (end - i > 1)
            order_marks(spare->codes + i, end - i, text->codes);
    }
    return true;
}

static void normalize(struct code_points *text, struct code_points *spare)
{
    size_t plain = 0; /* No character below U+0300 composes. */
    while (plain < text->length && text->codes[plain] < 0x300)
        plain++;
    if (plain == text->length || !decompose(text, spare))
        return;
    utf8proc_ssize_t length = utf8proc_normalize_utf32(
        spare->codes, (utf8proc_ssize_t)spare->length, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    spare->length = length < 0 ? spare->length : (size_t)length;
    replace(text, spare);
}

/* ---- HTML character references --------------------------------------------------------------- */

/* Maps 0x80..0x9F to the characters of windows-1252, as HTML and ftfy do; a code that windows-1252
 * leaves out stays. */
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

/* Tells whether html.unescape drops a reference to this code point. */
static bool is_dropped(int32_t code)
{
    return (code >= 1 && code <= 8) || code == 11 || (code >= 14 && code <= 31) || code == 0x7F ||
           (code >= 0xFDD0 && code <= 0xFDEF) || (code & 0xFFFE) == 0xFFFE;
}

/* Reads a numeric reference such as "&#65;" or "&#x41": pushes the character and returns the
 * reference's length. Returns 0 when there is no number. */
static size_t push_numeric(struct code_points *out, const int32_t *codes, size_t length)
{
    bool hexadecimal = length > 2 && (codes[2] == 'x' || codes[2] == 'X');
    size_t first = hexadecimal ? 3 : 2, end = first;
    int32_t base = hexadecimal ? 16 : 10, value = 0;
    for (; end < length && digit_value(codes[end]) < base; end++)
        value = value > 0x10FFFF ? value : value * base + digit_value(codes[end]);
    if (end == first)
        return 0;
    if (value == 0 || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF))
        value = 0xFFFD;
    if (!is_dropped(value))
        code_points_push(out, windows_1252(value));
    return end < length && codes[end] == ';' ? end + 1 : end;
}

enum { NAME_SIZE = 32 }; /* The longest name has 31 letters. */

/* Pushes what HTML's data state makes of "&name" or "&name;", `length` characters in all: the
 * character of the whole name, else of its longest prefix that is a name without semicolon. gumbo
 * parses the text as a document, and a leading "x" keeps it from dropping white space at the
 * start. */
static void push_named(struct code_points *out, const int32_t *codes, size_t length)
{
    char document[NAME_SIZE + 4] = "x";
    GumboOptions options = kGumboDefaultOptions;
    options.max_errors = 0;
    for (size_t i = 0; i < length; i++)
        document[i + 1] = (char)codes[i];
    GumboOutput *output = gumbo_parse_with_options(&options, document, length + 1);
    const GumboNode *node = output->root;
    while (node && node->type == GUMBO_NODE_ELEMENT && node->v.element.children.length) {
        const GumboVector *children = &node->v.element.children;
        /* The last children are html, its body, and the body's text. */
        node = children->data[children->length - 1];
    }
    if (node && node->type == GUMBO_NODE_TEXT)
        code_points_push_utf8(out, node->v.text.text + 1, strlen(node->v.text.text + 1));
    gumbo_destroy_output(&options, output);
}

static bool changed(const struct code_points *out, size_t first, const int32_t *codes,
                    size_t length)
{
    return out->length - first != length ||
           memcmp(out->codes + first, codes, length * sizeof(*codes));
}

static size_t name_length(const int32_t *codes, size_t length, size_t limit)
{
    size_t end = 1;
    while (end < length && end <= limit && is_ascii_word(codes[end]))
        end++;
    return end;
}

/* Does what Python's html.unescape does with the reference at the start of `codes`: pushes its
 * characters and returns its length. */
static size_t unescape_python(struct code_points *out, const int32_t *codes, size_t length)
{
    size_t end = 0;
    if (length > 1 && codes[1] == '#') {
        end = push_numeric(out, codes, length);
    } else {
        end = name_length(codes, length, NAME_SIZE);
        end += end < length && codes[end] == ';';
        if (end > 2)
            push_named(out, codes, end);
        else
            end = 0;
    }
    if (!end)
        code_points_push(out, '&');
    return end ? end : 1;
}

/* Pushes the upper case of the character that the lower-case name means, as ftfy does for an
 * upper-case name that HTML does not know, such as "&NTILDE;". */
static void push_upper_named(struct code_points *out, const int32_t *codes, size_t length)
{
    int32_t name[NAME_SIZE];
    size_t first = out->length;
    for (size_t i = 0; i < length; i++) {
        if (codes[i] >= 'a' && codes[i] <= 'z')
            return;
        name[i] = codes[i] + (is_ascii_letter(codes[i]) ? 32 : 0);
    }
    push_named(out, name, length);
    if (out->failed || !changed(out, first, name, length) ||
        (out->length - first > 1 && out->codes[out->length - 1] == ';')) {
        out->length = first;
        return;
    }
    /* Only a sharp s needs care: ligatures also have an upper case of two letters, but
     * fix_characters splits them. */
    bool sharp_s = out->codes[first] == 0xDF;
    for (size_t i = first; i < out->length; i++)
        out->codes[i] = sharp_s ? 'S' : utf8proc_toupper(out->codes[i]);
    if (sharp_s)
        code_points_push(out, 'S');
}

/* Does what ftfy's unescape_html does, which replaces a reference only as a whole and only where it
 * ends with a semicolon. Returns the length of the replaced reference, or 0 if none is replaced. */
static size_t unescape_ftfy(struct code_points *out, const int32_t *codes, size_t length)
{
    size_t first = out->length, number = length > 1 && codes[1] == '#';
    size_t end = number + name_length(codes + number, length - number, 24);
    if (end == number + 1 || end >= length || codes[end] != ';')
        return 0;
    end++;
    if (number) {
        if (push_numeric(out, codes, end) == end &&
            (out->length == first || out->codes[first] != ';'))
            return end;
        out->length = first;
        return 0;
    }
    push_named(out, codes, end);
    if (out->failed)
        return 0;
    bool known = changed(out, first, codes, end);
    if (known && (out->length - first == 1 || out->codes[out->length - 1] != ';'))
        return end;
    /* There is no such name, or the name ends before the semicolon as in "&notit;". */
    out->length = first;
    if (!known)
        push_upper_named(out, codes, end);
    return out->length > first ? end : 0;
}

static void unescape(struct code_points *text, struct code_points *spare)
{
    for (size_t i = 0; i < text->length;)
        if (text->codes[i] == '&')
            i += unescape_python(spare, text->codes + i, text->length - i);
        else
            code_points_push(spare, text->codes[i++]);
    replace(text, spare);
}

/* ---- ftfy ------------------------------------------------------------------------------------ */

/* Replaces references, and also those that begin with an "&" that came out of another reference.
 * ftfy leaves them to its next round, so that "&amp;amp;amp;..." takes one round per level. */
static void fix_references(struct code_points *text, struct code_points *spare)
{
    for (size_t i = 0; i < text->length;) {
        size_t first = spare->length, used = 0;
        if (text->codes[i] == '&')
            used = unescape_ftfy(spare, text->codes + i, text->length - i);
        if (!used) {
            code_points_push(spare, text->codes[i++]);
        } else if (spare->length == first + 1 && spare->codes[first] == '&') {
            spare->length = first;
            i += used - 1;
            text->codes[i] = '&';
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

/* Replaces characters that remain from windows-1252, Latin ligatures, full and half width forms,
 * and curly quotes. */
static void fix_characters(struct code_points *text, struct code_points *spare)
{
    for (size_t i = 0; i < text->length; i++) {
        int32_t code = windows_1252(text->codes[i]);
        size_t first = spare->length;
        if (code ==
            0xFB05) { /* The full decomposition of this ligature would turn the long s into an s. */
            code_points_push(spare, 0x17F);
            code_points_push(spare, 't');
        } else if (is_latin_ligature(code) || (code >= 0xFF01 && code <= 0xFFEF)) {
            push_decomposed(spare, code, UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT);
        } else {
            code_points_push(spare, code == 0x3000 ? ' ' : code);
        }
        for (; first < spare->length; first++)
            if (is_single_quote(spare->codes[first]))
                spare->codes[first] = '\'';
            else if (spare->codes[first] >= 0x201C && spare->codes[first] <= 0x201F)
                spare->codes[first] = '"';
    }
    replace(text, spare);
}

/* Returns the length of a terminal's escape sequence, such as "ESC [ 1 ; 31 m", or 0 if there is
 * none. */
static size_t terminal_escape(const int32_t *codes, size_t length)
{
    size_t end = 2;
    if (length < 3 || codes[0] != 27 || codes[1] != '[')
        return 0;
    while (end < length &&
           (codes[end] == ';' || utf8proc_category(codes[end]) == UTF8PROC_CATEGORY_ND))
        end++;
    return end < length && is_ascii_letter(codes[end]) ? end + 1 : 0;
}

static bool is_control(int32_t code)
{
    return (code >= 0 && code <= 8) || code == 11 || (code >= 14 && code <= 31) || code == 0x7F ||
           (code >= 0x206A && code <= 0x206F) || code == 0xFEFF ||
           (code >= 0xFFF9 && code <= 0xFFFC);
}

static void remove_controls(struct code_points *text)
{
    size_t kept = 0;
    for (size_t i = 0; i < text->length;) {
        size_t escape = terminal_escape(text->codes + i, text->length - i);
        if (!escape && !is_control(text->codes[i]))
            text->codes[kept++] = text->codes[i];
        i += escape ? escape : 1;
    }
    text->length = kept;
}

/* ftfy repeats its steps until nothing changes, and each round undoes one level of escaping. The
 * limit is far above the levels that real texts have. It bounds the time that a hostile text with
 * many levels can take. */
enum { ROUNDS = 32 };

/* Applies ftfy's steps to a segment. Line ends need no step, because each run of white space
 * becomes one space later. */
static void fix_segment(struct code_points *segment, struct code_points *spare,
                        struct code_points *before, bool html)
{
    for (int round = 0; round < ROUNDS && !segment->failed; round++) {
        before->length = 0;
        code_points_push_all(before, segment->codes, segment->length);
        if (html)
            fix_references(segment, spare);
        mojibake_fix(segment);
        fix_characters(segment, spare);
        remove_controls(segment);
        normalize(segment, spare);
        segment->failed |= before->failed;
        if (segment->failed || !changed(segment, 0, before->codes, before->length))
            return;
    }
}

/* Cleans a text line by line as ftfy does, which unescapes no references from the first line with
 * "<" on. */
static void fix(struct code_points *text)
{
    enum { SEGMENT = 1000000 }; /* ftfy cuts longer lines at this length. */
    struct code_points fixed = {0}, segment = {0}, spare = {0}, before = {0};
    bool html = true;
    for (size_t i = 0, end = 0; i < text->length; i = end) {
        end = i;
        while (end < text->length && text->codes[end] != '\n' && end - i < SEGMENT)
            if (text->codes[end++] == '<')
                html = false;
        end += end < text->length && end - i < SEGMENT;
        segment.length = 0;
        code_points_push_all(&segment, text->codes + i, end - i);
        fix_segment(&segment, &spare, &before, html);
        code_points_push_all(&fixed, segment.codes, segment.length);
        fixed.failed |= segment.failed;
    }
    replace(text, &fixed);
    code_points_free(&fixed);
    code_points_free(&segment);
    code_points_free(&spare);
    code_points_free(&before);
}

/* ---- White space and lower case -------------------------------------------------------------- */

static void collapse_spaces(struct code_points *text, bool trim)
{
    size_t kept = 0;
    for (size_t i = 0; i < text->length; i++) {
        const bool wanted = kept ? text->codes[kept - 1] != ' ' : !trim;
        if (!code_point_is_space(text->codes[i]))
            text->codes[kept++] = text->codes[i];
        else if (wanted)
            text->codes[kept++] = ' ';
    }
    if (trim && kept && text->codes[kept - 1] == ' ')
        kept--;
    text->length = kept;
}

/* Tells whether a character that is not Case_Ignorable has Unicode's property Cased: letters with
 * case, and the symbols and ordinals that have case without being letters. */
static bool is_cased(int32_t code)
{
    utf8proc_category_t category = utf8proc_category(code);
    return category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LL ||
           category == UTF8PROC_CATEGORY_LT || code == 0xAA || code == 0xBA ||
           (code >= 0x2160 && code <= 0x217F) || (code >= 0x24B6 && code <= 0x24E9) ||
           (code >= 0x1F130 && code <= 0x1F149) || (code >= 0x1F150 && code <= 0x1F169) ||
           (code >= 0x1F170 && code <= 0x1F189);
}

/* Tells whether a character has Unicode's property Case_Ignorable: marks, modifiers, format
 * characters and the punctuation that occurs inside words. */
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

/* Tells whether a sigma ends its word, that is, whether a cased character precedes it and none
 * follows it. */
static bool is_final(const struct code_points *text, size_t sigma)
{
    size_t before = sigma, after = sigma + 1;
    while (before && is_case_ignorable(text->codes[before - 1]))
        before--;
    while (after < text->length && is_case_ignorable(text->codes[after]))
        after++;
    return before && is_cased(text->codes[before - 1]) &&
           (after == text->length || !is_cased(text->codes[after]));
}

static void lower(struct code_points *text, struct code_points *spare, bool final_sigma)
{
    for (size_t i = 0; i < text->length; i++)
        if (text->codes[i] == 0x130) {
            code_points_push(spare, 'i');
            code_points_push(spare, 0x307);
        } else if (text->codes[i] == 0x3A3 && final_sigma && is_final(text, i)) {
            code_points_push(spare, 0x3C2);
        } else {
            code_points_push(spare, utf8proc_tolower(text->codes[i]));
        }
    replace(text, spare);
}

void clean_lower_letters(struct code_points *text)
{
    struct code_points spare = {0};
    lower(text, &spare, false);
    code_points_free(&spare);
}

void clean_strip_accents(struct code_points *text)
{
    struct code_points spare = {0};
    size_t kept = 0;
    if (decompose(text, &spare))
        replace(text, &spare);
    for (size_t i = 0; i < text->length; i++)
        if (utf8proc_category(text->codes[i]) != UTF8PROC_CATEGORY_MN)
            text->codes[kept++] = text->codes[i];
    text->length = kept;
    code_points_free(&spare);
}

static bool is_ascii_punctuation(int32_t code)
{
    return code > ' ' && code < 0x7F && !is_ascii_word(code);
}

void clean_remove_punctuation(struct code_points *text)
{
    size_t kept = 0;
    for (size_t i = 0; i < text->length; i++)
        if (!is_ascii_punctuation(text->codes[i]))
            text->codes[kept++] = text->codes[i];
    text->length = kept;
}

void clean_trim(struct code_points *text)
{
    collapse_spaces(text, true);
}

void clean_fix(struct code_points *text)
{
    struct code_points spare = {0};
    fix(text);
    unescape(text, &spare);
    unescape(text, &spare);
    collapse_spaces(text, true);
    code_points_free(&spare);
}

void clean_lower(struct code_points *text)
{
    struct code_points spare = {0};
    size_t first = 0;
    lower(text, &spare, true);
    while (text->length && code_point_is_space(text->codes[text->length - 1]))
        text->length--;
    while (first < text->length && code_point_is_space(text->codes[first]))
        first++;
    text->length -= first;
    for (size_t i = 0; i < text->length; i++)
        text->codes[i] = text->codes[i + first];
    code_points_free(&spare);
}

void clean_openai(struct code_points *text)
{
    struct code_points spare = {0};
    clean_fix(text);
    lower(text, &spare, true);
    code_points_free(&spare);
}

void clean_canonicalize(struct code_points *text)
{
    struct code_points spare = {0};
    clean_fix(text);
    for (size_t i = 0; i < text->length; i++)
        if (text->codes[i] == '_')
            text->codes[i] = ' ';
    clean_remove_punctuation(text);
    lower(text, &spare, true);
    collapse_spaces(text, true);
    code_points_free(&spare);
}

void clean_hugging_face(struct code_points *text)
{
    struct code_points spare = {0};
    normalize(text, &spare);
    collapse_spaces(text, false);
    lower(text, &spare, false);
    code_points_free(&spare);
}
