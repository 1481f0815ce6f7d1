/* SPDX-License-Identifier: MIT
 *
 * Parses prompts as parse_prompt_attention of AUTOMATIC1111's webui and token_weights of ComfyUI
 * do, to the last bit of the weights, which are products of doubles in the order of those programs.
 */
#include "base/memory.h"
#include "text/prompt.h"
#include "base/array.h"
#include "base/error.h"
#include "text/characters.h"
#include "text/prompt_number.h"

#include <string.h>

struct span {
    const char *text;
    size_t length;
};

struct parser {
    const char *name; /* for messages */
    const char *text;
    size_t length;
    struct prompt_pieces *pieces;
    size_t end, capacity;   /* bytes of the pieces' text so far; room in their list */
    size_t *round, *square; /* the webui's open brackets: the first piece in each */
    size_t rounds, squares;
};

/* Tells whether a byte is one of a string's, of which its NUL is none. */
static bool is_one(char byte, const char *set)
{
    return byte && strchr(set, byte);
}

static int fail_memory(const struct parser *parser)
{
    return error_fail(VKCLIP_EMEMORY, "%s: out of memory for a prompt of %zu bytes", parser->name,
                      parser->length);
}

static int push_piece(struct parser *parser, const char *text, size_t length, double weight)
{
    struct prompt_pieces *pieces = parser->pieces;
    if (pieces->count == parser->capacity) {
        const size_t capacity = 2 * parser->capacity + 16;
        struct prompt_piece *list = memory_realloc(pieces->list, capacity * sizeof(*list));
        if (!list)
            return fail_memory(parser);
        pieces->list = list;
        parser->capacity = capacity;
    }
    pieces->list[pieces->count++] = (struct prompt_piece){parser->end, length, weight};
    memcpy(pieces->text + parser->end, text, length);
    parser->end += length;
    return VKCLIP_OK;
}

static int parse_plain(struct parser *parser)
{
    return push_piece(parser, parser->text, parser->length, 1);
}

/* ---- The webui ------------------------------------------------------------------------------- */

static const char BREAK[] = "BREAK";
enum { BREAK_LENGTH = sizeof(BREAK) - 1 };

/* Finds the next BREAK that is a word of its own. Returns `length` if there is none. */
static size_t find_break(const char *text, size_t length, size_t start)
{
    for (size_t i = start; i + BREAK_LENGTH <= length; i++) {
        const size_t end = i + BREAK_LENGTH, before = i ? character_before(text, i) : 0;
        if (memcmp(text + i, BREAK, BREAK_LENGTH))
            continue;
        const bool begins = !i || !character_is_word(text + before, i - before);
        if (begins && !character_is_word(text + end, length - end))
            return i;
    }
    return length;
}

/* Returns where the text before a break ends without the white space before `end`. */
static size_t trim_end(const char *text, size_t start, size_t end)
{
    while (end > start) {
        const size_t before = character_before(text, end);
        if (before < start || !character_space(text + before, end - before))
            break;
        end = before;
    }
    return end;
}

/* Adds a text without brackets, and the breaks in it without the white space around them. */
static int push_text(struct parser *parser, const char *text, size_t length)
{
    size_t start = 0, found;
    while ((found = find_break(text, length, start)) < length) {
        int error = push_piece(parser, text + start, trim_end(text, start, found) - start, 1);
        if (!error)
            error = push_piece(parser, BREAK, BREAK_LENGTH, -1);
        if (error)
            return error;
        start = found + BREAK_LENGTH;
        for (size_t space; (space = character_space(text + start, length - start));)
            start += space;
    }
    return push_piece(parser, text + start, length - start, 1);
}

static void multiply_from(struct parser *parser, size_t first, double factor)
{
    for (size_t i = first; i < parser->pieces->count; i++)
        parser->pieces->list[i].weight *= factor;
}

/* Returns the length of ":NUMBER)" at the start of a text, or 0. *number is the part between, which
 * consists of digits and points, but need not be a number. */
static size_t match_weight(const char *text, size_t length, struct span *number)
{
    size_t i = 1;
    for (size_t space; (space = character_space(text + i, length - i));)
        i += space;
    number->text = text + i;
    if (i < length && (text[i] == '+' || text[i] == '-'))
        i++;
    const size_t digits = i;
    while (i < length && (text[i] == '.' || (text[i] >= '0' && text[i] <= '9')))
        i++;
    number->length = (size_t)(text + i - number->text);
    if (i == digits)
        return 0;
    for (size_t space; (space = character_space(text + i, length - i));)
        i += space;
    return i < length && text[i] == ')' ? i + 1 : 0;
}

