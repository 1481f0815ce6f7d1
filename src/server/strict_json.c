/* SPDX-License-Identifier: MIT */
#include "server/strict_json.h"
#include "base/error.h"

/* OpenAI's clients send up to 300,000 token ids at once. */
enum { MOST_DEPTH = 64, MOST_VALUES = 400000, CONTAINER_VALUES = 8 };

/* What jansson allocates for a number and its place in an array, and 8 times that for an object. */
enum { VALUE_BYTES = 48 };

/* Looks at brackets and commas alone: whether the text is JSON at all is for the parser to say. */
int strict_json_measure(const char *text, size_t size, size_t *bytes)
{
    size_t depth = 0, values = 0;
    bool in_string = false;
    if (!size)
        return error_fail(VKCLIP_EINVALID, "expected JSON, found nothing");
    for (size_t i = 0; i < size; i++) {
        if (in_string) {
            in_string = text[i] != '"';
            i += text[i] == '\\'; /* The next character ends no string. */
            continue;
        }
        const bool opens = text[i] == '[' || text[i] == '{';
        in_string = text[i] == '"';
        values += text[i] == ',';
        values += opens ? 1 + CONTAINER_VALUES : 0;
        depth += opens;
        depth -= depth && (text[i] == ']' || text[i] == '}');
        if (depth > MOST_DEPTH)
            return error_fail(VKCLIP_EINVALID,
                              "JSON: expected at most %d levels of arrays and objects", MOST_DEPTH);
        if (values > MOST_VALUES)
            return error_fail(VKCLIP_EINVALID, "JSON: expected at most %d values", MOST_VALUES);
    }
    *bytes = size + values * VALUE_BYTES;
    return VKCLIP_OK;
}

int strict_json_read(const char *text, size_t size, json_t **json)
{
    json_error_t problem;
    *json = json_loadb(text, size, JSON_REJECT_DUPLICATES, &problem);
    if (!*json)
        return error_fail(VKCLIP_EINVALID, "JSON, line %d, column %d: %s", problem.line,
                          problem.column, problem.text);
    return VKCLIP_OK;
}
