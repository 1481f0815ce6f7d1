/* SPDX-License-Identifier: MIT
 *
 * utf8proc decodes the characters and knows their categories.
 */
#include "text/characters.h"
#include "text/code_points.h"

#include <utf8proc.h>

enum character_kind character_kind(int32_t code)
{
    if (code_point_is_space(code))
        return CHARACTER_SPACE;
    switch (utf8proc_category(code)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
        return CHARACTER_LETTER;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
        return CHARACTER_NUMBER;
    default:
        return CHARACTER_OTHER;
    }
}

static size_t read_character(const char *text, size_t length, int32_t *code)
{
    const utf8proc_ssize_t size =
        utf8proc_iterate((const uint8_t *)text, (utf8proc_ssize_t)length, code);
    return size > 0 ? (size_t)size : 0;
}

size_t character_space(const char *text, size_t length)
{
    int32_t code;
    const size_t size = read_character(text, length, &code);
    return size && code_point_is_space(code) ? size : 0;
}

bool character_is_word(const char *text, size_t length)
{
    int32_t code;
    if (!read_character(text, length, &code))
        return false;
    const utf8proc_category_t category = utf8proc_category(code);
    return code == '_' || (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO) ||
           (category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO);
}

size_t character_before(const char *text, size_t end)
{
    size_t start = end - 1;
    while (start && end - start < 4 && (text[start] & 0xC0) == 0x80)
        start--;
    return start;
}
