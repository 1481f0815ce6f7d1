/* SPDX-License-Identifier: MIT
 *
 * Normalises texts as `tokenizers` does. Its map of characters works on grapheme clusters and takes
 * the shortest rule, where SentencePiece takes the longest one.
 */
#include "text/normalizer.h"
#include "base/array.h"
#include "base/memory.h"
#include "text/clean.h"

#include <string.h>
#include <utf8proc.h>

/* ---- Precompiled ----------------------------------------------------------------------------- */
/* Returns the length of the first grapheme cluster. */
static size_t cluster_length(const int32_t *codes, size_t length)
{
    int32_t state = 0;
    size_t end = 1;
    while (end < length && !utf8proc_grapheme_break_stateful(codes[end - 1], codes[end], &state))
        end++;
    return end;
}

/* Tells whether UTF-8 needs fewer than six bytes. */
static bool is_short(const int32_t *codes, size_t length)
{
    size_t size = 0;
    for (size_t i = 0; i < length && size < 6; i++) {
        uint8_t bytes[4];
        size += (size_t)utf8proc_encode_char(codes[i], bytes);
    }
    return size < 6;
}

/* Replaces a short cluster by the rule of its first characters, else each character by its own. */
static void replace_cluster(const struct charsmap *map, const int32_t *codes, size_t length,
                            struct code_points *out)
{
    size_t used;
    const char *text = is_short(codes, length)
                           ? charsmap_find(map, codes, length, CHARSMAP_SHORTEST, &used)
                           : NULL;
    if (text) {
        code_points_push_utf8(out, text, strlen(text));
        return;
    }
    for (size_t i = 0; i < length; i++) {
        text = charsmap_find(map, codes + i, 1, CHARSMAP_SHORTEST, &used);
        if (text)
            code_points_push_utf8(out, text, strlen(text));
        else
            code_points_push(out, codes[i]);
    }
}

void normalizer_precompiled(const struct normalizer *normalizer, const struct normalizer_step *step,
                            struct code_points *text, struct code_points *out)
{
    (void)step;
    for (size_t i = 0, length; i < text->length && !out->failed; i += length) {
        length = cluster_length(text->codes + i, text->length - i);
        replace_cluster(&normalizer->charsmap, text->codes + i, length, out);
    }
}

/* ---- Strip, Replace and Lowercase ------------------------------------------------------------ */

void normalizer_strip(const struct normalizer *normalizer, const struct normalizer_step *step,
                      struct code_points *text, struct code_points *out)
{
    size_t start = 0, end = text->length;
    (void)normalizer;
    while (step->left && start < end && code_point_is_space(text->codes[start]))
        start++;
    while (step->right && start < end && code_point_is_space(text->codes[end - 1]))
        end--;
    if (end > start) /* An empty text may have no memory. */
        code_points_push_all(out, text->codes + start, end - start);
}

static size_t count_run(const int32_t *codes, size_t length, bool white)
{
    size_t end = 0;
    while (end < length && (white ? code_point_is_space(codes[end]) : codes[end] == ' '))
        end++;
    return end;
}

/* Returns the length of what a Replace replaces at the start of `codes`, or 0. */
static size_t match_pattern(const struct normalizer_step *step, const int32_t *codes, size_t length)
{
    const struct code_points *from = &step->from;
    size_t run;
    switch (step->pattern) {
    case PATTERN_TEXT:
        return from->length <= length && !memcmp(codes, from->codes, from->length * sizeof(*codes))
                   ? from->length
                   : 0;
    case PATTERN_SPACES:
        run = count_run(codes, length, false);
        return run >= 2 ? run : 0;
    case PATTERN_WHITE:
        return count_run(codes, length, true);
    case PATTERN_CHARACTERS:
        break;
    }
    for (size_t i = 0; i < from->length; i++)
        if (from->codes[i] == *codes)
            return 1;
    return 0;
}

void normalizer_replace(const struct normalizer *normalizer, const struct normalizer_step *step,
                        struct code_points *text, struct code_points *out)
{
    (void)normalizer;
    for (size_t i = 0; i < text->length;) {
        const size_t matched = match_pattern(step, text->codes + i, text->length - i);
        if (matched)
            code_points_push_all(out, step->content.codes, step->content.length);
        else
            code_points_push(out, text->codes[i]);
        i += matched ? matched : 1;
    }
}

void normalizer_lowercase(const struct normalizer *normalizer, const struct normalizer_step *step,
                          struct code_points *text, struct code_points *out)
{
    (void)normalizer;
    (void)step;
    clean_lower_letters(text);
    code_points_push_all(out, text->codes, text->length);
    out->failed |= text->failed;
}

/* ---- BertNormalizer -------------------------------------------------------------------------- */

/* Tells whether BERT's normalizer removes a character: controls, formats, private use. */
static bool is_removed(int32_t code)
{
    if (code == 0 || code == 0xFFFD)
        return true;
    if (code == '\t' || code == '\n' || code == '\r')
        return false;
    switch (utf8proc_category(code)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CO:
        return true;
    default:
        return false;
    }
}

/* Tells whether a character is a word of its own. The blocks are those of `tokenizers`, which
 * begins extension E at U+2B920 instead of U+2B820. */
static bool is_ideograph(int32_t code)
{
    static const int32_t blocks[][2] = {{0x4E00, 0x9FFF},   {0x3400, 0x4DBF},   {0x20000, 0x2A6DF},
                                        {0x2A700, 0x2B73F}, {0x2B740, 0x2B81F}, {0x2B920, 0x2CEAF},
                                        {0xF900, 0xFAFF},   {0x2F800, 0x2FA1F}};
    for (size_t i = 0; i < ARRAY_COUNT(blocks); i++)
        if (code >= blocks[i][0] && code <= blocks[i][1])
            return true;
    return false;
}

static void push_bert(const struct normalizer_step *step, int32_t code, struct code_points *out)
{
    if (step->clean && is_removed(code))
        return;
    if (step->clean && code_point_is_space(code))
        code = ' ';
    const bool apart = step->ideographs && is_ideograph(code);
    if (apart)
        code_points_push(out, ' ');
    code_points_push(out, code);
    if (apart)
        code_points_push(out, ' ');
}

void normalizer_bert(const struct normalizer *normalizer, const struct normalizer_step *step,
                     struct code_points *text, struct code_points *out)
{
    (void)normalizer;
    for (size_t i = 0; i < text->length; i++)
        push_bert(step, text->codes[i], out);
    if (step->accents)
        clean_strip_accents(out);
    if (step->lowercase)
        clean_lower_letters(out);
}

/* ---- All steps ------------------------------------------------------------------------------- */

void normalizer_apply(const struct normalizer *normalizer, struct code_points *text)
{
    for (size_t i = 0; i < normalizer->count && !text->failed; i++) {
        struct code_points out = {0};
        normalizer->steps[i].apply(normalizer, &normalizer->steps[i], text, &out);
        code_points_free(text);
        *text = out;
    }
}

void normalizer_close(struct normalizer *normalizer)
{
    for (size_t i = 0; i < normalizer->count; i++) {
        code_points_free(&normalizer->steps[i].from);
        code_points_free(&normalizer->steps[i].content);
    }
    memory_free(normalizer->steps);
    charsmap_close(&normalizer->charsmap);
    *normalizer = (struct normalizer){0};
}