static int close_weighted(struct parser *parser, const struct span *number)
{
    double factor;
    if (!prompt_read_number(number->text, number->length, &factor))
        return error_fail(
            VKCLIP_EINVALID, "%s: weight '%.*s' is not a number, expected one such as 1.2",
            parser->name, number->length < 40 ? (int)number->length : 40, number->text);
    multiply_from(parser, parser->round[--parser->rounds], factor);
    return VKCLIP_OK;
}

/* Takes one token of the webui's scanner at `text`, and adds its length to *place. */
static int scan_token(struct parser *parser, const char *text, size_t length, size_t *place)
{
    struct span number = {text, 0};
    const size_t weighted = *text == ':' ? match_weight(text, length, &number) : 0;
    size_t taken = weighted ? weighted : 1;
    if (*text == '\\') {
        const bool escape = length > 1 && is_one(text[1], "()[]\\");
        *place += escape ? 2 : 1;
        return push_piece(parser, text + 1, escape, 1);
    }
    while (!is_one(*text, "()[]:") && taken < length && !is_one(text[taken], "\\()[]:"))
        taken++;
    *place += taken;
    if (*text == '(')
        parser->round[parser->rounds++] = parser->pieces->count;
    else if (*text == '[')
        parser->square[parser->squares++] = parser->pieces->count;
    else if (weighted && parser->rounds)
        return close_weighted(parser, &number);
    else if (*text == ')' && parser->rounds)
        multiply_from(parser, parser->round[--parser->rounds], 1.1);
    else if (*text == ']' && parser->squares)
        multiply_from(parser, parser->square[--parser->squares], 1 / 1.1);
    else
        return push_text(parser, text, taken);
    return VKCLIP_OK;
}

/* Joins neighbours of equal weight, which lie side by side in the pieces' text. */
static void join_equal(struct prompt_pieces *pieces)
{
    size_t count = 0;
    for (size_t i = 0; i < pieces->count; i++) {
        if (count && pieces->list[count - 1].weight == pieces->list[i].weight)
            pieces->list[count - 1].length += pieces->list[i].length;
        else
            pieces->list[count++] = pieces->list[i];
    }
    pieces->count = count;
}

static int parse_webui(struct parser *parser)
{
    int error = VKCLIP_OK;
    parser->round = memory_calloc(parser->length + 1, sizeof(*parser->round));
    parser->square = memory_calloc(parser->length + 1, sizeof(*parser->square));
    if (!parser->round || !parser->square)
        error = fail_memory(parser);
    for (size_t i = 0; i < parser->length && !error;)
        error = scan_token(parser, parser->text + i, parser->length - i, &i);
    for (size_t i = 0; i < parser->rounds && !error; i++)
        multiply_from(parser, parser->round[i], 1.1);
    for (size_t i = 0; i < parser->squares && !error; i++)
        multiply_from(parser, parser->square[i], 1 / 1.1);
    if (!error && !parser->pieces->count)
        error = push_piece(parser, "", 0, 1);
    if (!error)
        join_equal(parser->pieces);
    memory_free(parser->round);
    memory_free(parser->square);
    return error;
}

/* ---- ComfyUI --------------------------------------------------------------------------------- */

/* Escaped brackets are two bytes that no text has, so that they neither open nor close anything
 * while the brackets are matched. */
enum { ESCAPE = 0, ESCAPED_CLOSE = 1, ESCAPED_OPEN = 2 };

static void escape_brackets(char *text, size_t length)
{
    for (size_t i = 0; i + 1 < length; i++) {
        if (text[i] != '\\' || (text[i + 1] != '(' && text[i + 1] != ')'))
            continue;
        text[i] = ESCAPE;
        text[i + 1] = text[i + 1] == ')' ? ESCAPED_CLOSE : ESCAPED_OPEN;
    }
}

