/* SPDX-License-Identifier: MIT
 *
 * Reads OpenAI's list of merges. The list names no ids. They follow from the order of the tokens,
 * which are the bytes, the bytes at a word's end, one token per merge, start and end of text.
 */
#include "base/error.h"
#include "text/vocabulary_file.h"
#include "text/vocabulary_readers.h"

#include <string.h>

enum { BYTE_TOKENS = 512, ENDS = 2 };

/* Returns the symbol of the byte with a given id. The code points of the symbols rise with the ids:
 * first the printable bytes, then the bytes whose symbols are U+0100 and above. */
static int32_t symbol_in_order(int32_t place)
{
    if (place < 94) /* '!' to '~' */
        return place + 33;
    if (place < 106) /* U+00A1 to U+00AC */
        return place + 67;
    return place + 68; /* U+00AE and above, because U+00AD is not printable */
}

static void add_bytes(struct vocabulary *v)
{
    for (int word_end = 0; word_end < 2; word_end++)
        for (int32_t place = 0; place < 256; place++) {
            char text[VOCABULARY_SYMBOL_SIZE];
            const int byte = vocabulary_byte(symbol_in_order(place));
            const size_t length = vocabulary_symbol_text((uint8_t)byte, word_end, text);
            vocabulary_add(v, v->count++, text, length);
        }
}

static int add_merge(struct vocabulary *v, const char *path, uint32_t rank, const char *line,
                     size_t length)
{
    size_t left;
    if (!vocabulary_file_split_merge(line, length, &left))
        return vocabulary_file_bad_merge(path, rank, "is not two tokens with a space between");
    const char *right = line + left + 1;
    const size_t right_length = length - left - 1;
    const int32_t left_id = vocabulary_find(v, line, left);
    const int32_t right_id = vocabulary_find(v, right, right_length);
    if (left_id < 0 || right_id < 0)
        return vocabulary_file_bad_merge(path, rank, "names a token that no line before it makes");
    if (!vocabulary_add_joined(v, v->count, line, left, right, right_length) ||
        !vocabulary_add_merge(v, rank, left_id, right_id, (int32_t)v->count))
        return vocabulary_file_bad_merge(path, rank, "makes a token that exists already");
    v->count++;
    return VKCLIP_OK;
}

int vocabulary_load_openai(struct vocabulary *v, const char *path, const char *data, size_t size,
                           uint32_t limit)
{
    const char *next = data, *line, *mark = strstr(data, "#version");
    size_t length, lines = 1;
    if (memchr(data, 0, size) || !vocabulary_file_line(&next, &line, &length) || !mark ||
        mark > line + length)
        return error_fail(VKCLIP_EFORMAT,
                          "%s: neither JSON nor a list of merges whose first line has \"#version\"",
                          path);
    for (const char *i = next; *i && lines < limit; i++)
        lines += *i == '\n';
    /* A merge's token is its line without the space, so the texts of all merges' tokens fit in the
     * file's size. */
    const size_t bytes = size + BYTE_TOKENS * VOCABULARY_SYMBOL_SIZE + sizeof(VOCABULARY_START) +
                         sizeof(VOCABULARY_END);
    int error = vocabulary_make_tables(v, path, BYTE_TOKENS + lines + ENDS, bytes, lines);
    if (error)
        return error;
    add_bytes(v);
    for (uint32_t rank = 0; rank < limit && vocabulary_file_line(&next, &line, &length); rank++) {
        const bool is_last_and_empty = !length && !*next;
        if (is_last_and_empty)
            break;
        error = add_merge(v, path, rank, line, length);
        if (error)
            return error;
    }
    vocabulary_add(v, v->count++, VOCABULARY_START, strlen(VOCABULARY_START));
    vocabulary_add(v, v->count++, VOCABULARY_END, strlen(VOCABULARY_END));
    vocabulary_find_symbols(v, -1);
    v->openai = true;
    return vocabulary_find_ends(v, path, VOCABULARY_START, VOCABULARY_END);
}

int vocabulary_from_merges(const char *merges, size_t size, struct vocabulary *v)
{
    *v = (struct vocabulary){0};
    int error = vocabulary_load_openai(v, "list of merges", merges, size, UINT32_MAX);
    if (error)
        vocabulary_close(v);
    return error;
}
