/* SPDX-License-Identifier: MIT
 *
 * The grammar of queries: see the header. Every wrong query is refused with what was expected.
 */
#include "cli/commands/query.h"
#include "base/file.h"
#include "base/string.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What was read of a query so far. */
struct parser {
    struct query *query;
    query_is_file_fn *is_file;
    double sign;      /* of the next part: 1 or -1 */
    const char *last; /* the sign after which no part has come yet, or NULL */
    bool open;        /* the last part is a text, which the next word continues */
};

/* Says what was expected instead of the word `found`; NULL: instead of the query's end. */
static bool refuse(struct query *query, const char *expected, const char *found)
{
    const char *quote = found ? "'" : "";
    snprintf(query->error, sizeof(query->error), "expected %s, found %s%s%s", expected, quote,
             found ? found : "the end of the query", quote);
    return false;
}

static bool refuse_memory(struct query *query)
{
    snprintf(query->error, sizeof(query->error), "out of memory");
    return false;
}

/* Reads "2:" or "0.5:" before a part, as rclip does it, and returns what follows it. */
static const char *read_weight(const char *word, double *weight)
{
    const size_t whole = strspn(word, "0123456789");
    const size_t fraction = word[whole] == '.' ? strspn(word + whole + 1, "0123456789") : 0;
    const size_t length = whole + (fraction ? fraction + 1 : 0);
    *weight = 1;
    if (!length || word[length] != ':')
        return word;
    *weight = strtod(word, NULL);
    return word + length + 1;
}

static bool has_scheme(const char *word, const char *scheme)
{
    while (*scheme && tolower((unsigned char)*word) == *scheme) {
        word++;
        scheme++;
    }
    return !*scheme;
}

/* The scheme of a URL may be written in capitals. */
bool query_is_url(const char *word)
{
    return has_scheme(word, "http://") || has_scheme(word, "https://");
}

/* Tells whether a word begins as the path of a file that is named from the current folder does. */
static bool is_relative(const char *word)
{
    const size_t dots = strspn(word, ".");
    return (dots == 1 || dots == 2) && file_is_separator(word[dots]);
}

static bool is_picture(const char *word, query_is_file_fn *is_file)
{
    return file_is_absolute(word) || is_relative(word) || query_is_url(word) ||
           (strchr(word, '.') && is_file(word));
}

static bool read_id(struct query *query, const char *word, int64_t *id)
{
    char *end;
    errno = 0;
    const long long value = strtoll(word + 3, &end, 10);
    if (word[3] < '0' || word[3] > '9' || *end || errno)
        return refuse(query, "id: and the number of a picture of the index", word);
    *id = value;
    return true;
}

static bool append_part(struct query *query, const struct vkclip_query_part *part,
                        const char *value)
{
    void *parts = realloc(query->parts, (query->count + 1) * sizeof(*query->parts));
    char *copy = parts ? string_format("%s", value) : NULL;
    query->parts = parts ? parts : query->parts;
    if (!copy)
        return refuse_memory(query);
    query->parts[query->count] = *part;
    query->parts[query->count++].value = copy;
    return true;
}

/* Appends a word to the text that the words before it began. */
static bool continue_text(struct query *query, const char *word)
{
    struct vkclip_query_part *part = &query->parts[query->count - 1];
    char *text = string_format("%s %s", part->value, word);
    if (!text)
        return refuse_memory(query);
    free((char *)part->value);
    part->value = text;
    return true;
}

static bool read_sign(struct parser *parser, const char *word)
{
    if (parser->last)
        return refuse(parser->query, "a text, a picture or id:N after the sign", word);
    parser->sign = *word == '-' ? -1 : 1;
    parser->last = word;
    parser->open = false;
    return true;
}

static bool read_part(struct parser *parser, const char *word)
{
    struct query *query = parser->query;
    struct vkclip_query_part part = {.kind = VKCLIP_QUERY_TEXT};
    double weight;
    const char *rest = read_weight(word, &weight);
    if (string_begins_with(rest, "id:")) {
        part.kind = VKCLIP_QUERY_ID;
        if (!read_id(query, rest, &part.id))
            return false;
    } else if (is_picture(rest, parser->is_file)) {
        part.kind = VKCLIP_QUERY_IMAGE;
    } else if (parser->open) {
        return continue_text(query, word);
    }
    if (!*rest)
        return refuse(query, "a text, a picture or id:N after the weight", word);
    if (!(weight > 0 && weight <= 1e6))
        return refuse(query, "a weight above 0 and of at most 1000000", word);
    part.weight = parser->sign * weight;
    parser->sign = 1;
    parser->last = NULL;
    parser->open = part.kind == VKCLIP_QUERY_TEXT;
    return append_part(query, &part, rest);
}

static bool read_word(struct parser *parser, const char *word)
{
    if (!strcmp(word, "+") || !strcmp(word, "-"))
        return read_sign(parser, word);
    return !*word || read_part(parser, word);
}

static bool end_query(const struct parser *parser)
{
    if (parser->last)
        return refuse(parser->query, "a text, a picture or id:N after the sign", NULL);
    if (!parser->query->count)
        return refuse(parser->query, "a text, a picture or id:N", NULL);
    return true;
}

bool query_parse(const char *const *words, size_t count, query_is_file_fn *is_file,
                 struct query *query)
{
    struct parser parser = {.query = query, .is_file = is_file, .sign = 1};
    *query = (struct query){0};
    for (size_t i = 0; i < count; i++)
        if (!read_word(&parser, words[i]))
            return false;
    return end_query(&parser);
}

/* Returns the bytes before the next sign that has white space or an end of the line on both sides,
 * or before the end of the line. */
static size_t find_sign(const char *line)
{
    for (size_t i = 0; line[i]; i++)
        if (strchr("+-", line[i]) && (!i || strchr(" \t", line[i - 1])) &&
            strchr(" \t", line[i + 1])) /* The end of the line counts as white space here. */
            return i;
    return strlen(line);
}

/* Reads the first `length` bytes as one word, without white space around them. */
static bool read_piece(struct parser *parser, const char *text, size_t length)
{
    while (length && strchr(" \t", *text)) {
        text++;
        length--;
    }
    while (length && strchr(" \t", text[length - 1]))
        length--;
    char *word = string_format("%.*s", (int)length, text);
    if (!word)
        return refuse_memory(parser->query);
    const bool good = read_word(parser, word);
    free(word);
    return good;
}

bool query_parse_line(const char *line, query_is_file_fn *is_file, struct query *query)
{
    struct parser parser = {.query = query, .is_file = is_file, .sign = 1};
    *query = (struct query){0};
    for (bool more = true; more;) {
        const size_t length = find_sign(line);
        if (!read_piece(&parser, line, length))
            return false;
        line += length;
        more = *line;
        if (more && !read_sign(&parser, *line++ == '-' ? "-" : "+"))
            return false;
    }
    return end_query(&parser);
}

void query_free(struct query *query)
{
    for (size_t i = 0; i < query->count; i++) {
        free((char *)query->parts[i].value);
        free((void *)query->parts[i].data);
    }
    free(query->parts);
    query->parts = NULL;
    query->count = 0;
}