static int push_escaped(struct parser *parser, const char *text, size_t length, double weight)
{
    char *target = parser->pieces->text + parser->end;
    int error = push_piece(parser, text, length, weight);
    if (error)
        return error;
    size_t end = 0;
    for (size_t i = 0; i < length; i++) {
        const bool escaped = text[i] == ESCAPE && i + 1 < length &&
                             (text[i + 1] == ESCAPED_CLOSE || text[i + 1] == ESCAPED_OPEN);
        if (escaped)
            target[end++] = text[++i] == ESCAPED_CLOSE ? ')' : '(';
        else
            target[end++] = text[i];
    }
    parser->pieces->list[parser->pieces->count - 1].length = end;
    parser->end -= length - end;
    return VKCLIP_OK;
}

static int parse_level(struct parser *parser, const char *text, size_t length, double weight,
                       unsigned depth);

/* Takes a text without brackets, or one in brackets, whose weight is the number after its last
 * colon, or 1.1 times the weight around it. */
static int parse_item(struct parser *parser, const char *text, size_t length, double weight,
                      unsigned depth)
{
    if (length < 2 || text[0] != '(' || text[length - 1] != ')')
        return push_escaped(parser, text, length, weight);
    text++;
    length -= 2;
    size_t colon = length;
    while (colon && text[colon - 1] != ':')
        colon--;
    double number;
    weight *= 1.1;
    if (colon > 1 && prompt_read_number(text + colon, length - colon, &number)) {
        weight = number;
        length = colon - 1;
    }
    return parse_level(parser, text, length, weight, depth + 1);
}

/* Splits a text where an outermost bracket opens or closes. A closing bracket that nothing opened
 * makes the level negative, as in ComfyUI, so that the next pair of brackets is text. */
static int parse_level(struct parser *parser, const char *text, size_t length, double weight,
                       unsigned depth)
{
    size_t start = 0;
    long level = 0;
    int error = VKCLIP_OK;
    if (depth > PROMPT_NESTING)
        return error_fail(VKCLIP_EINVALID, "%s: brackets in more than %d levels", parser->name,
                          PROMPT_NESTING);
    for (size_t i = 0; i < length && !error; i++) {
        size_t end = start;
        if (text[i] == '(' && !level++)
            end = i;
        else if (text[i] == ')' && !--level)
            end = i + 1;
        if (end > start)
            error = parse_item(parser, text + start, end - start, weight, depth);
        start = end;
    }
    if (!error && start < length)
        error = parse_item(parser, text + start, length - start, weight, depth);
    return error;
}

static int parse_comfy(struct parser *parser)
{
    char *text = memory_alloc(parser->length + 1);
    if (!text)
        return fail_memory(parser);
    memcpy(text, parser->text, parser->length);
    escape_brackets(text, parser->length);
    int error = parse_level(parser, text, parser->length, 1, 0);
    memory_free(text);
    return error;
}

/* ---- The interface --------------------------------------------------------------------------- */

static int (*const parsers[])(struct parser *) = {
    [VKCLIP_SYNTAX_NONE] = parse_plain,          [VKCLIP_SYNTAX_A1111] = parse_webui,
    [VKCLIP_SYNTAX_A1111_NO_NORM] = parse_webui, [VKCLIP_SYNTAX_A1111_IGNORE] = parse_webui,
    [VKCLIP_SYNTAX_A1111_NONE] = parse_plain,    [VKCLIP_SYNTAX_COMFY] = parse_comfy,
};

int prompt_parse(const char *name, const char *text, size_t length, enum vkclip_syntax syntax,
                 struct prompt_pieces *pieces)
{
    struct parser parser = {
        .name = name, .text = length ? text : "", .length = length, .pieces = pieces};
    *pieces = (struct prompt_pieces){0};
    if ((unsigned)syntax >= ARRAY_COUNT(parsers))
        return error_fail(VKCLIP_EINVALID, "%s: syntax %d, expected 0 to %zu", name, (int)syntax,
                          ARRAY_COUNT(parsers) - 1);
    if (length > PROMPT_LIMIT)
        return error_fail(VKCLIP_EINVALID, "%s: prompt of %zu bytes, expected at most %d", name,
                          length, PROMPT_LIMIT);
    pieces->text = memory_alloc(length + 1);
    int error = pieces->text ? parsers[syntax](&parser) : fail_memory(&parser);
    if (error)
        prompt_free_pieces(pieces);
    else
        pieces->text[parser.end] = 0;
    return error;
}

void prompt_free_pieces(struct prompt_pieces *pieces)
{
    memory_free(pieces->text);
    memory_free(pieces->list);
    *pieces = (struct prompt_pieces){0};
}
